"""Gene annotation, GTF or GFF3, as transcripts and their parts.

    annotation = read_annotation("gencode.v45.gtf.gz")
    annotation.transcripts                    # Arrow: transcript_id gene_id gene_name biotype mane canonical …
    annotation.cds.start[annotation.cds.transcript == 3]

GTF names both gene and transcript on every line; GFF3 is a graph of ``ID`` and ``Parent``. Dialects read: GENCODE,
Ensembl, RefSeq, Phytozome, TAIR (a CDS with a transcript *and* a protein as parents), Augustus and other GTF without
transcript lines, and CDS whose parent is the gene itself. The files' 1-based inclusive coordinates become 0-based
half-open here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bend_hf.build.counts import Counts
from bend_hf.build.readers.text import Lines
from bend_hf.build.work import Work
from bend_hf.errors import BendError

COLUMNS = ("seqid", "source", "type", "start", "end", "score", "strand", "phase", "attributes")
KINDS = {"CDS": 0, "exon": 1, "stop_codon": 2}
_PROTEINS = {"protein", "polypeptide"}
_GENES = {"gene", "pseudogene", "ncRNA_gene", "protein_coding_gene", "transposable_element_gene"}

# What a transcript's attributes say, as a regular expression on the raw text of either format.
FLAGS = {
    "mane": r"MANE[_ ]Select",
    "canonical": r"Ensembl_canonical|(?:^|;) ?longest=1(?:;|$)|RefSeq Select",
    "incomplete": r"cds_start_NF|cds_end_NF|mRNA_start_NF|mRNA_end_NF|(?:^|;) ?partial[ =]\"?true",
    "readthrough": r"readthrough",
    "exceptional": r"(?:^|;) ?exception[ =]|trans[-_]splic",
}
_PARTS = ("cds", "exons", "stops")
_TRANSCRIPTS = ("transcript_id", "gene_id", "gene_name", "biotype", *FLAGS)


@dataclass(frozen=True)
class Parts:
    """Features of transcripts: (n,) arrays.

    Attributes:
        transcript: Row of `Annotation.transcripts`.
        chromosome: Index in `Annotation.chromosomes`.
        minus: Whether on the reverse strand.
        start: First base, 0-based.
        end: Behind the last base.
        phase: Bases before the first whole codon; -1 where the file has none.
    """

    transcript: np.ndarray
    chromosome: np.ndarray
    minus: np.ndarray
    start: np.ndarray
    end: np.ndarray
    phase: np.ndarray


@dataclass(frozen=True)
class Annotation:
    """What a GTF or GFF3 says about transcripts.

    Attributes:
        path: The file.
        format: ``GTF`` or ``GFF3``.
        chromosomes: Sequence names in the order of the file.
        transcripts: ``transcript_id gene_id gene_name biotype`` (strings, empty where the file is silent) and the
            booleans of `FLAGS`, one row per transcript.
        cds: Coding parts, with or without the stop codon, as in the file.
        exons: Exons.
        stops: Annotated stop codons.
        duplicates: Lines that repeat another one word for word, which are read once.
        circular: Sequences that GFF3 says are circular, where a feature across the origin ends beyond the end.
    """

    path: Path
    format: str
    chromosomes: tuple[str, ...]
    transcripts: pa.Table
    cds: Parts
    exons: Parts
    stops: Parts
    duplicates: int
    circular: tuple[str, ...] = ()

    def flag(self, name: str) -> np.ndarray:
        """Return one of `FLAGS` by transcript: (t,) bool."""
        flags: np.ndarray = self.transcripts[name].to_numpy(zero_copy_only=False)
        return flags


def read_annotation(path: str | Path) -> Annotation:
    """Read the transcripts of a GTF or GFF3 file; memory grows with CDS and exon lines only.

    Raises:
        BendError: The file is neither, a line is malformed, a feature has no transcript, or nothing is coding.
    """
    path = Path(path)
    lines = Lines(path, COLUMNS, "GTF or GFF3", more=False, stop=(b"##FASTA", b">"))
    tables = iter(lines)
    first = next(tables, None)
    if first is None:
        raise BendError(f"{path} has no features. It should be GTF or GFF3.")
    gff3 = _is_gff3(lines, first)
    collected = _Collected(lines, gff3)
    collected.add(first)
    for table in tables:
        collected.add(table)
    return collected.annotation()


def annotation_once(work: Work, path: Path, counts: Counts) -> Annotation:
    """Read an annotation, or take what an earlier run of the build, that was killed, has read of it."""

    def make() -> dict[str, np.ndarray | pa.Array]:
        read = read_annotation(path)
        parts = {f"{what} {name}": values for what in _PARTS for name, values in vars(getattr(read, what)).items()}
        table = {f"transcripts {name}": read.transcripts[name].combine_chunks() for name in _TRANSCRIPTS}
        facts = {"format": pa.array([read.format]), "duplicates": pa.array([read.duplicates])}
        names = {what: pa.array(getattr(read, what), pa.string()) for what in ("chromosomes", "circular")}
        return {**facts, **names, **table, **parts}

    step = work.step("annotation", counts, make)
    cds, exons, stops = (
        Parts(*(step[f"{what} {name}"].to_numpy(zero_copy_only=False) for name in Parts.__dataclass_fields__))
        for what in _PARTS
    )
    return Annotation(
        path=path,
        format=step["format"][0].as_py(),
        chromosomes=tuple(step["chromosomes"].to_pylist()),
        transcripts=pa.table({name: step[f"transcripts {name}"] for name in _TRANSCRIPTS}),
        cds=cds,
        exons=exons,
        stops=stops,
        duplicates=step["duplicates"][0].as_py(),
        circular=tuple(step["circular"].to_pylist()),
    )


def _is_gff3(lines: Lines, table: pa.Table) -> bool:
    for row, text in enumerate(table["attributes"].slice(0, 1000).to_pylist()):
        if re.search(r"(?:^|;)\s*(?:gene_id|transcript_id)\s+\S", text):
            return False
        if re.match(r"\s*[^\s=;]+=", text):
            return True
        if text.strip() not in ("", "."):
            lines.fail(table, row, "attributes", 'is neither GTF (gene_id "…";) nor GFF3 (ID=…;Parent=…).')
    raise BendError(f"{lines.path}: no attributes in the first lines; is this GTF or GFF3?")


def _attribute(texts: pa.ChunkedArray, name: str, gff3: bool) -> pa.ChunkedArray:
    """Return the value of an attribute by row, "" where there is none."""
    value = r"=(?P<value>[^;]*)" if gff3 else r"\s+\"?(?P<value>[^\";]*)"
    pattern = rf"(?:^|;)\s*{name}{value}"
    found = pc.extract_regex(texts, pattern)
    return pc.fill_null(pc.utf8_trim_whitespace(pc.struct_field(found, "value")), "")


class _Collected:
    """The features of a file, gathered block by block."""

    def __init__(self, lines: Lines, gff3: bool) -> None:
        self.lines = lines
        self.gff3 = gff3
        self.chromosomes: dict[str, int] = {}
        self.transcripts: dict[str, int] = {}
        self.genes: dict[str, tuple[str, str, str]] = {}  # GTF: transcript → gene, name, biotype
        self.features: dict[str, tuple[str, str, str]] = {}  # GFF3: ID → type, parent, attributes
        self.flags: dict[str, int] = {}
        self.circular: dict[str, None] = {}
        self.columns: list[list[np.ndarray]] = [[] for _ in range(7)]

    def add(self, table: pa.Table) -> None:
        if self.gff3:
            self._add_features(table)
        kinds = pc.index_in(table["type"], pa.array(list(KINDS)))
        chosen = np.flatnonzero(pc.is_valid(kinds).to_numpy())
        if not self.gff3:
            self._add_transcripts(table)
        if not len(chosen):
            return
        parts = table.take(pa.array(chosen))
        start, end = self._bounds(table, parts, chosen)
        strand = parts["strand"].to_numpy(zero_copy_only=False)
        if (bad := np.flatnonzero((strand != "+") & (strand != "-"))).size:
            self.lines.fail(table, chosen[bad[0]], "strand", "is no strand of a transcript: + or -.")
        phase = pc.fill_null(pc.index_in(parts["phase"], pa.array(["0", "1", "2"])), -1).to_numpy()
        row, owners = self._owners(table, parts, chosen)
        encoded = parts["seqid"].combine_chunks().dictionary_encode()
        names = [self.chromosomes.setdefault(name, len(self.chromosomes)) for name in encoded.dictionary.to_pylist()]
        chromosome = np.array(names, np.int32)[encoded.indices.to_numpy()]
        kind = kinds.take(pa.array(chosen)).to_numpy()
        for column, values in zip(
            self.columns,
            (owners, chromosome[row], (strand == "-")[row], start[row], end[row], phase[row], kind[row]),
            strict=True,
        ):
            column.append(values.astype(np.int32 if values.dtype != np.int64 else np.int64))

    def _bounds(self, table: pa.Table, parts: pa.Table, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        start, end = self.lines.integers(table, "start")[chosen] - 1, self.lines.integers(table, "end")[chosen]
        if (bad := np.flatnonzero(start < 0)).size:
            self.lines.fail(table, chosen[bad[0]], "start", "is no 1-based coordinate.")
        if (bad := np.flatnonzero(end <= start)).size:
            self.lines.fail(table, chosen[bad[0]], "end", f"is before start {parts['start'][int(bad[0])]}.")
        return start, end

    def _owners(self, table: pa.Table, parts: pa.Table, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the part's row and the transcript's number for every pair of a part and a transcript that owns it."""
        if not self.gff3:
            owner = _attribute(parts["attributes"], "transcript_id", gff3=False)
        else:
            owner = _attribute(parts["attributes"], "Parent", gff3=True)
            owner = pc.if_else(pc.equal(owner, ""), _attribute(parts["attributes"], "ID", gff3=True), owner)
        empty = np.flatnonzero(pc.equal(owner, "").to_numpy())
        if empty.size:
            name = "Parent or ID" if self.gff3 else "transcript_id"
            self.lines.fail(table, chosen[empty[0]], "attributes", f"names no transcript ({name}).")
        encoded = owner.combine_chunks().dictionary_encode()
        numbers: list[list[int]] = []
        for text in encoded.dictionary.to_pylist():
            names = [_decoded(name) for name in text.split(",") if name] if self.gff3 else [text]
            numbers.append([self.transcripts.setdefault(name, len(self.transcripts)) for name in names])
        counts = np.array([len(each) for each in numbers])
        flat = np.concatenate([np.array(each, np.int32) for each in numbers])
        firsts = np.cumsum(counts) - counts
        indices = encoded.indices.to_numpy()
        row = np.repeat(np.arange(len(indices)), counts[indices])
        within = np.arange(len(row)) - np.repeat(np.cumsum(counts[indices]) - counts[indices], counts[indices])
        return row, flat[firsts[indices][row] + within]

    def _add_transcripts(self, table: pa.Table) -> None:
        """GTF: remember the gene, name and flags of each transcript."""
        chosen = table.filter(pc.is_in(table["type"], pa.array([*KINDS, "transcript", "mRNA"])))
        texts = chosen["attributes"]
        names = ("transcript_id", "gene_id", "gene_name")
        columns = [_attribute(texts, name, gff3=False).to_pylist() for name in names]
        biotypes = pc.fill_null(
            pc.struct_field(pc.extract_regex(texts, r"transcript_(?:bio)?type\s+\"?(?P<value>[^\";]*)"), "value"),
            "",
        ).to_pylist()
        flags = _flags(texts)
        for transcript, gene, name, biotype, flag in zip(*columns, biotypes, flags.tolist(), strict=True):
            if transcript not in self.genes:
                self.genes[transcript] = (gene, name, biotype)
            if flag:
                self.flags[transcript] = self.flags.get(transcript, 0) | flag

    def _add_features(self, table: pa.Table) -> None:
        """GFF3: remember what may be a parent, and the flags of CDS lines under their parents' names."""
        named = table.filter(pc.invert(pc.is_in(table["type"], pa.array(["exon", "stop_codon", "start_codon"]))))
        texts = named["attributes"]
        round_ones = pc.match_substring_regex(texts, r"(?:^|;) ?Is_circular=true")
        self.circular |= dict.fromkeys(named["seqid"].filter(round_ones).to_pylist())
        flags = _flags(texts).tolist()
        columns = (_attribute(texts, "ID", gff3=True), _attribute(texts, "Parent", gff3=True))
        for kind, name, parent, text, flag in zip(
            named["type"].to_pylist(),
            *(column.to_pylist() for column in columns),
            texts.to_pylist(),
            flags,
            strict=True,
        ):
            if kind == "CDS":
                for owner in (parent or name).split(","):
                    if flag:
                        self.flags[_decoded(owner)] = self.flags.get(_decoded(owner), 0) | flag
            elif name:
                self.features[_decoded(name)] = (kind, _decoded(parent.split(",")[0]), text)
                if flag:
                    self.flags[_decoded(name)] = self.flags.get(_decoded(name), 0) | flag

    def annotation(self) -> Annotation:
        if not self.columns[0]:
            raise BendError(f"{self.lines.path} has no CDS or exon lines: there is no transcript to build from.")
        columns = self._stacked()
        names = np.array(list(self.transcripts), dtype=object)
        described = [self._describe(name) for name in names]
        # A protein that shares the CDS of its transcript (TAIR) is no transcript.
        is_transcript = np.array([each is not None for each in described])
        columns = columns[:, is_transcript[columns[0]]]
        columns[0] = (np.cumsum(is_transcript) - 1)[columns[0]]
        before = columns.shape[1]
        columns = columns[:, np.lexsort(columns[::-1])]
        columns = columns[:, np.concatenate([[True], (columns[:, 1:] != columns[:, :-1]).any(0)])]
        if not (columns[6] == KINDS["CDS"]).any():
            raise BendError(
                f"{self.lines.path} has no CDS lines: genes cannot be built from it. Give a full annotation."
            )
        kept = [each for each in described if each is not None]
        fields = dict(zip(("transcript_id", "gene_id", "gene_name", "biotype"), zip(*kept, strict=True), strict=True))
        flags = np.array([self.flags.get(name, 0) for name in names[is_transcript]])
        transcripts = pa.table(
            {name: pa.array(values, pa.string()) for name, values in fields.items()}
            | {name: pa.array(flags >> bit & 1 == 1) for bit, name in enumerate(FLAGS)}
        )
        cds, exons, stops = (self._parts(columns, kind) for kind in KINDS.values())
        return Annotation(
            path=self.lines.path,
            format="GFF3" if self.gff3 else "GTF",
            chromosomes=tuple(self.chromosomes),
            transcripts=transcripts,
            cds=cds,
            exons=exons,
            stops=stops,
            duplicates=before - columns.shape[1],
            circular=tuple(self.circular),
        )

    def _stacked(self) -> np.ndarray:
        """Return the features, (7, n) int64, and forget the blocks they came in: an annotation has millions."""
        stacked = np.empty((len(self.columns), sum(map(len, self.columns[0]))), np.int64)
        for row, each in enumerate(self.columns):
            np.concatenate(each, out=stacked[row])
            each.clear()
        return stacked

    def _describe(self, name: str) -> tuple[str, str, str, str] | None:
        """Return the transcript's public id, gene, gene name and biotype, or None if it is a protein."""
        if not self.gff3:
            gene, title, biotype = self.genes[name]
            return name, gene or name, title, biotype
        kind, parent, text = self.features.get(name, ("", "", ""))
        if kind in _PROTEINS or (not kind and name.endswith("-Protein")):
            return None
        gene = parent if kind not in _GENES and parent else name
        gene_text = self.features.get(gene, ("", "", ""))[2]
        public = _value(text, "transcript_id") or name.removeprefix("transcript:")
        title = _value(gene_text, "Name") or _value(gene_text, "gene_name")
        biotype = _value(text, "transcript_type") or _value(text, "biotype") or kind
        return public, gene.removeprefix("gene:"), title, biotype

    def _parts(self, columns: np.ndarray, kind: int) -> Parts:
        transcript, chromosome, minus, start, end, phase, _ = columns[:, columns[6] == kind]
        order = np.lexsort((start, transcript))
        return Parts(*(c[order] for c in (transcript, chromosome, minus == 1, start, end, phase)))


def _value(text: str, name: str) -> str:
    found = re.search(rf"(?:^|;)\s*{name}=([^;]*)", text)
    return _decoded(found[1].strip()) if found else ""


def _decoded(text: str) -> str:
    """Return percent-encoded text, as it is where it encodes a tab or the like, which no table can hold."""
    plain = unquote(text)
    return plain if plain.isprintable() else text


def _flags(texts: pa.ChunkedArray) -> np.ndarray:
    """Return `FLAGS` as the bits of one integer per row."""
    bits = np.zeros(len(texts), np.int64)
    for bit, pattern in enumerate(FLAGS.values()):
        bits |= pc.match_substring_regex(texts, pattern).to_numpy().astype(np.int64) << bit
    return bits
