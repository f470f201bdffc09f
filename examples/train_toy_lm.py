"""A small masked language model of the toy genome, and what its layers and scores are worth, known beforehand or not.

    python examples/train_toy_lm.py toy-lm                # trains for about a minute on one core, then evaluates
    bend-hf evaluate toy-lm/model --data-dir toy-lm/toy --layers all

Dilated convolutions over single nucleotides learn the order of codons, introns and motifs (the model of `bend-hf demo`,
trained for longer). Then, with the package:

* score by layer, and the layer that *validation* chooses (`--layers all`);
* every distance at every layer and the likelihood of the same variants, from one pass and one more
  (`--scores distances@all llr`), and the one that *cross-fitting* chooses;
* the truth: the same scores of many variants of another toy genome, made by the same rules, that chose nothing;
* a control: with labels that are permuted, the best score picked on the test variants is above chance, and the
  cross-fitted one is not.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import numpy as np

import bend_hf
from bend_hf.data import toy
from bend_hf.demo import train_toy_model
from bend_hf.embed.open import load_embedder
from bend_hf.metric import load_metric
from bend_hf.protocols import get_protocol
from bend_hf.results.board import board
from bend_hf.results.crossfit import cross_fit
from bend_hf.results.predictions import Predictions
from bend_hf.results.record import Result, read_predictions
from bend_hf.results.sweeps import by_layer
from bend_hf.zero_shot.variants import score_variants

TASK, VARIANTS = "gene_finding", "variant_effects_expression"


def curve(results: list[Result]) -> None:
    """Print score by layer and the layer that validation chooses."""
    [sweep] = by_layer(board(results))
    print(f"\n{TASK}: score by layer\nlayer  validation  test   95 % interval")
    for point in sweep.points:
        low, high = point.row.interval or (float("nan"),) * 2
        print(f"{point.name:>5}  {point.validation:10.3f}  {point.row.score:.3f}  {low:.3f} to {high:.3f}")
    top = max(sweep.points, key=lambda point: point.row.score)
    print(f"chosen on validation: layer {sweep.best.name}; highest on the test rows: layer {top.name}")


def areas(scores: dict[str, np.ndarray], labels: np.ndarray) -> dict[str, float]:
    """Return the AUROC of each score."""
    metric = load_metric("auroc")
    return {name: metric.compute(references=labels, predictions=values)["auroc"] for name, values in scores.items()}


def own(predictions: Predictions) -> list[str]:
    """Return the names of a model's own scores among those beside."""
    return [name for name in predictions.beside if "@" in name or name == "llr"]


def choice(result: Result, true: dict[str, float]) -> None:
    """Print the scores of variants, the cross-fitted choice and the truth."""
    found, fitted = result.secondary["by_score"], result.secondary["cross_fitted"]
    ranked = sorted(true, key=true.__getitem__, reverse=True)
    print(f"\n{VARIANTS}: the five best scores in truth, and the headline\nscore                 here   truth")
    for name in [*ranked[:5], "cosine"]:
        print(f"{name:<20}  {found[name]:.3f}  {true[name]:.3f}")
    low, high = fitted["interval"]
    print(f"cross-fitted: {fitted['score']:.3f} ({low:.3f} to {high:.3f}), chose {' and '.join(fitted['chosen'])}")


def permuted(predictions: Predictions, times: int) -> tuple[float, float]:
    """Return the mean AUROC of the best score picked on test, and the cross-fitted one, of permuted labels."""
    import pyarrow as pa

    random, picked, fitted = np.random.default_rng(0), [], []
    at = predictions.table.column_names.index("labels")
    scores = {name: predictions.by(name).scores for name in own(predictions)}
    for _ in range(times):
        labels = random.permutation(predictions.labels)
        table = predictions.table.set_column(at, "labels", pa.array(labels))
        picked.append(max(areas(scores, labels).values()))
        fitted.append(cross_fit(Predictions(predictions.task, table), own(predictions), resamples=100).score)
    return float(np.mean(picked)), float(np.mean(fitted))


def main() -> None:
    """Train, evaluate and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--variants", type=int, default=200, help="with an effect, in the toy that is evaluated")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--limit", type=int, default=112, help="most rows of each split, of the task with heads")
    parser.add_argument("--times", type=int, default=20, help="permutations of the control")
    asked = parser.parse_args()
    logging.getLogger("bend_hf").setLevel(logging.ERROR)

    data = toy.make(asked.folder / "toy", variants=asked.variants, genes=16)
    model = str(asked.folder / "model")
    print(f"trained for {asked.steps} steps: loss {train_toy_model(Path(model), data, steps=asked.steps):.3f} nats")
    options = {"data_dir": data, "output": asked.folder / "results"}
    curve(
        bend_hf.evaluate(
            model,
            TASK,
            layers="all",
            seeds=1,
            epochs=asked.epochs,
            batch_size=1,
            limit=asked.limit,
            standardize=True,
            **options,
        )
    )

    scores = ["cosine", "distances@all", "llr"]
    [result] = bend_hf.evaluate(model, VARIANTS, scores=scores, **options)
    other = toy.make(asked.folder / "other", seed=1, variants=asked.variants, genes=16)
    rows = bend_hf.load_dataset("variant_effects", "expression", split="test", data_dir=other)
    protocol = get_protocol("default")
    true = score_variants(load_embedder(model, protocol=protocol), rows, protocol=protocol, scores=scores)
    choice(result, areas(dict(true), np.asarray(rows["label"])))

    picked, fitted = permuted(read_predictions(result), asked.times)
    print(f"\npermuted labels, mean of {asked.times}: best picked on test {picked:.3f}, cross-fitted {fitted:.3f}")


if __name__ == "__main__":
    main()
