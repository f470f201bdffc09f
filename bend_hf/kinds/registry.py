"""The kinds by name."""

from __future__ import annotations

from bend_hf.errors import BendError, unknown
from bend_hf.kinds.bins import BINS
from bend_hf.kinds.kind import Kind
from bend_hf.kinds.multilabel import MULTILABEL
from bend_hf.kinds.nucleotide import NUCLEOTIDE
from bend_hf.kinds.variant import VARIANT
from bend_hf.kinds.window_class import WINDOW_CLASS
from bend_hf.kinds.window_value import WINDOW_VALUE

KINDS: dict[str, Kind] = {
    kind.name: kind for kind in (NUCLEOTIDE, BINS, MULTILABEL, VARIANT, WINDOW_CLASS, WINDOW_VALUE)
}


def get_kind(name: str) -> Kind:
    """Return a kind by name.

    Raises:
        BendError: There is none; the message lists the choices.
    """
    if not isinstance(name, str) or name not in KINDS:
        raise unknown("label_kind", str(name), KINDS)
    return KINDS[name]


def register(kind: Kind) -> None:
    """Add a kind, for tasks that declare its name.

    Raises:
        BendError: Another kind has the name.
    """
    if KINDS.setdefault(kind.name, kind) is not kind:
        raise BendError(f"There is a kind {kind.name!r} already; give this one another name.")
