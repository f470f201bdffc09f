"""Kinds of labels: everything that depends on the shape of labels, one module per kind.

from bend_hf.kinds import get_kind
get_kind("multilabel").score(task, labels, scores)
"""

from bend_hf.kinds.arrays import LabelError, Labels, Ragged
from bend_hf.kinds.kind import Kind
from bend_hf.kinds.registry import KINDS, get_kind, register

__all__ = ["KINDS", "Kind", "LabelError", "Labels", "Ragged", "get_kind", "register"]
