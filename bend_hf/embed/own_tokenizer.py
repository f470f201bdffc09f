"""Tokenizers that are used themselves, with the run lengths of their tokens.

    own = Fast(tokenizer) if tokenizer.is_fast else Slow(tokenizer)
    ids, lengths = own(["ACGTACGTTT"])[0]      # lengths sum to 10

A fast tokenizer says where each token lies; of a slow one the tokens are found along the sequence.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bend_hf.embed.rules import LETTERS, Encoded


def surface(token: str) -> str:
    """The letters of a vocabulary entry without the marks of WordPiece, byte-level BPE and SentencePiece."""
    return token.removeprefix("##").lstrip("Ġ▁")


def owners(offsets: Sequence[tuple[int, int]], length: int) -> np.ndarray:
    """Return run lengths from character offsets: a token owns from the end of the one before to its own end."""
    ends = np.fromiter((end for _, end in offsets), np.int64, len(offsets))
    if len(ends):
        ends[-1] = length
    return np.diff(ends, prepend=0)


def walk(text: str, surfaces: Sequence[str]) -> np.ndarray:
    """Return run lengths by finding each token's letters in the text; unknown ones share what lies between.

    Args:
        text: The sequence.
        surfaces: The tokens as the tokenizer writes them, specials left out.
    """
    lengths = np.zeros(len(surfaces), np.int64)
    position, folded = 0, text.upper()
    waiting: list[int] = []

    def share(end: int) -> None:
        for rank, index in enumerate(waiting):
            lengths[index] = (end - position) * (rank + 1) // len(waiting) - (end - position) * rank // len(waiting)

    for index, token in enumerate(surfaces):
        letters = surface(token).upper()
        at = folded.find(letters, position + len(waiting)) if letters and set(letters) <= set(LETTERS) else -1
        if at < 0:
            waiting.append(index)
            continue
        share(at)
        lengths[index] = at + len(letters) - (at if waiting else position)
        position, waiting = at + len(letters), []
    share(len(text))
    return lengths


class Fast:
    """A Rust tokenizer: ids and, only where the letters of the tokens do not add up to the sequence, offsets."""

    def __init__(self, tokenizer: Any):
        self.backend = tokenizer.backend_tokenizer
        self.backend.no_truncation()
        self.backend.no_padding()
        vocabulary = tokenizer.get_vocab()
        self.letters = np.zeros(max(vocabulary.values()) + 1, np.int64)
        for token, number in vocabulary.items():
            plain = surface(token).upper()
            if plain and set(plain) <= set(LETTERS):
                self.letters[number] = len(plain)

    def __call__(self, texts: Sequence[str]) -> list[Encoded]:
        """Return the tokens of each text, without special ones."""
        found: list[Encoded] = []
        for text, encoding in zip(
            texts, self.backend.encode_batch_fast(list(texts), add_special_tokens=False), strict=True
        ):
            ids = np.array(encoding.ids, np.int64)
            lengths = self.letters[ids]
            if lengths.sum() != len(text) or not lengths.all():
                lengths = owners(self.backend.encode(text, add_special_tokens=False).offsets, len(text))
            found.append(Encoded(ids, lengths))
        return found


class Slow:
    """A tokenizer in Python: the pieces before unknown ones are replaced, else a walk along the sequence."""

    def __init__(self, tokenizer: Any):
        self.tokenizer = tokenizer

    def __call__(self, texts: Sequence[str]) -> list[Encoded]:
        """Return the tokens of each text, without special ones."""
        found = []
        for text in texts:
            pieces = self.tokenizer.tokenize(text)
            ids = np.array(self.tokenizer.convert_tokens_to_ids(pieces), np.int64)
            exact = "".join(pieces).upper() == text.upper()
            found.append(Encoded(ids, np.array([len(p) for p in pieces]) if exact else walk(text, pieces)))
        return found
