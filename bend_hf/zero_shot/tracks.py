"""Values of a bigWig track at variants: conservation such as phyloP, a score that knows no model.

found = TrackValues(Path("hg38.phyloP100way.bw"))
values, uncovered = found.at(chromosomes, positions)      # (n,) float64, and how many the track does not cover
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bend_hf.data.bigwig import open_bigwig, reading
from bend_hf.errors import BendError
from bend_hf.text import counted


class TrackValues:
    """A bigWig file, open for reading.

    Args:
        path: The file.

    Raises:
        BendError: It cannot be read, or the package that reads it is missing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with reading(f"track {path} (--track) cannot be read as bigWig"):
            self._opened: Any = open_bigwig(path)
            self._sizes: dict[str, int] = dict(self._opened.chroms())
            self._opened.records(next(iter(self._sizes)))  # a bigBed has records of another shape

    def at(self, chromosomes: np.ndarray, positions: np.ndarray) -> tuple[np.ndarray, int]:
        """Return the track's values; 0 where it has none.

        Args:
            chromosomes: (n,) names, with or without ``chr``.
            positions: (n,) int, 0-based.

        Returns:
            (n,) float64, and the number of positions without a value.

        Raises:
            BendError: The track covers none of them, or is damaged.
        """
        found = np.full(len(positions), np.nan)
        for name in np.unique(chromosomes.astype(str)):
            of_track = next((one for one in (name, name.removeprefix("chr"), f"chr{name}") if one in self._sizes), None)
            if of_track is None:
                continue
            rows = np.flatnonzero(chromosomes == name)
            for row in rows[np.argsort(positions[rows], kind="stable")]:  # neighbours lie in one block of the file
                found[row] = self._value(of_track, int(positions[row]))
        uncovered = int(np.isnan(found).sum())
        if uncovered == len(found):
            raise BendError(
                f"track {self._path} (--track) covers none of the {counted(len(found), 'variant')}: it is of another "
                f"genome, or names chromosomes otherwise ({', '.join(list(self._sizes)[:3])} …)."
            )
        return np.nan_to_num(found, nan=0.0), uncovered

    def _value(self, name: str, position: int) -> float:
        if position >= self._sizes[name]:
            return float("nan")
        with reading(f"track {self._path} (--track) is damaged"):
            covering = list(self._opened.records(name, position, position + 1))
        return float(covering[0][2]) if covering else float("nan")
