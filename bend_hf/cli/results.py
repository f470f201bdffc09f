"""`compare`, `report`, `plot`, `export` and `rerun`: what is done with results."""

from __future__ import annotations

import subprocess
import tempfile
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path

from bend_hf.cli.options import Command, chosen_tasks, level, positive, results_option, tasks_option, whole_number
from bend_hf.cli.output import Answer, files
from bend_hf.protocols import PROTOCOLS

ENDINGS = {"html": "html", "markdown": "md", "csv": "csv", "latex": "tex", "json": "json"}


def add(command: Command) -> None:
    """Declare `compare`, `report`, `plot`, `export`, `rerun`."""
    sub = command(
        "compare",
        compare,
        "compare models on the same test rows: paired differences, intervals of ranks",
        "compare",
        "compare results/a results/b --tasks gene_finding",
        "compare --published",
    )
    results_option(sub)
    tasks_option(sub)
    sub.add_argument("--protocol", choices=list(PROTOCOLS), help="where results of both are there")
    text = "set each run beside the published values of its model, and say first in what the two differ"
    sub.add_argument("--published", action="store_true", help=text)
    sub.add_argument("--level", type=level, default=0.95, metavar="P", help="of intervals and ranks (0.95)")
    sub.add_argument("--resamples", type=positive, default=1000, metavar="N", help="of the bootstrap (1000)")
    sub.add_argument("--seed", type=whole_number, default=0, metavar="N", help="of the bootstrap (0)")

    sub = command(
        "report",
        report,
        "write results as one page, or as a table for a paper",
        "report -o report.html",
        "report --as latex -o table.tex",
    )
    results_option(sub)
    sub.add_argument("-o", "--output", type=Path, help="file to write (report.html, .md, .csv, .tex, .json)")
    sub.add_argument("--as", dest="form", choices=list(ENDINGS), help="default: by the file's ending")
    text = "test rows of every task that the page holds for browsing (as many as find room)"
    sub.add_argument("--browse", type=positive, metavar="N", help=text)

    sub = command(
        "plot",
        plot,
        "draw predicted against true labels along one test window (gene finding, enhancers)",
        "plot bend-results/onehot/gene_finding.default.seed0.1a2b3c4d.json --row 3",
    )
    sub.add_argument("result", type=Path, help="a result's JSON file, its predictions beside it")
    sub.add_argument("--row", type=int, default=0, metavar="N", help="test row, from 0 (0)")
    sub.add_argument("-o", "--output", type=Path, help="SVG file to write")

    sub = command(
        "export",
        export,
        "write predictions as tracks: bedGraph, bigWig, GFF3, BED, VCF, a session of IGV, a hub of UCSC",
        "export --tracks tracks",
        "export RESULT.json --tracks tracks --genome my_genome.fa",
    )
    results_option(sub)
    sub.add_argument("--tracks", type=Path, required=True, metavar="DIR", help="folder to write")
    sub.add_argument("--genome", type=Path, metavar="FASTA", help="that the results were made on, unless hg38 or hg19")

    sub = command(
        "rerun",
        rerun,
        "make a recorded result again and compare",
        "rerun bend-results/onehot/gene_finding.default.seed0.1a2b3c4d.json",
        "rerun RESULT.json --dry-run",
    )
    sub.add_argument("result", type=Path, help="a result's JSON file")
    sub.add_argument("--model", help="instead of the recorded one, e.g. the folder it lies in now")
    sub.add_argument("--task", metavar="FOLDER", help="where the folder of a task of your own lies now")
    sub.add_argument("--data-dir", type=Path, help="data folder instead of the recorded one")
    sub.add_argument("--genome", type=Path, metavar="FASTA", help="genome instead of the recorded one")
    sub.add_argument(
        "--trust-remote-code",
        action="store_true",
        help="run Python that comes with the model; a record cannot ask for it",
    )
    sub.add_argument("--dry-run", action="store_true", help="print the command only")


def compare(args: Namespace) -> Answer:
    """Compare results of models, or set them beside published values."""
    from bend_hf.results.compare import compare

    if args.published:
        return _beside(args)
    found = compare(
        args.results,
        tasks=chosen_tasks(args),
        protocol=args.protocol,
        resamples=args.resamples,
        seed=args.seed,
        level=args.level,
    )
    return Answer(found, found.to_json(), found.ranking)


def _beside(args: Namespace) -> Answer:
    from bend_hf.errors import BendError
    from bend_hf.report.published import beside
    from bend_hf.results.record import read_results
    from bend_hf.tasks import get_tasks

    if (args.level, args.resamples, args.seed) != (0.95, 1000, 0):
        raise BendError(
            "--level, --resamples and --seed are of comparisons on the same rows, which --published is not."
        )
    results = [result for result in read_results(args.results) if args.protocol in (None, result.protocol)]
    found = beside(results, [task.name for task in get_tasks(chosen_tasks(args))])
    return Answer(found, found.to_json(), [pair.task for pair in found.pairs])


def report(args: Namespace) -> Answer:
    """Write a report of results."""
    from bend_hf.report.write import write_report

    output = args.output or Path(f"report.{ENDINGS[args.form or 'html']}")
    write_report(args.results, output, format=args.form, browse=args.browse)
    return files([output])


def plot(args: Namespace) -> Answer:
    """Draw predicted against true labels along a window."""
    from bend_hf.report.plot import plot
    from bend_hf.results.record import read_result

    return files([plot(read_result(args.result), row=args.row, output=args.output)])


def export(args: Namespace) -> Answer:
    """Write predictions as tracks."""
    from bend_hf.results.record import read_results
    from bend_hf.text import counted
    from bend_hf.tracks.write import write_tracks

    written = write_tracks(read_results(args.results), args.tracks, args.genome)
    last = [path for path in written if path.suffix in (".xml", ".txt")]
    text = "\n".join([f"{counted(len(written), 'file')} below {args.tracks}", *map(str, last)])
    return Answer(text, {"files": [str(path) for path in written]}, written)


def rerun(args: Namespace) -> Answer:
    """Make a result again, and compare."""
    from bend_hf.results.record import read_result, read_results
    from bend_hf.results.rerun import compare_rerun, rerun_command

    old = read_result(args.result)
    options = {
        "model": args.model,
        "task": args.task,
        "data_dir": args.data_dir,
        "genome": args.genome,
        "trust_remote_code": args.trust_remote_code,
    }
    if args.dry_run:
        command = rerun_command(old, output="rerun", **options)
        line = subprocess.list2cmdline(command)
        return Answer(line, {"command": command}, [line])
    with tempfile.TemporaryDirectory(prefix="bend_hf_rerun_") as folder:
        done = subprocess.run(rerun_command(old, output=folder, **options), stdout=subprocess.DEVNULL, check=False)
        if done.returncode:
            return Answer("", {"failed": done.returncode}, code=done.returncode)
        [new] = [result for result in read_results(folder) if result.seed == old.seed]
    outcome = compare_rerun(old, new)
    return Answer(outcome, asdict(outcome), [outcome.new], code=int(not (outcome.same or outcome.inside)))
