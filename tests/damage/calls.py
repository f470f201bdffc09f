"""What the library is called with wrongly, and what launchers and files of flags say wrongly: told before any work."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
from damage.arguments import asked
from damage.bench import RESULT, At, Bench, Given, Kind, cli, no_work, predictions, python

from bend_hf import Genome, compare, evaluate, get_tasks, load_dataset, push_results, read_results
from bend_hf.report.plot import plot
from bend_hf.report.write import write_report
from bend_hf.results.board import board
from bend_hf.results.record import read_predictions, read_result
from bend_hf.results.rerun import rerun_command
from bend_hf.tasks import own_task

DATA = At(lambda bench: bench.data)
OWN: dict[str, Any] = {
    "label_kind": "window_class",
    "label_names": ("a", "b"),
    "window": 512,
    "build": "GRCh38",
    "summary": "…",
    "rows": {"train": 8, "validation": 1, "test": 1},
}


def of_genome(call: Callable[[Genome], Any]) -> Given:
    def given(bench: Bench) -> Callable[[], Any]:
        genome = Genome(bench.data / "genomes" / "GRCh38.toy.fa")
        return lambda: call(genome)

    return given


def of_results(call: Callable[[Any], Any]) -> Given:
    def given(bench: Bench) -> Callable[[], Any]:
        results = read_results(bench.results)
        return lambda: call(results)

    return given


def own(name: Any = "x", **changes: Any) -> Given:
    return python(own_task, name, **OWN | changes)


def rows(**options: Any) -> Given:
    return python(load_dataset, "cpg_methylation", data_dir=DATA, **options)


def launched(**variables: str) -> Given:
    """Evaluate as a launcher's processes do, with what it says."""

    def given(bench: Bench) -> Callable[[], Any]:
        data = bench.data

        def call() -> Any:
            with mock.patch.dict(os.environ, variables):
                return evaluate(no_work, "cpg_methylation", data_dir=data, output=bench.out)

        return call

    return given


def flags(text: str | bytes) -> Given:
    return cli(
        "evaluate --config {harmed} --data-dir {data} -o {out}",
        lambda bench: bench.put("run.yaml", text),
    )


def with_chromosomes(name: str) -> Given:
    """Predictions whose chromosomes have another name."""

    def changed(table: pa.Table) -> pa.Table:
        return table.set_column(table.column_names.index("chromosome"), "chromosome", pa.array([name] * len(table)))

    return cli("export {harmed} --tracks {out}", lambda bench: predictions(bench, changed))


NO_PATH = "path=None is no path."
NO_RESULTS = "read them with read_results."
SWITCHES = ("strict", "genome_checked", "standardize", "trust_remote_code", "overwrite", "verbose")
KINDS = (
    *(
        Kind(f"{name} in words", asked(**{name: "no"}), f"{name}='no' (--{name.replace('_', '-')}) is neither True")
        for name in SWITCHES
    ),
    Kind("more heads than memory holds", asked(seeds=10**9), "seeds=1000000000: at most 10,000 heads are trained"),
    Kind("a scheme that is a number", asked(scheme=3), "scheme=3 (--scheme) is no text."),
    Kind("a revision that is a number", asked(revision=3), "revision=3 (--revision) is no text."),
    Kind("a folder's name that is empty", asked(model=At(lambda b: str(b.model)), name=""), "name='' is no name of a"),
    Kind("a folder's name on two lines", asked(model=At(lambda b: str(b.model)), name="a\nb"), "is no name of a model"),
    Kind("a tokenizer that is a number", asked(model=At(lambda b: str(b.model)), tokenizer=3), "tokenizer=3 is no"),
    Kind(
        "a device in bytes", asked(model=At(lambda b: str(b.model)), device=b"cpu"), "device=b'cpu' (--device) is none"
    ),
    Kind("rows strictly in words", rows(strict="no"), "strict='no' (--strict) is neither True nor False."),
    Kind("rows streamed in words", rows(streaming="yes"), "streaming='yes' (--streaming) is neither True nor False."),
    Kind(
        "a listed configuration",
        python(load_dataset, "variant_effects", ["disease"]),
        "Unknown configuration of variant_effects \"['disease']\"",
    ),
    Kind("rows of listed splits", rows(split=[]), "split=[] is no split: give one name, such as train or test[:100]"),
    Kind("rows of a split in bytes", rows(split=b"test"), "split=b'test' is no split: give one name"),
    Kind("rows of an unknown split", rows(split="tset"), "cpg_methylation, split='tset': Unknown split"),
    Kind("rows streamed of an unknown split", rows(split="tset", streaming=True), "cpg_methylation, split='tset': Bad"),
    Kind("rows by no process", rows(num_proc=0), "num_proc=0 (--num-proc) is no whole number of at least 1."),
    Kind("rows by processes in words", rows(num_proc="2"), "num_proc='2' (--num-proc) is no whole number"),
    Kind("rows in a cache that is a number", rows(cache_dir=3), "cache_dir=3 is no path."),
    Kind(
        "rows in a cache that is a file", rows(cache_dir=At(lambda b: b.put("f", "x"))), "it is there already", "disk"
    ),
    Kind("a genome of None", python(Genome, None), NO_PATH),
    Kind("a genome of a number", python(Genome, 3), "path=3 is no path."),
    Kind("a window on None", of_genome(lambda g: g.window(None, 0, 5)), "Unknown chromosome of"),
    Kind("a window on a number", of_genome(lambda g: g.window(1, 0, 5)), "Unknown chromosome of"),
    Kind("a window from a fraction", of_genome(lambda g: g.window("chr1", 0.5, 5)), "start=0.5 (--start) is no whole"),
    Kind("a window from words", of_genome(lambda g: g.window("chr1", "0", 5)), "start='0' (--start) is no whole"),
    Kind("a window from nowhere", of_genome(lambda g: g.window("chr1", None, 5)), "start=None is no position."),
    Kind("a window from true", of_genome(lambda g: g.window("chr1", True, 5)), "start=True (--start) is no whole"),
    Kind("a window to NaN", of_genome(lambda g: g.window("chr1", 0, math.nan)), "end=nan (--end) is no whole number"),
    Kind("a window to the moon", of_genome(lambda g: g.window("chr1", 0, 10**30, pad=True)), "is larger than anything"),
    Kind(
        "a window of a trillion letters N",
        of_genome(lambda g: g.window("chr1", 0, 10**12, pad=True)),
        "the window chr1:0-1000000000000 has 1,000,000,000,000 bp, more than a row can hold",
    ),
    Kind("a window on a listed strand", of_genome(lambda g: g.window("chr1", 0, 5, ["+"])), "Unknown strand ['+']."),
    Kind("windows of words", of_genome(lambda g: g.gather(["chr1"], [0], [5])), "are whole numbers, one of each"),
    Kind(
        "windows on strands in words", of_genome(lambda g: g.gather([0], [0], [5], ["-"])), "minus is a truth value for"
    ),
    Kind(
        "windows padded in words", of_genome(lambda g: g.gather([0], [0], [5], pad="no")), "pad='no' (--pad) is neither"
    ),
    Kind("windows of no chromosome", of_genome(lambda g: g.masked([None], [0], [5])), "are whole numbers, one of each"),
    Kind("masked letters behind the end", of_genome(lambda g: g.masked([0], [0], [10**9])), "is empty or leaves chr1,"),
    Kind("windows without ends", of_genome(lambda g: g.gather([0, 0], [0, 1], [5])), "are whole numbers, one of each"),
    Kind(
        "windows behind the last chromosome",
        of_genome(lambda g: g.gather(np.array([99]), np.array([0]), np.array([5]))),
        "codes of chromosomes are 0 to 9",
    ),
    Kind(
        "windows before the first chromosome",
        of_genome(lambda g: g.gather(np.array([-1]), np.array([0]), np.array([5]))),
        "codes of chromosomes are 0 to 9",
    ),
    Kind("None pushed", python(push_results, None, "a/b"), f"None are no results: {NO_RESULTS}"),
    Kind("numbers pushed", python(push_results, [1], "a/b"), f"[1] are no results: {NO_RESULTS}"),
    Kind(
        "a folder pushed", python(push_results, "bend-results", "a/b"), f"'bend-results' are no results: {NO_RESULTS}"
    ),
    Kind("results pushed to a number", of_results(lambda r: push_results(r, 3)), "3 is no repository of the Hub;"),
    Kind("results pushed to a folder", of_results(lambda r: push_results(r, "../..")), "'../..' is no repository of"),
    Kind(
        "results pushed for a namespace that is none",
        of_results(lambda r: push_results(r, "a/b", namespace="../x")),
        "'../x' is no namespace: letters, digits",
    ),
    Kind("results of seed true", of_results(lambda r: r.of(seed=True)), "Unknown seed 'True'."),
    Kind("results of arrays of tasks", of_results(lambda r: r.of(task=np.array([1, 2]))), "Unknown task '[1 2]'."),
    Kind(
        "compared strictly in words", of_results(lambda r: compare(r, strict="no")), "strict='no' (--strict) is neither"
    ),
    Kind("a board of paths", python(board, At(lambda b: str(b.results))), "is no folder, file or record of results"),
    Kind("predictions of a path", python(read_predictions, "x.json"), "'x.json' is no result: read one with"),
    Kind(
        "a report in a format that is 0",
        python(write_report, At(lambda b: b.results), At(lambda b: b.out / "r.html"), format=0),
        "Unknown format '0'.",
    ),
    Kind("a rerun into None", of_results(lambda r: rerun_command(r[0], output=None)), "output=None is no path."),
    Kind(
        "a rerun of no model", of_results(lambda r: rerun_command(r[0], output="o", model="")), "model='' is no path."
    ),
    Kind("results of listed tasks", of_results(lambda r: r.of(task=["x"])), "Unknown task \"['x']\"."),
    Kind(
        "a picture of row true", python(plot, At(lambda b: read_result(b.results / RESULT)), row=True), "Row True does"
    ),
    Kind("tasks that are bytes", python(get_tasks, b"x"), "tasks=b'x' is no name of a task"),
    Kind("tasks got by a mapping", python(get_tasks, {"all": 1}), "tasks={'all': 1} is no name of a task"),
    Kind("a hundredth CPU", asked(model="onehot", device="cpu:99"), "device='cpu:99' (--device) is not there (1"),
    Kind("a level that is true", python(compare, At(lambda b: [b.results]), level=True), "level=True is no share"),
    Kind("a task without a name", own(None), "name is None, which it cannot be."),
    Kind("a task whose name is a number", own(3), "name is 3, which it cannot be."),
    Kind("a task whose labels are one text", own(label_names="ab"), "label_names='ab' are no list of names."),
    Kind("a task without labels", own(label_names=None), "label_names=None are no list of names."),
    Kind("a task whose labels are numbers", own(label_names=(1, 2)), "label_names is (1, 2), which it cannot be."),
    Kind("a task whose label is empty", own(label_names=("", "b")), "label_names: '' is no name: it is empty"),
    Kind("a task whose label breaks lines", own(label_names=("a\nb", "c")), r"label_names: 'a\nb' is no name"),
    Kind("a task whose label colours", own(label_names=("a\x1b[31m", "c")), r"label_names: 'a\x1b[31m' is no name"),
    Kind("a task whose build turns the text", own(build="x\u202ey"), r"build: 'x\u202ey' is no name"),
    Kind("a task whose window is a text", own(window="512"), "window is '512', which it cannot be."),
    Kind("a task whose window is a fraction", own(window=512.5), "window is 512.5, which it cannot be."),
    Kind("a task whose window is true", own(window=True), "window is True, which it cannot be."),
    Kind("a task whose rows are a list", own(rows=[8, 1, 1]), "rows=[8, 1, 1] is no mapping from splits to numbers"),
    Kind("a task whose rows are texts", own(rows={"train": "8", "validation": 1, "test": 1}), "rows is {'train': '8'"),
    Kind("a task without a build", own(build=None), "build is None, which it cannot be."),
    Kind("a task without a summary", own(summary=None), "summary is None, which it cannot be."),
    Kind("a task without columns", own(columns=None), "columns is None, which it cannot be."),
    Kind("a task whose columns are texts", own(columns=("start",)), "columns is ('start',), which it cannot be."),
    Kind("a task of a kind that is a list", own(label_kind=["x"]), "Unknown label_kind"),
    Kind("a task with a colour", own(colour="red"), "Unknown field of a task 'colour'."),
    Kind("a task whose version is a number", own(version=1), "version is 1, which it cannot be."),
    Kind("a task whose sources are a text", own(sources="x"), "sources is 'x', which it cannot be."),
    Kind("a task whose caveats are one text", own(caveats="abc"), "caveats is 'abc', which it cannot be."),
    Kind("a task whose recipe is a mapping", own(recipe={"hidden": 1}), "recipe is {'hidden': 1}, which it cannot be."),
    Kind("a task whose chromosomes are a list", own(chromosomes=["chr1"]), "chromosomes is ['chr1'], which it cannot"),
    Kind("a task whose splits are a list", own(split_names=["a"]), "split_names is ['a'], which it cannot be."),
    Kind("processes in words", launched(WORLD_SIZE="many"), "WORLD_SIZE='many', which launchers of several"),
    Kind("no processes", launched(WORLD_SIZE="0"), "WORLD_SIZE='0', which launchers of several"),
    Kind("processes below 0", launched(WORLD_SIZE="-2"), "WORLD_SIZE='-2', which launchers of several"),
    Kind("processes that are empty", launched(WORLD_SIZE=""), "WORLD_SIZE='', which launchers of several"),
    Kind("a process in words", launched(RANK="first"), "RANK='first', which launchers of several"),
    Kind("a process behind the last", launched(RANK="7", WORLD_SIZE="1"), "RANK=7 of WORLD_SIZE=1 processes is none"),
    Kind("flags nested three thousand deep", flags("[" * 3000 + "]" * 3000), "is nested too deeply", "usage"),
    Kind("flags that are merged", flags("<<: {model: onehot}\nepochs: 3\n"), "line 1: << is no flag", "usage"),
    Kind(
        "flags of Python", flags("model: !!python/object/apply:os.system ['id']\n"), "cannot be read: Constr", "usage"
    ),
    Kind("a model that is a flag", flags("model: --trust-remote-code\n"), "begins as a flag does", "usage"),
    Kind("tasks that are a flag", flags("model: onehot\ntasks: [--overwrite]\n"), "begins as a flag does", "usage"),
    Kind("flags that are a date", flags("model: onehot\nepochs: 2020-01-01\n"), "is neither a text nor", "usage"),
    Kind("two files of flags in one", flags("model: onehot\n---\nmodel: x\n"), "be read: ComposerError", "usage"),
    Kind("flags that are binary", flags(b"\xff\xfe"), "a file is no text in UTF-8", "usage"),
    Kind("a model that colours the terminal", flags('model: "\\e[31mred"\n'), r"Unknown model '\x1b[31mred'."),
    Kind("chromosomes that add a line", with_chromosomes("chr1\t0\t9\nchr2"), r"'chr1\t0\t9\nchr2': names there are"),
    Kind("chromosomes that colour", with_chromosomes("chr1\x1b[31m"), r"'chr1\x1b[31m': names there are one"),
    Kind("chromosomes without a name", with_chromosomes(""), "has the chromosome '': names there are one printable"),
)
