"""Zero-shot variant tasks from a VCF or BCF: single-nucleotide variants with a label each.

    variants("clinvar.vcf.gz", "GRCh38.fa", "my_disease", build="GRCh38", labels=CLINVAR, annotation="gencode.gtf.gz")
    variants("gwas.vcf.gz", "GRCh38.fa", "my_trait", build="GRCh38", labels=Labels("PIP", threshold=0.9))

Labels come from an INFO field (its terms, or a threshold on its number) or from a table. Consequences are coarse
classes by overlap with an annotation, or the first consequence that VEP wrote into ``CSQ``.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from bend_hf import checks
from bend_hf.build.consequences import Consequences, distances
from bend_hf.build.control import Kind, finish_with_controls
from bend_hf.build.counts import Counts
from bend_hf.build.located import locate_chromosomes
from bend_hf.build.matched import composition
from bend_hf.build.options import checked
from bend_hf.build.readers.annotation import annotation_once
from bend_hf.build.readers.intervals import Located
from bend_hf.build.readers.text import read_bytes, read_table
from bend_hf.build.readers.vcf import Block, read_variants
from bend_hf.build.splits import Windows
from bend_hf.build.work import Work, builder, strings
from bend_hf.build.write import Built, declare, write
from bend_hf.data.genome import Genome
from bend_hf.errors import BendError
from bend_hf.tasks import TASKS
from bend_hf.tasks.task import Column
from bend_hf.text import counted

UNKNOWN = "not_annotated"
NEAR = {
    "tss_distance": Column("tss_distance", "int64", "bp to the nearest transcription start", row=True),
    "splice_distance": Column(
        "splice_distance", "int64", "bp to the nearest first or last base of an intron", row=True
    ),
}
"""Columns of tasks with an annotation; the chromosome's length where it has none such."""


@dataclass(frozen=True)
class Labels:
    """Where a variant's label comes from; exactly one of `terms`, `threshold` and `table` is given.

    Attributes:
        field: The INFO field, for `terms` and `threshold`.
        terms: Value of the field → 1 (effect) or 0 (none); variants with another value are left out.
        threshold: A variant is positive from this number on; those without a number are left out.
        table: A table with ``label`` (0 or 1) and ``id``, or with ``chromosome start ref alt`` (0-based) instead;
            variants that it does not name are left out.
    """

    field: str = ""
    terms: Mapping[str, int] = dataclasses.field(default_factory=dict)
    threshold: float | None = None
    table: Path | None = None

    def __post_init__(self) -> None:
        given = [bool(self.terms), self.threshold is not None, self.table is not None]
        if sum(given) != 1:
            raise BendError("Say how variants are labelled: by terms, by a threshold, or by a table (one of them).")
        if self.table is None and not self.field:
            raise BendError("Terms and thresholds need the INFO field that they are about.")
        checks.number("threshold", self.threshold)
        if not set(self.terms.values()) <= {0, 1}:
            raise BendError("Terms stand for 1 (effect) or 0 (no effect).")


CLINVAR = Labels(
    "CLNSIG",
    terms={
        "Pathogenic": 1,
        "Likely_pathogenic": 1,
        "Pathogenic/Likely_pathogenic": 1,
        "Benign": 0,
        "Likely_benign": 0,
        "Benign/Likely_benign": 0,
    },
)


@builder
def variants(
    vcf: str | Path,
    genome: str | Path,
    output: str | Path,
    *,
    build: str,
    labels: Labels,
    annotation: str | Path | None = None,
    matched: int = 0,
    aliases: str | Path | None = None,
    skip_absent: bool = False,
    seed: int = 0,
    controls: Sequence[Kind] = (),
    command: str | None = None,
    verbose: bool = False,
) -> Path:
    """Write a variant task.

    Args:
        vcf: VCF (plain, gzip, bgzip) or BCF.
        genome: FASTA.
        output: Folder to write; its name is the task's.
        build: Name of the genome build, for the record.
        labels: Where labels come from; `CLINVAR` for ClinVar's own VCF.
        annotation: GTF or GFF3 for coarse consequences; None for VEP's ``CSQ``, where the file has it.
        matched: Negatives to keep per positive, drawn among those of the same consequence, GC (steps of 0.04 of the 512
            bp around) and distance to a transcription start site (powers of 2); 0 for all.
        aliases: An assembly report, or a table of chromosome names.
        skip_absent: Leave out variants on chromosomes that the genome lacks, instead of an error.
        seed: Of the draw of matched negatives.
        controls: Control tasks to write beside it, as ``<output>_<kind>``: ``permuted``, ``shuffled``, ``matched`` (see
            `bend_hf.build.control`).
        command: What to record as the command.
        verbose: Whether to tell what is done and how far it is, as the command line does.

    Returns:
        The folder.

    Raises:
        BendError: The file is malformed or of another build, no variant has a label, or only one label is left.
    """
    arguments = checked(locals())  # each decides the rows
    output = Path(output)
    if not isinstance(labels, Labels):
        raise BendError(
            f"labels={labels!r} does not say how variants are labelled: give build.Labels, or build.CLINVAR."
        )
    if matched and annotation is None:
        raise BendError(
            "Matched negatives need an annotation (--annotation): they are matched by distance to a gene's start."
        )
    paths = {
        "variants": vcf,
        "genome": genome,
        "annotation": annotation,
        "labels": labels.table,
        "aliases": aliases,
    }
    work = Work.begin(output, paths, arguments, command)
    if work.has_rows():
        return finish_with_controls(work, controls, seed)
    fasta = Genome(genome)
    counts = Counts()
    located = Located(fasta, Path(aliases) if aliases else None, skip_absent, counts)
    model = None
    if annotation is not None:
        read = annotation_once(work, Path(annotation), counts)
        codes = locate_chromosomes(read.path, read.chromosomes, fasta, aliases=aliases, skip=True)
        model = Consequences(read, codes)
    step = work.step("variants", counts, lambda: vars(_labelled(Path(vcf), located, labels, model, counts)))
    columns = (step[name] for name in _Variants.__dataclass_fields__)
    found = _Variants(*(strings(each) if pa.types.is_string(each.type) else each.to_numpy() for each in columns))
    if matched and model is not None:
        found = _matched(found, model, fasta, matched, seed, counts)
    table = _table(found, fasta, bool(labels.terms))
    near = {} if model is None else _near(found, model, fasta)
    for name, values in near.items():
        table = table.append_column(name, pa.array(values))
    negative, positive = np.bincount(found.label, minlength=2).tolist()
    if not (negative and positive):
        raise BendError(
            f"{vcf}: {counted(positive, 'variant')} with an effect and {negative:,} without: both are needed. Left "
            f"out: {counts.text()}."
        )
    template = TASKS["variant_effects_disease" if labels.terms else "variant_effects_expression"]
    task = declare(
        template,
        build=build,
        title=output.name,
        summary="Rank single-nucleotide variants by their effect, zero-shot.",
        label_names=("no_effect", "effect"),
        positives=positive,
        columns=(*template.columns, *(NEAR[name] for name in near)),
        caveats=("Not for clinical use.",),
    )
    choices = {
        "labels": {
            "field": labels.field or None,
            "terms": dict(labels.terms) or None,
            "threshold": labels.threshold,
            "table": labels.table.name if labels.table else None,
        },
        "consequences": "overlap with the annotation" if model else "VEP's CSQ, where the file has it",
        "matched": matched,
        "seed": seed,
    }
    write(work, Built(task, table, None, counts, choices))
    return finish_with_controls(work, controls, seed)


@dataclass(frozen=True)
class _Variants:
    """Labelled variants, sorted: (n,) arrays."""

    code: np.ndarray
    position: np.ndarray
    ref: np.ndarray
    alt: np.ndarray
    label: np.ndarray
    said: np.ndarray
    consequence: np.ndarray

    def take(self, rows: np.ndarray) -> _Variants:
        return _Variants(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


def _labelled(path: Path, located: Located, labels: Labels, model: Consequences | None, counts: Counts) -> _Variants:
    named = _named_labels(labels.table, located.genome) if labels.table is not None else {}
    order = None if model else _csq_order(path)
    blocks: list[list[np.ndarray]] = []
    others: Counter[str] = Counter()
    for block in read_variants(path, located):
        said = _said(block, labels, named, located.genome)
        label = np.array([_label(value, labels, path) for value in said], np.int64)
        others.update(value for value, one in zip(said, label.tolist(), strict=True) if one < 0)
        kept = np.flatnonzero(label >= 0)
        if not len(kept):
            continue
        code, position = block.code[kept], block.position[kept]
        if model is not None:
            consequence = model.of(code, position)
        else:
            consequence = np.array(
                [_first_consequence(text, order) for text in np.array(block.info("CSQ"), object)[kept]], object
            )
        # Only terms are written: of numbers there are as many as variants.
        texts = np.array([said[row].replace("_", " ") if labels.terms else "" for row in kept.tolist()], dtype=object)
        blocks.append([code, position, block.ref[kept], block.alt[kept], label[kept], texts, consequence])
    what = labels.field or (labels.table.name if labels.table else "")
    for value, number in others.most_common(20):
        counts.add(f"variant with {what} {value or 'absent'}", number)
    counts.add(
        f"variant with another value of {what}", sum(others.values()) - sum(n for _, n in others.most_common(20))
    )
    if not blocks:
        raise BendError(f"{path}: no variant has a label by {what}. Left out: {counts.text()}.")
    return _unique(_Variants(*(np.concatenate(columns) for columns in zip(*blocks, strict=True))), counts)


def _said(block: Block, labels: Labels, named: Mapping[object, str], genome: Genome) -> list[str]:
    """Return what the file or the table says of each variant, "" for nothing."""
    if labels.table is None:
        return block.info(labels.field)
    keys = zip(block.code.tolist(), block.position.tolist(), block.ref.tolist(), block.alt.tolist(), strict=True)
    return [named.get(one) or named.get(key) or "" for one, key in zip(block.ids.to_pylist(), keys, strict=True)]


def _label(value: str, labels: Labels, path: Path) -> int:
    if labels.terms:
        return labels.terms.get(value, -1)
    if value in ("", ".", "NA"):
        return -1
    if labels.table is not None:
        return int(value)
    try:
        return int(float(value) >= (labels.threshold or 0))
    except ValueError:
        raise BendError(
            f"{path}: {labels.field}={value[:40]!r} is no number, but a threshold was given for it."
        ) from None


def _named_labels(path: Path, genome: Genome) -> dict[object, str]:
    """Read a table of labels: the ID, or (chromosome, position, ref, alt), of a variant → "0" or "1"."""
    lines, table = read_table(path, ["label"], "labels", optional=["id", "chromosome", "start", "ref", "alt"])
    values = table["label"].to_pylist()
    for row, value in enumerate(values):
        if value not in ("0", "1"):
            lines.fail(table, row, "label", "is neither 0 nor 1.")
    keys: list[object]
    if "id" in table.column_names:
        keys = table["id"].to_pylist()
    elif {"chromosome", "start", "ref", "alt"} <= set(table.column_names):
        codes = [genome.code(name) for name in table["chromosome"].to_pylist()]
        texts = (table[name].to_pylist() for name in ("ref", "alt"))
        keys = list(zip(codes, lines.integers(table, "start").tolist(), *texts, strict=True))
    else:
        raise BendError(f"{path}, line 1: it needs the columns id, label, or chromosome, start, ref, alt, label.")
    named: dict[object, str] = {}
    for row, (key, value) in enumerate(zip(keys, values, strict=True)):
        if named.setdefault(key, value) != value:
            lines.fail(table, row, "label", f"contradicts an earlier line about {key}.")
    return named


def _unique(found: _Variants, counts: Counts) -> _Variants:
    """Sort, keep one of equal variants, and leave out those with two labels."""
    order = np.lexsort((found.alt, found.ref, found.position, found.code))
    found = found.take(order)
    equal = (
        (found.code[1:] == found.code[:-1])
        & (found.position[1:] == found.position[:-1])
        & (found.ref[1:] == found.ref[:-1])
        & (found.alt[1:] == found.alt[:-1])
    )
    group = np.concatenate([[0], np.cumsum(~equal)])
    size, positive = np.bincount(group), np.bincount(group, found.label)
    torn = (positive > 0) & (positive < size)
    counts.add("variant that the file labels both ways", int(torn.sum()))
    counts.add("variant listed again with the same label", int((size - 1)[~torn].sum()))
    first = np.concatenate([[True], ~equal])
    return found.take(np.flatnonzero(first & ~torn[group]))


def _csq_order(path: Path) -> int | None:
    """Return at which place of VEP's CSQ the consequence stands, or None if the header has no CSQ."""
    head = next(read_bytes(path), b"").decode(errors="replace")
    found = re.search(r"##INFO=<ID=CSQ[^\n]*Format: ([^\"\n>]+)", head)
    names = found[1].split("|") if found else []
    return names.index("Consequence") if "Consequence" in names else None


def _first_consequence(text: str, order: int | None) -> str:
    fields = text.split(",")[0].split("|")
    return fields[order].split("&")[0] if text and order is not None and order < len(fields) else UNKNOWN


def _matched(
    found: _Variants, model: Consequences, genome: Genome, per_positive: int, seed: int, counts: Counts
) -> _Variants:
    """Keep all positives, and of each stratum at most so many negatives per positive."""
    lengths = np.array(list(genome.lengths.values()))[found.code]
    around = Windows(found.code, np.maximum(0, found.position - 256), np.minimum(lengths, found.position + 256))
    gc, _, _ = composition(around, genome)
    distance = np.log2(distances(model.starts, found.code, found.position, lengths) + 1).astype(np.int64)
    kinds = np.unique(found.consequence.astype(str), return_inverse=True)[1]
    stratum = np.unique(np.stack([kinds, (gc / 0.04).astype(np.int64), distance], 1), axis=0, return_inverse=True)[
        1
    ].ravel()
    order = np.random.default_rng(seed).permutation(len(stratum))
    room = per_positive * np.bincount(stratum, found.label, minlength=stratum.max() + 1).astype(np.int64)
    negatives = order[found.label[order] == 0]
    # The place of each negative among those of its stratum, in the drawn order.
    by_stratum = np.argsort(stratum[negatives], kind="stable")
    sizes = np.bincount(stratum[negatives], minlength=len(room))
    rank = np.empty(len(negatives), np.int64)
    rank[by_stratum] = np.arange(len(negatives)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    kept = negatives[rank < room[stratum[negatives]]]
    counts.add("negative that no positive is matched with", len(negatives) - len(kept))
    missing = int(room.sum()) - len(kept)
    counts.add("matched negative wanted, but the file has none like it", missing, dropped=False)
    return found.take(np.sort(np.concatenate([np.flatnonzero(found.label == 1), kept])))


def _near(found: _Variants, model: Consequences, genome: Genome) -> dict[str, np.ndarray]:
    """Return the columns of `NEAR`."""
    lengths = np.array(list(genome.lengths.values()))[found.code]
    sites = {"tss_distance": model.starts, "splice_distance": model.splice_sites}
    return {name: distances(sites[name], found.code, found.position, lengths) for name in NEAR}


def _table(found: _Variants, genome: Genome, by_terms: bool) -> pa.Table:
    count = len(found.code)
    columns = {
        "chromosome": pa.array(np.array(genome.names, dtype=object)[found.code], pa.string()),
        "start": pa.array(found.position),
        "end": pa.array(found.position),
        "ref": pa.array(found.ref.astype(object), pa.string()),
        "alt": pa.array(found.alt.astype(object), pa.string()),
        "split": pa.array(["train"] * count),
        "label": pa.array(found.label),
    }
    if by_terms:
        columns["full_label"] = pa.array(found.said, pa.string())
    columns["Consequence"] = pa.array(found.consequence, pa.string())
    if not by_terms:
        columns["actual"] = columns["ref"]
    return pa.table(columns)
