"""A toy genome with planted biology and all seven tasks in BEND's file formats: no download, made in about a second.

    from bend_hf.data import toy
    folder = toy.make("toy")                                # the same bytes for the same seed and sizes
    bend_hf.load_dataset("gene_finding", data_dir=folder)

Scores on it say that a pipeline learns and generalises, and nothing about a model's worth on real genomes.

What is planted: genes (start and stop codon, GT–AG introns, bases in order) on both strands, between decoys; islands of
CpG, unmethylated in most cell types; clusters of motifs that decide accessibility and histone labels; enhancers, arrays
of motifs in order, and decoys out of order; variants that break a motif, a splice site or the order of codons, and
controls with the same exchange of bases. Ten chromosomes, each with windows of its own, are the ten folds; chr2
validates and chr1 and chr8 test the tasks with fixed splits. Coordinates are 0-based half-open.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from bend_hf.data import toy_biology as biology
from bend_hf.errors import BendError, DataError
from bend_hf.files import atomic, digest_file, read_json, write_json
from bend_hf.tasks.bend import (
    CHROMATIN_ACCESSIBILITY,
    CPG_METHYLATION,
    ENHANCER_ANNOTATION,
    GENE_FINDING,
    HISTONE_MODIFICATION,
    VARIANT_EFFECTS_DISEASE,
    VARIANT_EFFECTS_EXPRESSION,
)
from bend_hf.tasks.task import FOLDS, Task

VERSION = 2
MANIFEST = "toy.json"
ELEMENTS = "elements.bed"
"""Where features lie, decoys among them, and not which: what a track of conservation tells of a real genome."""
CHROMOSOMES = tuple(range(1, len(FOLDS) + 1))
SPLIT_OF = {number: {1: "test", 2: "valid", 8: "test"}.get(number, "train") for number in CHROMOSOMES}

# One motif (a consensus of a well-known factor) for each programme that labels of the peak tasks follow.
CHROMATIN_MOTIFS = ("CCACCAGGGGGC", "TGACTCA", "AGATAAGA")  # CTCF, AP-1, GATA
HISTONE_MOTIFS = ("ACCGGAAGT", "TAATTAA", "CAGCTG")  # ETS, homeobox, E-box
ENHANCER_MOTIFS = ("CCACACCC", "AGATAA")  # KLF1, GATA1
OFTEN = {"missense_variant": 4, "stop_gained": 2}
"""Consequences that are drawn more than once in turn."""
RARE_LABELS = range(100, 110)
SILENT_LABELS = range(110, 115)

ENHANCERS_PER_WINDOW = 2
DECOYS = 3  # of each enhancer
MARGIN = 600  # before the first and behind the last enhancer window of a chromosome
WINDOW = 512


Candidate = tuple[str, int, int, str]  # chromosome, position, alternate base (ASCII), consequence


class Feature(NamedTuple):
    """Something planted: its sequence (ASCII), a gene's structure, a motif cluster's motifs and where they lie."""

    kind: Literal["gene", "peak", "enhancer", "decoy", "island", "repeat", "gap"]
    sequence: np.ndarray
    gene: biology.Gene | None = None
    programmes: tuple[int, ...] = ()
    in_motif: np.ndarray | None = None


def make(
    folder: str | Path,
    *,
    seed: int = 0,
    windows: int = 2,
    genes: int = 8,
    chromatin: int = 60,
    histone: int = 60,
    cpgs: int = 60,
    variants: int = 50,
) -> Path:
    """Write the toy data; a folder that holds the same toy already is left as it is.

    Args:
        folder: To be made; must be absent, empty, or hold the same toy.
        seed: Equal seeds and sizes give equal files.
        windows: Enhancer windows (100,096 bp) on each of the ten chromosomes; sets the size of the genome.
        genes: Gene-finding windows on each chromosome.
        chromatin: Accessibility windows on each chromosome of the second genome (GRCh37).
        histone: Histone windows on each chromosome.
        cpgs: Methylation windows on each chromosome.
        variants: Variants with an effect in each of the two variant files; each comes with three controls.

    Returns:
        The folder: ``genomes/GRCh38.toy.fa``, ``genomes/GRCh37.toy.fa`` (chromosomes without ``chr``), each task's
        released file names, and ``toy.json`` with parameters and digests.

    Raises:
        BendError: A size is too small or too large for the genome, or the folder holds something else.
    """
    folder = Path(folder)
    sizes = {
        "windows": windows,
        "genes": genes,
        "chromatin": chromatin,
        "histone": histone,
        "cpgs": cpgs,
        "variants": variants,
    }
    if bad := [f"{name}={size}" for name, size in sizes.items() if size < 1] + [f"seed={seed}"] * (seed < 0):
        raise BendError(f"The toy data needs sizes of at least 1 and a seed of at least 0, not {', '.join(bad)}.")
    parameters = {"version": VERSION, "seed": seed, **sizes}
    if folder.exists():
        if (folder / MANIFEST).is_file():
            _check_same(folder, parameters)
            return folder
        if not folder.is_dir() or any(folder.iterdir()):
            raise BendError(f"{folder} exists and is no toy data ({MANIFEST} is missing): choose another folder.")
        folder.rmdir()
    with atomic(folder) as temporary:
        _write(temporary, parameters)
    return folder


def genome_digest(folder: Path, build: str) -> str:
    """Return the SHA-256 that a toy's genome of a build was made with."""
    return str(_manifest(folder)["sha256"].get(f"genomes/{build}.toy.fa"))


def _manifest(folder: Path) -> dict[str, Any]:
    """Return the parameters of the toy data in a folder, and the SHA-256 of each file."""
    path = folder / MANIFEST
    remedy = f"delete {folder}, and make the toy data again"
    manifest = read_json(path, remedy)
    parts = ("parameters", "sha256")
    if not isinstance(manifest, dict) or not all(isinstance(manifest.get(name), dict) for name in parts):
        raise DataError(f"{path}: says nothing of toy data: damaged; {remedy}.")
    return manifest


def _check_same(folder: Path, parameters: dict[str, int]) -> None:
    """Raise unless `folder` holds the toy of these parameters, unchanged."""
    manifest = _manifest(folder)
    if manifest["parameters"] != parameters:
        raise BendError(
            f"{folder} holds toy data made with {manifest['parameters']}, not {parameters}: choose another folder."
        )
    for name, digest in manifest["sha256"].items():
        path = folder / name
        if not path.is_file() or digest_file(path) != digest:
            raise BendError(f"{path} is missing or was changed since the toy data was made: delete {folder}.")


def _write(folder: Path, parameters: dict[str, int]) -> None:
    rng = np.random.default_rng([VERSION, parameters["seed"]])
    _write_grch38(folder, rng, parameters)
    _write_grch37(folder, rng, parameters["chromatin"])
    digests = {
        path.relative_to(folder).as_posix(): digest_file(path) for path in sorted(folder.rglob("*")) if path.is_file()
    }
    write_json(folder / MANIFEST, {"parameters": parameters, "sha256": digests})


def _write_grch38(folder: Path, rng: np.random.Generator, sizes: dict[str, int]) -> None:
    genome: dict[str, np.ndarray] = {}
    rows: dict[str, list[tuple[object, ...]]] = defaultdict(list)
    elements: list[str] = []
    gene_labels: list[np.ndarray] = []
    enhancer_labels: list[np.ndarray] = []
    candidates: dict[str, tuple[list[Candidate], list[Candidate]]] = {"expression": ([], []), "disease": ([], [])}
    drivers = biology.label_drivers(rng, len(HISTONE_MOTIFS), len(HISTONE_MODIFICATION.label_names))
    for number in CHROMOSOMES:
        chromosome = f"chr{number}"
        sequence, planted = _chromosome(rng, sizes)
        genome[chromosome] = sequence
        elements += [f"{chromosome}\t{start}\t{start + len(f.sequence)}\n" for start, f in planted]
        islands, enhancers = np.zeros((2, len(sequence)), dtype=bool)
        spans = [(start, start + len(f.sequence), f.gene.strand) for start, f in planted if f.gene]
        for start, feature in planted:
            end = start + len(feature.sequence)
            if gene := feature.gene:
                name = f"TOYT{len(gene_labels) + 1:011d}.1"
                rows["gene_finding"].append(
                    (chromosome, start, end, name, gene.strand, gene.flank_left, gene.flank_right, end - start,
                     SPLIT_OF[number])
                )  # fmt: skip
                gene_labels.append(gene.labels)
                for side, variants in enumerate((gene.damaging, gene.harmless)):
                    candidates["disease"][side].extend(
                        (chromosome, start + v.position, v.alt, v.consequence) for v in variants
                    )
                continue
            if feature.kind in ("island", "decoy"):
                islands[start:end] = feature.kind == "island"
                continue
            if feature.kind == "enhancer":
                enhancers[start:end] = True
            else:
                labels = biology.draw_peak_labels(rng, drivers, feature.programmes)
                rows["histone_modification"].append((chromosome, start, end, ".", 1, "+", labels, SPLIT_OF[number]))
            _add_expression(rng, candidates["expression"], chromosome, start, feature, spans)
        for w in range(sizes["windows"]):
            start, end = _window(w)
            enhancer_labels.append(np.any(enhancers[start:end].reshape(-1, 128), axis=1))
            rows["enhancer_annotation"].append(
                (chromosome, start, end, f"TOY{len(enhancer_labels)}", "", ".", FOLDS[number - 1])
            )
        for position, strand, labels in biology.methylation(rng, sequence, islands, sizes["cpgs"], WINDOW // 2):
            start = position - WINDOW // 2 + 1
            rows["cpg_methylation"].append((chromosome, start, start + WINDOW, strand, labels, SPLIT_OF[number]))

    _write_fasta(folder / "genomes" / "GRCh38.toy.fa", genome)
    (folder / ELEMENTS).write_text("".join(elements), encoding="utf-8", newline="\n")
    for task in (GENE_FINDING, ENHANCER_ANNOTATION, HISTONE_MODIFICATION, CPG_METHYLATION):
        _write_bed(folder, task, rows[task.name])
    _write_hdf5(folder, GENE_FINDING, gene_labels)
    _write_hdf5(folder, ENHANCER_ANNOTATION, enhancer_labels)
    for task, (with_effect, without) in zip(
        (VARIANT_EFFECTS_EXPRESSION, VARIANT_EFFECTS_DISEASE), candidates.values(), strict=True
    ):
        _write_bed(folder, task, _variant_rows(rng, task, genome, with_effect, without, sizes["variants"]))


def _write_grch37(folder: Path, rng: np.random.Generator, peaks: int) -> None:
    drivers = biology.label_drivers(rng, len(CHROMATIN_MOTIFS), len(CHROMATIN_ACCESSIBILITY.label_names))
    drivers[:, RARE_LABELS] = 0.005
    drivers[:, SILENT_LABELS] = 0.0
    genome = {}
    rows: list[tuple[object, ...]] = []
    for number in CHROMOSOMES:
        features = [_peak(rng, CHROMATIN_MOTIFS) for _ in range(peaks)]
        sequence = biology.background(rng, 2 * peaks * WINDOW)
        starts = biology.place(rng, [WINDOW] * peaks, len(sequence))
        for start, feature in zip(starts.tolist(), features, strict=True):
            sequence[start : start + WINDOW] = feature.sequence
            labels = biology.draw_peak_labels(rng, drivers, feature.programmes)
            rows.append((number, start, start + WINDOW, ".", 1, "+", labels, SPLIT_OF[number]))
        genome[str(number)] = sequence
    _write_fasta(folder / "genomes" / "GRCh37.toy.fa", genome)
    _write_bed(folder, CHROMATIN_ACCESSIBILITY, rows)


def _window(w: int) -> tuple[int, int]:
    """Return start and end of the w-th enhancer window of a chromosome."""
    length = ENHANCER_ANNOTATION.window or 0
    return MARGIN + w * length, MARGIN + (w + 1) * length


def _chromosome(rng: np.random.Generator, sizes: dict[str, int]) -> tuple[np.ndarray, list[tuple[int, Feature]]]:
    """Make one chromosome: background, features without overlap, soft-masked repeats and runs of N between them.

    Returns:
        The sequence, ASCII, and each feature with its start.
    """
    windows = sizes["windows"]
    sequence = biology.background(rng, _window(windows)[0] + MARGIN)
    sequence[:50] = ord("N")
    planted: list[tuple[int, Feature]] = []
    for w in range(windows):
        start, end = _window(w)
        features: list[Feature] = []
        for _ in range(w, sizes["genes"], windows):
            gene = biology.make_gene(rng, "+-"[rng.integers(2)])
            features.append(Feature("gene", gene.sequence, gene=gene))
        features += [_peak(rng, HISTONE_MOTIFS) for _ in range(w, sizes["histone"], windows)]
        for k in range(ENHANCERS_PER_WINDOW * (1 + DECOYS)):
            ordered = k < ENHANCERS_PER_WINDOW
            array, in_motif = biology.motif_array(rng, ENHANCER_MOTIFS, int(rng.integers(18, 32)), ordered)
            features.append(Feature("enhancer" if ordered else "decoy", array, in_motif=in_motif))
        for length in rng.integers(700, 1100, 2):
            features.append(Feature("island", biology.random_bases(rng, int(length), biology.ISLAND)))
        for length in rng.integers(200, 600, 6):
            features.append(Feature("repeat", np.full(length, ord("a"), dtype=np.uint8)))
        features.append(Feature("gap", np.full(20, ord("N"), dtype=np.uint8)))
        features = [features[i] for i in rng.permutation(len(features))]
        lengths = [len(feature.sequence) for feature in features]
        if sum(lengths) > 0.8 * (end - start):
            raise BendError(
                f"{sizes['genes']} genes and {sizes['histone']} histone windows a chromosome do not fit into "
                f"windows={windows} of {end - start:,} bp: ask for fewer or for more windows."
            )
        for offset, feature in zip(biology.place(rng, lengths, end - start).tolist(), features, strict=True):
            piece = slice(start + offset, start + offset + len(feature.sequence))
            if feature.kind == "repeat":
                sequence[piece] += ord("a") - ord("A")
            else:
                sequence[piece] = feature.sequence
                if feature.kind != "gap":
                    planted.append((piece.start, feature))
    return sequence, planted


def _peak(rng: np.random.Generator, motifs: Sequence[str]) -> Feature:
    """Make a 512-bp window that follows one programme, or two."""
    programmes = tuple(sorted(rng.choice(len(motifs), 1 + int(rng.random() < 0.3), replace=False).tolist()))
    sequence, in_motif = biology.motif_cluster(rng, WINDOW, [motifs[p] for p in programmes], 0.5)
    return Feature("peak", sequence, programmes=programmes, in_motif=in_motif)


def _add_expression(
    rng: np.random.Generator,
    candidates: tuple[list[Candidate], list[Candidate]],
    chromosome: str,
    start: int,
    feature: Feature,
    genes: Iterable[tuple[int, int, str]],
) -> None:
    """List the variants of a motif cluster: those in a copy of a motif have an effect, those between copies do not."""
    consequence = "regulatory_region_variant"
    for gene_start, gene_end, strand in genes:
        if gene_start - 5_000 <= start < gene_start:
            consequence = "upstream_gene_variant" if strand == "+" else "downstream_gene_variant"
        elif gene_end <= start < gene_end + 5_000:
            consequence = "downstream_gene_variant" if strand == "+" else "upstream_gene_variant"
    assert feature.in_motif is not None
    for offset in rng.choice(len(feature.sequence), 60, replace=False).tolist():
        candidates[0 if feature.in_motif[offset] else 1].extend(
            (chromosome, start + offset, alt, consequence)
            for alt in biology.BASES.tolist()
            if alt != feature.sequence[offset]
        )


def _variant_rows(
    rng: np.random.Generator,
    task: Task,
    genome: dict[str, np.ndarray],
    with_effect: list[Candidate],
    without: list[Candidate],
    count: int,
) -> list[tuple[object, ...]]:
    """Draw variants with an effect, and for each three controls with the same exchange of bases.

    With equal exchanges in both classes, a score that sees only the two bases (as the distance of one-hot vectors)
    is at chance by construction.
    """
    controls = defaultdict(list)
    for i in rng.permutation(len(without)).tolist():
        chromosome, position, alt, _ = without[i]
        controls[genome[chromosome][position], alt].append(without[i])
    # By consequence in turn, so that the rare ones (start_lost) are there, too few to be learnt in a minute.
    by_consequence = defaultdict(list)
    for i in rng.permutation(len(with_effect)).tolist():
        by_consequence[with_effect[i][3]].append(with_effect[i])
    used: set[tuple[str, int]] = set()
    drawn: list[tuple[int, Candidate]] = []
    while len(drawn) < 4 * count and any(by_consequence.values()):
        for queue in (by_consequence[name] for name in by_consequence for _ in range(OFTEN.get(name, 1))):
            if not queue or len(drawn) == 4 * count:
                continue
            chromosome, position, alt, _ = variant = queue.pop()
            same_exchange = controls[genome[chromosome][position], alt]
            chosen: list[Candidate] = []
            while same_exchange and len(chosen) < 3:
                control = same_exchange.pop()
                if control[:2] not in used and control[:2] != variant[:2]:
                    chosen.append(control)
            if variant[:2] not in used and len(chosen) == 3:
                drawn += [(1, variant), *((0, control) for control in chosen)]
                used.update(row[:2] for row in (variant, *chosen))
    if len(drawn) < 4 * count:
        raise BendError(
            f"{task.name}: variants={count} are more than there are: ask for fewer, or more genes and peaks."
        )

    rows: list[tuple[object, ...]] = []
    for label, (chromosome, position, alt, consequence) in sorted(drawn, key=lambda row: (row[1][0], row[1][1])):
        ref = chr(genome[chromosome][position])
        row = (chromosome, position, position, ref, chr(alt), "train", label)
        if task is VARIANT_EFFECTS_EXPRESSION:
            rows.append((*row, consequence, ref))
        else:
            names = (("Benign", "Likely_benign", "Benign/Likely_benign"), ("Pathogenic", "Likely_pathogenic"))[label]
            rows.append((*row, names[rng.integers(len(names))], consequence))
    return rows


def _write_fasta(path: Path, genome: dict[str, np.ndarray]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as handle:
        for name, sequence in genome.items():
            text = sequence.tobytes()
            handle.write(f">{name}\n".encode())
            handle.writelines(text[i : i + 60] + b"\n" for i in range(0, len(text), 60))


def _write_bed(folder: Path, task: Task, rows: list[tuple[object, ...]]) -> None:
    path = folder / f"{task.stem}.bed"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["\t".join(column.name for column in task.columns), *("\t".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def _write_hdf5(folder: Path, task: Task, labels: list[np.ndarray]) -> None:
    """Write dataset ``labels`` as BEND does: one array where all rows are equally long, else one array per row."""
    import h5py

    with h5py.File(folder / f"{task.stem}.hdf5", "w") as handle:
        if task.window:
            handle.create_dataset("labels", data=np.stack(labels).astype(np.float64))
        else:
            rows = handle.create_dataset("labels", (len(labels),), dtype=h5py.vlen_dtype(np.float64))
            for i, row in enumerate(labels):
                rows[i] = row
