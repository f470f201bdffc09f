"""The seeds of one model, drawn again from their predictions on the same resamples of the test rows.

    drawn = draw(results, resamples=1000, seed=0)     # what `bend_hf.results.ranks` compares
    error_of_mean(results)                            # of the mean over seeds; computed once, then from the cache

A mean over seeds has a smaller error over test rows than one seed's score: what seeds and rows do together is averaged
out in part.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from bend_hf import files
from bend_hf.errors import BendError
from bend_hf.results.conditions import trained
from bend_hf.results.ranks import Drawn, over_seeds
from bend_hf.results.record import Result, read_predictions
from bend_hf.results.statistics import bootstrap
from bend_hf.results.verify import STANDARD, VERSION
from bend_hf.text import counted


def draw(results: Sequence[Result], resamples: int, seed: int) -> Drawn:
    """Resample the seeds of one model one after another: predictions of a large test set fill much memory."""
    random = trained(results[0])
    several: dict[str, Drawn] = {}
    for result in results if random else results[:1]:
        predictions = read_predictions(result)
        boot = bootstrap(predictions, resamples=resamples, seed=seed)
        name = f"{result.label} (seed {result.seed})"
        several[name] = over_seeds([boot], random=random, rows=len(predictions), keys=predictions.keys_digest)
    same_rows(results[0].task, several)
    first = next(iter(several.values()))
    return over_seeds([one.bootstrap for one in several.values()], random=random, rows=first.rows, keys=first.keys)


def same_rows(task: str, drawn: dict[str, Drawn]) -> None:
    """Refuse models, or seeds, that were not tested on the same rows and labels, in the same order.

    Raises:
        BendError: The message names two of them.
    """
    first = next(iter(drawn))
    for model, one in drawn.items():
        if one.keys != drawn[first].keys:
            raise BendError(
                f"{task}: {first} and {model} were tested on different rows ({drawn[first].rows:,} and "
                f"{counted(one.rows, 'row')}; their keys or labels differ): evaluate both on the same data."
            )


def error_of_mean(results: Sequence[Result]) -> float | None:
    """Standard error over test rows of the mean over a model's seeds; None where predictions are not at hand."""
    digests = []
    for result in results:
        if result.path is None or result.predictions is None:
            return None
        if not (result.path.parent / result.predictions["file"]).is_file():
            return None
        digests.append(result.predictions["sha256"])

    def make(path: Path) -> None:
        try:
            found = draw(results, int(STANDARD["resamples"]), int(STANDARD["seed"]))
        except BendError:  # seeds of other rows: no resample is that of their mean
            found = None
        files.write_json(path, {"error": None if found is None or found.lack else found.bootstrap.error})

    key = files.digest_of([VERSION, "error of a mean over seeds", results[0].task, digests])
    path = files.kept(files.cache_dir("summaries") / f"{key}.json", make)
    error = json.loads(path.read_text(encoding="utf-8"))["error"]
    return None if error is None else float(error)
