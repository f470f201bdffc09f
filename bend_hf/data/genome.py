"""A reference genome on disk: DNA by chromosome, start, end and strand, one window or two million at a time.

    genome = Genome("GRCh38.primary_assembly.genome.fa")
    genome.window("chr22", 37_560_295, 37_570_221)              # 0-based half-open, always upper-case
    genome.window("22", 100, 612, strand="-")                   # reverse complement; "22" finds "chr22"
    letters, offsets = genome.gather(codes, starts, ends)       # many windows, back to back

pyfaidx makes the ``.fai`` index, and reads slice a memory map of the FASTA by it: many times faster, and without a
file position to share, so that forked workers read what the parent would (a shared handle returns wrong DNA). Bases are
A, C, G, T and N: soft-masking is undone; IUPAC ambiguity codes become N and the U of RNA becomes T, with a message.

An index is used only if every line end it predicts is one, and the sequences have no other.
"""

from __future__ import annotations

import gzip
import mmap
import os
import shutil
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyfaidx

from bend_hf import files
from bend_hf.checks import MOST, path_of, switch, whole
from bend_hf.console import log
from bend_hf.errors import BendError, DiskError, described, unknown

AMBIGUITY_CODES = b"RYSWKMBDHV"
LONGEST = (1 << 31) - 1
"""Bases of a window: what Arrow can hold in a text."""
_NEWLINES = b"\r\n"
_LOWER = bytes(range(ord("a"), ord("z") + 1))
_BLOCK = 1 << 24
_FORGET = 256  # windows: a page fault maps up to some megabytes around each
_CHANGED = "{} does not match its index any more: it was changed while in use. Start again."
# The empty block at the end of every bgzip file (SAM specification, section 4.1.2).
_BGZIP_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")

# Upper-cases bases; marks ambiguity codes with "n", U with "t" and what is no nucleotide with a zero byte.
_MARKS = dict.fromkeys(b"ACGTN") | dict.fromkeys(AMBIGUITY_CODES, ord("n")) | {ord("U"): ord("t")}
_READ = bytes(_MARKS.get(upper, 0) or upper * (upper in _MARKS) for upper in bytes(range(128)).upper()) + bytes(128)
_TAKE_FOR = bytes.maketrans(b"nt", b"NT")
_COMPLEMENT = bytes.maketrans(b"ACGTN", b"TGCAN")


class Genome:
    """A FASTA file (plain, or compressed with bgzip) and its index.

    Attributes:
        path: The file as given.
        names: Records of the FASTA in order; their positions are the codes `gather` takes.
        lengths: Record → length in bp.

    Raises:
        BendError: The file is missing, not FASTA, compressed but not with bgzip, or cannot be indexed.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = path_of("path", path)
        if (problem := files.no_file(self.path, "FASTA file")) is not None:
            raise BendError(f"{self.path}: {problem}. Pass genome=, or put it in genomes/ of the data folder.")
        if self.path.stat().st_size == 0:
            raise BendError(f"{self.path} is empty. Download it again.")
        self._fasta = _plain(self.path)
        self._map: mmap.mmap | None = None
        index = _index(self._fasta, self._bytes())
        self.names = tuple(index)
        self.lengths = {name: entry[0] for name, entry in index.items()}
        self._columns = np.array(list(index.values()), dtype=np.int64).T
        self._codes = {name: code for code, name in enumerate(self.names)}
        self._warned = False
        self._touched = 0

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_map": None}

    def _bytes(self) -> mmap.mmap:
        if self._map is None:
            with self._fasta.open("rb") as handle:
                self._map = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
        return self._map

    def _slices(self, begin: np.ndarray, end: np.ndarray) -> Iterator[bytes]:
        """Yield slices of the file; pages read for earlier ones are given back: memory does not grow with it."""
        data = self._bytes()
        if self._fasta.stat().st_size != len(data):  # what is gone from a mapped file would end the process
            raise BendError(_CHANGED.format(self.path))
        for a, b in zip(begin.tolist(), end.tolist(), strict=True):
            yield data[a:b]
            self._touched += 1
            if self._touched % _FORGET == 0:
                _forget(data)

    def code(self, chromosome: str) -> int:
        """Return the position in `names` of a chromosome, written with or without ``chr``.

        Raises:
            BendError: The genome has no such chromosome.
        """
        if not isinstance(chromosome, str):
            raise unknown(f"chromosome of {self.path}", str(chromosome), self.names[:30])
        other = chromosome[3:] if chromosome.startswith("chr") else f"chr{chromosome}"
        for name in (chromosome, other):
            if name in self._codes:
                return self._codes[name]
        raise unknown(f"chromosome of {self.path}", chromosome, self.names[:30])

    def window(self, chromosome: str, start: int, end: int, strand: str = "+", pad: bool = False) -> str:
        """Return the DNA of one window.

        Args:
            chromosome: Name, with or without ``chr``.
            start: First base, 0-based.
            end: Behind the last base.
            strand: ``-`` for the reverse complement; ``+`` or ``.`` for the sequence as it stands.
            pad: Write N where the window leaves the chromosome, instead of an error.

        Raises:
            BendError: Unknown chromosome or strand, an empty window, or one that leaves the chromosome.
        """
        if not isinstance(strand, str) or strand not in ("+", "-", "."):
            raise BendError(f"Unknown strand {strand!r}. Choices: +, -, '.'.")
        for name, value in (("start", start), ("end", end)):
            if value is None or whole(name, value, -MOST) is None:
                raise BendError(f"{name}={value!r} is no position.")
        bounds = (np.array([start]), np.array([end]))
        letters, _ = self.gather(np.array([self.code(chromosome)]), *bounds, minus=np.array([strand == "-"]), pad=pad)
        return letters.tobytes().decode()

    def gather(
        self,
        codes: np.ndarray,
        starts: np.ndarray,
        ends: np.ndarray,
        minus: np.ndarray | None = None,
        pad: bool = False,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the DNA of many windows back to back.

        Args:
            codes: (n,) integers, the windows' chromosomes (see `code`).
            starts: (n,) first bases, 0-based.
            ends: (n,) ends, exclusive.
            minus: (n,) bool, windows to reverse-complement; None for none.
            pad: Write N where a window leaves its chromosome, instead of an error.

        Returns:
            ASCII letters as uint8 (read-only) and the (n + 1,) int64 offsets of the windows in them.

        Raises:
            BendError: A window is empty or leaves its chromosome, or the file holds something that is no base.
        """
        codes, starts, ends = self._windows(codes, starts, ends, switch("pad", pad))
        minus = None if minus is None else np.asarray(minus)
        if minus is not None and (minus.dtype != bool or minus.shape != codes.shape):
            raise BendError("minus is a truth value for every window: an array of as many.")
        length, offset, bases, width = self._columns[:, codes]
        outside = (starts < 0) | (ends > length)
        first, last = np.clip(starts, 0, length), np.clip(ends, 0, length)
        # A window wholly outside has first == last: nothing is read for it.
        begin = offset + first + first // bases * (width - bases)
        stop = np.where(last > first, offset + (last - 1) + (last - 1) // bases * (width - bases) + 1, begin)
        pieces = list(self._slices(begin, stop))
        for row in np.flatnonzero(outside):
            width_in_bp = int(ends[row] - starts[row])
            left = min(max(0, -int(starts[row])), width_in_bp)
            right = width_in_bp - left - int(last[row] - first[row])
            pieces[row] = b"N" * left + pieces[row] + b"N" * right
        raw = b"".join(pieces)
        flat = raw.translate(_READ, _NEWLINES)
        if b"\0" in flat:
            alien = chr(raw.translate(None, _NEWLINES)[flat.index(b"\0")])
            raise BendError(f"{self.path}: {alien!r} is no nucleotide. Use a DNA FASTA of one genome build.")
        if b"n" in flat or b"t" in flat:
            self._warn_of_other_codes()
            flat = flat.translate(_TAKE_FOR)
        offsets = np.zeros(len(starts) + 1, dtype=np.int64)
        np.cumsum(ends - starts, out=offsets[1:])
        if len(flat) != offsets[-1]:
            raise BendError(_CHANGED.format(self.path))
        letters = np.frombuffer(flat, dtype=np.uint8)
        if minus is not None and minus.any():
            letters = _reverse_complement(letters, offsets, minus)
        return letters, offsets

    def masked(self, codes: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """Return how many bases of each window are soft-masked (lower case): (n,) int64.

        Args:
            codes: (n,) integers, the windows' chromosomes (see `code`).
            starts: (n,) first bases, 0-based.
            ends: (n,) ends, exclusive.

        Raises:
            BendError: A window is empty or leaves its chromosome.
        """
        codes, starts, ends = self._windows(codes, starts, ends)
        _, offset, bases, width = self._columns[:, codes]
        begin = offset + starts + starts // bases * (width - bases)
        stop = offset + (ends - 1) + (ends - 1) // bases * (width - bases) + 1
        pieces = self._slices(begin, stop)
        return np.array([len(piece) - len(piece.translate(None, _LOWER)) for piece in pieces], np.int64)

    def _windows(self, codes: Any, starts: Any, ends: Any, pad: bool = False) -> tuple[np.ndarray, ...]:
        """Return windows as arrays of int64, none empty, too long or, but for `pad`, outside its chromosome."""
        given = np.asarray(codes), np.asarray(starts), np.asarray(ends)
        if any(each.dtype.kind not in "iu" or each.ndim != 1 or len(each) != len(given[0]) for each in given):
            raise BendError("codes, starts and ends of windows are whole numbers, one of each for every window.")
        if any((each > np.uint64(np.iinfo(np.int64).max)).any() for each in given if each.dtype == np.uint64):
            raise BendError("codes, starts and ends of windows are below 2⁶³: was a larger one taken from a smaller?")
        # Differences of small types overflow, and those of unsigned ones with others are floats.
        codes, starts, ends = found = tuple(each.astype(np.int64) for each in given)
        if len(codes) and not 0 <= codes.min() <= codes.max() < len(self.names):
            raise BendError(f"codes of chromosomes are 0 to {len(self.names) - 1}: see Genome.code.")
        outside = (starts < 0) | (ends > self._columns[0, codes])
        if len(wrong := np.flatnonzero((starts >= ends) | (outside & (not pad)))):
            row = wrong[0]
            name = self.names[codes[row]]
            raise BendError(
                f"{self.path}: the window {name}:{starts[row]}-{ends[row]} (0-based half-open) is empty or leaves "
                f"{name}, which has {self.lengths[name]:,} bp."
            )
        if len(long := np.flatnonzero(ends - starts > LONGEST)):
            row = long[0]
            raise BendError(
                f"{self.path}: the window {self.names[codes[row]]}:{starts[row]}-{ends[row]} has "
                f"{ends[row] - starts[row]:,} bp, more than a row can hold ({LONGEST:,}): give shorter windows."
            )
        return found

    def _warn_of_other_codes(self) -> None:
        """Tell once how many ambiguity codes, and how many U, the whole file has."""
        if self._warned:
            return
        self._warned = True
        data = self._bytes()
        found: Counter[str] = Counter()
        for length, offset, bases, width in self._columns.T.tolist():
            end = _end(length, offset, bases, width)
            for at in range(offset, end, _BLOCK):
                codes = data[at : min(at + _BLOCK, end)].translate(None, b"ACGTNacgtn" + _NEWLINES)
                found.update(codes.decode("latin-1").upper())
        if rna := found.pop("U", 0):
            log.warning("%s: %s U (RNA) are read as T.", self.path, f"{rna:,}")
        if found:
            kinds = ", ".join(f"{count:,} {code}" for code, count in sorted(found.items()))
            log.warning("%s: %s IUPAC ambiguity codes (%s) are read as N.", self.path, f"{found.total():,}", kinds)


def _reverse_complement(letters: np.ndarray, offsets: np.ndarray, minus: np.ndarray) -> np.ndarray:
    letters = letters.copy()
    lengths = np.diff(offsets)
    if (lengths == lengths[0]).all():
        rows = letters.reshape(len(lengths), -1)
        complement = rows[minus].tobytes().translate(_COMPLEMENT)
        rows[minus] = np.frombuffer(complement, dtype=np.uint8).reshape(-1, rows.shape[1])[:, ::-1]
    else:
        for row in np.flatnonzero(minus):
            window = letters[offsets[row] : offsets[row + 1]]
            window[:] = np.frombuffer(window.tobytes().translate(_COMPLEMENT), dtype=np.uint8)[::-1]
    return letters


def reverse_complement(sequence: str) -> str:
    """Return the reverse complement of an upper-case sequence of A, C, G, T and N."""
    return sequence.encode().translate(_COMPLEMENT)[::-1].decode()


def _plain(path: Path) -> Path:
    """Return `path`, or for a bgzip file its decompressed copy in the package's cache."""
    with path.open("rb") as handle:
        start = handle.read(18)
    if not start.startswith(b"\x1f\x8b"):
        return path
    # The extra field "BC" marks blocks of bgzip (SAM specification, section 4.1).
    if start[3] & 4 == 0 or start[12:14] != b"BC":
        raise BendError(
            f"{path} is compressed with gzip, not bgzip. Decompress it (gunzip -k {path}) or compress it with bgzip."
        )
    with path.open("rb") as handle:
        handle.seek(-min(path.stat().st_size, len(_BGZIP_END)), 2)
        if handle.read() != _BGZIP_END:
            raise BendError(f"{path} is truncated: the block that ends bgzip files is missing. Download it again.")
    digest = files.content_digest(path)

    def decompress(target: Path) -> None:
        log.warning("%s is decompressed once, to %s.", path, copy)
        try:
            with files.unchanged({path: digest}), gzip.open(path, "rb") as source, target.open("wb") as sink:
                shutil.copyfileobj(source, sink, 1 << 22)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise BendError(f"{path} is damaged ({error}). Download it again.") from error

    copy = files.cache_dir("genomes") / f"{digest}.fa"
    return files.kept(copy, decompress)


Entries = dict[str, tuple[int, int, int, int]]


def _index(fasta: Path, data: mmap.mmap) -> Entries:
    """Return record → (length, offset of its first base, bases per line, bytes per line)."""
    if data[:1] != b">":
        raise BendError(f"{fasta} is not a FASTA file: it starts with {data[:20]!r}, not with '>'.")
    beside = fasta.with_name(fasta.name + ".fai")
    if beside.is_file():
        if beside.stat().st_mtime_ns >= fasta.stat().st_mtime_ns and (entries := _read_index(beside, fasta, data)):
            return entries
        log.warning("%s is older than its FASTA or does not fit it; another index is made and used.", beside)
    own = files.cache_dir("indexes") / f"{files.digest_of(files.identity(fasta))}.fai"
    if own.is_file() and (entries := _read_index(own, fasta, data)):
        return entries
    # Whatever stands beside the FASTA is not written over, nor is a link there followed.
    taken = beside.exists() or beside.is_symlink()
    target = own if taken or not os.access(fasta.parent, os.W_OK) else beside
    with files.atomic(target) as temporary:
        try:
            pyfaidx.Faidx(str(fasta), indexname=str(temporary)).close()
        except OSError as error:  # pyfaidx hides the reason, a full disk for example, behind one without a number
            raise DiskError(f"{target} cannot be written: {described(error.__context__ or error)}") from error
        except (pyfaidx.FastaIndexingError, ValueError, RuntimeError) as error:
            raise BendError(
                f"{fasta} cannot be indexed: {str(error).rstrip('.')}. Download it again, or rewrap its lines."
            ) from error
        made = _read_index(temporary, fasta, data)
        if made is None:
            raise BendError(
                f"{fasta} cannot be indexed: a record has no name or no sequence, or lines other than its last "
                "differ in length. Download it again, or rewrap its lines."
            )
    return made


def _end(length: int, offset: int, bases: int, width: int) -> int:
    """Return the position behind a record's last base."""
    return offset + length + (length - 1) // bases * (width - bases)


def _read_index(path: Path, fasta: Path, data: mmap.mmap) -> Entries | None:
    """Return the entries of a ``.fai`` file, or None where they do not fit the FASTA."""
    entries: Entries = {}
    end = 0
    try:
        text = path.read_text(encoding="utf-8")
        for name, *numbers in (line.split("\t") for line in text.splitlines()):
            length, offset, bases, width = map(int, numbers)
            header = data[end:offset].rstrip(_NEWLINES)
            if name in entries or length < 1 or bases < 1 or not 0 <= width - bases <= 2:
                return None
            if not header.startswith(b">") or header[1:].split(maxsplit=1)[0] != name.encode() or b"\n" in header:
                return None
            end = _end(length, offset, bases, width)
            if end > len(data) or data[end - 1 : end] in (b"\n", b"\r") or data[offset - 1 : offset] != b"\n":
                return None
            while data[end : end + 1] in (b"\n", b"\r"):
                end += 1
            entries[name] = (length, offset, bases, width)
    except (ValueError, IndexError):
        return None
    if end != len(data):
        return None
    fits = files.remembered(f"fits {files.digest_of(text)}", fasta, lambda _: _lines_fit(entries, data))
    return entries if fits else None


def _forget(data: mmap.mmap) -> None:
    """Let the system count no page of the file as this process's memory, where it can; the next read maps it anew."""
    if hasattr(data, "madvise"):
        data.madvise(mmap.MADV_DONTNEED)


def _lines_fit(entries: Entries, data: mmap.mmap) -> bool:
    """Tell whether every line of the FASTA ends where the index says, and nowhere else."""
    content = np.frombuffer(data, dtype=np.uint8)
    for length, offset, bases, width in entries.values():
        end = _end(length, offset, bases, width)
        breaks = (length - 1) // bases
        wanted = np.frombuffer(_NEWLINES, dtype=np.uint8)[2 - (width - bases) :]
        for at, letter in enumerate(wanted, start=bases):
            if (content[offset + at : end : width] != letter).any():
                return False
        found = 0
        for at in range(offset, end, _BLOCK):
            found += int(np.count_nonzero(content[at : min(at + _BLOCK, end)] < ord(" ")))
            _forget(data)
        if found != breaks * (width - bases) or (breaks and width == bases):
            return False
    return True
