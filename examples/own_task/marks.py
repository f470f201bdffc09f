"""Makes a task: how many marks does a window carry? The peaks of a histone file, with a number instead of labels.

    python marks.py data/histone_modification/histone_modification.bed marks
    bend-hf evaluate MODEL --task marks --genome data/genomes/GRCh38.fa

It stands for any signal by window, such as CAGE or DNase coverage: one column of numbers is all that is needed.
"""

import csv
import sys
from pathlib import Path

from bend_hf.tasks import own_task, write_document


def main(bed, folder):
    folder = Path(folder)
    with Path(bed).open() as handle:
        peaks = list(csv.DictReader(handle, delimiter="\t"))
    rows = [
        {
            "chromosome": peak["chromosome"],
            "start": peak["start"],
            "end": peak["end"],
            "strand": peak["strand"],
            "label": len([mark for mark in peak["label"].split(",") if mark]),
            "split": {"valid": "validation"}.get(peak["split"], peak["split"]),
        }
        for peak in peaks
    ]
    task = own_task(
        folder.name,
        label_kind="window_value",
        label_names=("marks",),
        window=512,
        build="GRCh38",
        summary="Predict how many histone marks a window carries.",
        rows={split: sum(row["split"] == split for row in rows) for split in ("train", "validation", "test")},
        stranded=True,
    )
    folder.mkdir()
    with (folder / f"{folder.name}.csv").open("w", newline="") as handle:
        writer = csv.DictWriter(handle, [column.name for column in task.columns])
        writer.writeheader()
        writer.writerows(rows)
    write_document(folder / "task.json", task)


if __name__ == "__main__":
    main(*sys.argv[1:])
