"""How time grows with the number of rows, from a few sizes, and what it comes to at a size that was not run.

    exponent({"genes": Points(rows, seconds), …})     # b of seconds = a · rows^b, a of each series, and its error
    foretold(Points(rows, seconds), 2_062_129)        # seconds there, and half of a 95 % interval

Two questions, two fits. Whether time grows faster than the rows: ordinary least squares of log(seconds) on log(rows),
one slope for all series and an intercept for each. What a larger size takes: seconds = fixed + rate · rows, both at
least 0, by least squares of the *relative* errors, because a run that takes twice as long is twice as far off; the
interval is that of one more measurement (Draper & Smith 1998, Applied Regression Analysis), which counts
the noise of the sizes that were run and nothing else: not another machine, and no change of behaviour beyond them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Points:
    """What was measured: (n,) rows and (n,) seconds, both above 0."""

    rows: np.ndarray
    seconds: np.ndarray


def exponent(series: Mapping[str, Points]) -> tuple[float, float] | None:
    """Return the common exponent of some series and its standard error; None where too few sizes were run.

    Args:
        series: By name; those of one size only say nothing and are left out.
    """
    logs = [(np.log(points.rows), np.log(points.seconds)) for points in series.values() if np.ptp(points.rows) > 0]
    freedom = sum(len(x) for x, _ in logs) - len(logs) - 1
    if not logs or freedom < 1:
        return None
    x = np.concatenate([x - x.mean() for x, _ in logs])
    y = np.concatenate([y - y.mean() for _, y in logs])
    slope = float(x @ y / (x @ x))
    variance = float(np.sum((y - slope * x) ** 2)) / freedom
    return slope, float(np.sqrt(variance / (x @ x)))


def foretold(points: Points, rows: float) -> tuple[float, float]:
    """Return the seconds of so many rows, and half of their 95 % interval (infinite without spare measurements)."""
    columns = [np.ones(len(points.rows)), points.rows] if np.ptp(points.rows) > 0 else [points.rows]
    while True:
        design = np.stack(columns, axis=1) / points.seconds[:, None]
        found, *_ = np.linalg.lstsq(design, np.ones(len(design)), rcond=None)
        if found[0] >= 0 and found[-1] >= 0:
            break
        columns = columns[1:] if found[0] < 0 else columns[:1]  # through the origin; or no growth at all
    place = np.array([rows if column is points.rows else 1.0 for column in columns])
    value, freedom = float(place @ found), len(design) - len(columns)
    if freedom < 1:
        return value, float("inf")
    noise = float(np.sum((design @ found - 1) ** 2)) / freedom
    variance = noise * (place @ np.linalg.inv(design.T @ design) @ place + value**2)
    return value, float(stats.t.ppf(0.975, freedom) * np.sqrt(variance))
