"""What a builder leaves out, and why: nothing disappears without a line here."""

from __future__ import annotations

from bend_hf.console import log


class Counts:
    """Reasons and numbers, in the order in which they were found.

    Attributes:
        left_out: Reason → rows (or transcripts, peaks …) that were left out for it.
        noted: What was seen and kept → how often.
    """

    def __init__(self) -> None:
        self.left_out: dict[str, int] = {}
        self.noted: dict[str, int] = {}

    def add(self, reason: str, number: int, *, dropped: bool = True) -> None:
        """Count, unless `number` is 0."""
        if number:
            where = self.left_out if dropped else self.noted
            where[reason] = where.get(reason, 0) + number

    def tell(self) -> None:
        """Log every reason and number."""
        for what, reasons in (("left out", self.left_out), ("seen and kept", self.noted)):
            for reason, number in reasons.items():
                log.info("%s %s: %s", f"{number:,}", what, reason)

    def text(self) -> str:
        """Return the reasons in one line."""
        return "; ".join(f"{number:,} × {reason}" for reason, number in self.left_out.items()) or "nothing"
