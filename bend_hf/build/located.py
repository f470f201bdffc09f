"""Names of chromosomes in a file, found in the genome by name, with or without ``chr``, or by a table of aliases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from bend_hf.data.genome import Genome
from bend_hf.errors import BendError
from bend_hf.text import counted


def locate_chromosomes(
    path: Path,
    names: Sequence[str],
    genome: Genome,
    *,
    aliases: str | Path | None = None,
    skip: bool = False,
) -> np.ndarray:
    """Return the genome's code of each name: (n,) int64, −1 for those that are left out.

    Args:
        path: The file the names are of, for messages.
        names: Names of chromosomes.
        genome: The genome.
        aliases: An assembly report, or a table with the names of one chromosome per line.
        skip: Give −1 to names that the genome lacks, instead of an error.

    Raises:
        BendError: A name is not in the genome, or none is.
    """
    table = read_aliases(aliases, genome.names) if aliases is not None else {}
    codes = np.full(len(names), -1, np.int64)
    absent = []
    for at, name in enumerate(names):
        try:
            codes[at] = genome.code(table.get(name, name))
        except BendError:
            absent.append(name)
    if absent and (not skip or len(absent) == len(names)):
        shown = ", ".join(absent[:5]) + (" …" if len(absent) > 5 else "")
        has = ", ".join(genome.names[:5]) + (" …" if len(genome.names) > 5 else "")
        raise BendError(
            f"{path}: {len(absent):,} of {counted(len(names), 'chromosome is', 'chromosomes are')} not in "
            f"{genome.path} "
            f"({shown}; the genome has {has}). If they are other names of the same sequences, give the assembly "
            "report with aliases= (--aliases); to leave their rows out, skip_absent=True (--skip-absent)."
        )
    return codes


def read_aliases(path: str | Path, names: tuple[str, ...]) -> dict[str, str]:
    """Read other names of chromosomes from an NCBI assembly report, or a table with one chromosome's names per line.

    Args:
        path: The report or table (tab-separated).
        names: The genome's own names.

    Returns:
        Other name → the genome's name.

    Raises:
        BendError: No line holds a name of the genome, or one other name stands for two chromosomes.
    """
    path = Path(path)
    aliases: dict[str, str] = {}
    if not path.is_file():
        raise BendError(f"{path}: there is no such table of chromosome names.")
    for number, fields in _fields(path):
        own = [field for field in fields if field in names]
        for field in fields if own else ():
            if aliases.setdefault(field, own[0]) != own[0]:
                raise BendError(f"{path}, line {number}: {field!r} stands for both {aliases[field]!r} and {own[0]!r}.")
    if not aliases:
        raise BendError(f"{path} has no name of the genome's chromosomes ({', '.join(names[:5])} …).")
    return aliases


def _fields(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the names on each line; of an assembly report, only those columns that hold names."""
    columns: list[int] | None = None
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        fields = line.lstrip("# ").split("\t")
        if "Sequence-Name" in fields:
            held = ("Sequence-Name", "GenBank-Accn", "RefSeq-Accn", "UCSC-style-name")
            columns = [at for at, name in enumerate(fields) if name in held]
        elif not line.startswith("#"):
            chosen = fields if columns is None else [fields[at] for at in columns if at < len(fields)]
            yield number, [field for field in chosen if field not in ("na", "")]
