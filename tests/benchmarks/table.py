"""The table every benchmark prints: what, the reference's value, ours, and how many times better.

from table import main

if __name__ == "__main__":
    main(run)          # run(size) -> rows of (what, reference's value, ours, unit)
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

Row = tuple[str, float, float, str]
SIZES = ("tiny", "small", "medium")


def ratio(row: Row) -> float:
    """How many times better ours is; a unit that ends in ``/s`` is a rate, any other a cost."""
    _, reference, ours, unit = row
    return ours / reference if unit.endswith("/s") else reference / ours


def text(rows: list[Row]) -> str:
    """The rows as an aligned table."""
    cells = [("", "reference", "bend_hf", "unit", "ratio")]
    cells += [(row[0], f"{row[1]:,.4g}", f"{row[2]:,.4g}", row[3], f"{ratio(row):.1f}x") for row in rows]
    return aligned(cells, "<>><>")


def aligned(cells: Sequence[Sequence[str]], sides: str) -> str:
    """Lines of cells, each column to its side (``<`` or ``>``)."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(line, sides, widths, strict=True))
        for line in cells
    ]
    return "\n".join(line.rstrip() for line in lines)


def main(run: Callable[[str], list[Row]]) -> None:
    """Run one benchmark from the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", choices=SIZES, default="small")
    print(text(run(parser.parse_args().size)))
