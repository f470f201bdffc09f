"""The one exception of the package, and the "did you mean" that goes with unknown names.

Every message names what is wrong (file, row, field, value) and what to do about it. The command line prints
the message alone and exits with 1; in Python it is an ordinary ``ValueError``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class BendError(ValueError):
    """Bad input or a state that cannot give a trustworthy result; the message says what to do."""


def unknown(kind: str, name: str, choices: Iterable[str]) -> BendError:
    """Return the error for an unknown name: the nearest choice, then all of them.

    Args:
        kind: What was asked for, e.g. ``"task"``.
        name: What was given.
        choices: Every valid name.
    """
    choices = list(choices)
    folded = {choice.casefold(): choice for choice in choices}
    near = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.5)
    hint = f" Did you mean {folded[near[0]]!r}?" if near else ""
    return BendError(f"Unknown {kind} {name!r}.{hint} Choices: {', '.join(choices)}.")
