"""`fit`: train the heads of a task on token vectors, keep each one's best epoch, and predict the test split.

    fitted = fit(task, train=Split(source, labels, rows), validation=…, test=…, protocol=get_protocol("default"))
    fitted[0].validation_score, fitted[0].scores[0]

One loop for a laptop's CPU, a GPU, or many of them under ``accelerate launch``. An optimiser step is the recipe's
batch, whatever the memory: it is dealt out to the processes and cut into micro-batches of like length, whose losses
add up to the batch's. The loop runs in a thread of its own, for two reasons: its OpenMP team then flushes denormals
whatever ran before (a head's small gradients slow a CPU twelvefold otherwise), and Ctrl-C ends it with the last whole
step saved.

A head is alone among the others: what it draws, computes, scales, and whether it stops or diverges, is its own.
"""

from __future__ import annotations

import hashlib
import math
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import nn

from bend_hf.console import log, progress
from bend_hf.embed.vectors import OnTheFly
from bend_hf.errors import BendError, unknown
from bend_hf.identity import Key, code_digest
from bend_hf.protocols import Protocol
from bend_hf.runtime import exact_float32, fit_threads, keep_freed_memory, release_threads
from bend_hf.tasks import Task
from bend_hf.train import checkpoint
from bend_hf.train.batches import Split
from bend_hf.train.checkpoint import Head, State
from bend_hf.train.head import cnn_head
from bend_hf.train.interrupt import ctrl_c, wait
from bend_hf.train.labels import references
from bend_hf.train.lanes import Lanes
from bend_hf.train.loop import Network, Run, predict, save, train_epoch, training_steps
from bend_hf.train.losses import loss_sum
from bend_hf.train.processes import Stopped, make_accelerator, numbered, same_on_all, together, trained_in
from bend_hf.train.standardize import standardized

__all__ = ["Fitted", "Split", "Vary", "fit", "loss_sum"]

READ = 256
"""Rows whose vectors are read at once for their digest."""
Precision = Literal["auto", "fp32", "bf16", "fp16"]
Vary = Literal["init", "order", "both"]
NONE = np.empty(0)
AUTOCAST = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Fitted:
    """One trained head.

    Attributes:
        seed: The seed it goes by.
        best_epoch: The epoch that was best on the validation split, counted from 1.
        validation_score: The task's metric there; None where the validation labels leave it undefined.
        history: One entry per epoch: epoch, train_loss, validation_loss, validation_score, seconds.
        scores: The best epoch's probabilities on the test split, one float32 array per row: (L, classes) per
            nucleotide, (bins,) per bin, (labels,) per window.
        selected_by: What chose the best epoch: the metric's name, or ``validation_loss`` where it is undefined.
        precision: What it was trained in: ``float32``, or autocast to ``bfloat16`` or ``float16``.
        failure: Why it has no scores: its loss became NaN or infinite, in which epoch and batch; None if all went well.
    """

    seed: int
    best_epoch: int
    validation_score: float | None
    history: list[dict[str, Any]]
    scores: list[np.ndarray]
    selected_by: str
    precision: str
    failure: str | None = None


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
    vary: Vary = "init",
    padding: torch.Tensor | None = None,
    standardize: bool = False,
    checkpoint_seconds: float = 60.0,
) -> list[Fitted]:
    """Train one head per seed and return each with its test predictions.

    Heads that see the samples in the same order share each pass over the vectors; others are trained one after the
    other. Trained together or alone, a head comes out the same, bit for bit on a CPU, whatever becomes of the others.

    Args:
        task: A supervised task.
        train: Rows to train on.
        validation: Rows that choose the best epoch.
        test: Rows to predict.
        protocol: How samples are shuffled, whether padding reaches the head, and what is computed in float32.
        network: None for the CNN head, else ``(task, dim, protocol) -> nn.Module`` with the head's forward; seeds
            are then trained one after the other.
        epochs: Passes over `train`; None for the recipe's.
        batch_size: Rows per optimiser step, over all processes; None for the recipe's.
        seeds: Seeds that the heads go by; `vary` says what of.
        precision: ``fp32``, or autocast to ``bf16`` or ``fp16``. ``auto`` takes what ``accelerate launch`` was told,
            else bf16 on a GPU that has it (fp16 on others) and fp32 on a CPU.
        patience: Stop a head after that many epochs without a better validation score; None to go on to the end.
        checkpoint_dir: Folder for the run's state, from which a repeated call goes on; None to keep none.
        trackers: Names of Accelerate's trackers (``tensorboard``, ``trackio``, ``wandb`` …).
        device: Where to train; None for Accelerate's choice.
        sampling_seed: Seed of the shuffling.
        vary: What differs from seed to seed: the initialisation, the order of the samples (all then begin as seed 0
            does), or both. Seed 0 is the same head under all three.
        padding: (D,) what shorter sequences are padded with, where the protocol lets padding reach the head; None for
            zeros.
        standardize: Give vectors mean 0 and deviation 1 over the training rows (`bend_hf.train.standardize`).
        checkpoint_seconds: Shortest time between two saved states within an epoch.

    Raises:
        BendError: A split is empty, labels do not fit the vectors, or another process failed. A loss that becomes NaN
            or infinite raises nothing: it is its head's `failure`.
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
    if vary not in get_args(Vary):
        raise unknown("choice of what seeds vary", vary, get_args(Vary))
    accelerator = make_accelerator(list(trackers), checkpoint_dir or ".")
    if standardize:
        source, padding = standardized(train.vectors, train.rows, padding)
        train, validation, test = (replace(split, vectors=source) for split in (train, validation, test))
    place = accelerator.device if device is None else numbered(torch.device(device))
    run = Run(
        task=task,
        recipe=recipe,
        train=train,
        validation=validation,
        test=test,
        protocol=protocol,
        network=network,
        seeds=tuple(seeds),
        starts=tuple(seeds),
        order=0,
        epochs=epochs or recipe.epochs,
        batch_size=batch_size or recipe.batch_size,
        sampling_seed=sampling_seed,
        patience=patience,
        accelerator=accelerator,
        device=place,
        dtype=AUTOCAST[trained_in(precision, place, protocol)],
        padding=padding,
        file=None if checkpoint_dir is None else Path(checkpoint_dir) / f"{task.name}.safetensors",
        checkpoint_seconds=checkpoint_seconds,
        stop=threading.Event(),
    )
    runs = [run]
    if network is not None or vary != "init":
        runs = [replace(run, seeds=(seed,), starts=(seed,), order=0 if vary == "init" else seed) for seed in run.seeds]
    if vary == "order":
        runs = [replace(one, starts=(0,)) for one in runs]
    return [fitted for one in runs for fitted in _in_own_thread(one)]


def _in_own_thread(run: Run) -> list[Fitted]:
    """Train in a new thread, and let Ctrl-C stop it; the thread has ended when this returns."""
    if run.device.type == "cpu":
        keep_freed_memory()
        fit_threads()
        release_threads()
    outcome: list[list[Fitted] | BaseException] = []
    done = threading.Event()
    threads = torch.get_num_threads()

    def work() -> None:
        try:
            torch.set_flush_denormal(True)
            torch.set_num_threads(threads)
            if run.device.type == "cuda":
                torch.cuda.set_device(run.device)
            cards = [run.device] if run.device.type == "cuda" else []
            lanes = Lanes(threads if run.device.type == "cpu" and run.network is None else 1)
            made = any(isinstance(split.vectors, OnTheFly) for split in (run.train, run.validation, run.test))
            if lanes.count > 1 and not made:
                torch.set_num_threads(1)  # whose idle team would be more threads than there are cores
            with exact_float32(), torch.random.fork_rng(devices=cards), lanes:
                outcome.append(_fit(replace(run, lanes=lanes)))
        except BaseException as error:
            outcome.append(error)
        finally:
            done.set()

    thread = threading.Thread(target=work, name="bend_hf_fit", daemon=True)
    with ctrl_c() as pressed:
        thread.start()
        wait(done, run.stop, pressed, f"{run.task.name}: stopping and saving (Ctrl-C again to leave without).")
    if pressed:
        raise KeyboardInterrupt
    thread.join()
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    return outcome[0]


def _key(run: Run, heads: Sequence[Head]) -> Key:
    """Return everything that decides a run's numbers."""
    network = None if run.network is None else f"{run.network.__module__}.{run.network.__qualname__}"
    splits = (run.train, run.validation, run.test)
    return Key(
        "state",
        task=[run.task.name, run.task.version, run.task.metric],
        protocol=asdict(run.protocol),
        recipe=asdict(run.recipe),
        network=[network, {name: list(value.shape) for name, value in heads[0].model.state_dict().items()}],
        settings={
            "epochs": run.epochs,
            "batch_size": run.batch_size,
            "patience": run.patience,
            "sampling_seed": run.sampling_seed,
            "order": run.order,
            "precision": str(run.dtype),
            "padding": None if run.padding is None else run.padding.tolist(),
        },
        seeds=[run.seeds, run.starts],
        vectors=[_vectors_digest(split) for split in splits],
        splits=[_split_digest(split) for split in splits],
        code=[code_digest(run.task.kind.metrics), torch.__version__],
    )


def _split_digest(split: Split) -> str:
    """Return the digest of a split's rows and their labels."""
    digest = hashlib.sha256(repr(split.parts).encode())
    digest.update(split.rows.astype(np.int64).tobytes())
    for row in split.rows:
        digest.update(np.ascontiguousarray(split.labels[int(row)]).tobytes())
    return digest.hexdigest()


def _vectors_digest(split: Split) -> str:
    """Return the key of a split's vectors, or the digest of the vectors themselves if their source has none."""
    if key := getattr(split.vectors, "key", None):
        return str(key)
    digest = hashlib.sha256()
    for rows in np.array_split(split.rows, -(-len(split.rows) // READ)):
        for vectors, lengths in split.vectors.read([int(row) for row in rows]):
            digest.update(vectors.contiguous().view(torch.uint8).numpy().tobytes() + lengths.tobytes())
    return digest.hexdigest()


def _build(run: Run, seed: int, start: int) -> Head:
    """Return a head before the first step."""
    dim = run.train.vectors.dim
    if run.network is None:
        model: nn.Module = cnn_head(run.task, dim, run.protocol, start)
    else:
        torch.manual_seed(start)
        model = run.network(run.task, dim, run.protocol)
    model.to(run.device)
    rate, decay = run.recipe.learning_rate, run.recipe.weight_decay
    return Head(
        seed=seed,
        model=model,
        optimizer=torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=decay, fused=True),
        scaler=torch.amp.GradScaler(run.device.type, enabled=run.dtype == torch.float16),
        loss=torch.zeros((), dtype=torch.float64, device=run.device),
    )


def _fit(run: Run) -> list[Fitted]:
    """Train to the end, from the saved state if there is one, and predict the test split with the best weights."""
    with together(f"{run.task.name}'s heads were made"):
        state = State([_build(run, seed, start) for seed, start in zip(run.seeds, run.starts, strict=True)])
        saved = None
        if run.file is not None:
            run = replace(run, file=run.file.with_suffix(f".{_key(run, state.heads).digest[:24]}.safetensors"))
            assert run.file is not None
            saved = checkpoint.read(run.file)
    if same_on_all(saved and saved.place) and saved is not None:
        saved.restore(state)
        log.info("%s: going on from epoch %d, step %d.", run.task.name, state.epoch + 1, state.step)
    if run.accelerator.trackers or run.accelerator.log_with:
        settings = {"task": run.task.name, "protocol": run.protocol.name, "seeds": str(run.seeds), "epochs": run.epochs}
        run.accelerator.init_trackers("bend_hf", settings)
    try:
        _train(run, state)
        kept = [head for head in state.heads if head.failure is None]
        for head in kept:
            head.model.load_state_dict(head.best)
        losses, values, offsets = predict(run, kept, run.test, classes=False) if kept else ([], NONE, NONE)
    except Stopped:
        save(run, state)
        raise
    finally:
        for tracker in run.accelerator.trackers:
            tracker.finish()
    for head, loss, value in zip(kept, losses, values, strict=True):
        if not (math.isfinite(loss) and np.isfinite(value).all()):  # infinite logits make probabilities of 0 and 1
            head.failure = f"{run.task.name}: predictions of the test split are NaN or infinite (seed {head.seed})."
            log.error("%s", head.failure)
    predicted = {id(head): run.task.kind.by_row(value, offsets) for head, value in zip(kept, values, strict=True)}
    return [_fitted(run, head, predicted[id(head)] if head.failure is None else []) for head in state.heads]


def _train(run: Run, state: State) -> None:
    """Go on until the last epoch, or until every head has come to its own end."""
    task, metric = run.task, run.task.metric
    labels = references(task, run.validation.labels, run.validation.rows)
    per_epoch = len(training_steps(run, state.heads[0].model, 0))
    bar = progress(
        name="bend_hf.train",
        desc=f"{run.task.name}: training",
        total=run.epochs * per_epoch,
        initial=state.epoch * per_epoch + state.step,
        unit="step",
    )
    with bar:
        while state.epoch < run.epochs and state.active:
            start = time.perf_counter()
            train_epoch(run, state, training_steps(run, state.heads[0].model, state.epoch), bar)
            heads = state.active
            if not heads:
                break
            losses, values, _ = predict(run, heads, run.validation, classes=task.kind.classes)
            scores = [
                task.kind.score(task, labels, value)[metric] if math.isfinite(loss) else None
                for loss, value in zip(losses, values, strict=True)
            ]
            _finish_epoch(run, state, heads, losses, scores, time.perf_counter() - start)
            save(run, state)
            shown = losses[0] if scores[0] is None else scores[0]
            bar.set_postfix({"epoch": state.epoch, "validation loss" if scores[0] is None else metric: f"{shown:.4f}"})


def _finish_epoch(
    run: Run, state: State, heads: list[Head], losses: list[float], scores: list[float | None], seconds: float
) -> None:
    """Write down an epoch, keep the weights of heads that got better, and stop those whose patience has run out."""
    steps = state.step
    state.epoch, state.step = state.epoch + 1, 0
    for head, loss, value in zip(heads, losses, scores, strict=True):
        if not math.isfinite(loss):
            head.failure = (
                f"{run.task.name}: the validation loss became {loss} in epoch {state.epoch} (seed {head.seed}). Train "
                "with precision='fp32', and check that the vectors are finite."
            )
            log.error("%s", head.failure)
            continue
        entry = {
            "epoch": state.epoch,
            "train_loss": float(head.loss) / steps,
            "validation_loss": loss,
            "validation_score": value,
            "seconds": seconds,
        }
        head.history.append(entry)
        if not head.best_epoch or _merit(entry) > _merit(head.history[head.best_epoch - 1]):
            head.best_epoch, head.best = state.epoch, head.weights()
        elif run.patience is not None and state.epoch - head.best_epoch >= run.patience:
            head.stopped = True
        if run.accelerator.trackers:
            prefix = f"{run.task.name}/seed{head.seed}"
            logged = {f"{prefix}/{name}": value for name, value in entry.items() if value is not None}
            run.accelerator.log(logged, step=state.epoch)


def _merit(entry: dict[str, Any]) -> tuple[bool, float]:
    """What the best epoch has most of: the metric; among epochs that leave it undefined, minus the validation loss.

    An epoch with a score is better than any without: a loss is on another scale.
    """
    score = entry["validation_score"]
    return (True, float(score)) if score is not None else (False, -float(entry["validation_loss"]))


def _fitted(run: Run, head: Head, scores: list[np.ndarray]) -> Fitted:
    """Return one head's outcome."""
    best = head.history[head.best_epoch - 1] if head.failure is None else {"validation_score": None}
    undefined = head.failure is None and best["validation_score"] is None
    if undefined:
        log.warning(
            "%s, seed %d: %s is undefined on the validation labels, so the best epoch was chosen by validation loss.",
            run.task.name,
            head.seed,
            run.task.metric,
        )
    return Fitted(
        seed=head.seed,
        best_epoch=head.best_epoch,
        validation_score=best["validation_score"],
        history=head.history,
        scores=scores,
        selected_by="validation_loss" if undefined else run.task.metric,
        precision=str(run.dtype or torch.float32).removeprefix("torch."),
        failure=head.failure,
    )
