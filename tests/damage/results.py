"""Records and predictions that are not what they were, and what is asked of them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pyarrow as pa
from damage.bench import RESULT, At, Bench, Kind, cli, predictions, python, record

from bend_hf import compare, read_results
from bend_hf.report.plot import plot
from bend_hf.report.write import write_report
from bend_hf.results.record import read_result

REPORT = "report {harmed} -o {here}/report.html"


def text(content: str | bytes):
    """Put a text in a record's place."""
    return lambda bench: bench.put(f"results/{RESULT}", content) if bench.results else None


def field(**changes: object):
    """Forge fields of a record."""
    return lambda bench: record(bench, **changes)


def beside(change):
    """Forge a record's predictions."""
    return lambda bench: predictions(bench, change)


def without_predictions(bench: Bench) -> Path:
    (bench.results / RESULT).with_suffix(".parquet").unlink()
    return bench.results


def cut(name: str, share: float = 0.5):
    """Truncate a file of the results."""

    def harm(bench: Bench) -> Path:
        path = bench.results / name
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * share)])
        return path.with_suffix(".json")

    return harm


def fifo(bench: Bench) -> Path:
    path = bench.here / "pipe.json"
    os.mkfifo(path)
    return path


def folder_as_record(bench: Bench) -> Path:
    path = bench.results / RESULT
    path.unlink()
    path.mkdir()
    return bench.results


def set_column(name: str, make):
    """Replace a column of the predictions."""
    return lambda table: table.set_column(table.column_names.index(name), name, make(table))


def no_text(table: pa.Table) -> pa.Array:
    """Names of chromosomes that are bytes of no text."""
    return pa.array([b"chr\xff"] * len(table)).view(pa.string())


def provenance(**changes: object):
    """Forge parts of a record's provenance."""

    def harm(bench: Bench) -> Path:
        found = json.loads((bench.results / RESULT).read_text())["provenance"]
        return record(bench, provenance={**found, **changes})

    return harm


PARQUET = RESULT.replace(".json", ".parquet")
KINDS = (
    Kind("results that are not there", cli("compare {here}/nothing"), "no such file or folder of results.", "disk"),
    Kind(
        "a folder without results",
        cli("report {data} -o {here}/x.html"),
        "holds no results (<model>/<task>.<protocol>.seed<k>.<run>.json).",
    ),
    Kind(
        "an empty record",
        cli(REPORT, text("")),
        "is not JSON (Expecting value: line 1 column 1 (char 0)): truncated or",
        "data",
    ),
    Kind(
        "a record cut short",
        cli(REPORT, cut(RESULT)),
        "is not JSON (Unterminated string starting at: line 67 column 21 (char",
        "data",
    ),
    Kind(
        "a record that is binary",
        cli(REPORT, text(b"\x89PNG\xff\xfe" * 50)),
        "is not JSON ('utf-8' codec can't decode byte 0x89 in position 0:",
        "data",
    ),
    Kind(
        "a record that is a list",
        cli(REPORT, text("[1, 2]")),
        "is no result of bend_hf (there is no schema version in it).",
    ),
    Kind(
        "a record that is a number",
        cli(REPORT, text("3")),
        "is no result of bend_hf (there is no schema version in it).",
    ),
    Kind(
        "a record nested a hundred thousand deep",
        cli(REPORT, text("[" * 100_000 + "]" * 100_000)),
        "is not JSON of ours (nested too deeply): run it again.",
        "data",
    ),
    Kind(
        "a record with a number of five thousand digits",
        cli(REPORT, text('{"schema": ' + "9" * 5000 + "}")),
        "is not JSON (Exceeds the limit (4300 digits) for integer string",
        "data",
    ),
    Kind(
        "a record whose schema is true",
        cli(REPORT, text('{"schema": true}')),
        "is no result of bend_hf (there is no schema version in it).",
    ),
    Kind(
        "a record whose schema is -1",
        cli(REPORT, text('{"schema": -1}')),
        "is no result of bend_hf (there is no schema version in it).",
    ),
    Kind(
        "a record whose schema is 0",
        cli(REPORT, text('{"schema": 0}')),
        "is no result of bend_hf (there is no schema version in it).",
    ),
    Kind(
        "a record of a newer schema",
        cli(REPORT, text('{"schema": 99}')),
        "written by a newer bend_hf (schema 99; this one reads up to",
    ),
    Kind(
        "a record edited by hand",
        cli(REPORT, lambda b: text((b.results / RESULT).read_text().replace('"toy": true', '"toy": false'))(b)),
        "was changed after it was written (its digest does not match); restore",
    ),
    Kind(
        "a record with a lone surrogate",
        cli(REPORT, text('{"schema": 2, "model": "\\ud800"}')),
        "was changed after it was written (its digest does not match); restore",
    ),
    Kind(
        "a record whose model is a number",
        cli(REPORT, field(model=3)),
        "field 'model' is 3; expected a non-empty string.",
    ),
    Kind(
        "a task that is a list",
        cli(REPORT, field(task=["gene_finding"])),
        "field 'task' is [\"gene_finding\"]; expected one of gene_finding,",
    ),
    Kind(
        "a protocol that is a list",
        cli(REPORT, field(protocol=[])),
        "field 'protocol' is []; expected one of default, bend-2024.",
    ),
    Kind(
        "a protocol that is an object",
        cli(REPORT, field(protocol={})),
        "field 'protocol' is {}; expected one of default, bend-2024.",
    ),
    Kind(
        "a metric that is a list",
        cli(REPORT, field(metric=["mcc"])),
        "field 'metric' is [\"mcc\"]; expected one of mcc, auroc",
    ),
    Kind(
        "a score that is text",
        cli(REPORT, field(score="0.5")),
        "field 'score' is \"0.5\"; expected a finite number or null.",
    ),
    Kind(
        "a score that is true",
        cli(REPORT, field(score=True)),
        "field 'score' is true; expected a finite number or null.",
    ),
    Kind(
        "a score above what its metric can be",
        cli(REPORT, field(score=1.5, interval=None)),
        "field 'score' is 1.5; mcc lies in [-1, 1].",
    ),
    Kind("a score of a thousand digits", cli(REPORT, field(score=10**400)), "field 'score' is"),
    Kind("a chance that is a huge integer", cli(REPORT, field(chance=10**400)), "field 'chance' is"),
    Kind(
        "an interval the wrong way round",
        cli(REPORT, field(interval=[0.9, 0.1])),
        "field 'interval' is [0.9, 0.1]; expected [low, high] with low <=",
    ),
    Kind(
        "an interval of texts",
        cli(REPORT, field(interval=["a", "b"])),
        'field \'interval\' is ["a", "b"]; expected [low, high] with low <=',
    ),
    Kind(
        "an interval beside its score",
        cli(REPORT, field(interval=[0.01, 0.02])),
        "interval[0] is 0.01, its predictions give",
    ),
    Kind(
        "a score that its predictions do not give",
        cli(REPORT, field(score=0.987, interval=[0.9, 0.99])),
        "score is 0.987, its predictions give",
    ),
    Kind(
        "such a score in a comparison",
        cli("compare {results}", field(score=0.987, interval=[0.9, 0.99])),
        "score is 0.987, its predictions give",
    ),
    Kind(
        "such a score drawn",
        cli("plot {harmed}", field(score=0.987, interval=[0.9, 0.99])),
        "score is 0.987, its predictions give",
    ),
    Kind(
        "counts that are texts",
        cli(REPORT, field(counts={"rows": "60"})),
        'field \'counts\' is {"rows": "60"}; expected an object of numbers.',
    ),
    Kind(
        "counts of half a row",
        cli(REPORT, field(counts={"rows": 0.5})),
        "counts.rows is 0.5; expected the number of test rows, above 0.",
    ),
    Kind(
        "counts of true rows",
        cli(REPORT, field(counts={"rows": True})),
        "field 'counts' is {\"rows\": true}; expected an object of numbers.",
    ),
    Kind(
        "secondary scores that are texts", cli(REPORT, field(secondary={"per_class": "none"})), "its predictions give"
    ),
    Kind(
        "secondary scores nested wrongly",
        cli(REPORT, field(secondary={"per_class": {"CDS": {"f1": []}}})),
        "its predictions give",
    ),
    Kind(
        "a history of numbers",
        cli(REPORT, field(history=[1, 2])),
        "field 'history' is [1, 2]; expected a list of objects of numbers,",
    ),
    Kind(
        "a history of texts inside",
        cli(REPORT, field(history=[{"epoch": "one", "train_loss": "low"}])),
        'field \'history\' is [{"epoch": "one", "train_loss": "low"}]; expected',
    ),
    Kind(
        "a history without losses",
        cli(REPORT, field(history=[{}])),
        "field 'history' is [{}]; expected a list of objects of numbers, each",
    ),
    Kind(
        "a history with null",
        cli(REPORT, field(history=[{"epoch": None, "train_loss": None, "validation_loss": None}])),
        'field \'history\' is [{"epoch": null, "train_loss": null,',
    ),
    Kind(
        "folds that are texts",
        cli(REPORT, field(folds=["part0"])),
        "field 'folds' is [\"part0\"]; expected a list of objects of numbers, or",
    ),
    Kind(
        "a provenance that is a list",
        cli(REPORT, field(provenance=[])),
        "field 'provenance' is []; expected an object.",
    ),
    Kind(
        "a provenance without packages",
        cli(REPORT, provenance(packages=None)),
        "provenance.packages is null; expected an object of strings.",
    ),
    Kind(
        "a provenance whose model is text",
        cli(REPORT, provenance(model="x")),
        'provenance.model is "x"; expected an object.',
    ),
    Kind(
        "a provenance whose seconds are texts",
        cli(REPORT, provenance(seconds={"embed": "long"})),
        'provenance.seconds is {"embed": "long"}; expected a number, an object',
    ),
    Kind(
        "a provenance whose seconds are a list",
        cli(REPORT, provenance(seconds=[1])),
        "provenance.seconds is [1]; expected a number, an object of numbers,",
    ),
    Kind(
        "a provenance whose memory is text",
        cli(REPORT, provenance(peak_memory="much")),
        'provenance.peak_memory is "much"; expected a number or null.',
    ),
    Kind(
        "a provenance whose settings are a list",
        cli(REPORT, provenance(settings=[1])),
        "provenance.settings is [1]; expected an object or null.",
    ),
    Kind(
        "a provenance whose hardware is text",
        cli(REPORT, provenance(hardware="x")),
        'provenance.hardware is "x"; expected an object or null.',
    ),
    Kind(
        "a provenance whose command is a number",
        cli(REPORT, provenance(command=3)),
        "provenance.command is 3; expected a string, a list of strings, or",
    ),
    Kind(
        "a provenance whose packages are numbers",
        cli(REPORT, provenance(packages={"torch": 2})),
        'provenance.packages is {"torch": 2}; expected an object of strings.',
    ),
    Kind(
        "a declared task that is none",
        cli(REPORT, provenance(declaration={"schema": 1, "name": 3})),
        "provenance.declaration: field 'dataset' is missing; expected a string.",
    ),
    Kind(
        "a declared task that is a number",
        cli(REPORT, provenance(declaration=3)),
        "provenance.declaration: is no object with the fields of a task.",
    ),
    Kind(
        "a declared task of BEND's name",
        cli(REPORT, provenance(declaration={"schema": 1, "name": "gene_finding"})),
        "provenance.declaration: field 'dataset' is missing; expected a string.",
    ),
    Kind(
        "an unknown field",
        cli(REPORT, field(scroe=1)),
        "Unknown field 'scroe'. Did you mean 'score'? Choices: model, task,",
    ),
    Kind(
        "a failure that is a number",
        cli(REPORT, field(failure=3)),
        "field 'failure' is 3; expected a non-empty string or null.",
    ),
    Kind(
        "a seed of a zero-shot task's kind",
        cli(REPORT, field(seed=None)),
        "field 'seed' is None; for gene_finding expected the seed of the",
    ),
    Kind(
        "a seed that is huge",
        cli(REPORT, field(seed=10**30)),
        "field 'seed' is 1000000000000000000000000000000; expected an integer",
    ),
    Kind(
        "a seed that is a fraction",
        cli(REPORT, field(seed=0.5)),
        "field 'seed' is 0.5; expected an integer from 0 to 2**32 - 1, or null.",
    ),
    Kind(
        "a key that is a list",
        cli(REPORT, field(key=[])),
        "field 'key' is []; expected an object with rows, embedder, network,",
    ),
    Kind(
        "a key with odd parts",
        cli(REPORT, field(key={"rows": 1})),
        "field 'key' is {\"rows\": 1}; expected an object with rows, embedder,",
    ),
    Kind(
        "predictions in another folder",
        cli(REPORT, field(predictions={"file": "../../../etc/passwd", "sha256": "0", "rows": 1})),
        'field \'predictions\' is {"file": "../../../etc/passwd", "sha256": "0",',
    ),
    Kind(
        "predictions whose name is a number",
        cli(REPORT, field(predictions={"file": 3, "sha256": "0", "rows": 1})),
        'field \'predictions\' is {"file": 3, "sha256": "0", "rows": 1};',
    ),
    Kind(
        "predictions whose name is a folder's",
        cli(REPORT, field(predictions={"file": ".", "sha256": "0", "rows": 1})),
        'field \'predictions\' is {"file": ".", "sha256": "0", "rows": 1};',
    ),
    Kind(
        "predictions with a NUL in their name",
        cli(REPORT, field(predictions={"file": "a\0b", "sha256": "0", "rows": 1})),
        'field \'predictions\' is {"file": "a\\u0000b", "sha256": "0", "rows":',
    ),
    Kind(
        "predictions with a name of 300 letters",
        cli(REPORT, field(predictions={"file": "a" * 300, "sha256": "0", "rows": 60})),
        "field 'predictions' is",
    ),
    Kind(
        "predictions that are missing",
        cli("compare {harmed}", without_predictions),
        "the predictions of gene_finding.default.seed0.json are missing; copy",
    ),
    Kind(
        "predictions that are missing, reported",
        cli(REPORT, without_predictions),
        "the predictions of gene_finding.default.seed0.json are missing; copy",
    ),
    Kind(
        "predictions that are missing, drawn",
        cli("plot {harmed}", lambda b: without_predictions(b) / RESULT),
        "the predictions of gene_finding.default.seed0.json are missing; copy",
    ),
    Kind(
        "predictions cut short",
        cli("compare {results}", cut(PARQUET)),
        "is not the file that gene_finding.default.seed0.json was written with",
    ),
    Kind(
        "predictions that are empty",
        cli("compare {results}", cut(PARQUET, 0)),
        "is not the file that gene_finding.default.seed0.json was written with",
    ),
    Kind(
        "forged predictions that are no Parquet",
        cli("plot {harmed}", lambda b: _not_parquet(b)),
        "Parquet file size is 2056 bytes, smaller than the size reported by",
        "data",
    ),
    Kind(
        "predictions without a column",
        cli("plot {harmed}", beside(lambda t: t.drop(["labels"]))),
        "predictions of gene_finding lack the column 'labels'; needed: row,",
    ),
    Kind(
        "predictions without rows", cli("plot {harmed}", beside(lambda t: t.slice(0, 0))), "there are no predictions."
    ),
    Kind(
        "predictions with texts as scores",
        cli("plot {harmed}", beside(set_column("scores", lambda t: pa.array(["x"] * len(t))))),
        "the column 'scores' holds string, or nulls, which it cannot be.",
    ),
    Kind(
        "predictions with a chromosome that is no text",
        cli(REPORT, beside(set_column("chromosome", no_text))),
        "In chunk 0: Invalid: Invalid UTF8 sequence at string index 0)",
        "data",
    ),
    Kind(
        "predictions with null scores",
        cli("plot {harmed}", beside(set_column("scores", lambda t: pa.nulls(len(t), pa.list_(pa.float16()))))),
        "the column 'scores' holds list<element: halffloat>, or nulls, which",
    ),
    Kind(
        "predictions with nested scores",
        cli("plot {harmed}", beside(set_column("scores", lambda t: pa.array([[[0.5]]] * len(t))))),
        "the column 'scores' holds list<element: list<element: double>>, or",
    ),
    Kind(
        "predictions with chromosomes that are numbers",
        cli("plot {harmed}", beside(set_column("chromosome", lambda t: pa.array([1] * len(t))))),
        "the column 'chromosome' holds int64, or nulls, which it cannot be.",
    ),
    Kind(
        "predictions with starts that are texts",
        cli("plot {harmed}", beside(set_column("start", lambda t: pa.array(["x"] * len(t))))),
        "the column 'start' holds string, or nulls, which it cannot be.",
    ),
    Kind(
        "predictions with null starts",
        cli("plot {harmed}", beside(set_column("start", lambda t: pa.nulls(len(t), pa.int64())))),
        "the column 'start' holds int64, or nulls, which it cannot be.",
    ),
    Kind(
        "predictions with labels out of range",
        cli(
            "plot {harmed}",
            beside(
                set_column(
                    "labels", lambda t: pa.array([[99] * len(x) for x in t["labels"].to_pylist()], pa.list_(pa.int8()))
                )
            ),
        ),
        "a label lies outside 0..8.",
    ),
    Kind(
        "fewer predictions than recorded",
        cli("compare {results}", beside(lambda t: t.slice(0, 5))),
        "has 5 rows; its record says 20.",
        "data",
    ),
    Kind(
        "a row that is not there",
        cli("plot {results}/" + RESULT + " --row 20"),
        "Row 20 does not exist: the predictions have rows 0 to 19.",
    ),
    Kind(
        "a row below 0",
        cli("plot {results}/" + RESULT + " --row -1"),
        "Row -1 does not exist: the predictions have rows 0 to 19.",
    ),
    Kind(
        "a picture of variants",
        cli("plot {results}/models--one/variant_effects_disease.default.json"),
        "variant_effects_disease has neither genes nor bins: there is no",
    ),
    Kind(
        "a picture that is no SVG",
        cli("plot {results}/" + RESULT + " -o {here}/x.png"),
        "pictures are SVG files; give a name that ends in .svg.",
    ),
    Kind(
        "a picture of a folder",
        cli("plot {results}"),
        "is a folder, a device or a pipe, where a file is meant. Give the path",
        "disk",
    ),
    Kind(
        "a picture of a pipe",
        cli("plot {harmed}", fifo),
        "is a folder, a device or a pipe, where a file is meant. Give the path",
        "disk",
    ),
    Kind(
        "a report of a pipe",
        cli(REPORT, fifo),
        "is a folder, a device or a pipe, where a file is meant. Give the path",
        "disk",
    ),
    Kind(
        "a comparison of a folder named as a record",
        cli("compare {harmed}", folder_as_record),
        "is a folder, a device or a pipe, where a file is meant. Give the path",
        "disk",
    ),
    Kind(
        "a single model compared",
        cli("compare {results}/models--one"),
        "There is nothing to compare: give two models' results on the same",
    ),
    Kind(
        "an unknown task compared",
        cli("compare {results} --tasks gene_findng"),
        "Unknown task 'gene_findng'. Did you mean 'gene_finding'? Choices:",
    ),
    Kind(
        "no resamples",
        cli("compare {results} --resamples 0"),
        "argument --resamples: 0 is not a positive number",
        "usage",
    ),
    Kind(
        "resamples in words",
        cli("compare {results} --resamples many"),
        "argument --resamples: invalid positive value: 'many'",
        "usage",
    ),
    Kind(
        "resamples as a fraction",
        python(compare, At(lambda b: [b.results]), resamples=1.5),
        "resamples=1.5 (--resamples) is no whole number of at least 10.",
    ),
    Kind(
        "no resamples in Python",
        python(compare, At(lambda b: [b.results]), resamples=0),
        "resamples=0 (--resamples) is no whole number of at least 10.",
    ),
    Kind(
        "a single resample",
        cli("compare {results} --resamples 1"),
        "resamples=1 (--resamples) is no whole number of at least 10.",
    ),
    Kind(
        "a level above 1",
        python(compare, At(lambda b: [b.results]), level=95),
        "level=95 is no share between 0 and 1, such as 0.95.",
    ),
    Kind(
        "a level in words",
        python(compare, At(lambda b: [b.results]), level="95%"),
        "level='95%' is no share between 0 and 1, such as 0.95.",
    ),
    Kind(
        "a seed below 0 of the resampling",
        python(compare, At(lambda b: [b.results]), seed=-1),
        "seed=-1 (--seed) is no whole number of at least 0.",
    ),
    Kind(
        "no results compared", python(compare, []), "There is nothing to compare: give two models' results on the same"
    ),
    Kind("None compared", python(compare, None), "None is no folder, file or record of results, nor several."),
    Kind("a number compared", python(compare, 3), "3 is no folder, file or record of results, nor several."),
    Kind(
        "a list of numbers compared", python(compare, [1, 2]), "1 is no folder, file or record of results, nor several."
    ),
    Kind(
        "a protocol that is none",
        python(compare, At(lambda b: [b.results]), protocol="2024"),
        "Unknown protocol '2024'. Did you mean 'bend-2024'? Choices: default,",
    ),
    Kind("None read", python(read_results, None), "None is no folder or file of results, nor several."),
    Kind("a number read", python(read_results, 3), "3 is no folder or file of results, nor several."),
    Kind("bytes read", python(read_results, b"results"), "b'results' is no folder or file of results, nor several."),
    Kind("nothing read", python(read_results, []), "No results are named: give folders or files of them."),
    Kind("an empty text read", python(read_results, ""), "results='' is no path."),
    Kind("a list of None read", python(read_results, [None]), "results=None is no path."),
    Kind("one record that is None", python(read_result, None), "path=None is no path."),
    Kind("a path with a NUL", python(read_result, "a\0b"), "path='a\\x00b' is no path."),
    Kind("None plotted", python(plot, None), "None is no result: read one with read_result."),
    Kind(
        "a row as a fraction",
        python(plot, At(lambda b: read_result(b.results / RESULT)), row=1.5),
        "Row 1.5 does not exist: the predictions have rows 0 to 19.",
    ),
    Kind(
        "a report of None",
        python(write_report, None, "x.html"),
        "None is no folder, file or record of results, nor several.",
    ),
    Kind(
        "a report of numbers",
        python(write_report, [1], "x.html"),
        "1 is no folder, file or record of results, nor several.",
    ),
    Kind("a report to None", python(write_report, At(lambda b: b.results), None), "output=None is no path."),
    Kind(
        "a report in a format that is a number",
        python(write_report, At(lambda b: b.results), "x.html", format=3),
        "Unknown format '3'. Choices: html, markdown, csv, latex, json.",
    ),
    Kind(
        "rerun of a record that is not there",
        cli("rerun {here}/nothing.json"),
        "there is no such file or folder. Check the path.",
        "disk",
    ),
    Kind(
        "rerun of a folder",
        cli("rerun {results}"),
        "is a folder, a device or a pipe, where a file is meant. Give the path",
        "disk",
    ),
    Kind(
        "rerun of a command that is a number",
        cli("rerun {harmed} --dry-run", provenance(command=3)),
        "provenance.command is 3; expected a string, a list of strings, or",
    ),
    Kind(
        "rerun of a command of numbers",
        cli("rerun {harmed} --dry-run", provenance(command=["bend-hf", "evaluate", 3])),
        'provenance.command is ["bend-hf", "evaluate", 3]; expected a string,',
    ),
    Kind(
        "rerun of a command with open quotes",
        cli("rerun {harmed} --dry-run", provenance(command="bend-hf evaluate 'x")),
        "The recorded command cannot be read (No closing quotation): run it by",
    ),
)


def _not_parquet(bench: Bench) -> Path:
    import hashlib

    path = bench.results / RESULT
    content = b"PAR1" + bytes(range(256)) * 8 + b"PAR1"
    path.with_suffix(".parquet").write_bytes(content)
    attached = json.loads(path.read_text())["predictions"]
    return record(bench, predictions=attached | {"sha256": hashlib.sha256(content).hexdigest()})
