"""Variants with their scores as VCF, and as BED.

VCF counts from 1; this is the one place that turns to it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from scipy import stats

from bend_hf.files import atomic
from bend_hf.results.predictions import BESIDE, Predictions
from bend_hf.tracks.places import Places

TEXTS = {"consequence": "CONSEQUENCE", "full_label": "FULL_LABEL"}
"""Columns of predictions that go along → name of the INFO field."""


def write_vcf(path: Path, predictions: Predictions, places: Places, comments: Sequence[str]) -> None:
    """Write every variant, sorted, with its label, its score and all scores beside it as INFO fields."""
    beside = fields_of(predictions.beside)
    texts = {name: field for name, field in TEXTS.items() if name in predictions.table.column_names}
    lines = ["##fileformat=VCFv4.3", f"##source=bend_hf, {predictions.task.name}"]
    lines += [f"##bend_hf={line}" for line in comments]
    for name in sorted(set(places.names.values())):
        length = "" if places.lengths is None else f",length={places.lengths[name]}"
        lines.append(f"##contig=<ID={name}{length}>")
    names = " and ".join(f"{k} for {name}" for k, name in enumerate(predictions.task.label_names))
    lines.append(_info("LABEL", "Integer", f"The true label: {names}"))
    lines.append(_info("SCORE", "Float", "The headline score; high means an effect"))
    lines += [_info(field, "Float", f"Score {name}") for name, field in beside.items()]
    lines += [_info(field, "String", f"{name} as in the data, percent-encoded") for name, field in texts.items()]
    lines.append("#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO")
    columns = {name: predictions.column(BESIDE + name) for name in beside}
    words = {name: predictions.column(name).astype(str) for name in texts}
    chromosome, start, ref, alt = _keys(predictions, places)
    for k in _order(chromosome, start):
        info = [f"LABEL={int(predictions.labels[k])}", f"SCORE={predictions.scores[k]:.7g}"]
        info += [f"{field}={columns[name][k]:.7g}" for name, field in beside.items()]
        info += [f"{field}={quote(words[name][k], safe='_-/&|()')}" for name, field in texts.items()]
        lines.append(f"{chromosome[k]}\t{start[k] + 1}\t.\t{ref[k]}\t{alt[k]}\t.\t.\t{';'.join(info)}")
    with atomic(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def fields_of(names: Sequence[str]) -> dict[str, str]:
    """Return a name of an INFO field for every score, ``S_cosine`` for ``cosine``, no two alike."""
    found: dict[str, str] = {}
    for name in names:
        field = "S_" + re.sub(r"[^0-9A-Za-z_.]", "_", name)
        while field in found.values():
            field += "_"
        found[name] = field
    return found


def bed_rows(predictions: Predictions, places: Places) -> list[tuple[object, ...]]:
    """Return a row of BED for every variant: its score of 0 to 1000 is the share of variants that score no higher.

    Behind BED's nine columns: the score itself, and the label. Positives are red, negatives grey.
    """
    chromosome, start, ref, alt = _keys(predictions, places)
    share = stats.rankdata(predictions.scores, method="max") / len(predictions)
    rows: list[tuple[object, ...]] = []
    for k in _order(chromosome, start):
        place, label = int(start[k]), int(predictions.labels[k])
        colour = "190,50,40" if label else "120,120,120"
        name = f"{ref[k]}>{alt[k]}"
        beside = (f"{predictions.scores[k]:.7g}", label)
        own = (chromosome[k], place, place + 1, name, round(1000 * share[k]), ".", place, place + 1, colour)
        rows.append((*own, *beside))
    return rows


def _keys(predictions: Predictions, places: Places) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray]:
    chromosome = [places.names[name] for name in predictions.column("chromosome").astype(str)]
    return chromosome, predictions.column("start"), predictions.column("ref"), predictions.column("alt")


def _order(chromosome: Sequence[str], start: np.ndarray) -> list[int]:
    return sorted(range(len(start)), key=lambda k: (chromosome[k], start[k]))


def _info(field: str, kind: str, description: str) -> str:
    text = description.replace("\\", "\\\\").replace('"', '\\"')
    return f'##INFO=<ID={field},Number=1,Type={kind},Description="{text}">'
