"""Tables of a task's page that can be folded away: differences, classes, labels, scores, folds and parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bend_hf.report.choices import CHOSEN, HEADLINE, marks
from bend_hf.report.details import Detail
from bend_hf.report.elements import BLANK, DASH, UNSORTED, Cell, Panel, short
from bend_hf.report.groups import Group
from bend_hf.report.table import AT_CHANCE, METRICS
from bend_hf.results.board import Row
from bend_hf.results.breakdown import TOO_FEW
from bend_hf.results.record import Result
from bend_hf.results.transcripts import LEVELS, VALUES
from bend_hf.tasks import BEND, Task
from bend_hf.templates import one_line
from bend_hf.text import interval, number, p_value

PAIRS = 45
"""Most differences shown; beyond it, only those to the best model."""

FEW = 40
"""Most scores whose table is unfolded at first."""

BESIDE = METRICS | {"accuracy": "accuracy", "r2": "R²"}
"""Scores that records may hold beside the headline, and their titles."""


def panels(task: Task, rows: Sequence[Row], details: Mapping[str, Detail]) -> list[Panel]:
    """Return the tables of a task; those without data are left out."""
    parts = dict.fromkeys(name for found in details.values() for name in found.parts)
    found = [
        _beside(task, rows),
        _classes(task, rows),
        _genes(rows),
        _labels(task, rows),
        _scores(rows),
        _folds(rows),
    ]
    return [*(panel for panel in found if panel is not None), *(_parts(task, name, rows, details) for name in parts)]


def differences(task: Task, group: Group) -> Panel | None:
    """Return the paired differences between a task's models; None where there are none."""
    found = [item for item in group.comparison.differences if item.task == task.name]
    if not found:
        return None
    best = found[0].a
    shown = found if len(found) <= PAIRS else [item for item in found if best in (item.a, item.b)]
    titles = {row.model: row.title for row in group.rows}
    lines = []
    for item in shown:
        ends = "–" if item.interval is None else f"{item.interval[0]:+.4f} to {item.interval[1]:+.4f}"
        alone = "*" if item.interval is not None and item.training == "unknown" else ""
        apart = item.corrected is not None and item.corrected < 1 - group.comparison.level
        cells = [
            Cell(item.difference, f"{item.difference:+.4f}"),
            Cell(None if item.interval is None else item.interval[0], ends + alone),
            Cell(item.p, p_value(item.p)),
            Cell(item.corrected, p_value(item.corrected), look="strong" if apart else ""),
        ]
        lines.append((f"{titles[item.a]} − {titles[item.b]}", cells))
    caption = f"Paired differences on the same test rows ({found[0].clusters} {found[0].unit}s drawn again)."
    if any(item.training == "unknown" and item.interval for item in shown):
        caption += " * over test rows alone: one seed does not tell what training again would change."
    if len(shown) < len(found):
        caption += f" {len(found)} pairs: only those with the best model are shown."
    heads = ["Difference", METRICS[task.metric], "95 % interval", "p", "Corrected p"]
    return Panel("Differences between models", caption, heads, lines)


def _columns(rows: Sequence[Row]) -> list[str]:
    return [one_line(short(row.title)) for row in rows]


def _scored(value: float | None, ends: Sequence[float] | None = None) -> Cell:
    """A score, and its interval under it."""
    return Cell(value, number(value), under=interval(ends) if ends else "")


def _beside(task: Task, rows: Sequence[Row]) -> Panel | None:
    """Scores that stand beside the headline, as accuracy beside MCC."""
    seconds = [row.results[0].secondary for row in rows if row.score is not None]
    lines = [
        (title, [_scored(of.get(name)) for of in seconds])
        for name, title in BESIDE.items()
        if name != task.metric and any(of.get(name) is not None for of in seconds)
    ]
    if not lines:
        return None
    titles = ["Score", *_columns([row for row in rows if row.score is not None])]
    return Panel("Other scores", "Scores beside the headline (first seed).", titles, lines, open=True)


def _genes(rows: Sequence[Row]) -> Panel | None:
    """Exons, intron chains and transcripts that are called exactly, by the first seed of every model."""
    scored = [row for row in rows if "genes" in row.results[0].secondary]
    if not scored:
        return None
    found = [row.results[0].secondary["genes"] for row in scored]
    lines = [
        (
            f"{level.replace('_', ' ')}: {value}",
            [_scored(genes[level][value], genes[level][f"{value}_interval"]) for genes in found],
        )
        for level in LEVELS
        for value in VALUES
    ]
    caption = (
        "Coding exons with both ends right, transcripts with all introns right, and with all exons right; one seed."
    )
    return Panel("Exons and transcripts called exactly", caption, ["Level", *_columns(scored)], lines)


def _classes(task: Task, rows: Sequence[Row]) -> Panel | None:
    scored = [row for row in rows if "recall" in row.results[0].secondary]
    if not scored:
        return None
    support = scored[0].results[0].secondary.get("support")
    sides = ("recall", "precision")
    lines = [
        (
            name.replace("_", " "),
            [
                Cell(support[k], f"{support[k]:,}") if support else DASH,
                *(_scored(row.results[0].secondary[side][k]) for row in scored for side in sides),
            ],
        )
        for k, name in enumerate(task.label_names)
    ]
    titles = [
        "Class",
        f"{task.kind.unit.capitalize()}s",
        *(f"{name}\n{side}" for name in _columns(scored) for side in sides),
    ]
    return Panel("Classes", "Recall and precision of every class (first seed).", titles, lines, open=True)


def _labels(task: Task, rows: Sequence[Row]) -> Panel | None:
    several = task.kind.label_columns(task) > 1
    scored = [row for row in rows if several and "per_label" in row.results[0].secondary]
    if not scored:
        return None
    first = scored[0].results[0]
    positives = first.secondary.get("positives", [None] * len(task.label_names))
    total = first.counts["rows"]
    lines = []
    for k, (name, count) in enumerate(zip(task.label_names, positives, strict=True)):
        few = count is not None and min(count, total - count) < TOO_FEW
        cells = [Cell(count, "–" if count is None else f"{count:,}")]
        for row in scored:
            value = row.results[0].secondary["per_label"][k]
            ends = row.results[0].secondary.get("per_label_interval", [None] * (k + 1))[k]
            if few or value is None:
                cells.append(Cell(None, "one class only" if value is None else "too few", look="none"))
            else:
                cells.append(Cell(value, number(value), title=interval(ends) if ends else ""))
        lines.append((name, cells))
    files = "released files carry" if task in BEND else "label file carries"
    naming = {"inferred": " Label names are inferred.", "unnamed": f" The {files} no label names."}
    caption = f"AUROC of every label (first seed); hover for the interval.{naming.get(task.label_naming, '')}"
    return Panel("Labels", caption, ["Label", "Positives", *_columns(scored)], lines)


def _scores(rows: Sequence[Row]) -> Panel | None:
    """All scores of variants: which distance, layer or likelihood is taken can matter more than the model."""
    scored = [row for row in rows if row.results[0].secondary.get("by_score")]
    names = dict.fromkeys(name for row in scored for name in row.results[0].secondary["by_score"])
    if not names:
        return None
    seconds = [row.results[0].secondary for row in scored]
    lines = [(name, [_of_score(row.results[0], name) for row in scored]) for name in names]
    last = []
    for of in seconds:
        fitted = of.get("cross_fitted") or {}
        value, ends, chosen = (fitted.get(key) for key in ("score", "interval", "chosen"))
        under = f"{interval(ends)}; " if ends else ""
        under += ", ".join(dict.fromkeys(chosen or [])) or str(fitted.get("lack") or "")
        if fitted.get("unit") not in (None, "chromosome"):  # they do not divide into halves
            under += f"; chosen on half of the {fitted['unit']}s"
        last.append(Cell(UNSORTED, number(value), under=under))
    caption = (
        "AUROC of every score and control, with intervals. The highest is no score; cross-fitted is one. "
        f"{HEADLINE}: the headline; {CHOSEN}: chosen by a half; {AT_CHANCE}: no better than chance."
    )
    titles = ["Score", *_columns(scored)]
    return Panel("All scores", caption, titles, lines, ("cross-fitted best", last), open=len(lines) <= FEW)


def _of_score(result: Result, name: str) -> Cell:
    value, ends = (result.secondary.get(key, {}).get(name) for key in ("by_score", "by_score_interval"))
    return Cell(value, f"{number(value)} {marks(result, name)}".strip(), under=interval(ends) if ends else "")


def _folds(rows: Sequence[Row]) -> Panel | None:
    scored = [row for row in rows if row.results[0].folds]
    if not scored:
        return None
    lines = []
    for k, fold in enumerate(scored[0].results[0].folds or []):
        mine = [(row.results[0].folds or [])[k] for row in scored]
        cells = [
            *(Cell(fold.get(name), str(fold.get(name, "–"))) for name in ("rows", "positives")),
            _scored(fold.get("chance")),
            *(_scored(of.get("score"), of.get("interval")) for of in mine),
        ]
        lines.append((fold["part"], cells))
    seconds = [(row.results[0].score, row.results[0].secondary.get("folds_deviation")) for row in scored]
    last = [BLANK] * 3 + [Cell(UNSORTED, f"{number(mean)} ± {number(deviation)}") for mean, deviation in seconds]
    return Panel(
        "Folds",
        "The folds (first seed), each with its interval over windows.",
        ["Fold", "Windows", "Positive bins", "Chance", *_columns(scored)],
        lines,
        ("mean ± deviation", last),
        open=True,
    )


def _parts(task: Task, title: str, rows: Sequence[Row], details: Mapping[str, Detail]) -> Panel:
    scored = [row for row in rows if row.model in details and title in details[row.model].parts]
    reference = details[scored[0].model].parts[title]
    several = task.kind.label_columns(task) > 1
    counted = [] if reference[0].positives is None else ["Labels scored" if several else "Positives"]
    lines = []
    for k, part in enumerate(reference):
        cells = [Cell(part.rows, f"{part.rows:,}")]
        cells += [Cell(part.positives, f"{part.positives:,}") for _ in counted]
        cells.append(_scored(part.chance))
        for row in scored:
            value = details[row.model].parts[title][k].score
            cells.append(Cell(None, "too few", look="none") if value is None else _scored(value))
        lines.append((part.name, cells))
    what = "Rows" if "distance" not in title else "Positions"
    titles = [title.capitalize(), what, *counted, "Chance", *_columns(scored)]
    return Panel(f"By {title}", f"By {title} (first seed).", titles, lines)
