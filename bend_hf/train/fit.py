"""`fit`: train the heads of a task on token vectors, keep each one's best epoch, and predict the test split.

    fitted = fit(task, train=Split(source, labels, rows), validation=…, test=…, protocol=get_protocol("default"))
    fitted[0].validation_score, fitted[0].scores[0]

One loop for a laptop's CPU, a GPU, or many of them under ``accelerate launch``. An optimiser step is the recipe's
batch, whatever the memory: it is dealt out to the processes and cut into micro-batches of like length, whose losses
add up to the batch's. The loop runs in a thread of its own, for two reasons: its OpenMP team then flushes denormals
whatever ran before (a head's small gradients slow a CPU twelvefold otherwise), and Ctrl-C ends it between two steps,
saved.
"""

from __future__ import annotations

import hashlib
import math
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn

from bend_hf.console import log, progress
from bend_hf.errors import BendError, unknown
from bend_hf.files import digest_of
from bend_hf.protocols import Protocol
from bend_hf.runtime import keep_freed_memory, release_threads
from bend_hf.tasks import Task
from bend_hf.train import checkpoint
from bend_hf.train.batches import Split, epoch_order
from bend_hf.train.checkpoint import State
from bend_hf.train.head import cnn_head
from bend_hf.train.loop import (
    Network,
    Run,
    Stopped,
    losses,
    predict,
    references,
    save,
    score,
    train_epoch,
    training_steps,
)
from bend_hf.train.processes import make_accelerator

__all__ = ["Fitted", "Split", "fit", "losses"]

Precision = Literal["auto", "fp32", "bf16", "fp16"]


@dataclass(frozen=True)
class Fitted:
    """One trained head.

    Attributes:
        seed: The seed it was initialised with.
        best_epoch: The epoch that was best on the validation split, counted from 1.
        validation_score: The task's metric there; None where the validation labels leave it undefined.
        history: One entry per epoch: epoch, train_loss, validation_loss, validation_score, seconds.
        scores: The best epoch's probabilities on the test split, one float32 array per row: (L, classes) per
            nucleotide, (bins,) per bin, (labels,) per window.
        selected_by: What chose the best epoch: the metric's name, or ``validation_loss`` where it is undefined.
        precision: What it was trained in: ``float32``, or autocast to ``bfloat16`` or ``float16``.
    """

    seed: int
    best_epoch: int
    validation_score: float | None
    history: list[dict[str, Any]]
    scores: list[np.ndarray]
    selected_by: str
    precision: str


def fit(
    task: Task,
    *,
    train: Split,
    validation: Split,
    test: Split,
    protocol: Protocol,
    network: Network | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    seeds: Sequence[int] = (0,),
    precision: Precision = "auto",
    patience: int | None = None,
    checkpoint_dir: Path | None = None,
    trackers: Sequence[str] = (),
    device: str | torch.device | None = None,
    sampling_seed: int = 0,
    checkpoint_seconds: float = 60.0,
) -> list[Fitted]:
    """Train one head per seed and return each with its test predictions.

    All heads share each pass over the vectors. They are shuffled alike (by `sampling_seed` and the epoch), and
    initialised each by its own seed, so that seeds trained together equal seeds trained alone.

    Args:
        task: A supervised task.
        train: Rows to train on.
        validation: Rows that choose the best epoch.
        test: Rows to predict.
        protocol: How samples are shuffled, and whether padding reaches the head.
        network: None for the CNN head, else ``(task, dim, protocol) -> nn.Module`` with the head's forward; seeds
            are then trained one after the other.
        epochs: Passes over `train`; None for the recipe's.
        batch_size: Rows per optimiser step, over all processes; None for the recipe's.
        seeds: Seeds of initialisation.
        precision: ``fp32``, or autocast to ``bf16`` or ``fp16``. ``auto`` takes what ``accelerate launch`` was told,
            else bf16 on a GPU that has it (fp16 on others) and fp32 on a CPU.
        patience: Stop a head after that many epochs without a better validation score; None to go on to the end.
        checkpoint_dir: Folder for the run's state, from which a repeated call goes on; None to keep none.
        trackers: Names of Accelerate's trackers (``tensorboard``, ``trackio``, ``wandb`` …).
        device: Where to train; None for Accelerate's choice.
        sampling_seed: Seed of the shuffling.
        checkpoint_seconds: Shortest time between two saved states within an epoch.

    Raises:
        BendError: A split is empty, labels do not fit the vectors, or the loss became NaN or infinite.
        KeyboardInterrupt: Ctrl-C; the state was saved, and the same call goes on from there.
    """
    recipe = task.recipe
    if recipe is None:
        raise BendError(f"{task.name} is zero-shot: there is nothing to train.")
    for name, split in (("train", train), ("validation", validation), ("test", test)):
        if not len(split.rows):
            raise BendError(f"{task.name}: the {name} split has no rows; check the `split` column of its BED file.")
    for name, value in (("epochs", epochs), ("batch_size", batch_size), ("patience", patience), ("seeds", len(seeds))):
        if value is not None and value < 1:
            raise BendError(f"{name} is {value}; want at least 1.")
    accelerator = make_accelerator(list(trackers), checkpoint_dir or ".")
    place = torch.device(device) if device is not None else accelerator.device
    run = Run(
        task=task,
        recipe=recipe,
        train=train,
        validation=validation,
        test=test,
        protocol=protocol,
        network=network,
        seeds=tuple(seeds),
        epochs=epochs or recipe.epochs,
        batch_size=batch_size or recipe.batch_size,
        sampling_seed=sampling_seed,
        patience=patience,
        accelerator=accelerator,
        device=place,
        dtype=_autocast(precision, accelerator, place),
        file=None if checkpoint_dir is None else Path(checkpoint_dir) / f"{task.name}.safetensors",
        checkpoint_seconds=checkpoint_seconds,
        stop=threading.Event(),
    )
    if network is None:
        return _in_own_thread(run)
    return [fitted for seed in run.seeds for fitted in _in_own_thread(replace(run, seeds=(seed,)))]


def _autocast(precision: Precision, accelerator: Accelerator, device: torch.device) -> torch.dtype | None:
    """Return the type to compute in under autocast, or None for float32 throughout."""
    names = {"fp32": None, "no": None, "bf16": torch.bfloat16, "fp16": torch.float16}
    if precision == "auto" and accelerator.mixed_precision != "no":
        precision = accelerator.mixed_precision
    elif precision == "auto" and device.type == "cuda":
        precision = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    elif precision == "auto":
        precision = "fp32"
    if precision not in names:
        raise unknown("precision", precision, ["auto", "fp32", "bf16", "fp16"])
    if precision == "fp16" and device.type == "cpu":
        raise BendError("fp16 is for GPUs; on a CPU train in bf16 or fp32.")
    return names[precision]


def _in_own_thread(run: Run) -> list[Fitted]:
    """Train in a new thread, and let Ctrl-C stop it between two steps."""
    if run.device.type == "cpu":
        keep_freed_memory()
        release_threads()
    outcome: list[Any] = []
    threads = torch.get_num_threads()

    def work() -> None:
        torch.set_flush_denormal(True)
        torch.set_num_threads(threads)
        if run.device.type == "cuda":
            torch.cuda.set_device(run.device)
        try:
            with torch.random.fork_rng(devices=[run.device] if run.device.type == "cuda" else []):
                outcome.append(_fit(run))
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=work, name="bend_hf_fit", daemon=True)
    thread.start()
    try:
        thread.join()
    except KeyboardInterrupt:
        run.stop.set()
        log.warning("%s: stopping after this step (Ctrl-C again to leave at once).", run.task.name)
        thread.join()
        raise
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    return outcome[0]


def _key(run: Run, model: nn.Module) -> str:
    """Return the digest of what decides a run's numbers; vectors are known by their lengths and a few samples."""
    splits = []
    for split in (run.train, run.validation, run.test):
        digest = hashlib.sha256()
        for row in split.rows:
            digest.update(np.ascontiguousarray(split.labels[int(row)]).tobytes())
        digest.update(np.ascontiguousarray(split.vectors.lengths_in_tokens[split.rows]).tobytes())
        for vectors, lengths in split.vectors.read([int(row) for row in split.rows[:2]]):
            digest.update(vectors.contiguous().view(torch.uint8).numpy().tobytes() + lengths.tobytes())
        splits.append(digest.hexdigest())
    return digest_of(
        {
            "task": [run.task.name, run.task.version],
            "protocol": asdict(run.protocol),
            "recipe": asdict(run.task.recipe) if run.task.recipe else None,
            "parameters": {name: list(value.shape) for name, value in model.state_dict().items()},
            "network": run.network is not None,
            "settings": [run.seeds, run.epochs, run.batch_size, run.sampling_seed, run.patience, str(run.dtype)],
            "splits": splits,
        }
    )


def _build(run: Run) -> State:
    """Return the state before the first step."""
    dim, heads = run.train.vectors.dim, len(run.seeds)
    if run.network is None:
        model: nn.Module = cnn_head(run.task, dim, run.protocol, run.seeds)
    else:
        torch.manual_seed(run.seeds[0])
        model = run.network(run.task, dim, run.protocol)
    model.to(run.device)
    rate, decay = run.recipe.learning_rate, run.recipe.weight_decay
    return State(
        model=model,
        optimizer=torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=decay, fused=True),
        scaler=torch.amp.GradScaler(run.device.type, enabled=run.dtype == torch.float16),
        losses=torch.zeros(heads, dtype=torch.float64, device=run.device),
        history=[[] for _ in range(heads)],
        best=[{} for _ in range(heads)],
        best_epoch=[0] * heads,
        stopped=[False] * heads,
    )


def _fit(run: Run) -> list[Fitted]:
    """Train to the end, from the saved state if there is one, and predict the test split with the best weights."""
    state = _build(run)
    if run.file is not None:
        run = replace(run, file=run.file.with_suffix(f".{_key(run, state.model)[:24]}.safetensors"))
        assert run.file is not None
        if checkpoint.load(run.file, state):
            log.info("%s: going on from epoch %d, step %d.", run.task.name, state.epoch + 1, state.step)
    if run.accelerator.trackers or run.accelerator.log_with:
        settings = {"task": run.task.name, "protocol": run.protocol.name, "seeds": str(run.seeds), "epochs": run.epochs}
        run.accelerator.init_trackers("bend_hf", settings)
    try:
        _train(run, state)
        for head in range(len(run.seeds)):
            checkpoint.set_weights(state.model, head, state.best[head])
        _, values, offsets = predict(run, state.model, run.test, classes=False)
    except Stopped:
        save(run, state)
        raise
    finally:
        for tracker in run.accelerator.trackers:
            tracker.finish()
    return [_fitted(run, state, head, values[head], offsets) for head in range(len(run.seeds))]


def _train(run: Run, state: State) -> None:
    """Go on until the last epoch, or until every head's patience has run out."""
    count, metric = len(run.train.rows), run.task.metric
    labels = references(run, run.validation)
    per_epoch = len(training_steps(run, state.model, np.arange(count)))
    bar = progress(
        name="bend_hf.train",
        desc=f"{run.task.name}: training",
        total=run.epochs * per_epoch,
        initial=state.epoch * per_epoch + state.step,
        unit="step",
    )
    with bar:
        while state.epoch < run.epochs and not all(state.stopped):
            start = time.perf_counter()
            order = epoch_order(count, run.sampling_seed, state.epoch, run.protocol.shuffle_buffer)
            train_epoch(run, state, order, bar)
            validation_losses, values, _ = predict(run, state.model, run.validation, classes=metric == "mcc")
            scores = [score(run.task, labels, value) for value in values]
            _finish_epoch(run, state, validation_losses, scores, time.perf_counter() - start)
            save(run, state)
            shown = validation_losses[0] if scores[0] is None else scores[0]
            bar.set_postfix({"epoch": state.epoch, "validation loss" if scores[0] is None else metric: f"{shown:.4f}"})


def _finish_epoch(
    run: Run, state: State, validation_losses: list[float], scores: list[float | None], seconds: float
) -> None:
    """Write down an epoch, keep the weights of heads that got better, and stop those whose patience has run out."""
    train_losses = (state.losses / state.step).tolist()
    state.epoch, state.step = state.epoch + 1, 0
    for head, seed in enumerate(run.seeds):
        if state.stopped[head]:
            continue
        if not math.isfinite(validation_losses[head]):
            raise BendError(
                f"{run.task.name}: the validation loss became {validation_losses[head]} in epoch {state.epoch} (seed "
                f"{seed}). Train with precision='fp32', and check that the vectors are finite."
            )
        entry = {
            "epoch": state.epoch,
            "train_loss": train_losses[head],
            "validation_loss": validation_losses[head],
            "validation_score": scores[head],
            "seconds": seconds,
        }
        history = state.history[head]
        history.append(entry)
        best = state.best_epoch[head]
        if not best or _merit(entry) > _merit(history[best - 1]):
            state.best_epoch[head] = state.epoch
            state.best[head] = checkpoint.weights(state.model, head)
        elif run.patience is not None and state.epoch - best >= run.patience:
            state.stopped[head] = True
        if run.accelerator.trackers:
            prefix = f"{run.task.name}/seed{seed}"
            logged = {f"{prefix}/{name}": value for name, value in entry.items() if value is not None}
            run.accelerator.log(logged, step=state.epoch)


def _merit(entry: dict[str, Any]) -> float:
    """What the best epoch has most of: the metric, or, where that is undefined, minus the validation loss."""
    score = entry["validation_score"]
    return float(-entry["validation_loss"] if score is None else score)


def _fitted(run: Run, state: State, head: int, values: np.ndarray, offsets: np.ndarray) -> Fitted:
    """Return one head's outcome; `values` are its probabilities on the test split."""
    best = state.history[head][state.best_epoch[head] - 1]
    if run.task.label_kind == "multilabel":
        scores = list(values)
    else:
        rows = values[:, 0] if run.task.label_kind == "per_bin_binary" else values
        scores = [rows[start:end] for start, end in pairwise(offsets)]
    selected_by = run.task.metric if best["validation_score"] is not None else "validation_loss"
    if selected_by == "validation_loss":
        log.warning(
            "%s, seed %d: %s is undefined on the validation labels, so the best epoch was chosen by validation loss.",
            run.task.name,
            run.seeds[head],
            run.task.metric,
        )
    return Fitted(
        seed=run.seeds[head],
        best_epoch=best["epoch"],
        validation_score=best["validation_score"],
        history=state.history[head],
        scores=scores,
        selected_by=selected_by,
        precision=str(run.dtype or torch.float32).removeprefix("torch."),
    )
