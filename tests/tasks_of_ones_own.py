"""Small tasks that are none of BEND's, on a genome of another organism, and their folders."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path
from typing import Any

from bend_hf.tasks import Column, Task, own_task, write_document

LENGTHS = {"IV": 30_000, "scaffold_9": 20_000}
WINDOW = 100
RICH = 30
"""More G than that in a window are many."""


def make_task(name: str = "my_task", **fields: Any) -> Task:
    values: dict[str, Any] = {
        "label_kind": "multilabel",
        "label_names": ("rich", "even"),
        "window": WINDOW,
        "build": "WBcel235",
        "summary": "Find windows that are rich in G.",
        "rows": {"train": 60, "validation": 20, "test": 40},
        "stranded": True,
        "chromosomes": LENGTHS,
    }
    return own_task(name, **(values | fields))


def write_genome(path: Path) -> dict[str, str]:
    """Write two chromosomes, whose stretches of 150 bp have each their own share of G, and of C."""
    generator = random.Random(3)
    genome = {}
    for name, length in LENGTHS.items():
        weights = [(1, generator.random() * 3, generator.random() * 3, 1) for _ in range(length // 150 + 1)]
        genome[name] = "".join("".join(generator.choices("ACGT", each, k=150)) for each in weights)[:length]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f">{name}\n{sequence}\n" for name, sequence in genome.items()))
    return genome


def other_strand(sequence: str) -> str:
    return sequence.translate(str.maketrans("ACGT", "TGCA"))[::-1]


def label(task: Task, sequence: str) -> str:
    """Label of a window, from its sequence: a rule a model can learn."""
    rich = sequence.count("G") > RICH
    return {
        "multilabel": ",".join(["0"] * rich + ["1"] * (sequence.count("A") % 2)),
        "window_class": task.label_names[rich] if len(task.label_names) > 1 else "",
        "window_count": f"{sequence.count('G') * 10 + 500}",
        "window_value": f"{sequence.count('G') * 10 + 500}",
        "per_nucleotide_class": ",".join(f"{int(base in 'GC')}:1" for base in sequence),
        "per_bin_binary": ",".join(f"{int('GG' in sequence[i : i + 10])}:1" for i in range(0, len(sequence), 10)),
    }[task.label_kind]


def write_folder(folder: Path, task: Task, *, ending: str = ".bed") -> Path:
    """Write the folder of a task with 120 windows, and the genome in it."""
    genome = write_genome(folder / "genomes" / f"{task.build}.fa")
    splits = ["train"] * 60 + ["validation"] * 20 + ["test"] * 40
    delimiter = "," if ending == ".csv" else "\t"
    lines = [delimiter.join(column.name for column in task.columns)]
    for i, split in enumerate(splits):
        chromosome = list(LENGTHS)[i % 2]
        start = 150 * i
        sequence = genome[chromosome][start : start + WINDOW]
        # Labels of windows are of the strand that is read; those of positions are written in forward order.
        single = task.label_kind.startswith("per_") or i % 2 == 0
        text = label(task, sequence if single else other_strand(sequence))
        text = f'"{text}"' if ending == ".csv" else text
        lines.append(delimiter.join([chromosome, str(start), str(start + WINDOW), "+-"[i % 2], text, split]))
    (folder / f"{task.name}{ending}").write_text("\n".join(lines) + "\n")
    write_document(folder / "task.json", task)
    return folder


def write_variants(folder: Path, name: str = "snps", **fields: Any) -> Path:
    """Write the folder of a task with 60 variants; each third has an effect."""
    genome = write_genome(folder / "genomes" / "WBcel235.fa")
    extra = Column("Study", "string", "where it was seen", row=True)
    values = {"label_names": ("none", "effect"), "window": 1_024, "rows": {"test": 60}, "stranded": False} | fields
    task = make_task(name, label_kind="variant_binary", **values)
    task = dataclasses.replace(task, columns=(*task.columns, extra))
    generator = random.Random(5)
    lines = ["\t".join(column.name for column in task.columns)]
    for i in range(60):
        chromosome = list(LENGTHS)[i % 2]
        position = 1_000 + 250 * i
        reference = genome[chromosome][position]
        alternate = generator.choice([base for base in "ACGT" if base != reference])
        cells = [chromosome, position, position, reference, alternate, int(i % 3 == 0), "test", f"study{i % 4}"]
        lines.append("\t".join(map(str, cells)))
    (folder / f"{name}.bed").write_text("\n".join(lines) + "\n")
    write_document(folder / "task.json", task)
    return folder
