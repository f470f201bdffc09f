"""Tokenizers that are used themselves, with the run lengths of their tokens.

    own = Fast(tokenizer) if tokenizer.is_fast else Slow(tokenizer)
    ids, lengths = own(["ACGTACGTTT"])[0]      # lengths sum to 10

A fast tokenizer says where each token lies; of a slow one the tokens are found along the sequence.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bend_hf.embed.rules import Encoded

NUCLEOTIDES = set("ACGTUN")


def surface(token: str) -> str:
    """The letters of a vocabulary entry without the marks of WordPiece, byte-level BPE and SentencePiece."""
    return token.removeprefix("##").lstrip("Ġ▁")


def is_mark(token: str) -> bool:
    """Whether a vocabulary entry is a mark alone (SentencePiece's ``▁``), to which no letter belongs."""
    return surface(token) == ""


def owners(offsets: Sequence[tuple[int, int]], length: int, marks: np.ndarray | None = None) -> np.ndarray:
    """Return run lengths from character offsets: a token owns from the end of the one before to its own end.

    Args:
        offsets: Start and end of each token in the text.
        length: Of the text; what lies behind the last token is the last one's.
        marks: Which tokens are marks, that own nothing.
    """
    owning = np.ones(len(offsets), bool) if marks is None else ~marks
    ends = np.array([end for (_, end), owns in zip(offsets, owning, strict=True) if owns], np.int64)
    if len(ends):
        ends[-1] = length
    lengths = np.zeros(len(offsets), np.int64)
    lengths[owning] = np.diff(ends, prepend=0)
    return lengths


def walk(text: str, surfaces: Sequence[str]) -> np.ndarray:
    """Return run lengths by finding each token's letters in the text; unknown ones share what lies between.

    Args:
        text: The sequence.
        surfaces: The tokens as the tokenizer writes them, specials left out; marks own nothing.
    """
    lengths = np.zeros(len(surfaces), np.int64)
    position, folded = 0, text.upper()
    waiting: list[int] = []

    def share(end: int) -> None:
        for rank, index in enumerate(waiting):
            lengths[index] = (end - position) * (rank + 1) // len(waiting) - (end - position) * rank // len(waiting)

    for index, token in enumerate(surfaces):
        if is_mark(token):
            continue
        letters = surface(token).upper()
        at = folded.find(letters, position + len(waiting)) if letters and set(letters) <= NUCLEOTIDES else -1
        if at < 0:
            waiting.append(index)
            continue
        share(at)
        lengths[index] = at + len(letters) - (at if waiting else position)
        position, waiting = at + len(letters), []
    share(len(text))
    return lengths


class Fast:
    """A Rust tokenizer: ids and, only where the letters of the tokens do not add up to the sequence, offsets.

    Args:
        tokenizer: A fast tokenizer of transformers.
        prefix: Text to put before every sequence.
        front: Number of tokens of that text.
    """

    def __init__(self, tokenizer: Any, prefix: str = "", front: int = 0):
        self.backend = tokenizer.backend_tokenizer
        self.backend.no_truncation()
        self.backend.no_padding()
        self.prefix, self.front = prefix, front
        vocabulary = tokenizer.get_vocab()
        self.letters = np.zeros(max(vocabulary.values()) + 1, np.int64)
        self.marks = np.zeros(len(self.letters), bool)
        for token, number in vocabulary.items():
            plain = surface(token).upper()
            self.marks[number] = plain == ""
            if plain and set(plain) <= NUCLEOTIDES:
                self.letters[number] = len(plain)

    def __call__(self, texts: Sequence[str]) -> list[Encoded]:
        """Return the tokens of each text, without special ones."""
        found: list[Encoded] = []
        fed = [self.prefix + text for text in texts]
        for text, whole, encoding in zip(
            texts, fed, self.backend.encode_batch_fast(fed, add_special_tokens=False), strict=True
        ):
            ids = np.array(encoding.ids[self.front :], np.int64)
            lengths, marks = self.letters[ids], self.marks[ids]
            if lengths.sum() != len(text) or not (lengths > 0)[~marks].all():
                offsets = self.backend.encode(whole, add_special_tokens=False).offsets[self.front :]
                shift = len(self.prefix)
                lengths = owners([(start - shift, end - shift) for start, end in offsets], len(text), marks)
            found.append(Encoded(ids, lengths))
        return found


class Slow:
    """A tokenizer in Python: the pieces before unknown ones are replaced, else a walk along the sequence.

    Its arguments are those of `Fast`.
    """

    def __init__(self, tokenizer: Any, prefix: str = "", front: int = 0):
        self.tokenizer, self.prefix, self.front = tokenizer, prefix, front

    def __call__(self, texts: Sequence[str]) -> list[Encoded]:
        """Return the tokens of each text, without special ones."""
        found = []
        for text in texts:
            pieces = self.tokenizer.tokenize(self.prefix + text)[self.front :]
            ids = np.array(self.tokenizer.convert_tokens_to_ids(pieces), np.int64)
            exact = "".join(pieces).upper() == text.upper()
            found.append(Encoded(ids, np.array([len(p) for p in pieces]) if exact else walk(text, pieces)))
        return found
