"""What a file says, read in the plainest way and by none of the package's code: what the package's reading is held to.

Each function raises what it likes where it cannot read; then the package has to refuse as well.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

COMPLEMENT = str.maketrans("ACGTN", "TGCAN")
READ_AS = {**{base: base for base in "ACGTN"}, "U": "T", **dict.fromkeys("RYSWKMBDHV", "N")}
SPLITS = {"train": "train", "valid": "validation", "test": "test"}


def fasta(content: bytes) -> dict[str, str]:
    """Record → bases, upper-case."""
    records: dict[str, list[str]] = {}
    for line in content.decode("ascii").split("\n"):
        line = line.removesuffix("\r")
        if line.startswith(">"):
            name = line[1:].split()[0]
            assert name not in records
            records[name] = []
        elif line:
            records[next(reversed(records))] += [READ_AS[base] for base in line.upper()]
    return {name: "".join(bases) for name, bases in records.items()}


def bed(content: bytes, columns: list[str]) -> list[dict[str, str]]:
    """Rows as column → text."""
    lines = [line.rstrip("\r") for line in content.decode("utf-8-sig").split("\n")]
    header, *rows = [line.split("\t") for line in lines if line]
    assert sorted(header) == sorted(columns)
    assert rows
    assert not any("\r" in field for row in [header, *rows] for field in row)
    found = [dict(zip(header, row, strict=True)) for row in rows]
    first: dict[str, str] = {}  # a chromosome has one name throughout, with or without ``chr``
    for row in found:
        row["chromosome"] = first.setdefault(row["chromosome"].removeprefix("chr"), row["chromosome"])
    return found


def whole(text: str) -> int:
    """A whole number in ASCII digits."""
    assert re.fullmatch("-?[0-9]+", text)
    return int(text)


def bases(genome: dict[str, str], row: dict[str, str], start: int, end: int, strand: str = "+") -> str:
    """The window of a row, N beyond its chromosome."""
    name = row["chromosome"]
    chromosome = genome[name if name in genome else name[3:] if name.startswith("chr") else f"chr{name}"]
    found = "".join(chromosome[at] if 0 <= at < len(chromosome) else "N" for at in range(start, end))
    return found[::-1].translate(COMPLEMENT) if strand == "-" else found


def variants(content: bytes, columns: list[str], genome: dict[str, str]) -> list[dict[str, Any]]:
    """Rows of variants, as the dataset has them."""
    found = []
    for row in bed(content, columns):
        start, label = whole(row["start"]), whole(row["label"])
        ref, alt = row["ref"].upper(), row["alt"].upper()
        window = bases(genome, row, start - 512, start + 512)
        assert start == whole(row["end"])
        assert window[512] == ref != alt in "ACGT"
        assert label in (0, 1)
        assert row["split"] == "train"
        found.append(
            {
                **{name: row[name] for name in ("chromosome", "full_label")},
                **{"start": start, "ref": ref, "alt": alt, "label": label, "consequence": row["Consequence"]},
                **{"ref_sequence": window, "alt_sequence": window[:512] + alt + window[513:], "variant_offset": 512},
            }
        )
    return found


def windows(content: bytes, columns: list[str], genome: dict[str, str], size: int, labels: int) -> list[dict[str, Any]]:
    """Rows of windows with any number of labels."""
    found = []
    for row in bed(content, columns):
        start, end = whole(row["start"]), whole(row["end"])
        on = [whole(text) for text in row["label"].split(",")] if row["label"] else []
        sequence = bases(genome, row, start, end, row["strand"])
        assert start >= 0
        assert end - start == size
        assert row["strand"] in ("+", "-", ".")
        assert len(set(on)) == len(on)
        assert set(on) <= set(range(labels))
        found.append(
            {
                **{name: row[name] for name in ("chromosome", "strand")},
                **{"start": start, "end": end, "labels": on, "sequence": sequence, "split": SPLITS[row["split"]]},
            }
        )
    return found


def hdf5_labels(path: Path) -> list[list[float]]:
    """Every row of the dataset ``labels``, flat."""
    import h5py
    import numpy as np

    with h5py.File(path, "r") as handle:
        data = handle["labels"]
        return [np.ravel(data[row]).astype(float).tolist() for row in range(len(data))]


def safetensors(content: bytes) -> dict[str, tuple[str, list[int], bytes]]:
    """Name → (type, shape, bytes) of the tensors, as the format's own page describes it."""
    length = int.from_bytes(content[:8], "little")
    header, body = json.loads(content[8 : 8 + length].decode()), content[8 + length :]
    assert len(content) >= 8 + length
    found = {}
    for name, entry in header.items():
        if name != "__metadata__":
            start, end = entry["data_offsets"]
            assert 0 <= start <= end <= len(body)
            found[name] = (entry["dtype"], entry["shape"], body[start:end])
    return found
