"""Single-nucleotide variants of a VCF or BCF file, block by block.

    for block in read_variants(path, located, counts):
        block.code, block.position, block.ref, block.alt, block.ids, block.info("CLNSIG")

Positions are 0-based. Records with several alternate alleles are split; what two alleles share at their ends is cut off
(so that ``AC`` → ``AT`` is ``C`` → ``T`` one base on); what is then no single base is counted and left out, symbolic
alleles and breakends too. Every reference allele is compared with the genome.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bend_hf.build.readers.intervals import Located
from bend_hf.build.readers.text import Lines, read_bytes
from bend_hf.data.builds import LENGTHS
from bend_hf.data.genome import Genome
from bend_hf.errors import BendError

COLUMNS = ("chromosome", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO")
_BATCH = 1 << 16
_ALLELE = re.compile("[ACGTNRYSWKMBDHV]+")


@dataclass(frozen=True)
class Block:
    """Single-nucleotide variants: (n,) arrays, in the order of the file.

    Attributes:
        code: Chromosome, as `Genome.code` gives it.
        position: 0-based position.
        ref: Reference base, ``U1``.
        alt: Alternate base, ``U1``.
        ids: The record's ID.
        allele: Which alternate allele of its record it is, and how many the record has: (n, 2).
        texts: The record's INFO.
    """

    code: np.ndarray
    position: np.ndarray
    ref: np.ndarray
    alt: np.ndarray
    ids: pa.Array
    allele: np.ndarray
    texts: pa.ChunkedArray

    def info(self, field: str) -> list[str]:
        """Return the value of an INFO field by variant, "" where it is absent.

        A value with as many comma-separated parts as the record has alternate alleles is that allele's part.
        """
        found = pc.extract_regex(self.texts, rf"(?:^|;){re.escape(field)}=(?P<value>[^;]*)")
        values: list[str] = pc.fill_null(pc.struct_field(found, "value"), "").to_pylist()
        for row in np.flatnonzero(self.allele[:, 1] > 1).tolist():
            parts = values[row].split(",")
            if len(parts) == self.allele[row, 1]:
                values[row] = parts[self.allele[row, 0]]
        return values


def read_variants(path: Path, located: Located) -> Iterator[Block]:
    """Yield the single-nucleotide variants of a file; what is left out goes to the counts of `located`.

    Raises:
        BendError: The file is no VCF or BCF, a record is malformed, lies beyond its chromosome's end, or has another
            reference allele than the genome.
    """
    lines = _bcf(path) if _is_bcf(path) else Lines(path, COLUMNS, "VCF")
    _check_header(path, located.genome)
    checked = _Reference(path, located.genome)
    for table in lines:
        codes = located.codes(lines, table)
        position = lines.integers(table, "POS") - 1
        end = position + pc.binary_length(table["REF"]).to_numpy()
        located.check(lines, table, codes, position, np.maximum(end, position + 1), columns=("POS", "POS"))
        upper = table.set_column(3, "REF", pc.utf8_upper(table["REF"])).set_column(
            4, "ALT", pc.utf8_upper(table["ALT"])
        )
        good = pc.match_substring_regex(upper["REF"], "^[ACGTN]+$").to_numpy()
        if (bad := np.flatnonzero(~good)).size:
            lines.fail(table, bad[0], "REF", "is no DNA (A, C, G, T, N).")
        checked.add(lines, codes, position, end, upper["REF"].combine_chunks())
        yield _single(lines, upper, codes, position, located)
    checked.verdict()


def _single(lines: Lines, table: pa.Table, codes: np.ndarray, position: np.ndarray, located: Located) -> Block:
    """Split records into alleles, and keep those that change one base."""
    one_base = pc.and_(*(pc.match_substring_regex(table[name], "^[ACGT]$") for name in ("REF", "ALT")))
    simple = pc.and_(one_base, pc.not_equal(table["REF"], table["ALT"])).to_numpy()
    plain, others = np.flatnonzero(simple & (codes >= 0)), np.flatnonzero(~simple & (codes >= 0))
    found: list[tuple[int, int, int, int, str, str]] = []
    texts = (table[name].take(pa.array(others)).to_pylist() for name in ("REF", "ALT"))
    for number, reference, text in zip(others.tolist(), *texts, strict=True):
        alleles = text.split(",")
        for at, alternate in enumerate(alleles):
            if reason := _unusable(reference, alternate):
                located.counts.add(f"allele: {reason}", 1)
            elif not _ALLELE.fullmatch(alternate):
                lines.fail(table, number, "ALT", f"has {alternate!r}, which is no allele.")
            else:
                found.append((number, at, len(alleles), *_trimmed(reference, alternate)))
    row, which, many, shift, first, second = zip(*found, strict=True) if found else ((),) * 6
    rows = np.concatenate([plain, np.array(row, np.int64)])
    allele = np.concatenate([np.tile([0, 1], (len(plain), 1)), np.array([which, many], np.int64).T])
    order = np.lexsort((allele[:, 0], rows))
    place = (position[rows] + np.concatenate([np.zeros(len(plain), np.int64), np.array(shift, np.int64)]))[order]
    bases = [table[name].take(pa.array(plain)).to_numpy(zero_copy_only=False) for name in ("REF", "ALT")]
    ref, alt = (
        np.concatenate([one, np.array(two, object)])[order].astype("U1")
        for one, two in zip(bases, (first, second), strict=True)
    )
    rows = rows[order]
    taken = table.take(pa.array(rows))
    return Block(codes[rows], place, ref, alt, taken["ID"].combine_chunks(), allele[order], taken["INFO"])


def _unusable(ref: str, alt: str) -> str:
    """Return why an allele is no change of one base, "" if it is one or is no allele at all."""
    if alt in (".", "*", ""):
        return "no alternate base"
    if re.fullmatch(r"<[^<>]+>|.*[\[\]].*", alt):
        return "symbolic allele or breakend"
    if not _ALLELE.fullmatch(alt):
        return ""
    _, one, other = _trimmed(ref, alt)
    if len(one) != 1 or len(other) != 1:
        return "insertion, deletion or more than one base"
    if one == other:
        return "equal to the reference"
    return "" if {one, other} <= set("ACGT") else "N or another ambiguity code"


def _trimmed(ref: str, alt: str) -> tuple[int, str, str]:
    """Return how far two alleles agree from the left, and what of them is left without common ends."""
    end = 0
    while end < min(len(ref), len(alt)) - 1 and ref[-1 - end] == alt[-1 - end]:
        end += 1
    ref, alt = ref[: len(ref) - end], alt[: len(alt) - end]
    start = 0
    while start < min(len(ref), len(alt)) - 1 and ref[start] == alt[start]:
        start += 1
    return start, ref[start:], alt[start:]


class _Reference:
    """Compares reference alleles with the genome, and tells at the end."""

    def __init__(self, path: Path, genome: Genome) -> None:
        self.path, self.genome = path, genome
        self.seen = self.wrong = 0
        self.first: list[str] = []

    def add(self, lines: Lines, code: np.ndarray, start: np.ndarray, end: np.ndarray, refs: pa.Array) -> None:
        """Compare the whole alleles of a block, on the chromosomes that the genome has; N equals every base."""
        row = np.flatnonzero(code >= 0)
        texts = refs.take(pa.array(row)).to_pylist()
        letters, offsets = self.genome.gather(code[row], start[row], end[row])
        said = np.frombuffer("".join(texts).encode(), np.uint8)
        differ = (letters != said) & (said != ord("N"))
        wrong = np.flatnonzero(np.add.reduceat(differ, offsets[:-1]) if len(row) else differ)
        self.seen += len(row)
        self.wrong += len(wrong)
        for each in wrong[: 3 - len(self.first)].tolist():
            place = f"{self.genome.names[code[row[each]]]}:{start[row[each]] + 1}"
            line = lines.line(lines.before + int(row[each]))
            genome = letters[offsets[each] : offsets[each + 1]].tobytes().decode()
            self.first.append(f"line {line} {place} REF {texts[each][:20]}, genome {genome[:20]}")

    def verdict(self) -> None:
        if self.wrong:
            build = (
                "Probably the FASTA is another genome build than the VCF: give the one it was called on."
                if self.wrong > self.seen / 10
                else "Most agree, so the build is probably right and these records are wrong: remove or mend them."
            )
            raise BendError(
                f"{self.path}: {self.wrong:,} of {self.seen:,} reference alleles ({self.wrong / self.seen:.1%}) differ "
                f"from {self.genome.path} ({'; '.join(self.first)}). {build}"
            )


def _is_bcf(path: Path) -> bool:
    if not path.is_file():
        raise BendError(f"{path}: there is no such VCF file.")
    return next(read_bytes(path), b"")[:3] == b"BCF"


def _check_header(path: Path, genome: Genome) -> None:
    """Refuse a file that is no VCF, and one whose header gives chromosomes other lengths than the genome has."""
    head = next(read_bytes(path), b"")
    if head[:3] == b"BCF":
        head = head[9 : 9 + int.from_bytes(head[5:9], "little")]
    elif not head.startswith(b"##fileformat=VCF"):
        raise BendError(f"{path} is no VCF: it starts with {head[:30]!r}, not with '##fileformat=VCF'.")
    for name, length in re.findall(r"##contig=<ID=([^,>]+)[^>]*?length=(\d+)", head.decode(errors="replace")):
        try:
            own = genome.lengths[genome.names[genome.code(name)]]
        except BendError:
            continue
        if own != int(length):
            bare = name.removeprefix("chr")
            build = next((build for build, known in LENGTHS.items() if known.get(bare) == int(length)), None)
            raise BendError(
                f"{path}: its header says that {name} has {int(length):,} bp{f', as in {build}' * bool(build)}, but in "
                f"{genome.path} it has {own:,}. The FASTA is another genome build: give the one the VCF was made on."
            )


def _bcf(path: Path) -> Lines:
    try:
        import pysam
    except ImportError as error:
        raise BendError(f"{path} is BCF: install what reads it with pip install 'bend_hf[build]'.") from error

    def text() -> Iterator[bytes]:
        try:
            with pysam.VariantFile(str(path)) as opened:
                block = []
                for record in opened:
                    block.append("\t".join(str(record).rstrip("\n").split("\t")[: len(COLUMNS)]))
                    if len(block) == _BATCH:
                        yield ("\n".join(block) + "\n").encode()
                        block = []
                yield ("\n".join(block) + "\n").encode()
        except (OSError, ValueError) as error:
            raise BendError(f"{path} is a damaged BCF file ({error}). Download it again.") from error

    return Lines(path, COLUMNS, "BCF", source=text())
