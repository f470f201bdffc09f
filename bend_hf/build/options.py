"""Options of builds, checked before any file is read.

arguments = checked(locals())            # in the first line of a builder; the words are those of its flags
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from bend_hf import checks
from bend_hf.build.splits import Split
from bend_hf.errors import BendError

CONTROLS = ("permuted", "shuffled", "matched")

_LEAST = {
    **dict.fromkeys(("bins", "bin_size", "max_length", "min_length", "max_rows"), 1),
    **dict.fromkeys(("flanks", "flank_left", "merge_overlap", "min_coverage", "matched", "seed"), 0),
    "width": 2,
}
_RANGES: dict[str, tuple[float, ...]] = {"negatives": (0, 1000), "threshold": (), "min_score": ()}
_CHOICES = {"overlapping": ("keep", "drop"), "center": ("middle", "summit"), "kind": CONTROLS}
_PATHS = ("annotation", "vcf", "tss", "genome", "output", "aliases", "transcripts", "data_dir")
_SWITCHES = ("skip_absent", "percent", "allow_empty")
_MAY_BE_NONE = ("flank_left", "max_rows", "aliases", "data_dir", "split", "command")


def checked(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return what decides the rows of a builder, once each of its arguments is of its kind and in its range.

    Raises:
        BendError: One is not.
    """
    may_be_none = (*_MAY_BE_NONE, *(("annotation",) if "vcf" in arguments else ()))
    for name, value in arguments.items():
        if value is None:
            if name not in may_be_none:
                raise BendError(f"{name}=None: this is needed.")
        elif name in _LEAST:
            checks.whole(name, value, _LEAST[name])
        elif name in _RANGES:
            checks.number(name, value, *_RANGES[name])
        elif name in _CHOICES:
            checks.one_of(name, value, _CHOICES[name])
        elif name in _PATHS:
            checks.path_of(name, value)
        elif name in _SWITCHES:
            checks.switch(name, value)
    if "width" in arguments and arguments["width"] % 2:
        raise BendError(f"A width of {arguments['width']} bases: give an even number.")
    build = arguments.get("build", "some")
    if not isinstance(build, str) or not build or not build.isprintable():
        raise BendError(f"build={build!r} (--build) is no name of a genome build.")
    files = arguments.get("links", ["some"])
    if isinstance(files, str | os.PathLike) or not files:
        raise BendError(f"links={files!r} (--links) are no files of links: give a list of one or more.")
    split = arguments.get("split")
    if split is not None and not isinstance(split, Split):
        raise BendError(f"split={split!r} does not say how rows are split: give build.Split(…).")
    controls = arguments.get("controls", ())
    if isinstance(controls, str) or not isinstance(controls, Sequence):
        raise BendError(f"controls={controls!r} (--controls) are no names of controls: give a list.")
    for control in controls:
        checks.one_of("control", control, CONTROLS)
    if len(set(controls)) < len(controls):
        raise BendError(f"controls={list(controls)} (--controls): name each once.")
    return {name: value for name, value in arguments.items() if name != "verbose"}
