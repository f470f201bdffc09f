"""Clusters of homologous windows, so that no split holds a relative of another split's window.

    groups, facts = cluster(windows, genome, identity=0.8, coverage=0.5)

Two windows are taken for homologous if an alignment with at least `identity` would cover `coverage` of the shorter one.
MMseqs2 finds such pairs where it is installed. Otherwise windows are described by minimizers (the smallest hash among
neighbouring canonical k-mers, so that both strands count as one), and a pair is joined if it shares as many of them as
such an alignment leaves whole on average: a share of coverage · identity^k. Clusters are the connected components, so a
chain of relatives stays together. Windows that share a base are joined too.

Minimizers found in very many windows (young repeats, low complexity) join nothing. The recall and precision of this
against exact alignment are measured by ``tests/benchmarks/homology.py``; see docs/build.md.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bend_hf.console import log, progress
from bend_hf.data.genome import Genome
from bend_hf.errors import BendError

if TYPE_CHECKING:
    from bend_hf.build.splits import Windows

K, SPAN = 13, 5
MOST_WINDOWS = 200
_CHUNK = 1 << 23
_CODES = np.full(256, 4, np.uint8)
_CODES[np.frombuffer(b"ACGT", np.uint8)] = [0, 1, 2, 3]


def cluster(
    windows: Windows, genome: Genome, *, identity: float, coverage: float, tool: str
) -> tuple[np.ndarray, dict[str, Any]]:
    """Group windows that are homologous or share a base.

    Args:
        windows: The windows.
        genome: The genome.
        identity: Least identity, between 0.5 and 1.
        coverage: Least covered share of the shorter window.
        tool: ``auto``, ``own`` or ``mmseqs``.

    Returns:
        (n,) group of each window from 0, and what was used (tool, version, settings), for the record.

    Raises:
        BendError: The numbers are out of range, or MMseqs2 is asked for and absent, or fails.
    """
    if not (0.5 <= identity <= 1 and 0 < coverage <= 1):
        raise BendError(f"identity {identity} and coverage {coverage}: give 0.5 to 1 and above 0 to 1.")
    program = shutil.which("mmseqs") if tool in ("auto", "mmseqs") else None
    if tool == "mmseqs" and program is None:
        raise BendError("MMseqs2 is not installed (apt install mmseqs2, conda install mmseqs2). Or use the own search.")
    facts: dict[str, Any] = {"identity": identity, "coverage": coverage}
    if program is not None:
        first, second, version = _by_mmseqs(program, windows, genome, identity, coverage)
        facts |= {"tool": "mmseqs", "version": version}
    else:
        first, second = by_minimizers(windows, genome, identity=identity, coverage=coverage)
        facts |= {"tool": "own", "k": K, "span": SPAN, "most_windows": MOST_WINDOWS}
    near = _neighbours(windows)
    groups = components(len(windows.code), np.concatenate([first, near[0]]), np.concatenate([second, near[1]]))
    sizes = np.bincount(groups)
    facts |= {"pairs": len(first), "clusters": len(sizes), "largest_cluster": int(sizes.max())}
    log.info(
        "%s clusters of %s windows; the largest holds %s.", f"{len(sizes):,}", f"{len(groups):,}", f"{sizes.max():,}"
    )
    return groups, facts


def components(count: int, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the connected component of each of `count` nodes, numbered by first appearance."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(first), bool), (first, second)), shape=(count, count))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def _neighbours(windows: Windows) -> tuple[np.ndarray, np.ndarray]:
    """Return pairs that join all windows which share bases: each window and one before it that reaches into it."""
    order = np.lexsort((windows.end, windows.start, windows.code))
    key_end = (windows.code << 40 | windows.end)[order]
    key_start = (windows.code << 40 | windows.start)[order]
    reach = np.maximum.accumulate(key_end)
    holder = np.maximum.accumulate(np.where(key_end == reach, np.arange(len(order)), 0))
    touching = np.flatnonzero(reach[:-1] > key_start[1:])
    return order[holder[touching]], order[touching + 1]


def kmers(letters: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the canonical k-mer that starts at each base, as a number, and whether it is without N: (L − k + 1,) each.

    A k-mer and its reverse complement have one number, the smaller of their two.
    """
    codes = _CODES[letters]
    count = len(codes) - k + 1
    forward, reverse = np.zeros(count, np.uint64), np.zeros(count, np.uint64)
    wide = codes.astype(np.uint64)
    for shift in range(k):
        part = wide[shift : shift + count]
        forward = forward << np.uint64(2) | part & np.uint64(3)
        reverse |= (np.uint64(3) - (part & np.uint64(3))) << np.uint64(2 * shift)
    unknown = np.concatenate([[0], np.cumsum(codes == 4)])
    return np.minimum(forward, reverse), unknown[k:] == unknown[:-k]


def mixed(numbers: np.ndarray) -> np.ndarray:
    """Return a hash of 64-bit numbers that is one to one (the finaliser of MurmurHash3), so that order is no order."""
    numbers = (numbers ^ numbers >> np.uint64(33)) * np.uint64(0xFF51AFD7ED558CCD)
    numbers = (numbers ^ numbers >> np.uint64(33)) * np.uint64(0xC4CEB9FE1A85EC53)
    return numbers ^ numbers >> np.uint64(33)


def _minimizers(letters: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the hashes of the distinct minimizers of windows that lie back to back, and the window of each."""
    numbers, whole = kmers(letters, K)
    hashes = mixed(numbers)
    hashes[~whole] = np.iinfo(np.uint64).max
    place = np.searchsorted(offsets, np.arange(len(hashes)), side="right") - 1
    inside = np.arange(len(hashes)) + K <= offsets[place + 1]
    hashes[~inside] = np.iinfo(np.uint64).max
    smallest = np.lib.stride_tricks.sliding_window_view(hashes, SPAN).min(1) if len(hashes) >= SPAN else hashes[:0]
    # A run of `SPAN` k-mers of one window; its k-mers beyond the window count as none.
    owner = place[: len(smallest)]
    good = smallest != np.iinfo(np.uint64).max
    good &= np.arange(len(smallest)) + K + SPAN - 1 <= offsets[owner + 1]
    pairs = np.unique(np.stack([owner[good].astype(np.uint64), smallest[good]], 1), axis=0)
    return pairs[:, 1], pairs[:, 0].astype(np.int64)


def by_minimizers(
    windows: Windows, genome: Genome, *, identity: float, coverage: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the pairs of windows that share enough minimizers: the first and the second window of each."""
    hashes, owners = [], []
    lengths = windows.end - windows.start
    cuts = np.flatnonzero(np.diff(np.cumsum(lengths) // _CHUNK, prepend=-1))
    for a, b in progress(
        list(zip(cuts, [*cuts[1:], len(lengths)], strict=True)), name="bend_hf.build", desc="homology", unit="chunk"
    ):
        found, owner = _minimizers(*genome.gather(windows.code[a:b], windows.start[a:b], windows.end[a:b]))
        hashes.append(found)
        owners.append(owner + a)
    all_hashes, all_owners = np.concatenate(hashes), np.concatenate(owners)
    held = np.bincount(all_owners, minlength=len(lengths))
    order = np.argsort(all_hashes, kind="stable")
    all_hashes, all_owners = all_hashes[order], all_owners[order]
    edges = np.flatnonzero(np.concatenate([[True], all_hashes[1:] != all_hashes[:-1], [True]]))
    sizes = np.diff(edges)
    kept = (sizes > 1) & (sizes <= MOST_WINDOWS)
    needed = coverage * identity**K
    first, second = _shared(all_owners, edges[:-1][kept], sizes[kept], held, needed)
    return first, second


def _shared(
    owners: np.ndarray, begins: np.ndarray, sizes: np.ndarray, held: np.ndarray, needed: float
) -> tuple[np.ndarray, np.ndarray]:
    """Count shared minimizers by pair, and keep the pairs that share at least `needed` of the smaller set (and two)."""
    from scipy.sparse import csr_array

    count = len(held)
    columns = np.repeat(np.arange(len(sizes)), sizes)
    within = np.arange(len(columns)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    rows = owners[begins[columns] + within]
    matrix = csr_array((np.ones(len(rows), np.int32), (rows, columns)), shape=(count, len(sizes)))
    transposed = matrix.T.tocsr()
    first, second = [], []
    for a in range(0, count, 2048):  # the products of all rows at once would not fit in memory
        shared = (matrix[a : a + 2048] @ transposed).tocoo()
        one, other = shared.row.astype(np.int64) + a, shared.col.astype(np.int64)
        enough = (other > one) & (shared.data >= np.maximum(2, needed * np.minimum(held[one], held[other])))
        first.append(one[enough])
        second.append(other[enough])
    return np.concatenate(first), np.concatenate(second)


def _by_mmseqs(
    program: str, windows: Windows, genome: Genome, identity: float, coverage: float
) -> tuple[np.ndarray, np.ndarray, str]:
    """Search all windows against all with MMseqs2 (both strands), and return the pairs and its version."""
    version = subprocess.run([program, "version"], capture_output=True, text=True, check=False).stdout.strip()
    with tempfile.TemporaryDirectory(prefix="bend_hf_mmseqs_") as folder:
        fasta, hits = Path(folder, "windows.fa"), Path(folder, "hits.tsv")
        with fasta.open("w") as handle:
            for row in range(len(windows.code)):
                one = slice(row, row + 1)
                letters, _ = genome.gather(windows.code[one], windows.start[one], windows.end[one])
                handle.write(f">{row}\n{letters.tobytes().decode()}\n")
        # --cov-mode 5: of the shorter sequence; --search-type 3: nucleotides, both strands.
        options = (
            f"--search-type 3 --strand 2 --min-seq-id {identity} -c {coverage} --cov-mode 5 --max-seqs 1000 --threads 2"
        )
        done = subprocess.run(
            [program, "easy-search", fasta, fasta, hits, Path(folder, "work"), *options.split()],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            said = " ".join((done.stderr or done.stdout).split())
            raise BendError(f"MMseqs2 ({version}) failed: {said[-500:]}")
        pairs = (
            np.loadtxt(hits, dtype=np.int64, usecols=(0, 1), ndmin=2) if hits.stat().st_size else np.empty((0, 2), int)
        )
    return pairs[:, 0], pairs[:, 1], version
