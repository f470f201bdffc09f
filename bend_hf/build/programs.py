"""MMseqs2 and GraphPart, run as programs where they are installed.

first, second, version = search(windows, genome, identity=0.8, coverage=0.5)         # MMseqs2: homologous pairs
part, facts = partition(windows, genome, identity=0.8, fractions=(0.8, 0.1, 0.1))    # GraphPart: splits
"""

from __future__ import annotations

import csv
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bend_hf.data.genome import Genome
from bend_hf.errors import BendError

if TYPE_CHECKING:
    from bend_hf.build.splits import Windows

_AT_ONCE = 1 << 10
# GraphPart's numbers of the splits: it writes training, test, validation.
_GRAPHPART = {"0.0": 0, "1.0": 2, "2.0": 1}


def mmseqs() -> str | None:
    """Return the path of MMseqs2, or None where it is not installed."""
    return shutil.which("mmseqs")


def search(windows: Windows, genome: Genome, *, identity: float, coverage: float) -> tuple[np.ndarray, np.ndarray, str]:
    """Search all windows against all with MMseqs2, on both strands.

    Args:
        windows: The windows.
        genome: The genome.
        identity: Least identity of an alignment.
        coverage: Least share of the shorter window that it covers.

    Returns:
        The first and the second window of every pair, and MMseqs2's version.

    Raises:
        BendError: MMseqs2 is absent or fails.
    """
    program = mmseqs()
    if program is None:
        raise BendError("MMseqs2 is not installed (apt install mmseqs2, conda install mmseqs2). Or use the own search.")
    version = _version(program)
    with tempfile.TemporaryDirectory(prefix="bend_hf_mmseqs_") as folder:
        fasta, hits = Path(folder, "windows.fa"), Path(folder, "hits.tsv")
        _write_fasta(fasta, windows, genome, "")
        # --cov-mode 5: of the shorter sequence; --search-type 3: nucleotides.
        options = (
            f"--search-type 3 --strand 2 --min-seq-id {identity} -c {coverage} --cov-mode 5 --max-seqs 1000 --threads 2"
        )
        _run(
            [program, "easy-search", fasta, fasta, hits, Path(folder, "work"), *options.split()], f"MMseqs2 ({version})"
        )
        pairs = (
            np.loadtxt(hits, dtype=np.int64, usecols=(0, 1), ndmin=2) if hits.stat().st_size else np.empty((0, 2), int)
        )
    return pairs[:, 0], pairs[:, 1], version


def partition(
    windows: Windows, genome: Genome, *, identity: float, fractions: Sequence[float]
) -> tuple[np.ndarray, dict[str, Any]]:
    """Split windows with GraphPart, which removes those that no split can hold.

    Alignments are MMseqs2's where it is installed, else those of EMBOSS' needle (all pairs, so hundreds of windows).
    GraphPart takes the identity over the longer of two windows, and knows no coverage.

    Args:
        windows: The windows.
        genome: The genome.
        identity: Largest identity between windows of two splits.
        fractions: Shares of train, validation and test: GraphPart wants multiples of 0.05.

    Returns:
        (n,) the split of each window, numbered as the fractions, −1 for those that it removes; and what was used.

    Raises:
        BendError: GraphPart or an aligner is absent, or fails.
    """
    program = shutil.which("graphpart")
    if program is None:
        raise BendError("GraphPart is not installed (pip install graph-part). Or use another tool.")
    aligner = "mmseqs2" if mmseqs() else "needle"
    if aligner == "needle" and shutil.which("needleall") is None:
        raise BendError("GraphPart needs MMseqs2 (apt install mmseqs2) or EMBOSS (apt install emboss) to align.")
    shares = [round(float(share), 6) for share in fractions]
    if any(abs(share * 20 - round(share * 20)) > 1e-6 or share <= 0 for share in shares):
        raise BendError(f"GraphPart splits by multiples of 0.05, not {' '.join(map(str, shares))} (--fractions).")
    facts = {"tool": "graphpart", "identity": identity, "aligner": aligner, "version": _graphpart_version()}
    if aligner == "mmseqs2":
        facts["aligner_version"] = _version(str(mmseqs()))
    with tempfile.TemporaryDirectory(prefix="bend_hf_graphpart_") as folder:
        fasta, table = Path(folder, "windows.fa"), Path(folder, "parts.csv")
        _write_fasta(fasta, windows, genome, "|label=0")
        options: list[str | Path] = [
            "-ff",
            fasta,
            "-th",
            str(identity),
            "-nu",
            "-te",
            str(shares[2]),
            "-va",
            str(shares[1]),
        ]
        _run([program, aligner, *options, "-of", table, "-ln", "label"], "GraphPart", folder)
        if not table.is_file():
            raise BendError("GraphPart made no partition: ask for a higher identity, or use another tool.")
        part = np.full(len(windows.code), -1, np.int64)
        with table.open(newline="") as handle:
            for row in csv.DictReader(handle):
                part[int(row["AC"])] = _GRAPHPART[row["cluster"]]
    return part, facts


def _graphpart_version() -> str:
    try:
        return metadata.version("graph-part")
    except metadata.PackageNotFoundError:  # installed beside this Python, not in it
        return "unknown"


def _version(program: str) -> str:
    return subprocess.run([program, "version"], capture_output=True, text=True, check=False).stdout.strip()


def _write_fasta(path: Path, windows: Windows, genome: Genome, suffix: str) -> None:
    with path.open("w") as handle:
        for begin in range(0, len(windows.code), _AT_ONCE):
            part = windows.part(slice(begin, begin + _AT_ONCE))
            letters, offsets = genome.gather(part.code, part.start, part.end)
            text = letters.tobytes().decode()
            bounds = zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)
            handle.writelines(f">{row}{suffix}\n{text[a:b]}\n" for row, (a, b) in enumerate(bounds, start=begin))


def _run(command: Sequence[str | Path], name: str, folder: str | None = None) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split())
        raise BendError(f"{name} failed: {said[-500:]}")
