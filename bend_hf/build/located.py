"""Names of chromosomes in a file, found in the genome by name, with or without ``chr``, or by a table of aliases."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bend_hf.build.readers.annotation import read_aliases
from bend_hf.data.genome import Genome
from bend_hf.errors import BendError


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
            f"{path}: {len(absent):,} of {len(names):,} chromosomes are not in {genome.path} ({shown}; the genome has "
            f"{has}). If they are other names of the same sequences, give the assembly report with aliases= "
            "(--aliases); to leave their rows out, skip_absent=True (--skip-absent)."
        )
    return codes
