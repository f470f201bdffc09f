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
        """Log every reason and number; what was left out is a warning, which is shown unless it is turned off."""
        for reason, number in self.left_out.items():
            log.warning("%s left out: %s", f"{number:,}", reason)
        for reason, number in self.noted.items():
            log.info("%s seen and kept: %s", f"{number:,}", reason)

    def text(self) -> str:
        """Return the reasons in one line."""
        return "; ".join(f"{number:,} × {reason}" for reason, number in self.left_out.items()) or "nothing"
