"""A run cut to a length of time: which layers and how many rows of each split fit, and what precision that costs.

    work, plan = within(work, 7_200, results)
    plan.notes           # what is left out of each task, and the smallest difference before and after

Tasks that take less than their share of the time are done whole, and leave the rest to the others. Of a task that
takes more, layers go first (every second, every fourth … of them; the last one stays), because the others lose nothing
by it; then rows, as `--limit` takes them: the largest split loses its rows first. Numbers of rows are round, so that
the same budget means the same rows, and the results that are there, when it is given again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from bend_hf.errors import BendError
from bend_hf.planning import Plan, TaskPlan, measured, planned, seconds_of
from bend_hf.probe import Rates
from bend_hf.tasks import TASKS, Task
from bend_hf.text import duration, number
from bend_hf.work import Share, Work

if TYPE_CHECKING:
    from bend_hf.results.record import Result

LEAST = 20
"""Rows of each split below which no score is worth its time."""
STEPS = (1, 1.5, 2, 3, 5, 7)
"""Numbers of rows: these times a power of ten."""


def within(work: Work, seconds: float, results: Sequence[Result] = ()) -> tuple[Work, Plan]:
    """Return a run that takes about as long as it may, and its plan.

    Args:
        work: The whole run.
        seconds: How long it may take.
        results: As for `measured`.

    Raises:
        BendError: The smallest run takes longer.
    """
    whole, rates = measured(work, results)
    if whole.seconds <= seconds:
        return work, replace(whole, notes=(f"The whole run fits the budget of {duration(seconds)}.",))
    plans = {plan.task: plan for plan in whole.tasks}
    smallest = {name: _cost(work, TASKS[name], rates[name], _smallest(work.shares[name])) for name in rates}
    least = sum(min(smallest[name], plans[name].total) for name in rates)
    if least > seconds:
        raise BendError(
            f"budget={duration(seconds)} (--budget) is below the smallest plan: {LEAST} rows of each split at one "
            f"layer take about {duration(least)}. Give more, or fewer tasks, seeds or epochs."
        )
    each = _level({name: plans[name].total for name in rates}, smallest, seconds)
    shares = dict(work.shares)
    notes = [f"To fit a budget of {duration(seconds)}:"]
    for name in rates:
        if plans[name].total > each:
            shares[name] = replace(_largest(work, TASKS[name], rates[name], each), budget=seconds)
    cut = replace(work, shares=shares)
    for name in [name for name in rates if shares[name] != work.shares[name]]:
        before, plans[name] = plans[name], planned(cut, TASKS[name], rates[name], results)
        notes.append(f"  {name}: {_said(before, plans[name])}.")
    return cut, replace(whole, tasks=tuple(plans.values()), notes=tuple(notes))


def _cost(work: Work, task: Task, rates: Rates, share: Share) -> float:
    """Seconds of a share of a task, if nothing of it is there."""
    rows = {name: min(len(split), share.limit or len(split)) for name, split in work.rows_or_error(task).items()}
    return sum(seconds_of(work, task, rates, rows, 1 if share.layers is None else len(share.layers)).values())


def _smallest(share: Share) -> Share:
    return Share(min(LEAST, share.limit or LEAST), None if share.layers is None else share.layers[-1:])


def _level(needed: Mapping[str, float], least: Mapping[str, float], seconds: float) -> float:
    """Seconds that a task may take: those that need less, or cannot do with less, leave it to the others."""
    low, high = 0.0, seconds
    for _ in range(60):
        middle = (low + high) / 2
        taken = sum(max(min(needed[name], middle), min(least[name], needed[name])) for name in needed)
        low, high = (middle, high) if taken <= seconds else (low, middle)
    return low


def _largest(work: Work, task: Task, rates: Rates, seconds: float) -> Share:
    """The most of a task that takes so long: layers go first, then rows."""
    share = work.shares[task.name]
    layers = [share.layers]
    while task.recipe and layers[-1] is not None and len(layers[-1]) > 1:  # of variants one pass has all layers
        layers.append((*layers[-1][-3::-2][::-1], layers[-1][-1]))
    for some in layers:
        if _cost(work, task, rates, replace(share, layers=some)) <= seconds:
            return replace(share, layers=some)
    most = max(len(split) for split in work.rows_or_error(task).values())
    sizes = [round(step * 10**power) for power in range(1, 10) for step in STEPS]
    fitting = replace(_smallest(share), layers=layers[-1])
    for size in [size for size in sizes if LEAST < size < min(most, share.limit or most)]:
        larger = Share(size, layers[-1])
        if _cost(work, task, rates, larger) > seconds:
            break
        fitting = larger
    return fitting


def _said(before: TaskPlan, after: TaskPlan) -> str:
    parts = []
    if after.layers != before.layers and after.layers is not None and before.layers is not None:
        names = ", ".join("last" if layer == -1 else str(layer) for layer in after.layers)
        parts.append(f"layer {names} of {len(before.layers)}" if len(after.layers) == 1 else f"layers {names}")
    if after.limit != before.limit:
        kept, of = sum(after.rows.values()), sum(before.rows.values())
        parts.append(f"at most {after.limit:,} rows of each split ({kept:,} of {of:,})")
    found = [number(plan.smallest.value if plan.smallest else None) for plan in (before, after)]
    metric = TASKS[after.task].metric
    if found[0] == found[1]:
        return f"{', '.join(parts)}; the test rows show the same differences"
    return f"{', '.join(parts)}; the smallest difference is {found[1]} {metric} instead of {found[0]}"
