"""Multilabel tasks from peaks of any number of tracks, after Basset's recipe.

    peaks({"liver": "liver.narrowPeak.gz", "lung": "lung.bed"}, "GRCh38.fa", "my_peaks", build="GRCh38")

Every peak is centred in a window; neighbouring windows that overlap by more than a limit are merged, the largest
overlap first, at the mean of their centres weighted by 1 + the number of their tracks; a window's labels are the tracks
that have a peak in it (Kelley et al. 2016, 10.1101/gr.200535.115, as in its preprocessing script).
"""

from __future__ import annotations

import dataclasses
import heapq
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from bend_hf import checks
from bend_hf.build.control import Kind, finish_with_controls
from bend_hf.build.counts import Counts
from bend_hf.build.matched import matched_windows
from bend_hf.build.options import checked
from bend_hf.build.readers.intervals import Located, read_peaks
from bend_hf.build.splits import Split, Windows, assigned_once
from bend_hf.build.work import Work, builder
from bend_hf.build.write import Built, declare, write
from bend_hf.data.genome import Genome
from bend_hf.errors import BendError
from bend_hf.tasks import TASKS

SUFFIXES = (".gz", ".bgz", ".narrowPeak", ".broadPeak", ".bed")


@builder
def peaks(
    tracks: Mapping[str, str | Path] | Sequence[str | Path],
    genome: str | Path,
    output: str | Path,
    *,
    build: str,
    width: int = 512,
    merge_overlap: int = 200,
    center: Literal["middle", "summit"] = "middle",
    negatives: float = 0,
    allow_empty: bool = False,
    split: Split | None = None,
    aliases: str | Path | None = None,
    skip_absent: bool = False,
    seed: int = 0,
    controls: Sequence[Kind] = (),
    command: str | None = None,
    verbose: bool = False,
) -> Path:
    """Write a task of peaks.

    Args:
        tracks: Name → file of each track, or files (their names without endings are the tracks'); the order is that of
            the labels.
        genome: FASTA.
        output: Folder to write; its name is the task's.
        build: Name of the genome build, for the record.
        width: Bases of a window.
        merge_overlap: Windows that overlap by more are merged.
        center: Centre windows on the middle of peaks, or on narrowPeak's summits.
        negatives: Windows without a peak, per window with one; drawn from the genome and matched for GC and repeats.
        allow_empty: Take a file without rows for a track without peaks, instead of an error.
        split: How rows are split; by chromosomes drawn by default.
        aliases: An assembly report, or a table of chromosome names.
        skip_absent: Leave out peaks on chromosomes that the genome lacks, instead of an error.
        seed: Of the negatives.
        controls: Control tasks to write beside it, as ``<output>_<kind>``: ``permuted``, ``shuffled``, ``matched`` (see
            `bend_hf.build.control`).
        command: What to record as the command.
        verbose: Whether to tell what is done and how far it is, as the command line does.

    Returns:
        The folder.

    Raises:
        BendError: A track is malformed, empty, or named twice; nothing is left.
    """
    arguments = checked(locals())  # each decides the rows
    output = Path(output)
    files = named_tracks(tracks)
    split = split or Split("chromosomes", seed=seed)
    paths: dict[str, str | Path | None] = {f"track {name}": path for name, path in files.items()}
    paths |= {"genome": genome, "aliases": aliases, "splits": split.file}
    work = Work.begin(output, paths, arguments, command)
    if work.has_rows():
        return finish_with_controls(work, controls, seed)
    fasta = Genome(genome)
    counts = Counts()
    located = Located(fasta, Path(aliases) if aliases else None, skip_absent, counts)
    read = []
    for name, path in files.items():
        step = work.step(f"track {name}", counts, partial(_read, path, located, center == "summit", allow_empty))
        read.append([step[column].to_numpy() for column in ("code", "start", "end")])
    code, start, end = (np.concatenate(columns) for columns in zip(*read, strict=True))
    track = np.repeat(np.arange(len(read)), [len(columns[0]) for columns in read])
    code, start, masks = _windows(code, start, end, track, fasta, width, merge_overlap, counts)
    labels = [_indices(mask) for mask in masks]
    if negatives:
        wanted = round(negatives * len(code))
        positive = Windows(code, start, start + width)
        drawn_code, drawn_start = matched_windows(positive, wanted, fasta, seed=seed, counts=counts)
        code, start = np.concatenate([code, drawn_code]), np.concatenate([start, drawn_start])
        labels += [""] * len(drawn_code)
        order = np.lexsort((start, code))
        code, start, labels = code[order], start[order], [labels[row] for row in order.tolist()]
    assigned = assigned_once(work, split, Windows(code, start, start + width), fasta, counts)
    kept = np.flatnonzero(assigned.names != "")
    count = len(kept)
    table = pa.table(
        {
            "chromosome": pa.array(np.array(fasta.names, dtype=object)[code[kept]], pa.string()),
            "start": start[kept],
            "end": start[kept] + width,
            "score": pa.array(["."] * count),
            "-": pa.array(["1"] * count),
            "strand": pa.array(["+"] * count),
            "label": pa.array(labels).take(kept),
            "split": pa.array(assigned.names[kept], pa.string()),
        }
    )
    template = TASKS["chromatin_accessibility"]
    assert template.recipe is not None
    task = declare(
        template,
        build=build,
        summary=f"Predict in which of {len(files)} tracks a {width}-bp window is a peak.",
        title=output.name,
        label_names=tuple(files),
        label_naming="released",
        window=width,
        recipe=dataclasses.replace(template.recipe, outputs=len(files), pool=width),
        caveats=() if negatives else ("Every window is a peak in some track: there are no all-negative windows.",),
    )
    choices = {
        "tracks": list(files),
        "width": width,
        "merge_overlap": merge_overlap,
        "center": center,
        "negatives": negatives,
        "seed": seed,
        "split": assigned.facts,
    }
    write(work, Built(task, table, None, counts, choices))
    return finish_with_controls(work, controls, seed)


def named_tracks(tracks: Mapping[str, str | Path] | Sequence[str | Path]) -> dict[str, Path]:
    """Return name → file; files alone are named by what is before their endings.

    Raises:
        BendError: There are none, or two have one name.
    """
    if isinstance(tracks, str | bytes | Path) or not isinstance(tracks, Mapping | Iterable):
        raise BendError(f"tracks={tracks!r} are no files of tracks: give a list, or a mapping from name to file.")
    if isinstance(tracks, Mapping):
        found = {str(name): checks.path_of(f"tracks[{name!r}]", path) for name, path in tracks.items()}
    else:
        found = {}
        for path in [checks.path_of("tracks", path) for path in tracks]:
            name = path.name
            while name.endswith(SUFFIXES):
                name = name.removesuffix(next(suffix for suffix in SUFFIXES if name.endswith(suffix)))
            if name in found:
                raise BendError(f"{found[name]} and {path} are both named {name!r}. Give name=file, with two names.")
            found[name] = path
    if not found:
        raise BendError("There are no tracks. Give at least one file.")
    for name in found:
        if not name.strip() or not name.isprintable():
            raise BendError(f"{name!r} is no name of a track: it becomes a label's.")
    return found


def _read(path: Path, located: Located, summit: bool, allow_empty: bool) -> dict[str, np.ndarray]:
    return dict(zip(("code", "start", "end"), read_peaks(path, located, summit, allow_empty), strict=True))


def _windows(
    code: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    track: np.ndarray,
    genome: Genome,
    width: int,
    merge_overlap: int,
    counts: Counts,
) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Centre and merge peaks; return the windows' chromosomes, starts and tracks (as the bits of an integer)."""
    lengths = np.array(list(genome.lengths.values()))
    fits = lengths[code] >= width
    counts.add(f"peak on a chromosome shorter than {width:,} bp", int((~fits).sum()))
    if not fits.any():
        return code[fits], start[fits], []
    code, start, end, track = code[fits], start[fits], end[fits], track[fits]
    limit = lengths[code] - width
    first = np.clip((start + end) // 2 - width // 2, 0, limit)
    order = np.lexsort((track, first, code))
    code, first, track, limit = code[order], first[order], track[order], limit[order]
    # Windows that may merge: runs in which each overlaps the one before it by more than the limit.
    linked = (code[1:] == code[:-1]) & (first[:-1] + width - first[1:] > merge_overlap)
    edges = np.flatnonzero(np.concatenate([[True], ~linked, [True]])) if len(code) else np.zeros(1, np.int64)
    codes: list[int] = []
    starts: list[int] = []
    masks: list[int] = []
    all_starts, all_tracks = first.tolist(), track.tolist()
    for a, b in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        merged = merge(all_starts[a:b], all_tracks[a:b], width, merge_overlap, int(limit[a])) if b - a > 1 else None
        for one, mask in merged if merged is not None else [(all_starts[a], 1 << all_tracks[a])]:
            codes.append(int(code[a]))
            starts.append(one)
            masks.append(mask)
    return np.array(codes, np.int64), np.array(starts, np.int64), masks


def merge(
    starts: Sequence[int], tracks: Sequence[int], width: int, merge_overlap: int, limit: int
) -> list[tuple[int, int]]:
    """Merge neighbouring windows of one chromosome while any two overlap by more than `merge_overlap`.

    Args:
        starts: Ascending starts of the windows.
        tracks: Track of each.
        width: Bases of a window.
        merge_overlap: The limit.
        limit: Last possible start.

    Returns:
        The start of each window that is left, and its tracks as the bits of an integer.
    """
    place, mask = list(starts), [1 << track for track in tracks]
    count = len(place)
    after, before = list(range(1, count + 1)), list(range(-1, count - 1))
    version = [0] * count
    heap: list[tuple[int, int, int, int, int]] = []

    def push(left: int) -> None:
        right = after[left]
        if right < count and (overlap := place[left] + width - place[right]) > merge_overlap:
            heapq.heappush(heap, (-overlap, left, right, version[left], version[right]))

    for left in range(count - 1):
        push(left)
    while heap:
        _, left, right, old, other = heapq.heappop(heap)
        if after[left] != right or version[left] != old or version[right] != other:
            continue
        one, two = 1 + mask[left].bit_count(), 1 + mask[right].bit_count()
        half = width // 2
        # The weighted mean of the centres, rounded half up.
        middle = (2 * ((place[left] + half) * one + (place[right] + half) * two) + one + two) // (2 * (one + two))
        place[left] = min(max(0, middle - half), limit)
        mask[left] |= mask[right]
        version[left] += 1
        version[right] = -1
        after[left] = after[right]
        if after[left] < count:
            before[after[left]] = left
            push(left)
        if before[left] >= 0:
            push(before[left])
    left, merged = 0, []
    while left < count:
        merged.append((place[left], mask[left]))
        left = after[left]
    return merged


def _indices(mask: int) -> str:
    found = []
    while mask:
        low = mask & -mask
        found.append(str(low.bit_length() - 1))
        mask ^= low
    return ",".join(found)
