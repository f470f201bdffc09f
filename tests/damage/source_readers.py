"""What a builder's sources say, read line by line and by none of the package's code; see `damage.readers`."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Sequence

from damage.readers import whole

Genome = dict[str, str]
NUMBER = re.compile(r"-?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
CRISPRI = ["chrom", "chromStart", "chromEnd", "measuredGeneSymbol", "Regulated"]
ABC = ["chr", "start", "end", "TargetGene"]
PLAIN = ["chromosome", "start", "end", "gene"]
TRUTH = {
    "True": True,
    "TRUE": True,
    "true": True,
    "1": True,
    "False": False,
    "FALSE": False,
    "false": False,
    "0": False,
}


def rows(content: bytes, needed: int, more: bool = True) -> list[list[str]]:
    """Fields of the lines that are no comments; all have one number of them."""
    content = content.removeprefix(b"\xef\xbb\xbf")
    kept = [line for line in content.split(b"\n") if not re.match(rb"#|track[ \t]|browser[ \t]", line)]
    body = b"\n".join(kept).removeprefix(b"\xef\xbb\xbf")  # the CSV reader drops it there, too
    lines = [line for line in re.split(rb"[\r\n]", body) if line]
    fields = [line.split(b"\t") for line in lines]
    assert len({len(each) for each in fields}) <= 1
    assert not fields or len(fields[0]) == needed or (more and len(fields[0]) > needed)
    return [[field.decode() for field in each[:needed]] for each in fields]


def small(text: str) -> int:
    assert len(text.lstrip("-")) <= 18
    return whole(text)


def number(text: str) -> float:
    if text in (".", "", "NA", "nan", "NaN"):
        return float("nan")
    assert NUMBER.fullmatch(text)
    return float(text)


def place(genome: Genome, name: str) -> str:
    """The genome's name of a chromosome."""
    return name if name in genome else next(n for n in (f"chr{name}", name.removeprefix("chr")) if n in genome)


def span(genome: Genome, name: str, start: str, end: str) -> tuple[str, int, int]:
    chromosome = place(genome, name)
    assert 0 <= small(start) < small(end) <= len(genome[chromosome])
    return chromosome, small(start), small(end)


def summits(content: bytes, genome: Genome) -> list[tuple[str, int, int]]:
    """The summits of narrowPeak."""
    found = []
    for name, start, end, *_, summit in rows(content, 10):
        chromosome, first, last = span(genome, name, start, end)
        assert 0 <= small(summit) < last - first
        found.append((chromosome, first + small(summit), first + small(summit) + 1))
    assert found
    return found


def methylation(content: bytes, genome: Genome, least: int, threshold: float) -> dict[tuple[str, int], bool]:
    """(chromosome, position of the C) → methylated, of bedMethyl or bedGraph of percents."""
    first = rows(content, 1)
    assert first
    width = len(next(line for line in re.split(rb"[\r\n]", without_comments(content)) if line).split(b"\t"))
    if width == 4:
        read = [(*each[:3], "m", "+", None, each[3]) for each in rows(content, 4, more=False)]
    else:
        assert width >= 11
        read = [(*each[:4], each[5], each[9], each[10]) for each in rows(content, 11)]
    said = []
    for name, start, end, modification, strand, coverage, percent in read:
        chromosome, begin, stop = span(genome, name, start, end)
        reads, level = (1 if coverage is None else small(coverage)), number(percent)
        assert stop - begin <= 2
        assert reads >= 0
        assert reads == 0 or 0 <= level <= 100
        if reads and not re.match("[ahcefg](,|$)", modification):
            here = begin - (strand == "-" and stop - begin == 1 and coverage is not None)
            said.append((chromosome, here, reads, level / 100 * reads))
    if width == 4:
        highest = max(number(each[6]) for each in read)
        assert highest == 0 or highest > 1
    return called(said, genome, 0 if width == 4 else least, threshold)


def without_comments(content: bytes) -> bytes:
    content = content.removeprefix(b"\xef\xbb\xbf")
    return b"\n".join(line for line in content.split(b"\n") if not re.match(rb"#|track[ \t]|browser[ \t]", line))


def called(
    said: Sequence[tuple[str, int, float, float]], genome: Genome, least: int, threshold: float
) -> dict[tuple[str, int], bool]:
    """Add up the strands of each CpG, and call it."""
    reads: dict[tuple[str, int], list[float]] = {}
    strange = 0
    for chromosome, at, depth, methylated in said:
        letters = genome[chromosome]
        if letters[max(at, 0) : at + 2] == "CG" and at >= 0:
            key = chromosome, at
        elif at > 0 and letters[at - 1 : at + 1] == "CG":
            key = chromosome, at - 1
        else:
            strange += 1
            continue
        total = reads.setdefault(key, [0, 0, 0])
        total[0], total[1], total[2] = total[0] + 1, total[1] + depth, total[2] + methylated
    assert said
    assert strange <= len(said) / 2
    assert all(each[0] <= 2 for each in reads.values())
    # Without a read of any depth but one, the file has levels and no reads.
    bare = all(depth == 1 for _, _, depth, _ in said)
    return {
        key: methylated >= threshold * depth - 1e-9
        for key, (_, depth, methylated) in reads.items()
        if bare or depth >= least
    }


def links(content: bytes, least: float) -> list[tuple[str | int, ...]]:
    """The elements of a table of links: chromosome, start, end, and gene or the place of its start."""
    content = content.removeprefix(b"\xef\xbb\xbf")
    first = content.split(b"\n", 1)[0].decode(errors="replace").lstrip("#").rstrip("\r").split("\t")
    named = next((names for names in (CRISPRI, ABC, PLAIN) if set(names) <= set(first)), None)
    if named is None:
        found: list[tuple[str | int, ...]] = []
        for name, start, end, other, begin, stop in rows(content, 6):
            assert small(start) < small(end)
            assert small(begin) < small(stop)
            found.append((name, small(start), small(end), other, small(begin), small(stop)))
        assert found
        assert found[0][1] >= 0
        assert found[0][4] >= 0
        return found
    assert len(set(first)) == len(first)
    body = rows(content if content.startswith(b"#") else b"#" + content, len(first), more=False)
    assert body
    kept: list[tuple[str | int, ...]] = []
    for row in body:
        field = dict(zip(first, row, strict=True))
        name, start, end, gene = (field[column] for column in named[:4])
        assert 0 <= small(start) < small(end)
        promoter, weak = False, False
        if named is CRISPRI:
            promoter = not TRUTH[field["Regulated"]]
        else:
            if named is ABC and "isSelfPromoter" in field:
                promoter = TRUTH[field["isSelfPromoter"]]
            score = "ABC.Score" if named is ABC else "score"
            weak = score in field and not number(field[score]) >= least
        if not promoter and not weak:
            kept.append((name, small(start), small(end), gene))
    return kept


def bigwig(content: bytes) -> list[tuple[str, int, int, float]]:
    """Every interval of a little-endian bigWig, by walking its two trees."""
    magic, version, _, chromosomes, _, index = struct.unpack_from("<IHHQQQ", content)
    assert (magic, version) == (0x888FFC26, 4)
    packed = struct.unpack_from("<I", content, 52)[0]
    names: dict[int, tuple[str, int]] = {}
    key = struct.unpack_from("<I", content, chromosomes + 8)[0]

    def chromosome(at: int) -> None:
        leaf, _, count = struct.unpack_from("<BBH", content, at)
        for each in range(count):
            here = at + 4 + each * (key + 8)
            if leaf:
                number, length = struct.unpack_from("<II", content, here + key)
                names[number] = content[here : here + key].rstrip(b"\0").decode(), length
            else:
                chromosome(struct.unpack_from("<Q", content, here + key)[0])

    chromosome(chromosomes + 32)
    found: list[tuple[str, int, int, float]] = []

    def block(at: int, size: int) -> None:
        data = content[at : at + size]
        data = zlib.decompress(data) if packed else data
        number, start, _, step, width, kind, _, count = struct.unpack_from("<IIIIIBBH", data)
        for each in range(count):
            if kind == 1:
                first, last, value = struct.unpack_from("<IIf", data, 24 + 12 * each)
            elif kind == 2:
                first, value = struct.unpack_from("<If", data, 24 + 8 * each)
                last = first + width
            else:
                first, value = start + each * step, struct.unpack_from("<f", data, 24 + 4 * each)[0]
                last = first + width
            found.append((names[number][0], first, last, value))

    def node(at: int) -> None:
        leaf, _, count = struct.unpack_from("<BBH", content, at)
        for each in range(count):
            here = at + 4 + each * (32 if leaf else 24)
            if leaf:
                block(*struct.unpack_from("<QQ", content, here + 16))
            else:
                node(struct.unpack_from("<Q", content, here + 16)[0])

    node(index + 48)
    return found
