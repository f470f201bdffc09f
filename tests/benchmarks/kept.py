"""Benchmarks that are kept: medians with their spread, the machine they are of, and what has become slower since.

    kept = Kept(machine(), "small", names=("rows", "store"))   # no rounds yet
    kept = kept.with_round(load, rows)
    kept.save(path), Kept.read(path)
    changes(old, new, 0.1)                            # per row: the ratio then and now, noise, and whether it regressed

A row is judged by its ratio to the reference that was measured beside it in the same round, since the load of a shared
machine slows both. A ratio has regressed where its median has fallen by more than the noise: the larger of a stated
share and half the range of the old rounds plus half that of the new ones. For five rounds of normal noise each half is
about 1.2 standard deviations, and the sum 3.1 standard errors of the difference of the medians: one false alarm in
about a thousand rows.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from table import Row, aligned, ratio

from bend_hf import provenance
from bend_hf.files import write_json

FORMAT = 1
ISA = "avx2 fma avx512f avx512_vnni avx512_bf16 avx512_fp16 amx_bf16 amx_int8 asimd sve sve2 bf16 i8mm".split()
"""Instructions, of those that Linux names, that matter for speed here."""
QUIET = 0.3
"""Load, per core, from which a machine is busy."""


@dataclass(frozen=True)
class Series:
    """One row over all rounds.

    Attributes:
        benchmark: The file that measures it.
        what: Its name there.
        unit: Ends in ``/s`` where more is better.
        reference: The reference's value of each round.
        ours: Ours.
    """

    benchmark: str
    what: str
    unit: str
    reference: tuple[float, ...]
    ours: tuple[float, ...]

    @property
    def ratios(self) -> list[float]:
        """How many times better ours is, of each round."""
        pairs = zip(self.reference, self.ours, strict=True)
        return [ratio((self.what, reference, ours, self.unit)) for reference, ours in pairs]

    @property
    def ratio(self) -> float:
        """Its median."""
        return statistics.median(self.ratios)

    @property
    def spread(self) -> float:
        """Half the range of the ratios' logarithms: 0.1 is about ± 10 %."""
        return math.log(max(self.ratios) / min(self.ratios)) / 2


@dataclass(frozen=True)
class Kept:
    """All rows of a run.

    Attributes:
        machine: As `machine` gives it.
        size: Of the benchmarks.
        loads: Mean number of busy processes (of the last minute) when each round began.
        rows: One series each.
        names: The files that were to be run, those that failed too.
    """

    machine: dict[str, Any]
    size: str
    loads: tuple[float, ...] = ()
    rows: tuple[Series, ...] = ()
    names: tuple[str, ...] = ()

    def with_round(self, load: float, rows: Iterable[tuple[str, Row]]) -> Kept:
        """Return it with one round more: the load when it began, and its rows, each with its benchmark's name."""
        series = {(row.benchmark, row.what, row.unit): row for row in self.rows}
        for benchmark, (what, reference, ours, unit) in rows:
            key = (benchmark, what, unit)
            before = series.get(key, Series(*key, (), ()))
            series[key] = Series(*key, (*before.reference, reference), (*before.ours, ours))
        return replace(self, loads=(*self.loads, load), rows=tuple(series.values()))

    def others(self, new: Kept) -> list[str]:
        """Say what keeps rounds from being further ones of these: where they were made, and of what."""
        found = [
            f"{name} ({then} there, {now} now)"
            for name, then, now in (
                *((name, self.machine.get(name), new.machine[name]) for name in new.machine if name != "created"),
                ("size", self.size, new.size),
                ("names", " ".join(self.names), " ".join(new.names)),
            )
            if then != now
        ]
        if not found and str(new.machine["commit"]).endswith("-dirty"):
            found.append(f"commit ({new.machine['commit']}: files changed since it, here or there, may differ)")
        return found

    def save(self, path: Path) -> None:
        """Write it as JSON, whole or not at all."""
        write_json(path, {"format": FORMAT} | asdict(self))

    @classmethod
    def read(cls, path: Path) -> Kept:
        """Read what `save` wrote.

        Raises:
            ValueError: It is something else; the message names the file.
        """
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            if found.pop("format") != FORMAT:
                raise ValueError(f"its format is not {FORMAT}")
            tuples = ("reference", "ours")
            rows = [Series(**row | {name: tuple(row[name]) for name in tuples}) for row in found.pop("rows")]
            names = found.pop("names", None) or dict.fromkeys(row.benchmark for row in rows)  # older files have none
            return cls(**found | {"names": tuple(names), "loads": tuple(found["loads"]), "rows": tuple(rows)})
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} holds no saved benchmarks: {error}") from error

    def header(self) -> str:
        """The machine in lines, for the head of a table."""
        of, packages = self.machine, self.machine["packages"]
        limits = ", ".join(f"{name} {number:g}" for name, number in of["cores"].items())
        versions = ", ".join(f"{name} {packages[name]}" for name in ("python", "torch", "transformers", "numpy"))
        busy = max(self.loads) > QUIET * min(of["cores"].values())
        return "\n".join(
            [
                f"processor  {of['cpu']} ({of['isa']}); {' '.join(of['accelerators']) or 'no accelerator'}",
                f"cores      {limits}; {of['threads']} threads; {of['memory_gb']:.1f} GB of memory",
                f"versions   {versions}; bend_hf {of['commit']}",
                f"load       {', '.join(f'{load:.1f}' for load in self.loads)} at the start of each round"
                + ("; BUSY: other work ran beside" if busy else ""),
            ]
        )

    def table(self) -> str:
        """Medians, and the spread of the ratio over the rounds; of how many, where some are without the row."""
        cells = [("", "reference", "bend_hf", "unit", "ratio", "spread")]
        for row in self.rows:
            values = [f"{statistics.median(side):,.4g}" for side in (row.reference, row.ours)]
            fewer = "" if len(row.ours) == len(self.loads) else f" of {len(row.ours)}"
            cells.append((row.what, *values, row.unit, f"{row.ratio:.2f}x", f"± {row.spread:.0%}{fewer}"))
        return aligned(cells, "<>><>>")


@dataclass(frozen=True)
class Change:
    """What has become of a row.

    Attributes:
        benchmark: Its file.
        what: Its name.
        before: The ratio's median then.
        now: The ratio's median now.
        noise: Relative change that says nothing.
        own: How many times better ours is than then, apart from the reference; None on another machine.
    """

    benchmark: str
    what: str
    before: float
    now: float
    noise: float
    own: float | None

    @property
    def mark(self) -> str:
        """``SLOWER`` beyond the noise, ``faster`` beyond it, or nothing."""
        change = math.log(self.now / self.before)
        return "" if abs(change) <= math.log1p(self.noise) else "SLOWER" if change < 0 else "faster"


def machine() -> dict[str, Any]:
    """Return what a table of benchmarks has to say of where it was made."""
    import torch

    from bend_hf.runtime import core_limits

    found = provenance.machine()
    information = Path("/proc/cpuinfo")
    words = set(information.read_text(errors="replace").split()) if information.is_file() else set()
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=7"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return {
        "cpu": found["hardware"]["cpu"],
        "isa": " ".join(name for name in ISA if name in words) or found["hardware"]["machine"],
        "accelerators": found["hardware"]["accelerators"],
        "cores": core_limits(),
        "threads": torch.get_num_threads(),
        "memory_gb": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9,
        "packages": found["packages"],
        "commit": commit.stdout.strip() or found["packages"]["bend_hf"],
        "created": found["created"],
    }


def changes(old: Kept, new: Kept, floor: float) -> tuple[list[Change], list[str], list[str]]:
    """Return what has become of the rows of both, and the names of those that are only in the old or the new.

    Args:
        old: Then.
        new: Now, of the same size.
        floor: Least noise, relative.
    """
    names = ("cpu", "isa", "cores", "threads", "accelerators")
    same = all(old.machine[name] == new.machine[name] for name in names)
    before = {(row.benchmark, row.what, row.unit): row for row in old.rows}
    found = []
    for row in new.rows:
        was = before.pop((row.benchmark, row.what, row.unit), None)
        if was is None:
            continue
        noise = max(floor, math.expm1(was.spread + row.spread))
        then, now = statistics.median(was.ours), statistics.median(row.ours)
        own = ratio((row.what, then, now, row.unit)) if same else None
        found.append(Change(row.benchmark, row.what, was.ratio, row.ratio, noise, own))
    known = {(row.benchmark, row.what, row.unit) for row in old.rows}
    added = [row.what for row in new.rows if (row.benchmark, row.what, row.unit) not in known]
    return found, [row.what for row in before.values()], added


def compared(found: Sequence[Change]) -> str:
    """The changes as a table: a row's ratio then and now, its noise, and ours beside ours."""
    cells = [("", "ratio then", "now", "change", "noise", "ours beside ours", "")]
    for row in found:
        own = "another machine" if row.own is None else f"{row.own:.2f}x"
        change = f"{row.now / row.before - 1:+.0%}"
        cells.append((row.what, f"{row.before:.2f}x", f"{row.now:.2f}x", change, f"± {row.noise:.0%}", own, row.mark))
    return aligned(cells, "<>>>>><")
