"""The nine classes of nucleotides, as BEND labels them: by coding sequence, on the forward strand.

classes(starts, ends, length, minus=False)        # of one window with the coding parts of one transcript
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bend_hf.build.coding import Coding

EXON, DONOR, INTRON, ACCEPTOR, INTERGENIC = 0, 1, 2, 3, 8


def labels_of(
    coding: Coding, chosen: np.ndarray, low: np.ndarray, high: np.ndarray, minus: np.ndarray
) -> Iterator[np.ndarray]:
    """Yield the classes of each window's nucleotides on the forward strand, int8."""
    for transcript, start, end in zip(chosen.tolist(), low.tolist(), high.tolist(), strict=True):
        parts = slice(coding.first[transcript], coding.first[transcript + 1])
        yield classes(coding.start[parts] - start, coding.end[parts] - start, end - start, bool(minus[transcript]))


def classes(starts: np.ndarray, ends: np.ndarray, length: int, minus: bool) -> np.ndarray:
    """Return the nine-class labels of one window.

    Args:
        starts: (n,) first bases of the coding parts in the window, ascending.
        ends: (n,) their ends, exclusive; adjacent parts are one exon.
        length: Bases of the window.
        minus: Whether the transcript runs on the reverse strand.

    Returns:
        (length,) int8 as `bend_hf.tasks` names them.
    """
    shift = 4 if minus else 0
    labels = np.full(length, INTERGENIC, np.int8)
    labels[starts[0] : ends[-1]] = INTRON + shift
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        labels[start:end] = EXON + shift
    gaps = np.flatnonzero(starts[1:] > ends[:-1])
    left, right = (ACCEPTOR, DONOR) if minus else (DONOR, ACCEPTOR)
    labels[ends[gaps]] = left + shift
    labels[starts[gaps + 1] - 1] = right + shift
    return labels
