"""Files that open tracks in a browser: a session of IGV, and a track hub of UCSC's genome browser.

Both name the tracks by paths relative to themselves, so that the folder can be moved or put on a web server as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import quoteattr

from bend_hf.files import atomic

SHOWN = 12
"""Tracks that a hub shows at first; the others are there to be chosen."""


@dataclass(frozen=True)
class Track:
    """A file of tracks.

    Attributes:
        path: The file.
        title: For people.
        hub: Its type in a UCSC hub, such as ``bigWig 0 1``; None for files that hubs do not read.
        igv: Whether a session of IGV shows it (one of two files that say the same).
    """

    path: Path
    title: str
    hub: str | None
    igv: bool


def write_session(path: Path, genome: str, locus: tuple[str, int, int], tracks: Sequence[Track]) -> None:
    """Write a session of IGV Desktop.

    Args:
        path: The file to write.
        genome: Name of the genome in IGV, or the path of a FASTA.
        locus: Chromosome, start and end (0-based half-open) of what is shown first.
        tracks: Those with `Track.igv` are shown.
    """
    chromosome, start, end = locus
    where = quoteattr(f"{chromosome}:{start + 1}-{end}")
    shown = [(quoteattr(_relative(track, path)), quoteattr(track.title)) for track in tracks if track.igv]
    lines = ['<?xml version="1.0" encoding="UTF-8" standalone="no"?>']
    lines.append(f'<Session genome={quoteattr(genome)} locus={where} version="8">')
    lines += ["  <Resources>", *(f"    <Resource path={file}/>" for file, _ in shown), "  </Resources>"]
    lines += ['  <Panel name="DataPanel">', *(f"    <Track id={file} name={title}/>" for file, title in shown)]
    _write(path, [*lines, "  </Panel>", "</Session>"])


def write_hub(path: Path, assembly: str, tracks: Iterable[Track]) -> None:
    """Write a track hub of UCSC's genome browser, all in one file (``useOneFile``).

    UCSC asks for an address of the hub's owner, which nobody has given here: put it in before you publish the hub.
    """
    lines = ["hub bend_hf", "shortLabel BEND predictions", "longLabel Predictions on test rows of BEND (2024 tasks)"]
    lines += ["useOneFile on", "email not-given", "", f"genome {assembly}"]
    for number, track in enumerate(track for track in tracks if track.hub):
        shown = "dense" if number < SHOWN else "hide"
        lines += ["", f"track bend_hf_{number + 1}", f"bigDataUrl {_relative(track, path)}"]
        lines += [f"shortLabel {track.title[-17:].strip()}", f"longLabel {track.title}", f"type {track.hub}"]
        lines.append(f"visibility {shown}")
    _write(path, lines)


def _relative(track: Track, path: Path) -> str:
    return track.path.relative_to(path.parent).as_posix()


def _write(path: Path, lines: Iterable[str]) -> None:
    with atomic(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
