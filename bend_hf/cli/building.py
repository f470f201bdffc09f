"""`build` and `audit`: tasks from primary sources, and what may be wrong with a task."""

from __future__ import annotations

import argparse
import shlex
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bend_hf.cli.options import Command, data_arguments, data_options, refuse, tasks_option
from bend_hf.cli.output import Answer
from bend_hf.errors import BendError

if TYPE_CHECKING:
    from bend_hf.build.splits import Scheme


CONTROLS = ("permuted", "shuffled", "matched")


def add(command: Command) -> None:
    """Declare `build` and `audit`."""
    parser = command(
        "build",
        lambda args: args.make(args),
        "make a task from primary sources, for any genome",
        "build genes annotation.gff3 --genome genome.fa --build TAIR10 -o my_genes",
        "build peaks liver=liver.narrowPeak.gz lung=lung.bed --genome hg38.fa --build GRCh38 -o my_peaks",
        "build variants clinvar.vcf.gz --clinvar --genome hg38.fa --build GRCh38 -o my_variants",
        "build genes gencode.v45.gtf.gz --genome hg38.fa --build GRCh38 --split chromosomes --test chr1 chr8",
    )
    group = parser.add_subparsers(dest="kind", metavar="KIND", required=True)

    def kind(name: str, make: Callable[[Any], Answer], summary: str) -> argparse.ArgumentParser:
        sub = group.add_parser(
            name, help=summary, description=summary[0].upper() + summary[1:] + ".", allow_abbrev=False
        )
        sub.set_defaults(make=make)
        _common(sub)
        if name != "variants":
            _splits(sub)
        return sub

    sub = command(
        "audit",
        audit,
        "look for leaks between splits, contradictions and signs that a task is too easy",
        "audit gene_finding cpg_methylation",
        "audit gene_finding --data-dir DATA --genome GRCh38.fa --strict",
    )
    tasks_option(sub, positional=True)
    data_options(sub)
    sub.add_argument("--queries", type=int, default=10_000, metavar="N", help="held-out pieces to search (10000)")
    sub.add_argument("--annotation", type=Path, metavar="FILE", help="GTF or GFF3: do variants share genes?")
    sub.add_argument("--aliases", type=Path, metavar="FILE", help="of the annotation's chromosome names")
    sub.add_argument("--write", action="store_true", help="keep it beside the rows, for cards and reports")

    sub = kind("genes", genes, "one class per nucleotide around coding transcripts, from a GTF or GFF3")
    sub.add_argument("annotation", type=Path, help="GTF or GFF3, plain or compressed")
    sub.add_argument(
        "--transcripts", default="canonical", help="canonical (default), longest, or a table transcript_id"
    )
    sub.add_argument("--flanks", type=int, default=1000, metavar="BP", help="left and right together (1000)")
    sub.add_argument("--flank-left", type=int, metavar="BP", help="fixed; default: at random")
    sub.add_argument("--max-length", type=int, default=13_000, metavar="BP", help="of a window (13000)")
    sub.add_argument("--min-length", type=int, default=1, metavar="BP", help="of a window (1)")
    sub.add_argument(
        "--overlapping", choices=["keep", "drop"], default="keep", help="windows with another gene's exons"
    )

    sub = kind("peaks", peaks, "windows labelled by the tracks that have a peak there, after Basset's recipe")
    _tracks(sub, "narrowPeak, broadPeak or BED, plain or compressed, one file per label")
    sub.add_argument("--width", type=int, default=512, metavar="BP", help="of a window (512)")
    sub.add_argument(
        "--merge-overlap", type=int, default=200, metavar="BP", help="merge windows that overlap by more (200)"
    )
    sub.add_argument("--center", choices=["middle", "summit"], default="middle", help="of a peak (middle)")
    sub.add_argument(
        "--negatives", type=float, default=0, metavar="X", help="windows without peak, per window with one (0)"
    )
    sub.add_argument("--allow-empty", action="store_true", help="take an empty file for a track without peaks")

    sub = kind("methylation", methylation, "windows around CpGs, labelled by the tracks in which they are methylated")
    _tracks(sub, "bedMethyl, bedGraph or bigWig, one file per label")
    sub.add_argument("--width", type=int, default=512, metavar="BP", help="of a window (512)")
    sub.add_argument("--min-coverage", type=int, default=5, metavar="READS", help="in every track (5)")
    sub.add_argument("--threshold", type=float, default=0.5, metavar="SHARE", help="of methylated reads (0.5)")
    sub.add_argument("--scale", choices=["percent", "fraction"], default="percent", help="of bedGraph and bigWig")
    sub.add_argument("--max-rows", type=int, metavar="N", help="draw at most N CpGs")

    sub = kind("variants", variants, "single-nucleotide variants with a label each, from a VCF or BCF")
    sub.add_argument("vcf", type=Path, help="VCF (plain or compressed) or BCF")
    sub.add_argument("--clinvar", action="store_true", help="labels after ClinVar's CLNSIG")
    sub.add_argument("--field", metavar="INFO", help="INFO field that decides the label")
    sub.add_argument("--positive", nargs="+", default=[], metavar="TERM", help="terms of the field with an effect")
    sub.add_argument("--negative", nargs="+", default=[], metavar="TERM", help="terms of the field without one")
    sub.add_argument(
        "--threshold", type=float, metavar="X", help="number of the field from which on there is an effect"
    )
    sub.add_argument("--label-table", type=Path, metavar="FILE", help="id label, or chromosome start ref alt label")
    sub.add_argument("--annotation", type=Path, metavar="FILE", help="GTF or GFF3, for coarse consequences")
    sub.add_argument("--matched", type=int, default=0, metavar="N", help="like negatives per positive (0: keep all)")

    sub = kind("enhancers", enhancers, "windows on the starts of genes, and the bins that are enhancers of that gene")
    sub.add_argument(
        "--links", nargs="+", type=Path, required=True, metavar="FILE", help="CRISPRi, ABC, BEDPE or plain"
    )
    sub.add_argument("--tss", type=Path, required=True, metavar="FILE", help="chromosome tss gene, or a GTF or GFF3")
    sub.add_argument("--bins", type=int, default=782, metavar="N", help="of a window (782)")
    sub.add_argument("--bin-size", type=int, default=128, metavar="BP", help="of a bin (128)")
    sub.add_argument("--min-score", type=float, default=0, metavar="X", help="of predicted links (0)")

    text = "a task with labels exchanged, sequences shuffled, or at other places"
    sub = group.add_parser("control", help=text, description=text.capitalize() + ".", allow_abbrev=False)
    sub.set_defaults(make=control)
    sub.add_argument("task", help="name or folder of a task")
    sub.add_argument("--kind", choices=CONTROLS, required=True, dest="what", help="labels, sequences, or places")
    sub.add_argument("--genome", type=Path, required=True, metavar="FASTA", help="of the task")
    sub.add_argument("--data-dir", type=Path, help="of BEND's own tasks")
    sub.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="task folder to write")
    sub.add_argument("--seed", type=int, default=0, help="of the permutation, the shuffles or the places (0)")


def _tracks(sub: argparse.ArgumentParser, formats: str) -> None:
    sub.add_argument("tracks", nargs="+", metavar="[NAME=]FILE", help=formats)


def _named_files(values: Sequence[str]) -> list[Path] | dict[str, Path]:
    """Read ``FILE …`` or ``NAME=FILE …``."""
    pairs = [value.partition("=") for value in values]
    if not any(sign for _, sign, _ in pairs):
        return [Path(value) for value in values]
    named = {name: Path(path) for name, _, path in pairs}
    if len(named) < len(pairs) or not all(sign for _, sign, _ in pairs):
        raise BendError("Name every track, each with another name (NAME=FILE), or none.")
    return named


def audit(args: Namespace) -> Answer:
    """Audit tasks; with --strict, 1 if any has a problem."""
    from bend_hf.bars import steps
    from bend_hf.build import audit
    from bend_hf.data.audited import write_audit
    from bend_hf.data.sources import locate
    from bend_hf.tasks import get_tasks

    arguments = data_arguments(args) | {"strict": False}
    found = []
    chosen = get_tasks(args.tasks)
    if not any(task.kind.variants for task in chosen):
        refuse(args, "where no task is of variants", "annotation")
    if args.annotation is None:
        refuse(args, "without --annotation", "aliases")
    for task in steps(chosen, "task", name=lambda task: task.name):
        files = locate(task, **arguments)
        found.append(audit(files, queries=args.queries, annotation=args.annotation, aliases=args.aliases))
        if args.write:
            write_audit(files, found[-1].to_json(), str(found[-1]))
    return Answer(
        "\n\n".join(map(str, found)),
        [each.to_json() for each in found],
        [problem for each in found for problem in each.problems],
        code=int(args.strict and any(each.problems for each in found)),
    )


def genes(args: Namespace) -> Answer:
    """Build a gene-finding task."""
    from bend_hf import build

    names = ("transcripts", "flanks", "flank_left", "max_length", "min_length", "overlapping")
    return _done(
        args, build.genes(args.annotation, args.genome, args.output, **_shared(args, "homology"), **_named(args, names))
    )


def peaks(args: Namespace) -> Answer:
    """Build a task of peaks."""
    from bend_hf import build

    names = ("width", "merge_overlap", "center", "negatives", "allow_empty")
    tracks = _named_files(args.tracks)
    return _done(
        args, build.peaks(tracks, args.genome, args.output, **_shared(args, "chromosomes"), **_named(args, names))
    )


def methylation(args: Namespace) -> Answer:
    """Build a CpG-methylation task."""
    from bend_hf import build

    names = ("width", "min_coverage", "threshold", "max_rows")
    options = _shared(args, "chromosomes") | _named(args, names) | {"percent": args.scale == "percent"}
    return _done(args, build.methylation(_named_files(args.tracks), args.genome, args.output, **options))


def variants(args: Namespace) -> Answer:
    """Build a variant task."""
    from bend_hf import build
    from bend_hf.errors import BendError

    if args.clinvar:
        refuse(args, "with --clinvar", "field", "positive", "negative", "threshold", "label_table")
        labels = build.CLINVAR
    else:
        if args.label_table:
            refuse(args, "with --label-table", "field")
        if twice := sorted({*args.negative} & {*args.positive}):
            raise BendError(f"{twice[0]!r} is given as a --positive and as a --negative term. Name it once.")
        terms = dict.fromkeys(args.negative, 0) | dict.fromkeys(args.positive, 1)
        labels = build.Labels(args.field or "", terms=terms, threshold=args.threshold, table=args.label_table)
    options = _shared(args, "none") | _named(args, ("annotation", "matched"))
    return _done(args, build.variants(args.vcf, args.genome, args.output, labels=labels, **options))


def enhancers(args: Namespace) -> Answer:
    """Build an enhancer-annotation task."""
    from bend_hf import build

    options = _shared(args, "folds") | _named(args, ("bins", "bin_size", "min_score"))
    return _done(args, build.enhancers(args.links, args.tss, args.genome, args.output, **options))


def control(args: Namespace) -> Answer:
    """Build a control of a task."""
    from bend_hf import build
    from bend_hf.build.write import command_line

    options = {"kind": args.what, "command": command_line(["bend-hf", *sys.argv[1:]])}
    return _done(
        args, build.control(args.task, args.genome, args.output, **options, **_named(args, ("data_dir", "seed")))
    )


def _common(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--genome", type=Path, required=True, metavar="FASTA", help="plain or bgzip")
    sub.add_argument("--build", required=True, metavar="NAME", help="of the genome build, for the record")
    sub.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="task folder to write")
    sub.add_argument("--aliases", type=Path, metavar="FILE", help="assembly report, or a table of chromosome names")
    sub.add_argument("--skip-absent", action="store_true", help="leave out chromosomes that the genome lacks")
    sub.add_argument("--seed", type=int, default=0, help="of everything that is drawn (0)")
    sub.add_argument(
        "--controls", nargs="+", choices=CONTROLS, default=[], help="controls to write beside it, as DIR_permuted …"
    )


def _splits(sub: argparse.ArgumentParser) -> None:
    group = sub.add_argument_group("splits")
    group.add_argument("--split", choices=["chromosomes", "blocks", "folds", "homology", "file", "none"])
    group.add_argument("--validation", nargs="+", default=[], metavar="CHR", help="chromosomes of the validation split")
    group.add_argument("--test", nargs="+", default=[], metavar="CHR", help="chromosomes of the test split")
    group.add_argument("--fractions", nargs=3, type=float, default=[0.8, 0.1, 0.1], metavar="F", help="0.8 0.1 0.1")
    group.add_argument("--block", type=int, default=1_000_000, metavar="BP", help="of neighbouring bases (1000000)")
    group.add_argument("--buffer", type=int, default=0, metavar="BP", help="between windows of two splits (0)")
    group.add_argument("--split-file", type=Path, metavar="FILE", help="chromosome start end split, or id split")
    group.add_argument("--identity", type=float, default=0.8, help="of homologous windows (0.8)")
    group.add_argument("--coverage", type=float, default=0.5, help="of the shorter of two homologous windows (0.5)")
    group.add_argument(
        "--tool", choices=["auto", "own", "mmseqs", "graphpart"], default="auto", help="that finds homologous windows"
    )


def _shared(args: Namespace, scheme: Scheme) -> dict[str, Any]:
    """Return the arguments that all builders take; `scheme` is the kind's own way to split."""
    from bend_hf.build import Split
    from bend_hf.build.write import command_line

    command = command_line(["bend-hf", *sys.argv[1:]])
    shared = {"command": command} | _named(args, ("build", "aliases", "skip_absent", "seed", "controls"))
    if "split" not in args:  # variants are zero-shot
        return shared
    split = Split(
        args.split or ("file" if args.split_file else scheme),
        validation=tuple(args.validation),
        test=tuple(args.test),
        fractions=tuple(args.fractions),
        block=args.block,
        buffer=args.buffer,
        file=args.split_file,
        identity=args.identity,
        coverage=args.coverage,
        tool=args.tool,
        seed=args.seed,
    )
    return shared | {"split": split}


def _named(args: Namespace, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: getattr(args, name) for name in names}


def _done(args: Namespace, folder: Path) -> Answer:
    own = (folder / "genomes").is_dir()  # shuffled controls have one
    then = shlex.join(["bend-hf", "audit", str(folder), *([] if own else ["--genome", str(args.genome)]), "--write"])
    return Answer(folder, {"folder": folder}, [folder], next=(then,))
