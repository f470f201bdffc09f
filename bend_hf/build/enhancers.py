"""Enhancer-annotation tasks: windows on the starts of genes, and the bins in them that are enhancers of that gene.

    enhancers(["crispri.tsv", "abc.tsv"], "tss.tsv", "GRCh38.fa", "my_enhancers", build="GRCh38")

A window is centred on the transcription start site; a bin is 1 if at least one of its bases lies in an element that is
linked to the gene. A gene that an earlier file of links has elements for takes none from later files: put measurements
before predictions.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from bend_hf.build.control import Kind, finish_with_controls
from bend_hf.build.counts import Counts
from bend_hf.build.located import locate_chromosomes
from bend_hf.build.options import checked
from bend_hf.build.readers.links import Links, Starts, read_links, read_starts
from bend_hf.build.splits import Split, Windows, assigned_once
from bend_hf.build.work import Work, builder
from bend_hf.build.write import Built, declare, write
from bend_hf.data.genome import Genome
from bend_hf.errors import BendError
from bend_hf.tasks import TASKS
from bend_hf.text import counted


@builder
def enhancers(
    links: Sequence[str | Path],
    tss: str | Path,
    genome: str | Path,
    output: str | Path,
    *,
    build: str,
    bins: int = 782,
    bin_size: int = 128,
    min_score: float = 0,
    split: Split | None = None,
    aliases: str | Path | None = None,
    skip_absent: bool = False,
    seed: int = 0,
    controls: Sequence[Kind] = (),
    command: str | None = None,
    verbose: bool = False,
) -> Path:
    """Write an enhancer-annotation task.

    Args:
        links: Tables of links (see `bend_hf.build.readers.links`), the most trusted first.
        tss: Start sites: a table ``chromosome tss gene`` (0-based), or a GTF or GFF3.
        genome: FASTA.
        output: Folder to write; its name is the task's.
        build: Name of the genome build, for the record.
        bins: Bins of a window.
        bin_size: Bases of a bin.
        min_score: Least score of a predicted link.
        split: How rows are split; ten folds by default.
        aliases: An assembly report, or a table of chromosome names.
        skip_absent: Leave out links and genes on chromosomes that the genome lacks, instead of an error.
        seed: Of the folds.
        controls: Control tasks to write beside it, as ``<output>_<kind>``: ``permuted``, ``shuffled``, ``matched`` (see
            `bend_hf.build.control`).
        command: What to record as the command.
        verbose: Whether to tell what is done and how far it is, as the command line does.

    Returns:
        The folder.

    Raises:
        BendError: A table is malformed, no linked gene has a start site, or nothing is left.
    """
    arguments = checked(locals())  # each decides the rows
    output = Path(output)
    split = split or Split("folds", seed=seed)
    paths: dict[str, str | Path | None] = {f"links {number}": path for number, path in enumerate(links, start=1)}
    paths |= {"tss": tss, "genome": genome, "aliases": aliases, "splits": split.file}
    work = Work.begin(output, paths, arguments, command)
    if work.has_rows():
        return finish_with_controls(work, controls, seed)
    fasta = Genome(genome)
    counts = Counts()
    starts = _starts(work, Path(tss), counts)
    codes = locate_chromosomes(starts.path, starts.chromosome, fasta, aliases=aliases, skip=skip_absent)
    _check_starts(starts, codes, fasta)
    elements = _elements(
        [_links(work, f"links {number}", Path(path), min_score, counts) for number, path in enumerate(links, start=1)],
        starts,
        codes,
        fasta,
        aliases,
        skip_absent,
        counts,
    )
    width = bins * bin_size
    rows = [row for row in range(len(starts.gene)) if codes[row] >= 0 and row in elements]
    counts.add("gene without a linked element", int((codes >= 0).sum()) - len(rows), dropped=False)
    code, low = codes[rows], starts.position[rows] - width // 2
    inside = (low >= 0) & (low + width <= np.array(list(fasta.lengths.values()))[code])
    counts.add("gene: its window leaves the chromosome", int((~inside).sum()))
    labels = np.zeros((len(rows), bins), np.int8)
    for at, row in enumerate(rows):
        for start, end in elements[row]:
            first, last = (start - low[at]) // bin_size, -((low[at] - end) // bin_size)
            labels[at, max(0, first) : max(0, last)] = 1
    empty = inside & ~labels.any(1)
    counts.add("gene: no linked element in its window", int(empty.sum()))
    kept = np.flatnonzero(inside & ~empty)
    kept = kept[np.lexsort((low[kept], code[kept]))]
    names = [starts.gene[rows[at]] for at in kept.tolist()]
    windows = Windows(code[kept], low[kept], low[kept] + width, names=tuple(names))
    assigned = assigned_once(work, split, windows, fasta, counts)
    chosen = np.flatnonzero(assigned.names != "")
    kept = kept[chosen]
    table = pa.table(
        {
            "chromosome": pa.array(np.array(fasta.names, dtype=object)[code[kept]], pa.string()),
            "start": low[kept],
            "end": low[kept] + width,
            "gene": pa.array([names[at] for at in chosen.tolist()]),
            "score": pa.array([""] * len(kept)),
            "strand": pa.array(["."] * len(kept)),
            "split": pa.array(assigned.names[chosen], pa.string()),
        }
    )
    labels = labels[kept]
    template = TASKS["enhancer_annotation"]
    assert template.recipe is not None
    if labels.all():
        raise BendError(
            f"Every bin of the {counted(len(labels), 'window')} left is on: there is nothing to tell apart. Ask for "
            "wider windows (--bins), or give links whose elements are not as wide as a window."
        )
    weight = max(0.01, round(float((labels == 0).sum() / max(1, labels.sum())), 2))
    task = declare(
        template,
        build=build,
        title=output.name,
        summary=(
            f"Find the {bin_size}-bp bins of a {width:,}-bp window around a gene's start that are enhancers of it."
        ),
        window=width,
        bin_size=bin_size,
        recipe=dataclasses.replace(template.recipe, pool=bin_size, positive_weight=weight),
        **({} if split.scheme == "folds" or _parts(assigned.names) else _fixed()),
    )
    choices = {
        "links": [Path(path).name for path in links],
        "precedence": "a gene takes its elements from the first file that has any for it",
        "bins": bins,
        "bin_size": bin_size,
        "min_score": min_score,
        "positive_weight": weight,
        "seed": seed,
        "split": assigned.facts,
    }
    write(work, Built(task, table, labels, counts, choices))
    return finish_with_controls(work, controls, seed)


def _check_starts(starts: Starts, codes: np.ndarray, genome: Genome) -> None:
    lengths = np.array([*genome.lengths.values(), 1 << 60])[codes]
    if (beyond := np.flatnonzero((starts.position < 0) | (starts.position >= lengths))).size:
        row = int(beyond[0])
        raise BendError(
            f"{starts.path}: {len(beyond):,} start sites lie outside their chromosome in {genome.path} (first: "
            f"{starts.gene[row]} at {starts.chromosome[row]}:{starts.position[row]:,}). Is the file of another genome "
            "build?"
        )


def _starts(work: Work, path: Path, counts: Counts) -> Starts:
    step = work.step("tss", counts, lambda: {k: v for k, v in vars(read_starts(path)).items() if k != "path"})
    return Starts(path, step["gene"].to_pylist(), step["chromosome"].to_pylist(), step["position"].to_numpy())


def _links(work: Work, what: str, path: Path, min_score: float, counts: Counts) -> Links:
    def make() -> dict[str, pa.Array]:
        table = read_links(path, min_score, counts).table
        return {name: table[name].combine_chunks() for name in table.column_names}

    return Links(path, pa.table(work.step(what, counts, make)))


def _parts(names: np.ndarray) -> bool:
    return any(str(name).startswith("part") for name in names)


def _fixed() -> dict[str, object]:
    """Return the fields of a task with fixed splits."""
    fixed = TASKS["gene_finding"]
    return {"split_scheme": fixed.split_scheme, "split_names": fixed.split_names}


def _elements(
    links: Sequence[Links],
    starts: Starts,
    codes: np.ndarray,
    genome: Genome,
    aliases: str | Path | None,
    skip: bool,
    counts: Counts,
) -> dict[int, list[tuple[int, int]]]:
    """Return the elements of each gene (its row among the starts), from the first file that has any for it.

    Raises:
        BendError: No linked gene has a start site.
    """
    row_of = {gene: row for row, gene in enumerate(starts.gene)}
    found: dict[int, list[tuple[int, int]]] = {}
    for file in links:
        table = {name: file.table[name].to_pylist() for name in file.table.column_names}
        names = table["chromosome"]
        unique = list(dict.fromkeys(names))
        located = locate_chromosomes(file.path, unique, genome, aliases=aliases, skip=skip) if unique else np.empty(0)
        code_of = dict(zip(unique, located.tolist(), strict=True))
        lengths = [*genome.lengths.values(), 1 << 60]
        for name, start, end in zip(names, table["start"], table["end"], strict=True):
            if end > lengths[code_of[name]]:
                raise BendError(
                    f"{file.path}: the element {name}:{start}-{end} ends beyond its chromosome, which has "
                    f"{lengths[code_of[name]]:,} bp in {genome.path}. Is the file of another genome build?"
                )
        new: dict[int, list[tuple[int, int]]] = {}
        for at, name in enumerate(names):
            if file.by_gene:
                gene = table["gene"][at]
                targets = [row_of[gene]] if gene in row_of else []
            else:
                inside = (starts.position >= table["second_start"][at]) & (starts.position < table["second_end"][at])
                there = np.array([c == table["second_chromosome"][at] for c in starts.chromosome])
                targets = np.flatnonzero(inside & there).tolist()
            if not targets:
                counts.add("link: its gene has no start site", 1)
            for row in targets:
                if codes[row] != code_of[name]:
                    counts.add("link: the gene is on another chromosome", 1)
                elif row in found:
                    counts.add("link: an earlier file has elements of the gene", 1)
                else:
                    new.setdefault(row, []).append((table["start"][at], table["end"][at]))
        found |= new
    if not found:
        raise BendError(f"No linked gene has a start site in {starts.path}. Left out: {counts.text()}.")
    return found
