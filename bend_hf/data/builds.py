"""Genome builds, told apart by the lengths of their chromosomes.

    judge(genome, "GRCh38", checked=False)       # "lengths": they are GRCh38's; an error if they are not

Coordinates of one build on the sequence of another give rows of wrong DNA that look like any other. The lengths are
those of the primary chromosomes in the assembly reports of GRCh38 (GCA_000001405.15) and GRCh37 (GCA_000001405.1) of
the Genome Reference Consortium, which are UCSC's hg38 and hg19; patches do not change them. The mitochondrion is left
out: hg19 has another sequence of it than GRCh37.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bend_hf.checks import path_of
from bend_hf.console import log
from bend_hf.errors import BendError, unknown

if TYPE_CHECKING:
    from bend_hf.data.genome import Genome

Known = Literal["lengths", "toy", "user"]
"""How it is known that a genome is of its task's build: chromosome lengths, the toy's manifest, the user's word."""

_TABLE = """
          GRCh38    GRCh37
    1  248956422 249250621
    2  242193529 243199373
    3  198295559 198022430
    4  190214555 191154276
    5  181538259 180915260
    6  170805979 171115067
    7  159345973 159138663
    8  145138636 146364022
    9  138394717 141213431
    10 133797422 135534747
    11 135086622 135006516
    12 133275309 133851895
    13 114364328 115169878
    14 107043718 107349540
    15 101991189 102531392
    16  90338345  90354753
    17  83257441  81195210
    18  80373285  78077248
    19  58617616  59128983
    20  64444167  63025520
    21  46709983  48129895
    22  50818468  51304566
    X  156040895 155270560
    Y   57227415  59373566
"""


def _read_table(text: str) -> dict[str, dict[str, int]]:
    builds, *rows = (line.split() for line in text.strip().splitlines())
    return {build: {row[0]: int(row[1 + i]) for row in rows} for i, build in enumerate(builds)}


LENGTHS = _read_table(_TABLE)
"""Build → chromosome, without ``chr`` → length in bp."""

ALIASES = {"hg38": "GRCh38", "hg19": "GRCh37"}

GenomeArgument = str | os.PathLike[str] | Mapping[str, str | os.PathLike[str]] | None


def judge(
    genome: Genome, build: str, *, checked: bool = False, lengths: Mapping[str, int] | None = None
) -> Literal["lengths", "user"]:
    """Return how it is known that a genome is of a build.

    Args:
        genome: The genome.
        build: The build that the task's coordinates are on.
        checked: Whether the user says that it is, where the genome does not tell: a slice, or other names.
        lengths: Chromosome → length in bp of a build that is none of `LENGTHS`.

    Raises:
        BendError: A chromosome has the length of another build or is longer than the build's, whatever the user says;
            or nothing tells, and the user does not say either.
    """
    declared = LENGTHS.get(canonical(build), {}) if lengths is None else lengths
    declared = {_plain(name): length for name, length in declared.items()}
    fits, differs = 0, ""
    for record, length in genome.lengths.items():
        wanted = declared.get(_plain(record))
        if wanted is None:
            continue
        if length == wanted:
            fits += 1
            continue
        other = next((name for name, known in LENGTHS.items() if known.get(_plain(record)) == length), None)
        if other or length > wanted:
            raise BendError(
                f"{genome.path} is not {build}: its {record} has {length:,} bp, {build}'s has {wanted:,}."
                + (f" That is the length in {other}." if other else "")
                + " Give each build its own genome: genome={'GRCh38': …, 'GRCh37': …} (--genome GRCh38=… GRCh37=…)."
            )
        differs = differs or f"its {record} has {length:,} bp, {build}'s has {wanted:,}"
    if fits and not differs:
        return "lengths"
    if checked:
        return "user"
    raise BendError(
        f"Nothing tells whether {genome.path} is {build}: {differs or 'it has no chromosome of known length'}. "
        "If you know that the coordinates are those of this file, as for a slice made for them, say so with "
        "genome_checked=True (--genome-checked); the results will say it too."
    )


def by_build(genome: GenomeArgument, builds: Iterable[str]) -> Path | dict[str, Path] | None:
    """Return what a caller gives for genomes with absolute paths, and builds under their own names.

    Args:
        genome: A FASTA for every task, or a mapping from build to FASTA, or None.
        builds: Names of builds that may be there, besides those known by `LENGTHS`.

    Raises:
        BendError: A build is unknown or named twice, or a path is none.
    """
    if genome is None or isinstance(genome, str | os.PathLike):
        return None if genome is None else pinned(genome)
    if not isinstance(genome, Mapping):
        raise BendError(f"genome={genome!r} is neither the path of a FASTA nor a mapping from build to FASTA.")
    known = list(dict.fromkeys((*LENGTHS, *builds)))
    found: dict[str, Path] = {}
    for name, path in genome.items():
        build = canonical(name) if isinstance(name, str) and name not in known else name
        if build not in known:
            raise unknown("genome build", str(name), known)
        if build in found:
            raise BendError(f"The genome of {build} is given twice, as {name} too.")
        if not isinstance(path, str | os.PathLike) or not os.fspath(path):
            raise BendError(f"The genome of {build} is {path!r}, which is no path of a FASTA.")
        if build != name:
            log.warning("The genome given for %s is taken for %s.", name, build)
        found[build] = pinned(path)
    return found


def canonical(build: str) -> str:
    """Return a build's name here: ``GRCh38`` for ``hg38`` and for its patches, such as ``GRCh38.p14``."""
    name = build.partition(".p")[0]
    return ALIASES.get(name, name)


def pinned(path: str | os.PathLike[str]) -> Path:
    """Return an absolute path, which means the same file after a change of the working directory."""
    return path_of("path", path).expanduser().absolute()


def _plain(chromosome: str) -> str:
    return chromosome.removeprefix("chr")
