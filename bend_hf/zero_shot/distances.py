"""Distances between the vectors of two alleles; larger is further apart."""

from __future__ import annotations

import numpy as np


def cosine(reference: np.ndarray, alternate: np.ndarray) -> np.ndarray:
    """Return 1 - cosine similarity of the rows of two (n, D) arrays, float64; BEND's distance."""
    product = (reference * alternate).sum(1)
    norms = np.linalg.norm(reference, axis=1) * np.linalg.norm(alternate, axis=1)
    return 1.0 - product / np.maximum(norms, np.finfo(np.float64).tiny)


def l2(reference: np.ndarray, alternate: np.ndarray) -> np.ndarray:
    """Return the Euclidean distance of the rows of two (n, D) arrays."""
    return np.linalg.norm(reference - alternate, axis=1)


def inner_product(reference: np.ndarray, alternate: np.ndarray) -> np.ndarray:
    """Return the negative inner product of the rows of two (n, D) arrays, so that larger means further apart."""
    return -(reference * alternate).sum(1)


DISTANCES = {"cosine": cosine, "l2": l2, "inner_product": inner_product}
