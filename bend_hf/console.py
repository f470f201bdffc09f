"""What a person sees while work goes on: the library's logger and its progress bars (both on standard error).

``BEND_HF_VERBOSITY`` (debug, info, warning, error) sets the logger's level; ``HF_HUB_DISABLE_PROGRESS_BARS`` hides
the bars, which are off anyway where standard error is no terminal.
"""

from __future__ import annotations

import logging
import os
from typing import Any

from bend_hf.errors import without_credentials


def _without_credentials(record: logging.LogRecord) -> bool:
    """Take passwords out of the URLs of a message; all messages pass."""
    record.msg, record.args = without_credentials(record.getMessage()), ()
    return True


log = logging.getLogger("bend_hf")
log.addFilter(_without_credentials)
log.setLevel(os.environ.get("BEND_HF_VERBOSITY", "warning").upper())


def progress(iterable: Any = None, *, name: str, **options: Any) -> Any:
    """Return a tqdm bar.

    Args:
        iterable: What to go through, or None for a bar that is updated by hand.
        name: The bar's group, e.g. ``"bend_hf.embed"``; Hugging Face's switches for bars apply to it.
        **options: Passed to tqdm: ``total``, ``desc``, ``unit`` …
    """
    from huggingface_hub.utils import tqdm

    return tqdm(iterable, name=name, disable=None, **options)
