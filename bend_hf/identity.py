"""What a thing was made from: one `Key` for rows, token vectors, training states and results.

    key = Key("rows", task="gene_finding", version="1.0.0", files={"bed": "…", "genome": "…"}, reader=1)
    key.digest        # 64 hex: equal keys mean interchangeable things
    key.short         # 8 hex, in file names, so that two runs that differ in anything live side by side

A key holds everything that decides the thing and nothing else: no path, no batch size of the embedding, no number of
processes. Each kind has its parts, and a key that lacks one, or has another, is refused where it is made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

from bend_hf import files, resources

Kind = Literal["rows", "vectors", "state", "result"]

PARTS: dict[Kind, tuple[str, ...]] = {
    "rows": ("task", "version", "files", "reader"),
    "vectors": ("embedder", "sequences", "precision", "format"),
    "state": ("task", "protocol", "recipe", "network", "settings", "seeds", "vectors", "splits", "code"),
    "result": ("rows", "embedder", "network", "protocol", "recipe", "settings", "code"),
}
"""What a thing of each kind is made from.

* rows: task, version of its declaration, digests of its files, version of the reader.
* vectors: the embedder's own key (weights, the class and tokenizer that read them, dtype, layers, strand, windows,
  prefix …), digest of the sequences, how vectors are kept, format of the store.
* state: all that decides the numbers of a training; vectors and splits by digest.
* result: digest of the rows, the embedder's key (the model's name where there is none), the protocol, the recipe, the
  settings as they were resolved, and the digest of the code that trains and scores. Its seed stands beside it.
"""

SCORING = tuple(
    f"results/{name}.py"
    for name in ("summary", "statistics", "clusters", "chance", "predictions", "crossfit", "transcripts")
)
CODE = ("kinds", "embed", "models", "train", "zero_shot", "walk.py", "subsets.py", "metric.py", *SCORING)
"""Files and rooms of the package whose text decides a result, beside the metrics of the task's kind."""


class Key(Mapping[str, Any]):
    """An immutable mapping from parts to JSON-able values, with a digest.

    Args:
        kind: What the thing is.
        **parts: Those of `PARTS`, each once.

    Raises:
        TypeError: A part is missing or unknown.
    """

    def __init__(self, kind: Kind, **parts: Any) -> None:
        wrong = sorted(set(parts) ^ set(PARTS[kind]))
        if wrong:
            raise TypeError(f"A key of {kind} has the parts {', '.join(PARTS[kind])}; missing or unknown: {wrong}.")
        self.kind: Kind = kind
        self._parts = parts
        self.digest = files.digest_of([kind, parts])

    @property
    def short(self) -> str:
        """The first 8 hex digits of the digest."""
        return self.digest[:8]

    def __getitem__(self, part: str) -> Any:
        return self._parts[part]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)

    def __repr__(self) -> str:
        return f"Key({self.kind} {self.short})"


@cache
def code_digest(metrics: tuple[str, ...]) -> str:
    """Return the SHA-256 of the code that decides a result: `CODE`, and the modules of a kind's metrics.

    A changed line there makes results again, since nobody can know which numbers it changes.
    """
    package = Path(__file__).parent
    modules = [resources.folder("metrics") / name / f"{name}.py" for name in sorted(metrics)]
    roots = [package / name for name in CODE] + modules
    sources = [path for root in roots for path in (sorted(root.rglob("*.py")) if root.is_dir() else [root])]
    return files.digest_of([[path.name, files.digest_file(path)] for path in sources if path.is_file()])


def flat(parts: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Return nested parts as one level: ``{"embedder": {"layer": [0]}}`` becomes ``{"embedder.layer": [0]}``."""
    found: dict[str, Any] = {}
    for name, value in parts.items():
        path = f"{above}{name}"
        found |= flat(value, f"{path}.") if isinstance(value, Mapping) and value else {path: value}
    return found
