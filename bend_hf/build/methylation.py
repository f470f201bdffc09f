"""CpG-methylation tasks from bedMethyl, bedGraph or bigWig, one file per label.

    methylation({"K562": "k562.bed.gz", "HepG2": "hepg2.bed.gz"}, "GRCh38.fa", "my_cpgs", build="GRCh38")

A row is the window around a CpG that every track covers; its labels are the tracks in which it is methylated. The two
strands of a CpG are added up. Thresholds of BEND's own files are not published: the ones here are ours.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from bend_hf.build.control import Kind, finish_with_controls
from bend_hf.build.counts import Counts
from bend_hf.build.options import checked
from bend_hf.build.peaks import named_tracks
from bend_hf.build.readers.intervals import Located, read_methylation
from bend_hf.build.splits import Split, Windows, assigned_once
from bend_hf.build.work import Work, builder
from bend_hf.build.write import Built, declare, write
from bend_hf.data.genome import Genome
from bend_hf.errors import BendError
from bend_hf.tasks import TASKS

_WORD = 64  # bits


@builder
def methylation(
    tracks: Mapping[str, str | Path] | Sequence[str | Path],
    genome: str | Path,
    output: str | Path,
    *,
    build: str,
    width: int = 512,
    min_coverage: int = 5,
    threshold: float = 0.5,
    percent: bool = True,
    max_rows: int | None = None,
    split: Split | None = None,
    aliases: str | Path | None = None,
    skip_absent: bool = False,
    seed: int = 0,
    controls: Sequence[Kind] = (),
    command: str | None = None,
    verbose: bool = False,
) -> Path:
    """Write a CpG-methylation task.

    Args:
        tracks: Name → file of each track, or files; the order is that of the labels.
        genome: FASTA.
        output: Folder to write; its name is the task's.
        build: Name of the genome build, for the record.
        width: Bases of a window; the CpG's C is base ``width / 2 - 1`` (255 of 512), its G the next.
        min_coverage: Reads that a CpG needs in every track, both strands together; bedGraph and bigWig have none.
        threshold: A CpG is methylated from this share of its reads on.
        percent: Whether bedGraph and bigWig hold 0 to 100, not 0 to 1.
        max_rows: CpGs to draw at most; None for all.
        split: How rows are split; by chromosomes drawn by default.
        aliases: An assembly report, or a table of chromosome names.
        skip_absent: Leave out rows on chromosomes that the genome lacks, instead of an error.
        seed: Of the strands, and of the draw of `max_rows`.
        controls: Control tasks to write beside it, as ``<output>_<kind>``: ``permuted``, ``shuffled``, ``matched`` (see
            `bend_hf.build.control`).
        command: What to record as the command.
        verbose: Whether to tell what is done and how far it is, as the command line does.

    Returns:
        The folder.

    Raises:
        BendError: A track is malformed, empty, of another build, or named twice; nothing is left.
    """
    arguments = checked(locals())  # each decides the rows
    output = Path(output)
    if not 0 < threshold <= 1:
        raise BendError(f"A threshold of {threshold} is no share of reads: give above 0 to 1 (--threshold).")
    files = named_tracks(tracks)
    split = split or Split("chromosomes", seed=seed)
    paths: dict[str, str | Path | None] = {f"track {name}": path for name, path in files.items()}
    paths |= {"genome": genome, "aliases": aliases, "splits": split.file}
    work = Work.begin(output, paths, arguments, command)
    if work.has_rows():
        return finish_with_controls(work, controls, seed)
    fasta = Genome(genome)
    counts = Counts()
    located = Located(fasta, Path(aliases) if aliases else None, skip_absent, counts)
    keys, bits = np.empty(0, np.int64), np.empty((0, 0), np.uint64)
    for label, (name, path) in enumerate(files.items()):
        step = work.step(
            f"track {name}", counts, partial(called, path, located, percent, min_coverage, threshold, counts)
        )
        found, methylated = step["cpg"].to_numpy(), step["methylated"].to_numpy(zero_copy_only=False)
        if label == 0:
            keys, bits = found, np.zeros((-(-len(files) // _WORD), len(found)), np.uint64)
        common, old, new = np.intersect1d(keys, found, assume_unique=True, return_indices=True)
        counts.add(f"CpG that not every track covers with {min_coverage} reads", len(keys) - len(common))
        if label:
            counts.add(f"CpG that only {name} covers, not the tracks before it", len(found) - len(common))
        keys, bits = common, bits[:, old]
        bits[label // _WORD] |= methylated[new].astype(np.uint64) << np.uint64(label % _WORD)
        if not len(keys):
            raise BendError(
                f"{path}: no CpG has {min_coverage} reads (--min-coverage) in this track and all before it. Ask for "
                "fewer, or see whether they are of one genome build."
            )
    code, position = keys >> 40, keys & (1 << 40) - 1
    start = position - (width // 2 - 1)
    inside = (start >= 0) & (start + width <= np.array(list(fasta.lengths.values()))[code])
    counts.add("window leaves the chromosome", int((~inside).sum()))
    code, start, bits = code[inside], start[inside], bits[:, inside]
    assigned = assigned_once(work, split, Windows(code, start, start + width), fasta, counts)
    random = np.random.default_rng(seed)
    kept = np.flatnonzero(assigned.names != "")
    if max_rows is not None and len(kept) > max_rows:
        counts.add(f"CpG not drawn (max_rows {max_rows:,})", len(kept) - max_rows)
        kept = np.sort(random.permutation(kept)[:max_rows])
    texts, inverse = _texts(bits[:, kept])
    table = pa.table(
        {
            "chromosome": pa.array(np.array(fasta.names, dtype=object)[code[kept]], pa.string()),
            "start": start[kept],
            "end": start[kept] + width,
            "strand": pa.array(np.where(random.integers(0, 2, len(kept)) == 1, "-", "+")),
            "label": pa.array(texts).take(pa.array(inverse)),
            "split": pa.array(assigned.names[kept], pa.string()),
        }
    )
    template = TASKS["cpg_methylation"]
    assert template.recipe is not None
    task = declare(
        template,
        build=build,
        title=output.name,
        summary=f"Predict in which of {len(files)} tracks the CpG at the centre of a {width}-bp window is methylated.",
        label_names=tuple(files),
        label_naming="released",
        window=width,
        recipe=dataclasses.replace(template.recipe, outputs=len(files), pool=width),
    )
    choices = {
        "tracks": list(files),
        "width": width,
        "min_coverage": min_coverage,
        "threshold": threshold,
        "percent": percent,
        "max_rows": max_rows,
        "seed": seed,
        "split": assigned.facts,
    }
    write(work, Built(task, table, None, counts, choices))
    return finish_with_controls(work, controls, seed)


def called(
    path: Path, located: Located, percent: bool, min_coverage: int, threshold: float, counts: Counts
) -> dict[str, np.ndarray]:
    """Return the CpGs that a track covers (chromosome << 40 | position, ascending), and whether each is methylated."""
    genome = located.genome
    lengths = np.array(list(genome.lengths.values()))
    keys, methylated, reads = [], [], []
    seen = strange = 0
    counted_reads = True
    for code, position, level, coverage in read_methylation(path, located, percent):
        counted_reads = coverage is not None
        for begin in range(0, len(code), 1 << 18):
            part = slice(begin, begin + (1 << 18))
            where, place = code[part], position[part]
            # Files without strands may give the position of the reverse strand's C, which is the CpG's G.
            pairs = genome.gather(where, place - 1, place + 2, pad=True)[0].reshape(-1, 3)
            forward = (pairs[:, 1] == ord("C")) & (pairs[:, 2] == ord("G")) & (place + 2 <= lengths[where])
            reverse = (pairs[:, 0] == ord("C")) & (pairs[:, 1] == ord("G")) & ~forward
            good = forward | reverse
            seen += len(good)
            strange += int((~good).sum())
            keys.append((where << 40 | (place - reverse))[good])
            methylated.append(level[part][good])
            reads.append(np.ones(int(good.sum())) if coverage is None else coverage[part][good])
    if not seen:
        raise BendError(f"{path}: no row is left. It should be bedMethyl, bedGraph or bigWig of CpGs on this genome.")
    if strange > seen / 2:
        raise BendError(
            f"{path}: {strange:,} of {seen:,} positions are no CpG in {genome.path}. Probably the file is of another "
            "genome build, or lists cytosines of every context."
        )
    counts.add("position that is no CpG in the genome", strange)
    key, inverse, rows = np.unique(np.concatenate(keys), return_inverse=True, return_counts=True)
    if rows.max() > 2:
        worst = int(key[rows.argmax()])
        name = genome.names[worst >> 40]
        raise BendError(
            f"{path}: {rows.max()} rows for the CpG at {name}:{worst & (1 << 40) - 1}. One per strand is right."
        )
    depth = np.bincount(inverse, np.concatenate(reads))
    level = np.bincount(inverse, np.concatenate(methylated))
    covered = depth >= min_coverage if counted_reads else np.ones(len(key), bool)
    return {"cpg": key[covered], "methylated": level[covered] >= threshold * depth[covered] - 1e-9}


def _texts(bits: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Return the labels of each different column of words of bits, as text, and which of them each column has."""
    inverse = np.zeros(bits.shape[1], np.int64)
    for word in bits:
        _, code = np.unique(word, return_inverse=True)
        _, first, inverse = np.unique(
            inverse * (code.max(initial=0) + 1) + code, return_index=True, return_inverse=True
        )
    words = [sum(int(word) << _WORD * at for at, word in enumerate(column)) for column in bits[:, first].T.tolist()]
    return [",".join(str(bit) for bit in range(_WORD * len(bits)) if word >> bit & 1) for word in words], inverse
