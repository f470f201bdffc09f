"""Zero-shot variant effects: how far the embedding at a variant moves when its base is replaced.

    scores = score_variants(embedder, dataset, protocol=get_protocol("default"))
    scores["cosine"]                    # (n,) float64, larger for a larger predicted effect; rows in dataset order

Windows are cropped from the dataset's 1,024 bp of context (variant at index 512); see `windows`. The vector is that of
the token which owns the variant's nucleotide: for overlapping k-mers the one whose middle it is (index 254 of the
6-mers of a window), for BPE and 6-mers the token that covers it. Both alleles are embedded once for all distances, and
a reference window shared by several variants once for all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from bend_hf.console import log
from bend_hf.errors import BendError, unknown
from bend_hf.zero_shot.alleles import tell_apart
from bend_hf.zero_shot.distances import DISTANCES, PLACES, aligned, pooled, split
from bend_hf.zero_shot.likelihood import LIKELIHOODS, Likelihood, language_model, of_model
from bend_hf.zero_shot.pairs import embedded
from bend_hf.zero_shot.windows import CHUNK, View, chunks, views

if TYPE_CHECKING:
    from datasets import Dataset

    from bend_hf.embed.interface import SequenceEmbedder
    from bend_hf.protocols import Protocol

HEADLINE = "cosine"
"""BEND's score."""
Measured = dict[tuple[int | None, str], Tensor]
"""What one strand gave, by layer and place: both vectors (2, D), or of a largest distance one number per distance."""
KEYS = ("chromosome", "start", "ref", "alt")


@dataclass(frozen=True, eq=False)
class VariantScores(Mapping[str, np.ndarray]):
    """Scores of variants by name, like a dictionary, with what they are scores of.

    Attributes:
        columns: Score → (n,) float64 in the order of the dataset; larger is a larger predicted effect. Where both
            strands were read, ``cosine`` is that of their mean, and ``cosine.forward`` and ``cosine.reverse`` those of
            each.
        rows: The variants: of ``chromosome``, ``start`` (0-based), ``ref`` and ``alt`` what the dataset has.
        provenance: ``model`` (what determines the vectors), ``protocol``, ``windows`` (score → what was read on each
            strand), ``unmoved`` (variants whose alleles have equal vectors; ``unmoved_at`` by layer, where layers were
            named) and ``same_by_definition`` (variants whose two inputs are equal because of where the reference code's
            window ends).
    """

    columns: dict[str, np.ndarray]
    rows: dict[str, np.ndarray]
    provenance: dict[str, Any]

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.columns:
            raise unknown("score", name, self.columns)
        return self.columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)

    def __repr__(self) -> str:
        return f"VariantScores({len(next(iter(self.rows.values()), ()))} variants: {', '.join(self.columns)})"

    def to_pandas(self) -> Any:
        """Return a table with one row per variant: its keys and all scores."""
        import pandas as pd

        return pd.DataFrame(self.rows | self.columns)


def names() -> list[str]:
    """Return the names of all scores: every distance at every place, and the likelihoods."""
    return [*every_distance(), *dict.fromkeys(likelihood.name for likelihood in LIKELIHOODS)]


def every_distance() -> list[str]:
    """Return the names of every distance at every place."""
    return [place + distance for place in PLACES for distance in DISTANCES]


def choose(scores: str | Sequence[str] | None, embedder: SequenceEmbedder) -> list[str]:
    """Return the scores meant by a choice.

    Args:
        scores: Names; ``"distances"`` for every distance at every place; with ``@6`` behind, of that layer, with
            ``@all`` of every one. None for those that one pass over the protocol's windows gives. That is every
            distance, but for causal models those at the variant: their windows end with it, so that the others need a
            pass over windows that go on behind it.
        embedder: The model.

    Raises:
        BendError: A name is unknown, or the model cannot give the score or has no such layer; it says why.
    """
    if scores is None:
        return [name for name in every_distance() if not (embedder.causal and split(name)[0])]
    chosen: dict[str, None] = {}
    asked = [scores] if isinstance(scores, str) else list(scores) if isinstance(scores, Iterable) else [scores]
    if wrong := [score for score in asked if not isinstance(score, str)]:
        raise BendError(f"scores={scores!r} (--scores): {wrong[0]!r} is no name of a score.")
    for score in asked:
        name, _, layer = score.partition("@")
        if name not in (*names(), "distances"):
            raise unknown("variant score", name, [*names(), "distances"])
        stems = every_distance() if name == "distances" else [name]
        if not layer:
            chosen |= dict.fromkeys(stems)
        elif stems[0] not in every_distance():
            raise BendError(f"{score}: a likelihood is that of the whole model, and of no layer: leave @{layer} out.")
        else:
            chosen |= {f"{stem}@{number}": None for number in _layers(layer, embedder) for stem in stems}
    for name in chosen:
        if _is_likelihood(name):
            of_model(name, embedder)
    return list(chosen)


def _layers(asked: str, embedder: Any) -> Sequence[int]:
    """Return the layers meant by what stands behind an ``@``."""
    last = getattr(embedder, "n_layers", None)
    if last is None:
        raise BendError(f"@{asked}: {embedder.name} shows no layers but its output: leave @{asked} out.")
    if len(embedder.network.layers) > 1:
        raise BendError(
            f"@{asked}: {embedder.name} is read at several layers side by side: give one, or none (layer=)."
        )
    if asked == "all":
        return range(last + 1)
    if not asked.isdecimal() or int(asked) > last:
        raise BendError(
            f"@{asked}: {embedder.name} has no such layer; it has {last}, 0 (embeddings) to {last}, or all of them."
        )
    return [int(asked)]


def _is_likelihood(name: str) -> bool:
    return name.partition("@")[0] not in every_distance()


def offered(scores: str | Sequence[str] | None, embedder: SequenceEmbedder) -> list[str]:
    """Return the scores meant by a choice as `choose` does, the headline first.

    Raises:
        BendError: As there; or a likelihood is asked for and the checkpoint has no language-model head.
    """
    chosen = list(dict.fromkeys([HEADLINE, *choose(scores, embedder)]))
    if any(map(_is_likelihood, chosen)):
        language_model(embedder)
    return chosen


def as_scored(embedder: Any) -> Any:
    """Return the embedder that variants are scored with: in float32, unless another dtype was asked for.

    Their distances are small differences of vectors, of which half precision leaves little.
    """
    return embedder.in_float32() if hasattr(embedder, "in_float32") else embedder


def score_variants(
    embedder: SequenceEmbedder,
    dataset: Dataset,
    *,
    protocol: Protocol,
    scores: str | Sequence[str] | None = ("cosine",),
) -> VariantScores:
    """Score variants without training.

    Args:
        embedder: Any embedder. One whose dtype was left open computes in float32 here; of one that averages the
            strands each strand is read by itself.
        dataset: Rows with ``chromosome``, ``start``, ``ref_sequence``, ``alt_sequence``, ``variant_offset``.
        protocol: Says where the window of a causal model ends.
        scores: As for `choose`.

    Raises:
        BendError: A score is unknown or the model does not allow it, a row has too little context, or the model's
            input cannot show the alleles of a variant.
    """
    embedder = as_scored(embedder)
    chosen = choose(scores, embedder)
    scheme: Any = getattr(embedder, "scheme", None)
    strands = ("forward", "reverse") if getattr(embedder, "averages", False) else ("forward",)
    likelihoods = {name: of_model(name, embedder) for name in chosen if _is_likelihood(name)}
    windows: dict[str, tuple[View, ...]] = {}
    for name in chosen:
        if name in likelihoods:
            windows[name] = likelihoods[name].window(scheme, strands)
        else:
            causal = embedder.causal and not split(name)[0]
            windows[name] = views(scheme, causal=causal, shift=protocol.causal_variant_shift, strands=strands)
    model = language_model(embedder) if likelihoods else None
    # Whole blocks before a variant are one input for both alleles.
    compared = {seen for name, seen in windows.items() if not (name == "llr_block" and embedder.causal)}
    same = sum(tell_apart(embedder.name, scheme, dataset, seen) for seen in sorted(compared, key=repr))

    columns: dict[str, np.ndarray] = {}
    moved: dict[int | None, np.ndarray] = {}
    for seen in dict.fromkeys(windows.values()):
        some = [name for name in chosen if windows[name] == seen]
        distances = [name for name in some if name not in likelihoods]
        if distances:
            plain = embedder.plain() if hasattr(embedder, "plain") else embedder
            columns |= _distances(plain, scheme, dataset, seen, distances, moved)
        for name in some:
            if name in likelihoods:
                columns |= _likelihoods(embedder, model, dataset, seen, likelihoods[name])
    unmoved = int((~np.any(list(moved.values()), axis=0)).sum()) if moved else 0
    if moved and unmoved == len(dataset) > 0:  # a process may have no variant
        log.warning(
            "%s gives the same vectors for both alleles of all %d variants: it does not see them, and its distances "
            "say nothing.",
            embedder.name,
            unmoved,
        )
    elif unmoved:
        log.info("%s: %d variants with the same vectors for both alleles", embedder.name, unmoved)
    rows = {name: np.asarray(dataset.with_format("numpy")[name][:]) for name in KEYS if name in dataset.column_names}
    provenance = {
        "model": embedder.provenance(),
        "protocol": protocol.name,
        "windows": {name: [vars(view) for view in seen] for name, seen in windows.items()},
        "unmoved": unmoved,
        "unmoved_at": {layer: int((~one).sum()) for layer, one in moved.items() if layer is not None},
        "same_by_definition": same,
    }
    ordered = {column: columns[column] for name, seen in windows.items() for column in _columns(name, seen)}
    return VariantScores(ordered, rows, provenance)


def score_layers(
    embedders: Sequence[Any], dataset: Dataset, *, protocol: Protocol, scores: Sequence[str]
) -> list[VariantScores]:
    """Score variants at several layers of one model, from one pass: as `score_variants` does for each.

    Args:
        embedders: Of single layers of the model.
        dataset: As for `score_variants`.
        protocol: As for `score_variants`.
        scores: Names, without layers. Likelihoods are of the whole model, and so the same at every layer.
    """
    plain = [name for name in scores if _is_likelihood(name)]
    numbers = [one.n_layers if -1 in one.network.layers else one.network.layers[0] for one in embedders]
    at = [{name: name if name in plain else f"{name}@{number}" for name in scores} for number in numbers]
    joint = score_variants(
        embedders[-1],
        dataset,
        protocol=protocol,
        scores=list(dict.fromkeys(name for one in at for name in one.values())),
    )
    found = []
    for embedder, number, names in zip(embedders, numbers, at, strict=True):
        columns = {
            name + end: joint[column + end]
            for name, column in names.items()
            for end in ("", ".forward", ".reverse")
            if column + end in joint.columns
        }
        facts = joint.provenance | {
            "model": as_scored(embedder).provenance(),
            "windows": {name: joint.provenance["windows"][column] for name, column in names.items()},
            "unmoved": joint.provenance["unmoved_at"].get(number, 0),
        }
        found.append(VariantScores(columns, joint.rows, facts))
    return found


def _distances(
    embedder: SequenceEmbedder,
    scheme: Any,
    dataset: Dataset,
    seen: Sequence[View],
    chosen: Sequence[str],
    moved: dict[int | None, np.ndarray],
) -> dict[str, np.ndarray]:
    """Return the distances chosen, from one pass over both alleles on the strands seen; set `moved` where they differ.

    It holds (variants,) bool of every layer.

    Averaged strands: the distance of the mean vectors; of the largest distances the mean.
    """
    by_place: dict[tuple[int | None, str], list[str]] = {}
    for name in chosen:
        place, _, layer = split(name)
        by_place.setdefault((layer, place), []).append(name)
    layers = list(dict.fromkeys(layer for layer, _ in by_place))
    for layer in layers:
        moved.setdefault(layer, np.zeros(len(dataset), bool))
    found = {name: np.empty((len(dataset), 1 + len(seen)), np.float64) for name in chosen}
    places = {place for _, place in by_place}
    waiting: list[tuple[int, list[Measured]]] = []

    def settle() -> None:
        rows = [row for row, _ in waiting]
        for at, some in by_place.items():
            values = torch.stack([torch.stack([one[at] for one in strands]) for _, strands in waiting])
            for number, name in enumerate(some):
                if at[1] == "max_":  # (variants, strands, distances)
                    apart = values[:, :, number]
                    mean = apart.mean(1)
                else:  # (variants, strands, alleles, D)
                    distance = DISTANCES[split(name)[1]]
                    apart = distance(values[:, :, 0], values[:, :, 1])
                    mean = distance(*values.mean(1).unbind(1))
                found[name][rows] = torch.cat((mean[:, None], apart), 1).numpy()
        waiting.clear()

    strands: list[Measured] = []
    for row, pair, references, alternates in embedded(embedder, scheme, dataset, seen, layers, places):
        measured: Measured = {}
        for (layer, place), some in by_place.items():
            reference, alternate = (tokens[layers.index(layer)] for tokens in (references, alternates))
            if place == "max_":
                both = aligned(reference, alternate)
                measured[layer, place] = torch.stack([DISTANCES[split(name)[1]](*both).max() for name in some])
            else:
                both = (pooled(reference, place, pair.read), pooled(alternate, place, pair.read))
                measured[layer, place] = torch.stack(both)
            moved[layer][row] = moved[layer][row] or not torch.equal(*both)
        strands.append(measured)
        if len(strands) == len(seen):
            waiting.append((row, strands))
            strands = []
            if len(waiting) == CHUNK:
                settle()
    if waiting:
        settle()
    return {
        column: values[:, index] for name, values in found.items() for index, column in enumerate(_columns(name, seen))
    }


def _columns(name: str, seen: Sequence[View]) -> list[str]:
    """The names of a score: averaged, and of each strand where there are two."""
    return [name] if len(seen) == 1 else [name, *(f"{name}.{view.strand}" for view in seen)]


def _likelihoods(
    embedder: Any, model: Any, dataset: Dataset, seen: Sequence[View], likelihood: Likelihood
) -> dict[str, np.ndarray]:
    """Return a likelihood ratio on each strand seen, and its mean."""
    found = np.empty((len(dataset), len(seen)), np.float64)
    for rows, cropped in chunks(dataset, seen, getattr(embedder, "scheme", None), likelihood.name):
        for strand, windows in enumerate(cropped):
            found[rows, strand] = likelihood.ratio(embedder, model, windows)
    values = np.column_stack((found.mean(1), found))
    return {column: values[:, index] for index, column in enumerate(_columns(likelihood.name, seen))}
