"""Which row goes to which split: by chromosomes, blocks, ten folds, a given file, or clusters of homologous windows.

    assigned = assign(Split("chromosomes", validation=("chr2",), test=("chr1",)), windows, genome, counts)
    assigned.names                   # (n,) "train", "valid", "test" … and "" for windows that are left out

Whatever the scheme, windows of different splits share no base: those that would are left out, and counted. All is
decided by the windows, the options and the seed.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from bend_hf import checks
from bend_hf.build.counts import Counts
from bend_hf.build.programs import partition
from bend_hf.build.readers.text import read_table
from bend_hf.build.work import Work, strings
from bend_hf.data.genome import Genome
from bend_hf.errors import BendError
from bend_hf.tasks import FOLDS
from bend_hf.text import counted

SPLITS = ("train", "valid", "test")
Scheme = Literal["chromosomes", "blocks", "folds", "file", "homology", "none"]


@dataclass(frozen=True)
class Split:
    """How rows are split.

    Attributes:
        scheme: ``chromosomes``, ``blocks`` of neighbouring bases, ten ``folds``, a ``file``, ``homology`` clusters, or
            ``none`` (every row is ``train``, as in zero-shot tasks).
        validation: Chromosomes of the validation split; without them they are drawn, balanced by rows.
        test: Chromosomes of the test split.
        fractions: Shares of train, validation and test, where they are drawn.
        block: Bases of a block.
        buffer: Bases that windows of different splits are apart at least, for blocks.
        file: A table with ``chromosome start end split`` (regions; rows outside all are ``train``), or with
            ``id split`` (genes, transcripts).
        identity: Homology: least identity of an aligned pair that must not be divided between splits.
        coverage: Homology: least share of the shorter window that is aligned.
        tool: Homology: ``own``, ``mmseqs``, ``auto`` (MMseqs2 where it is installed), or ``graphpart``, which splits by
            itself and removes windows that no split can hold.
        seed: Of everything that is drawn.
    """

    scheme: Scheme
    validation: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1)
    block: int = 1_000_000
    buffer: int = 0
    file: Path | None = None
    identity: float = 0.8
    coverage: float = 0.5
    tool: Literal["auto", "own", "mmseqs", "graphpart"] = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        checks.one_of("scheme of splits", self.scheme, _DECIDE)
        checks.one_of("tool", self.tool, ("auto", "own", "mmseqs", "graphpart"))
        for name in ("validation", "test"):
            if isinstance(getattr(self, name), str) or not isinstance(getattr(self, name), Sequence):
                raise BendError(f"{name}={getattr(self, name)!r} (--{name}) are no chromosomes: give a list.")
        shares = self.fractions
        if not isinstance(shares, Sequence) or isinstance(shares, str) or len(shares) != 3:
            raise BendError(f"fractions={shares!r} (--fractions) are no three numbers above 0.")
        for share in shares:
            checks.number("fractions", share)
        checks.whole("block", self.block)
        checks.whole("buffer", self.buffer, 0)
        checks.whole("seed", self.seed, 0)
        for field in dataclasses.fields(self):
            of_others = field.name not in ("scheme", "seed", *_DECIDE[self.scheme])
            if of_others and getattr(self, field.name) != field.default:
                flag = "--split-file" if field.name == "file" else f"--{field.name}"
                raise BendError(
                    f"{field.name} ({flag}) changes nothing where the scheme of splits is {self.scheme}: leave it out."
                )


_DECIDE: dict[str, tuple[str, ...]] = {
    "chromosomes": ("validation", "test", "fractions"),
    "blocks": ("fractions", "block", "buffer"),
    "folds": (),
    "file": ("file",),
    "homology": ("fractions", "identity", "coverage", "tool"),
    "none": (),
}
"""Scheme of splits → the options that decide with it."""


@dataclass(frozen=True)
class Windows:
    """Windows to split: (n,) arrays.

    Attributes:
        code: Chromosome, as `Genome.code` gives it.
        start: First base, 0-based.
        end: Behind the last base.
        names: Names that a file of splits may use (genes, transcripts), or None.
        labels: (n, k) numbers of each label by window, to balance; or None.
    """

    code: np.ndarray
    start: np.ndarray
    end: np.ndarray
    names: tuple[str, ...] | None = None
    labels: np.ndarray | None = None

    def part(self, rows: np.ndarray | slice) -> Windows:
        """Return some of the windows, without names and labels."""
        return Windows(self.code[rows], self.start[rows], self.end[rows])


def joined(windows: list[Windows]) -> Windows:
    """Return all windows as one, in order, without names and labels."""
    code, start, end = (np.concatenate([getattr(w, name) for w in windows]) for name in ("code", "start", "end"))
    return Windows(code, start, end)


def union(windows: Windows) -> tuple[np.ndarray, np.ndarray]:
    """Return the union of windows as disjoint intervals (chromosome << 40 | position), sorted: starts and ends."""
    order = np.lexsort((windows.start, windows.code))
    start, end = (windows.code << 40 | windows.start)[order], (windows.code << 40 | windows.end)[order]
    reach = np.maximum.accumulate(end)
    first = np.flatnonzero(np.concatenate([[True], start[1:] > reach[:-1]]))
    return start[first], np.concatenate([reach[first[1:] - 1], reach[-1:]])


@dataclass(frozen=True)
class Assigned:
    """The split of each window ("" for none), and what is to be recorded of how it was found."""

    names: np.ndarray
    facts: dict[str, Any]


def assigned_once(work: Work, split: Split, windows: Windows, genome: Genome, counts: Counts) -> Assigned:
    """Split windows, or take how an earlier run of the build, that was killed, did (see `assign`)."""

    def make() -> dict[str, pa.Array]:
        found = assign(split, windows, genome, counts)
        return {"names": pa.array(found.names, pa.string()), "facts": pa.array([json.dumps(found.facts)])}

    step = work.step("splits", counts, make)
    return Assigned(strings(step["names"]), json.loads(step["facts"][0].as_py()))


def assign(split: Split, windows: Windows, genome: Genome, counts: Counts) -> Assigned:
    """Split windows.

    Raises:
        BendError: There are no windows, a chromosome or file is wrong, or a split would stay empty.
    """
    if not len(windows.code):
        raise BendError(f"No window is left to split. Left out: {counts.text()}.")
    if min(split.fractions) <= 0 or abs(sum(split.fractions) - 1) > 1e-6:
        shares = " ".join(map(str, split.fractions))
        raise BendError(f"The fractions {shares} are no shares of a whole: give three above 0 with the sum 1.")
    facts: dict[str, Any] = {"scheme": split.scheme}
    if split.scheme == "none":
        return Assigned(np.full(len(windows.code), "train", dtype=object), facts)
    if split.scheme == "file":
        names = _from_file(split, windows, genome, counts)
        facts["file"] = split.file.name if split.file else None
    elif split.scheme == "folds":
        names = _folds(windows, split.seed)
    elif split.scheme == "blocks":
        names = _blocks(split, windows)
        facts |= {"block": split.block, "buffer": split.buffer, "fractions": list(split.fractions), "seed": split.seed}
    elif split.scheme == "chromosomes":
        names, chosen = _chromosomes(split, windows, genome)
        facts |= chosen
    elif split.tool == "graphpart":
        part, found = partition(windows, genome, identity=split.identity, fractions=split.fractions)
        names = np.array([*SPLITS, ""], dtype=object)[part]
        facts |= found | {"fractions": list(split.fractions)}
        counts.add("window that GraphPart removed", int((part < 0).sum()))
    else:
        from bend_hf.build.homology import cluster

        groups, found = cluster(windows, genome, identity=split.identity, coverage=split.coverage, tool=split.tool)
        names = np.array(SPLITS, dtype=object)[allot(groups, split.fractions, split.seed, windows.labels)]
        facts |= found | {"fractions": list(split.fractions), "seed": split.seed}
        _refuse_giants(names, groups, split)
    before = names
    names = _apart(names, windows, split.buffer if split.scheme == "blocks" else 0)
    counts.add(
        "window straddles two splits, or is too near to another one", int(((names == "") & (before != "")).sum())
    )
    missing = [name for name in (FOLDS if split.scheme == "folds" else SPLITS) if not (names == name).any()]
    if missing and split.scheme != "file":
        present = [genome.names[code] for code in np.unique(windows.code)[:8]]
        remedy = {
            "chromosomes": f"Name others for --validation and --test: windows lie on {', '.join(present)}; or split by "
            "blocks, which need one chromosome only",
            "blocks": f"Ask for smaller blocks than {split.block:,} bp (--block)",
            "homology": f"They are {counted(facts.get('clusters', 0), 'cluster')} of relatives; ask for a higher "
            "--identity or "
            "--coverage, or split by chromosomes or blocks",
            "folds": "Ten folds need ten windows at least; split by blocks, or give a file",
        }[split.scheme]
        raise BendError(
            f"The split by {split.scheme} leaves no row for {', '.join(missing)}, of {counted(len(names), 'window')}. "
            f"{remedy}."
        )
    return Assigned(names, facts)


def allot(groups: np.ndarray, fractions: Sequence[float], seed: int, labels: np.ndarray | None = None) -> np.ndarray:
    """Share out whole groups so that splits come near their fractions of rows and of every label.

    Args:
        groups: (n,) group of each row, numbered from 0.
        fractions: Share of each split.
        seed: Orders groups of equal size.
        labels: (n, k) numbers of labels by row, or None.

    Returns:
        (n,) the split of each row, numbered as the fractions.
    """
    count = int(groups.max()) + 1
    features = np.bincount(groups, minlength=count)[:, None].astype(np.float64)
    if labels is not None and labels.shape[1]:
        sums = np.zeros((count, labels.shape[1]))
        np.add.at(sums, groups, labels)
        features = np.concatenate([features, sums], 1)
    features = features[:, features.sum(0) > 0]
    features /= features.sum(0)
    target = np.array(fractions, np.float64)[:, None] / sum(fractions)
    have = np.zeros((len(target), features.shape[1]))
    order = np.random.default_rng(seed).permutation(count)
    order = order[np.argsort(-features[order, 0], kind="stable")]
    chosen = np.empty(count, np.int64)
    weight = np.ones(features.shape[1])
    weight[0] = max(1, features.shape[1] - 1)  # rows count as much as all labels together
    for remaining, group in zip(range(count, 0, -1), order.tolist(), strict=True):
        # The squared error after the group is added, relative to the split's size: what differs between splits.
        room = (target - have) / target
        gain = ((room - features[group] / target / 2) * features[group] * weight).sum(1)
        empty = have[:, 0] == 0
        if remaining <= empty.sum():  # no split stays empty where there are groups enough
            gain[~empty] = -np.inf
        best = int(np.argmax(gain))
        have[best] += features[group]
        chosen[group] = best
    allotted: np.ndarray = chosen[groups]
    return allotted


def _chromosomes(split: Split, windows: Windows, genome: Genome) -> tuple[np.ndarray, dict[str, Any]]:
    present, groups = np.unique(windows.code, return_inverse=True)
    if split.validation or split.test:
        names = np.full(len(windows.code), "train", dtype=object)
        for name, chromosomes in (("valid", split.validation), ("test", split.test)):
            for code in [genome.code(chromosome) for chromosome in chromosomes]:
                taken = (windows.code == code) & (names != "train")
                if taken.any():
                    raise BendError(f"{genome.names[code]} is given for validation and for test. Name it once.")
                names[windows.code == code] = name
    else:
        if len(present) < 3:
            raise BendError(
                f"The windows lie on {counted(len(present), 'chromosome')}, too few to split by "
                "chromosome. Split by blocks."
            )
        names = np.array(SPLITS, dtype=object)[allot(groups, split.fractions, split.seed, windows.labels)]
    facts = {
        name: [genome.names[code] for code in present if (names[windows.code == code] == name).any()] for name in SPLITS
    }
    return names, {"chromosomes": facts, "drawn": not (split.validation or split.test), "seed": split.seed}


def _blocks(split: Split, windows: Windows) -> np.ndarray:
    middle = (windows.start + windows.end) // 2 // split.block
    _, groups = np.unique(windows.code << 40 | middle, return_inverse=True)
    names: np.ndarray = np.array(SPLITS, dtype=object)[allot(groups, split.fractions, split.seed, windows.labels)]
    return names


def _folds(windows: Windows, seed: int) -> np.ndarray:
    """Ten parts of whole chromosomes where there are ten, else of neighbouring windows."""
    present, groups = np.unique(windows.code, return_inverse=True)
    if len(present) >= len(FOLDS):
        names: np.ndarray = np.array(FOLDS, dtype=object)[allot(groups, [1] * len(FOLDS), seed)]
        return names
    order = np.lexsort((windows.start, windows.code))
    part = np.empty(len(order), np.int64)
    part[order] = np.arange(len(order)) * len(FOLDS) // len(order)
    return np.array(FOLDS, dtype=object)[part]


def _from_file(split: Split, windows: Windows, genome: Genome, counts: Counts) -> np.ndarray:
    if split.file is None:
        raise BendError("A split by file needs the file (--split-file).")
    lines, table = read_table(split.file, ["split"], "splits", optional=["id", "chromosome", "start", "end"])
    values = np.array(table["split"].to_pylist(), dtype=object)
    for row, value in enumerate(values):
        if value not in (*SPLITS, *FOLDS):
            lines.fail(table, row, "split", f"is no split: {', '.join(SPLITS)}, or part1 … part10.")
    if "id" in table.column_names:
        if windows.names is None:
            raise BendError(f"{split.file} splits by id, but these rows have none. Give chromosome, start, end, split.")
        known = dict(zip(table["id"].to_pylist(), values, strict=True))
        names = np.array([known.get(name, "") for name in windows.names], dtype=object)
        counts.add("row whose id is not in the file of splits", int((names == "").sum()))
        return names
    if not {"chromosome", "start", "end"} <= set(table.column_names):
        raise BendError(f"{split.file}, line 1: it needs the columns chromosome, start, end, split, or id, split.")
    names = np.full(len(windows.code), "train", dtype=object)
    start, end = lines.integers(table, "start"), lines.integers(table, "end")
    for row, chromosome in enumerate(table["chromosome"].to_pylist()):
        same = windows.code == genome.code(chromosome)
        touched = same & (windows.start < end[row]) & (windows.end > start[row])
        inside = same & (windows.start >= start[row]) & (windows.end <= end[row])
        names[inside & (names == "train")] = values[row]
        straddles = touched & ~inside & (names != values[row])
        counts.add("window straddles two splits, or is too near to another one", int((straddles & (names != "")).sum()))
        names[straddles] = ""
    return names


def _apart(names: np.ndarray, windows: Windows, buffer: int) -> np.ndarray:
    """Leave out windows that share a base with (or are nearer than `buffer` to) an earlier window of another split."""
    names = names.copy()
    order = np.lexsort((windows.end, windows.start, windows.code))
    reach: dict[str, tuple[int, int]] = {}
    rows = zip(
        order.tolist(),
        windows.code[order].tolist(),
        windows.start[order].tolist(),
        windows.end[order].tolist(),
        strict=True,
    )
    for row, code, start, end in rows:
        name = names[row]
        if not name:
            continue
        if any(other != name and at == code and to + buffer > start for other, (at, to) in reach.items()):
            names[row] = ""
            continue
        before = reach.get(name, (-1, -1))
        reach[name] = (code, max(end, before[1])) if before[0] == code else (code, end)
    return names


def _refuse_giants(names: np.ndarray, groups: np.ndarray, split: Split) -> None:
    sizes = np.bincount(groups)
    for name, fraction in zip(SPLITS, split.fractions, strict=True):
        found, wanted = int((names == name).sum()), fraction * len(names)
        if wanted >= 1 and not 0.5 * wanted <= found:
            raise BendError(
                f"The homology clusters cannot be split: {name} gets {found:,} of the {wanted:,.0f} windows wanted. "
                f"The largest of {counted(len(sizes), 'cluster')} holds {sizes.max():,} of "
                f"{counted(len(names), 'window')}. Ask for a "
                "higher identity or coverage, other fractions, or split by chromosomes or blocks."
            )
