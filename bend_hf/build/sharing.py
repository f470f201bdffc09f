"""Variants of one label beside those of the other: within a window, and in one gene.

    contrary(tables, windows)
    shared_genes(tables, windows, genome, "genes.gtf", aliases=None)

Such variants differ in what they change, not in where they lie; where there are none, the place alone may tell labels.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from bend_hf.build.located import locate_chromosomes
from bend_hf.build.readers.annotation import read_annotation
from bend_hf.build.splits import Windows, joined
from bend_hf.data.genome import Genome

NEAR_VARIANTS = 512


def contrary(tables: dict[str, pa.Table], windows: dict[str, Windows]) -> dict[str, Any]:
    """Count the variants that have one of the other label within `NEAR_VARIANTS` bp."""
    every = joined(list(windows.values()))
    label = np.concatenate([table["label"].to_numpy() for table in tables.values()])
    place = every.code << 40 | every.start
    count = 0
    for one, other in ((0, 1), (1, 0)):
        others = np.sort(place[label == other])
        mine = place[label == one]
        low = np.searchsorted(others, mine - NEAR_VARIANTS)
        count += int((np.searchsorted(others, mine + NEAR_VARIANTS, side="right") > low).sum())
    return {"variants": count, "of": len(place), "share": count / len(place)}


def shared_genes(
    tables: dict[str, pa.Table],
    windows: dict[str, Windows],
    genome: Genome,
    annotation: str | Path,
    aliases: str | Path | None,
) -> dict[str, Any]:
    """Count the variants in genes (first to last base of all their transcripts) that hold both labels."""
    read = read_annotation(annotation)
    codes = locate_chromosomes(read.path, read.chromosomes, genome, aliases=aliases, skip=True)
    gene = read.transcripts["gene_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    # A gene's name may stand on two chromosomes (the pseudoautosomal regions): they are two genes.
    parts = [each for each in (read.cds, read.exons, read.stops) if len(each.start)]
    place = np.concatenate([codes[each.chromosome] for each in parts])
    owner = np.concatenate([gene[each.transcript] for each in parts])
    ends = [np.concatenate([getattr(each, name) for each in parts]) for name in ("start", "end")]
    known = place >= 0
    _, which = np.unique(np.stack([owner[known], place[known]]), axis=1, return_inverse=True)
    which = which.ravel()
    low, high = np.full(which.max(initial=-1) + 1, 1 << 62), np.zeros(which.max(initial=-1) + 1, np.int64)
    np.minimum.at(low, which, (place << 40 | ends[0])[known])
    np.maximum.at(high, which, (place << 40 | ends[1])[known])
    every = joined(list(windows.values()))
    label = np.concatenate([table["label"].to_numpy() for table in tables.values()])
    order = np.argsort(every.code << 40 | every.start, kind="stable")
    position, label = (every.code << 40 | every.start)[order], label[order]
    first, last = np.searchsorted(position, low), np.searchsorted(position, high)
    positives = np.concatenate([[0], np.cumsum(label == 1)])
    ones, held = positives[last] - positives[first], last - first
    both = (ones > 0) & (ones < held)
    # Of each position: how many genes with both labels begin at or before it, less those that end there.
    opened = np.zeros(len(position) + 1, np.int64)
    np.add.at(opened, first[both], 1)
    np.add.at(opened, last[both], -1)
    count = int((np.cumsum(opened)[:-1] > 0).sum())
    return {
        "variants": count,
        "of": len(position),
        "share": count / len(position),
        "genes": int(both.sum()),
        "of_genes": int((held > 0).sum()),
    }
