"""A store before there is one: its key, its folder and how it is cut into shards.

    layout = plan(embedder, distinct(sequences), Path("vectors"))
    layout.folder, layout.count, layout.path(7), layout.check(7)

The same on every machine that sees the same sequences and the same model, whatever the number of processes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from bend_hf.embed import shard
from bend_hf.embed.interface import SequenceEmbedder
from bend_hf.embed.vectors import Distinct, Precision, check_precision
from bend_hf.files import digest_of
from bend_hf.identity import Key

FORMAT = 1
LARGEST_SHARD = 1 << 27  # values, if every nucleotide were a token: 256 MB at two bytes
SMALLEST_SHARD = 1 << 25

_sound: dict[Path, tuple[int, ...]] = {}  # shards this process has read and found right, as stat saw them


@dataclass(frozen=True)
class Plan:
    """A store before there is one: where it lies, what goes into it and how it is cut into shards.

    Attributes:
        folder: ``<store_dir>/<key>``.
        key: What the folder's name is the digest of.
        found: The distinct sequences.
        edges: (s + 1,) int64, shard k holds the distinct sequences edges[k] to edges[k + 1].
        dim: Width of the vectors.
        precision: As in `pack`.
    """

    folder: Path
    key: Key
    found: Distinct
    edges: np.ndarray
    dim: int
    precision: Precision

    @property
    def count(self) -> int:
        """Number of shards."""
        return len(self.edges) - 1

    @cached_property
    def kind(self) -> str:
        """Digest of what makes vectors interchangeable between stores: all of the key but the sequences."""
        return digest_of({name: value for name, value in self.key.items() if name != "sequences"})

    def path(self, number: int) -> Path:
        """File of a shard."""
        return self.folder / f"shard-{number:05d}-of-{self.count:05d}.safetensors"

    def rows(self, number: int) -> slice:
        """The distinct sequences of a shard."""
        return slice(int(self.edges[number]), int(self.edges[number + 1]))

    def nucleotides(self, number: int) -> int:
        """Nucleotides of a shard."""
        return int(self.found.nucleotides[self.rows(number)].sum())

    def label(self, number: int) -> dict[str, str]:
        """What the header of a shard says it is."""
        return {"store": self.folder.name, "shard": f"{number}/{self.count}", "kind": self.kind}

    def check(self, number: int, *, full: bool = True) -> str | None:
        """Say what is wrong with a shard, or None; what this process has checked is not read again."""
        path = self.path(number)
        if path.exists() and _sound.get(path) == _stamp(path):
            return None
        problem = shard.check(path, self.label(number), self.found.digests[self.rows(number)], full=full)
        if problem is None and full:
            self.trust(number)
        return problem

    def trust(self, number: int) -> None:
        """Remember that this process knows the shard, as it is now, to be right."""
        _sound[self.path(number)] = _stamp(self.path(number))

    @property
    def complete(self) -> bool:
        """Whether the manifest is there and no shard is missing or plainly damaged."""
        return (self.folder / "manifest.json").is_file() and not any(
            self.check(number, full=False) for number in range(self.count)
        )


def _stamp(path: Path) -> tuple[int, ...]:
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns  # the last nobody sets back


def plan(embedder: SequenceEmbedder, found: Distinct, store_dir: Path, precision: Precision = "auto") -> Plan:
    """Lay out the store of some sequences.

    Raises:
        BendError: There is no such precision.
    """
    check_precision(precision)
    key = Key(
        "vectors",
        embedder=embedder.provenance()["key"],
        sequences=hashlib.sha256(found.digests.tobytes()).hexdigest(),
        precision=precision,
        format=FORMAT,
    )
    values = found.nucleotides * embedder.dim
    size = min(max(int(values.sum()) // 8, SMALLEST_SHARD), LARGEST_SHARD)
    number = (np.cumsum(values) - values) // size
    edges = np.append(np.flatnonzero(np.diff(number, prepend=-1)), len(values))
    return Plan(Path(store_dir) / key.digest[:32], key, found, edges, embedder.dim, precision)
