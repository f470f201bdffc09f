"""What may be wrong with a task: leaks between splits, contradictions, and signs that it is too easy.

    found = audit(locate(task, data_dir, genome))
    print(found)                        # a table; found.to_json(), found.problems

Everything is read from the task's own rows and genome, BEND's tasks included. Near-duplicates are searched for a sample
of held-out windows by another search than the one that splits (`bend_hf.build.near`); the result tells its size.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bend_hf import checks
from bend_hf.build.easy import SOLVED, composition_score
from bend_hf.build.matched import composition
from bend_hf.build.near import COVERED, SEED, Found, near_duplicates
from bend_hf.build.sharing import NEAR_VARIANTS, contrary, shared_genes
from bend_hf.build.splits import Windows, joined, union
from bend_hf.console import spoken
from bend_hf.data.audited import CLEAR
from bend_hf.data.coordinates import read
from bend_hf.data.genome import Genome
from bend_hf.data.sources import TaskFiles
from bend_hf.metric import METRICS
from bend_hf.text import counted

QUERIES = 10_000
SAMPLE = 20_000
WIDTH = 512
IDENTITY = 0.8
_LABELS = 1 << 24
BINS = (0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0)


@dataclass(frozen=True)
class Audit:
    """The findings on one task; every share is of the number beside it.

    Attributes:
        task: Name of the task.
        rows: Split → rows.
        chromosomes: Split → chromosomes, in the genome's order.
        overlaps: For two splits: windows of the first that share a base with one of the second, and bases shared.
        next_overlaps: Split → windows that overlap the next one of their split, and their share.
        repeated: Windows listed more than once, and those of them whose labels differ.
        near: For two splits: pieces of 512 bp of the first that were searched, those with a near-duplicate in the
            second, and a histogram of the identities of best alignments that cover half of a piece.
        content: Split (and split, class) → share of GC, N and soft-masked bases.
        classes: Split → number of each class or label.
        edges: Windows that begin or end with their chromosome, and windows that hold N.
        contrary: Variants: those with a variant of the other label within 512 bp.
        genes: Variants, where an annotation is given: those in a gene that also holds one of the other label, and such
            genes among those that hold any.
        easy: What k-mer frequencies alone reach, in the task's metric.
        problems: What a strict audit fails for.
        warnings: What is no error of the data, but limits what a score on them means.
    """

    task: str
    rows: dict[str, int]
    chromosomes: dict[str, list[str]]
    overlaps: list[dict[str, Any]]
    next_overlaps: dict[str, dict[str, Any]]
    repeated: dict[str, int]
    near: list[dict[str, Any]]
    content: dict[str, dict[str, float]]
    classes: dict[str, dict[str, int]]
    edges: dict[str, int]
    contrary: dict[str, Any] | None
    genes: dict[str, Any] | None
    easy: dict[str, Any] | None
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON-able values."""
        return asdict(self)

    def __str__(self) -> str:
        lines = [f"{self.task}: {counted(sum(self.rows.values()), 'row')}"]
        for split, rows in self.rows.items():
            named = self.chromosomes[split]
            shown = ", ".join(named[:8]) + (" …" if len(named) > 8 else "")
            content = self.content.get(split)
            base = (
                f"; GC {content['gc']:.1%}, N {content['n']:.2%}, soft-masked {content['masked']:.1%}"
                if content
                else ""
            )
            lines.append(f"  {split}: {counted(rows, 'row')} on {counted(len(named), 'chromosome')} ({shown}){base}")
        for each in self.overlaps:
            lines.append(
                f"  {each['share']:.1%} of the {each['split']} windows ({each['windows']:,} of {each['of']:,}) overlap "
                f"a {each['other']} window, by {each['bases']:,} bp in all"
            )
        for split, each in self.next_overlaps.items():
            lines.append(f"  {each['share']:.1%} of the {split} windows ({each['windows']:,}) overlap the next one")
        if self.repeated["windows"]:
            different = self.repeated["different_labels"]
            lines.append(
                f"  {counted(self.repeated['windows'], 'window is', 'windows are')} listed again, {different:,} of "
                "them with other labels"
            )
        for each in self.near:
            lines.append(
                f"  {each['share']:.1%} of {each['searched']:,} searched {each['split']} pieces have a near-duplicate "
                f"in {each['other']} (identity ≥ {IDENTITY:.0%} over ≥ {COVERED:.0%} of {each['width']} bp)"
            )
        lines.append(
            f"  {counted(self.edges['chromosome_end'], 'window touches', 'windows touch')} a chromosome's end, "
            f"{self.edges['with_n']:,} of {self.edges['looked_at']:,} looked at hold N"
        )
        if self.contrary is not None:
            lines.append(
                f"  {self.contrary['share']:.1%} of the variants have one of the other label within {NEAR_VARIANTS} bp"
            )
        if self.genes is not None:
            lines.append(
                f"  {self.genes['share']:.1%} of the variants ({self.genes['variants']:,}) lie in a gene that also "
                f"holds one of the other label ({self.genes['genes']:,} of {counted(self.genes['of_genes'], 'gene')})"
            )
        if self.easy is not None:
            lines.append(
                f"  k-mer frequencies alone reach {METRICS[self.easy['metric']].title} {self.easy['value']:.3f} on "
                f"{self.easy['on']} ({counted(self.easy['labels'], 'label')}; chance {self.easy['chance']:.3f}, "
                "perfect 1)"
            )
        lines += [f"  problem: {problem}" for problem in self.problems]
        lines += [f"  warning: {warning}" for warning in self.warnings]
        lines += [] if self.problems or self.warnings else [f"  {CLEAR}"]
        return "\n".join(lines)


def audit(
    files: TaskFiles,
    *,
    queries: int = QUERIES,
    easy: bool = True,
    annotation: str | Path | None = None,
    aliases: str | Path | None = None,
    seed: int = 0,
    verbose: bool = False,
) -> Audit:
    """Audit a task.

    Args:
        files: The task's files, from `bend_hf.data.sources.locate`.
        annotation: GTF or GFF3 whose genes variants may share; None for no such look.
        aliases: An assembly report, or a table of chromosome names, for the annotation.
        queries: Pieces of each held-out split (of all folds together) to search for near-duplicates; 0 for no search.
        easy: Whether to score k-mer frequencies.
        seed: Of the samples.
        verbose: Whether to tell what is done and how far it is, as the command line does.

    Raises:
        BendError: The files are not as declared.
    """
    checks.whole("queries", queries, 0)
    checks.whole("seed", seed, 0)
    checks.switch("easy", easy)
    with spoken(verbose):
        return _audited(files, queries, easy, annotation, aliases, seed)


def _audited(
    files: TaskFiles,
    queries: int,
    easy: bool,
    annotation: str | Path | None,
    aliases: str | Path | None,
    seed: int,
) -> Audit:
    task, genome = files.task, Genome(files.fasta)
    tables = {name: table for name, table in read(files, genome).items() if len(table)}
    windows = {name: _windows(table, genome, task.kind.variants) for name, table in tables.items()}
    random = np.random.default_rng(seed)
    searched = queries and len(windows) > 1 and not task.kind.variants
    content, classes, with_n, looked_at = _content(tables, windows, genome, files, random)
    found = Audit(
        task=task.name,
        rows={name: len(table) for name, table in tables.items()},
        chromosomes={name: [genome.names[code] for code in np.unique(each.code)] for name, each in windows.items()},
        overlaps=_overlaps(windows, task.folds),
        next_overlaps={} if task.kind.variants else {name: _next(each) for name, each in windows.items()},
        repeated=_repeated(tables, windows, task.kind.column),
        near=_near(windows, task.folds, genome, queries, random) if searched else [],
        content=content,
        classes=classes,
        edges={"chromosome_end": _edges(windows, genome), "with_n": with_n, "looked_at": looked_at},
        contrary=contrary(tables, windows) if task.kind.variants else None,
        genes=shared_genes(tables, windows, genome, annotation, aliases)
        if task.kind.variants and annotation is not None
        else None,
        easy=composition_score(files, tables, genome, seed=seed) if easy else None,
    )
    found.problems.extend(_problems(found))
    if found.easy is not None and found.easy["share"] >= SOLVED:
        found.warnings.append(
            f"k-mer frequencies alone go {found.easy['share']:.0%} of the way from chance to a perfect score: a high "
            "score here does not show that a model knows more. Compare models with the composition baseline"
        )
    return found


def _windows(table: pa.Table, genome: Genome, variants: bool) -> Windows:
    encoded = table["chromosome"].combine_chunks().dictionary_encode()
    codes = np.array([genome.code(name) for name in encoded.dictionary.to_pylist()], np.int64)
    start = table["start"].to_numpy()
    return Windows(codes[encoded.indices.to_numpy()], start, start + 1 if variants else table["end"].to_numpy())


def _overlap(windows: Windows, others: Windows) -> dict[str, Any]:
    """Count the windows that share a base with any of the others, and the bases that the two unions share."""
    start, end = union(others)
    low, high = windows.code << 40 | windows.start, windows.code << 40 | windows.end
    touching = int((np.searchsorted(end, low, side="right") < np.searchsorted(start, high)).sum())
    mine = union(windows)
    # Length of the others' union below a position, at both ends of my intervals.
    before = np.concatenate([[0], np.cumsum(end - start)])

    def below(position: np.ndarray) -> np.ndarray:
        at = np.searchsorted(start, position, side="right")
        inside = np.minimum(position, np.concatenate([[0], end])[at]) - np.concatenate([[0], start])[at]
        covered: np.ndarray = np.concatenate([[0], before[:-1]])[at] + inside
        return covered

    bases = int((below(mine[1]) - below(mine[0])).sum())
    count = len(windows.code)
    return {"windows": touching, "of": count, "share": touching / count, "bases": bases}


def _overlaps(windows: dict[str, Windows], folds: bool) -> list[dict[str, Any]]:
    """Count overlaps of each held-out split with the others; of folds, with all other folds."""
    if folds:
        each = [
            _overlap(one, joined([other for name, other in windows.items() if name != split]))
            for split, one in windows.items()
            if len(windows) > 1
        ]
        total = {key: sum(one[key] for one in each) for key in ("windows", "of", "bases")}
        return [{"split": "fold", "other": "another fold"} | total | {"share": total["windows"] / max(1, total["of"])}]
    pairs = [("validation", "train"), ("test", "train"), ("test", "validation")]
    return [
        {"split": one, "other": other} | _overlap(windows[one], windows[other])
        for one, other in pairs
        if one in windows and other in windows
    ]


def _next(windows: Windows) -> dict[str, Any]:
    """Count the windows, sorted by start, that overlap the next one on their chromosome."""
    order = np.lexsort((windows.end, windows.start, windows.code))
    code, start, end = windows.code[order], windows.start[order], windows.end[order]
    touching = int(((code[1:] == code[:-1]) & (start[1:] < end[:-1])).sum())
    return {"windows": touching, "of": len(code), "share": touching / len(code)}


def _repeated(tables: dict[str, pa.Table], windows: dict[str, Windows], column: str) -> dict[str, int]:
    """Count windows that are listed more than once, over all splits, and those of them with different labels."""
    every = joined(list(windows.values()))
    order = np.lexsort((every.end, every.start, every.code))
    same = np.ones(max(0, len(order) - 1), bool)
    for values in (every.code, every.start, every.end):
        same &= values[order][1:] == values[order][:-1]
    pairs = np.flatnonzero(same)
    columns = [column, *(["alt"] if "alt" in next(iter(tables.values())).column_names else [])]
    rows = pa.concat_tables([table.select(columns) for table in tables.values()])
    first, second = (rows.take(pa.array(order[pairs + shift])).to_pylist() for shift in (0, 1))
    # Variants at one position are the same window only with the same allele.
    equal = [(a, b) for a, b in zip(first, second, strict=True) if a.get("alt") == b.get("alt")]
    return {"windows": len(equal), "different_labels": sum(a[column] != b[column] for a, b in equal)}


def _near(
    windows: dict[str, Windows], folds: bool, genome: Genome, queries: int, random: np.random.Generator
) -> list[dict[str, Any]]:
    """Search samples of held-out windows (cut to pieces of 512 bp) for near-duplicates in training windows.

    Of a task with folds, all windows are searched among those of other folds.
    """
    width = min(WIDTH, min(int((each.end - each.start).min()) for each in windows.values()))
    pieces = {name: _pieces(each, width) for name, each in windows.items()}
    groups = {name: np.full(len(each.code), number) for number, (name, each) in enumerate(pieces.items())}
    asked = list(pieces) if folds else [name for name in pieces if name != "train"]
    among = list(pieces) if folds else ["train"] if "train" in pieces else []
    if not (asked and among) or width < len(SEED):
        return []
    chosen = {}
    for name in asked:
        most = -(-queries // len(asked)) if folds else queries
        chosen[name] = np.sort(random.permutation(len(pieces[name].code))[:most])
    sample = joined([pieces[name].part(rows) for name, rows in chosen.items()])
    found = near_duplicates(
        sample,
        joined([pieces[name] for name in among]),
        genome,
        np.concatenate([groups[name][rows] for name, rows in chosen.items()]),
        np.concatenate([groups[name] for name in among]),
    )
    split = np.repeat(np.arange(len(chosen)), [len(rows) for rows in chosen.values()])
    reports = (
        [("fold", "another fold", np.ones(len(split), bool))]
        if folds
        else [(name, "train", split == number) for number, name in enumerate(chosen)]
    )
    return [{"split": name, "other": other, "width": width} | _identities(found, mask) for name, other, mask in reports]


def _identities(found: Found, mask: np.ndarray) -> dict[str, Any]:
    """Count near-duplicates among the queries of a mask, and the identities of alignments that cover enough."""
    wide = found.covered[mask] >= COVERED
    identity = found.identity[mask]
    counts, _ = np.histogram(identity[wide], bins=[*BINS, 1.0 + 1e-9])
    near, searched = int((wide & (identity >= IDENTITY)).sum()), int(mask.sum())
    histogram = {f"{low:.2f}": int(n) for low, n in zip(BINS, counts, strict=True)}
    return {"searched": searched, "windows": near, "share": near / searched, "identity": histogram}


def _pieces(windows: Windows, width: int) -> Windows:
    """Cut windows into pieces of one width; the rest at the end of a window is covered by a piece that ends with it."""
    length = windows.end - windows.start
    count = -(-length // width)
    row = np.repeat(np.arange(len(count)), count)
    within = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    start = windows.start[row] + np.minimum(within * width, length[row] - width)
    return Windows(windows.code[row], start, start + width)


def _edges(windows: dict[str, Windows], genome: Genome) -> int:
    lengths = np.array(list(genome.lengths.values()))
    return sum(int(((each.start == 0) | (each.end == lengths[each.code])).sum()) for each in windows.values())


def _content(
    tables: dict[str, pa.Table],
    windows: dict[str, Windows],
    genome: Genome,
    files: TaskFiles,
    random: np.random.Generator,
) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, int]], int, int]:
    """Return GC, N and soft-masked shares by split and class, numbers of classes, and windows with N of those seen."""
    task = files.task
    lengths = np.array(list(genome.lengths.values()))
    content: dict[str, dict[str, float]] = {}
    classes: dict[str, dict[str, int]] = {}
    with_n = looked_at = 0
    for split, each in windows.items():
        chosen = np.sort(random.permutation(len(each.code))[:SAMPLE])
        code, start, end = each.code[chosen], each.start[chosen], each.end[chosen]
        if task.kind.variants:
            start, end = np.maximum(0, start - WIDTH // 2), np.minimum(lengths[code], start + WIDTH // 2)
        gc, masked, unknown = composition(Windows(code, start, end), genome)
        looked_at += len(chosen)
        with_n += int((unknown > 0).sum())
        column = tables[split][task.kind.column]
        names = list(task.label_names)
        flat = column.combine_chunks()
        values = flat.flatten().to_numpy() if pa.types.is_list(flat.type) else flat.to_numpy()
        content[split] = {"gc": float(gc.mean()), "n": float(unknown.mean()), "masked": float(masked.mean())}
        if task.kind.values(task) is None:
            continue
        # Labels of nucleotides are a byte each; of their numbers as int64 there is room for some at once.
        numbers = np.zeros(max(len(names), int(values.max(initial=0)) + 1), np.int64)
        for begin in range(0, len(values), _LABELS):
            numbers += np.bincount(values[begin : begin + _LABELS].astype(np.int64), minlength=len(numbers))
        if len(numbers) > len(names):  # binary labels with one name
            names = [f"not {names[0]}", names[0]]
        classes[split] = dict(zip(names, numbers.tolist(), strict=True))
        if task.kind.per_row(task) is None or task.bin_size is not None:
            continue
        picked = flat.take(pa.array(chosen))
        several = pa.types.is_list(picked.type)
        rows = pc.list_parent_indices(picked).to_numpy() if several else np.arange(len(picked))
        values = picked.flatten().to_numpy() if several else picked.to_numpy()
        for label, name in enumerate(names):
            held = rows[values == label]
            if len(held):
                content[f"{split}, {name}"] = {
                    "gc": float(gc[held].mean()),
                    "n": float(unknown[held].mean()),
                    "masked": float(masked[held].mean()),
                }
    return content, classes, with_n, looked_at


def _problems(found: Audit) -> list[str]:
    problems = []
    for each in found.overlaps:
        if each["windows"]:
            one, several = (f"{each['split']} {verb}" for verb in ("window shares", "windows share"))
            problems.append(f"{counted(each['windows'], one, several)} bases with {each['other']} windows")
    if found.repeated["different_labels"]:
        twice = counted(found.repeated["different_labels"], "window is", "windows are")
        problems.append(f"{twice} listed twice with different labels")
    for each in found.near:
        if each["share"] > 0.01:
            problems.append(
                f"{each['share']:.1%} of the searched {each['split']} pieces have a near-duplicate in {each['other']}"
            )
    return problems
