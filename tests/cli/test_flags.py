"""Every flag of every verb: what the library is called with. A flag without a row fails, as does one that is ignored.

The functions that a verb calls are replaced by ones that write down their arguments, so that nothing is computed.
"""

import importlib
import inspect
import json
import sys
from argparse import SUPPRESS, _SubParsersAction
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from result_factory import make_result

import bend_hf.data.builder  # noqa: F401 (loaded while `locate` is replaced, it would keep what stands in its place)
from bend_hf.build import Labels
from bend_hf.cli import build_parser, main


@dataclass(frozen=True)
class Verb:
    """How a verb is called, what it calls (name → what that returns), and destination of a flag → row.

    A row is the words that are added, the argument that they decide (``function.argument``), and its value then. Where
    no words are added, the argument is one of `words`.
    """

    words: str
    calls: dict[str, Any]
    rows: dict[str, tuple[str, str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Examined:
    verdict: str


ONE = ["gene_finding"]
A, B = Path("a"), Path("b")


def _tasks(call: str) -> dict[str, tuple[str, str, Any]]:
    return {
        "tasks": ("--tasks gene_finding", f"{call}.tasks", ONE),
        "task": ("--task a", f"{call}.tasks", ["a"]),
    }


def _data(call: str) -> dict[str, tuple[str, str, Any]]:
    return {
        "data_dir": ("--data-dir a", f"{call}.data_dir", A),
        "genome": ("--genome GRCh38=a GRCh37=b", f"{call}.genome", {"GRCh38": A, "GRCh37": B}),
        "genome_checked": ("--genome-checked", f"{call}.genome_checked", True),
        "strict": ("--strict", f"{call}.strict", True),
    }


def _loading(call: str) -> dict[str, tuple[str, str, Any]]:
    return {
        "revision": ("--revision a", f"{call}.revision", "a"),
        "trust_remote_code": ("--trust-remote-code", f"{call}.trust_remote_code", True),
        "dtype": ("--dtype bfloat16", f"{call}.dtype", "bfloat16"),
        "layer": ("--layer 4,8", f"{call}.layer", [4, 8]),
        "strand": ("--strand average", f"{call}.strand", "average"),
        "config": ("--model-config a", f"{call}.config", "a"),
        "tokenizer": ("--tokenizer a", f"{call}.tokenizer", "a"),
        "prefix": ("--prefix <dna>", f"{call}.prefix", "<dna>"),
        "scheme": ("--scheme codons", f"{call}.scheme", "codons"),
        "context": ("--context 512", f"{call}.context", 512),
        "device": ("--device cpu", f"{call}.device", "cpu"),
        "device_map": ("--device-map auto", f"{call}.device_map", "auto"),
    }


def _common(call: str) -> dict[str, tuple[str, str, Any]]:
    """Return the rows of what all kinds of `build` take."""
    return {
        "genome": ("--genome b", f"{call}.genome", B),
        "build": ("--build TAIR10", f"{call}.build", "TAIR10"),
        "output": ("-o b", f"{call}.output", B),
        "aliases": ("--aliases a", f"{call}.aliases", A),
        "skip_absent": ("--skip-absent", f"{call}.skip_absent", True),
        "seed": ("--seed 3", f"{call}.seed", 3),
        "controls": ("--controls permuted matched", f"{call}.controls", ["permuted", "matched"]),
    }


def _splits(call: str) -> dict[str, tuple[str, str, Any]]:
    def of(name: str, value: Any) -> tuple[str, Any]:
        return f"{call}.split", lambda split: getattr(split, name) == value

    chromosomes = "--split chromosomes --validation chr1 --test chr2"
    return {
        "split": ("--split blocks", *of("scheme", "blocks")),
        "validation": (chromosomes, *of("validation", ("chr1",))),
        "test": (chromosomes, *of("test", ("chr2",))),
        "fractions": ("--split blocks --fractions .5 .3 .2", *of("fractions", (0.5, 0.3, 0.2))),
        "block": ("--split blocks --block 5", *of("block", 5)),
        "buffer": ("--split blocks --buffer 5", *of("buffer", 5)),
        "split_file": ("--split-file a", *of("file", A)),
        "identity": ("--split homology --identity .7", *of("identity", 0.7)),
        "coverage": ("--split homology --coverage .7", *of("coverage", 0.7)),
        "tool": ("--split homology --tool own", *of("tool", "own")),
    }


def _evaluate(call: str) -> dict[str, tuple[str, str, Any]]:
    """Return the rows of what `evaluate` and `plan` take."""
    return {
        **_tasks(call),
        **_data(call),
        **_loading(call),
        "model": ("", f"{call}.model", "onehot"),
        "seeds": ("--seeds 5", f"{call}.seeds", 5),
        "epochs": ("--epochs 3", f"{call}.epochs", 3),
        "batch_size": ("--batch-size 3", f"{call}.batch_size", 3),
        "patience": ("--patience 3", f"{call}.patience", 3),
        "precision": ("--precision bf16", f"{call}.precision", "bf16"),
        "sampling_seed": ("--sampling-seed 3", f"{call}.sampling_seed", 3),
        "vary": ("--vary both", f"{call}.vary", "both"),
        "standardize": ("--standardize", f"{call}.standardize", True),
        "layers": ("--layers all", f"{call}.layers", "all"),
        "limit": ("--limit 3", f"{call}.limit", 3),
        "train_rows": ("--train-rows 3,all", f"{call}.train_rows", "3,all"),
        "scores": ("--scores llr cosine", f"{call}.scores", ["llr", "cosine"]),
        "trackers": ("--trackers wandb", f"{call}.trackers", ["wandb"]),
        "output": ("-o a", f"{call}.output", A),
        "overwrite": ("--overwrite", f"{call}.overwrite", True),
        "run_file": ("--config run.yaml", f"{call}.epochs", 7),
        "num_proc": ("--num-proc 3", f"{call}.num_proc", 3),
        "protocol": ("--protocol bend-2024", f"{call}.protocol", "bend-2024"),
        "store": ("--store a", f"{call}.store", A),
        "store_limit": ("--store-limit 3GB", f"{call}.store_limit", "3GB"),
        "vectors": ("--vectors int8", f"{call}.vectors", "int8"),
        "track": ("--track a.bw", f"{call}.track", "a.bw"),
        "budget": ("--budget 2h", f"{call}.budget", "2h"),
    }


EVALUATE, PLAN, FILL, OPEN, LOCATE = (
    "bend_hf.evaluation.evaluate",
    "bend_hf.evaluation.plan",
    "bend_hf.embed.filling.fill",
    "bend_hf.embed.open.load_embedder",
    "bend_hf.data.sources.locate",
)
PREPARE, PUBLISH = "bend_hf.hub.prepare.prepare", "bend_hf.hub.publish.publish"
COMPARE, REPORT, RERUN = (
    "bend_hf.results.compare.compare",
    "bend_hf.report.write.write_report",
    "bend_hf.results.rerun.rerun_command",
)
BUILD = "bend_hf.build"
MADE = "--genome g --build GRCh38 -o o"

VERBS = {
    "demo": Verb(
        "",
        {"bend_hf.demo.run": []},
        {"output": ("-o a", "run.output", A)},
    ),
    "tasks ls": Verb("", {}),
    "tasks info": Verb(
        "histone_modification",
        {},
        {"name": ("--format quiet", "stdout", lambda text: text.split() == ["histone_modification"])},
    ),
    "prepare": Verb(
        "",
        {PREPARE: [], "bend_hf.hub.prepare.prepared": [], "bend_hf.hub.prepare.remove": []},
        {
            **_data("prepare"),
            "tasks": ("gene_finding", "prepare.tasks", ONE),
            "num_proc": ("--num-proc 3", "prepare.num_proc", 3),
            "toy": ("--toy", "prepare.toy", True),
            "to": ("--to a", "prepare.to", A),
            "namespace": ("--namespace lab", "prepare.namespace", "lab"),
            "list": ("--list gene_finding", "prepared.tasks", ONE),
            "remove": ("--remove gene_finding", "remove.tasks", ONE),
        },
    ),
    "evaluate": Verb(
        "onehot",
        {
            EVALUATE: [make_result("gene_finding", model="onehot")],
            PLAN: SimpleNamespace(to_json=dict, seconds=3),
            "bend_hf.hub.push.push_results": "done",
        },
        {
            **_evaluate("evaluate"),
            "push": ("--push lab/model", "push_results.model_id", "lab/model"),
            "dry_run": ("--dry-run", "plan.model", "onehot"),
        },
    ),
    "plan": Verb("onehot", {PLAN: SimpleNamespace(to_json=dict, seconds=3)}, _evaluate("plan")),
    "embed": Verb(
        "model --tasks gene_finding",
        {
            FILL: SimpleNamespace(folder=Path("nowhere"), complete=True),
            OPEN: None,
            LOCATE: None,
            "bend_hf.data.builder.build": None,
            "bend_hf.walk.merged": {"sequence": []},
        },
        {
            **_data("locate"),
            **_loading("load_embedder"),
            "model": ("", "load_embedder.model", "model"),
            "tasks": ("--tasks cpg_methylation", "locate.task", lambda task: task.name == "cpg_methylation"),
            "task": ("--task cpg_methylation", "locate.task", lambda task: task.name == "cpg_methylation"),
            "shard": ("--shard 1/3", "fill.share", (1, 3)),
            "num_proc": ("--num-proc 3", "build.num_proc", 3),
            "protocol": ("--protocol bend-2024", "load_embedder.protocol", lambda rules: rules.name == "bend-2024"),
            "store": ("--store a", "fill.store_dir", A),
            "store_limit": ("--store-limit 3GB", "fill.limit_bytes", 3_000_000_000),
            "vectors": ("--vectors int8", "fill.precision", "int8"),
        },
    ),
    "doctor": Verb(
        "model",
        {"bend_hf.trial.examine": Examined("usable")},
        {
            **_loading("examine"),
            "model": ("", "examine.model", "model"),
            "tasks": ("--tasks gene_finding", "examine.tasks", ["gene_finding"]),
            "task": ("--task a", "examine.tasks", ["a"]),
            "protocol": ("--protocol bend-2024", "examine.protocol", "bend-2024"),
            "no_mock": ("--no-mock", "examine.mock", False),
        },
    ),
    "compare": Verb(
        "a",
        {
            COMPARE: SimpleNamespace(to_json=dict, ranking={}),
            "bend_hf.results.record.read_results": [],
            "bend_hf.report.published.beside": SimpleNamespace(to_json=list, pairs=()),
        },
        {
            **_tasks("compare"),
            "results": ("b", "compare.results", [A, B]),
            "protocol": ("--protocol bend-2024", "compare.protocol", "bend-2024"),
            "published": ("--published", "beside.results", []),
            "resamples": ("--resamples 50", "compare.resamples", 50),
            "level": ("--level .9", "compare.level", 0.9),
            "seed": ("--seed 3", "compare.seed", 3),
        },
    ),
    "report": Verb(
        "a",
        {REPORT: None},
        {
            "results": ("b", "write_report.results", [A, B]),
            "output": ("-o a.html", "write_report.output", Path("a.html")),
            "form": ("--as latex", "write_report.format", "latex"),
            "browse": ("--browse 3", "write_report.browse", 3),
        },
    ),
    "plot": Verb(
        "a",
        {"bend_hf.results.record.read_result": "read", "bend_hf.report.plot.plot": None},
        {
            "result": ("", "read_result.path", A),
            "row": ("--row 3", "plot.row", 3),
            "output": ("-o b", "plot.output", B),
        },
    ),
    "export": Verb(
        "r --tracks t",
        {"bend_hf.results.record.read_results": [], "bend_hf.tracks.write.write_tracks": []},
        {
            "results": ("", "read_results.where", [Path("r")]),
            "tracks": ("", "write_tracks.folder", Path("t")),
            "genome": ("--genome a", "write_tracks.genome", A),
        },
    ),
    "rerun": Verb(
        "a",
        {
            "bend_hf.results.record.read_result": "read",
            RERUN: ["command"],
            "subprocess.run": SimpleNamespace(returncode=3),
        },
        {
            "result": ("", "read_result.path", A),
            "model": ("--model a", "rerun_command.model", "a"),
            "task": ("--task a", "rerun_command.task", "a"),
            "data_dir": ("--data-dir a", "rerun_command.data_dir", A),
            "genome": ("--genome a", "rerun_command.genome", A),
            "trust_remote_code": ("--trust-remote-code", "rerun_command.trust_remote_code", True),
            "dry_run": ("--dry-run", "stdout", lambda text: text == "command\n"),
        },
    ),
    "publish": Verb(
        "--namespace lab",
        {PUBLISH: []},
        {
            **_tasks("publish"),
            **_data("publish"),
            "namespace": ("--namespace other", "publish.namespace", "other"),
            "mirror": ("--mirror a", "publish.mirror", A),
            "toy": ("--toy", "publish.toy", True),
            "incomplete": ("--incomplete", "publish.incomplete", True),
            "private": ("--private", "publish.private", True),
            "dry_run": ("--dry-run", "publish.dry_run", True),
        },
    ),
    "audit": Verb(
        "gene_finding",
        {
            LOCATE: None,
            "bend_hf.data.audited.write_audit": None,
            f"{BUILD}.audit": SimpleNamespace(problems=["a leak"], to_json=dict),
        },
        {
            **_data("locate"),
            "tasks": ("cpg_methylation", "locate.task", lambda task: task.name == "cpg_methylation"),
            "strict": ("--strict", "code", 1),
            "queries": ("--queries 3", "audit.queries", 3),
            "annotation": ("variant_effects_disease --annotation a", "audit.annotation", A),
            "aliases": ("variant_effects_disease --annotation b --aliases a", "audit.aliases", A),
            "write": ("--write", "write_audit.table", str),
        },
    ),
    "build genes": Verb(
        f"annotation {MADE}",
        {f"{BUILD}.genes": B},
        {
            **_common("genes"),
            **_splits("genes"),
            "annotation": ("", "genes.annotation", Path("annotation")),
            "transcripts": ("--transcripts longest", "genes.transcripts", "longest"),
            "flanks": ("--flanks 3", "genes.flanks", 3),
            "flank_left": ("--flank-left 3", "genes.flank_left", 3),
            "max_length": ("--max-length 3", "genes.max_length", 3),
            "min_length": ("--min-length 3", "genes.min_length", 3),
            "overlapping": ("--overlapping drop", "genes.overlapping", "drop"),
        },
    ),
    "build peaks": Verb(
        f"one=a {MADE}",
        {f"{BUILD}.peaks": B},
        {
            **_common("peaks"),
            **_splits("peaks"),
            "tracks": ("", "peaks.tracks", {"one": A}),
            "width": ("--width 3", "peaks.width", 3),
            "merge_overlap": ("--merge-overlap 3", "peaks.merge_overlap", 3),
            "center": ("--center summit", "peaks.center", "summit"),
            "negatives": ("--negatives 3", "peaks.negatives", 3),
            "allow_empty": ("--allow-empty", "peaks.allow_empty", True),
        },
    ),
    "build methylation": Verb(
        f"a b {MADE}",
        {f"{BUILD}.methylation": B},
        {
            **_common("methylation"),
            **_splits("methylation"),
            "tracks": ("", "methylation.tracks", [A, B]),
            "width": ("--width 3", "methylation.width", 3),
            "min_coverage": ("--min-coverage 3", "methylation.min_coverage", 3),
            "threshold": ("--threshold .7", "methylation.threshold", 0.7),
            "scale": ("--scale fraction", "methylation.percent", False),
            "max_rows": ("--max-rows 3", "methylation.max_rows", 3),
        },
    ),
    "build variants": Verb(
        f"a --field F --positive P {MADE}",
        {f"{BUILD}.variants": B},
        {
            **_common("variants"),
            "vcf": ("", "variants.vcf", A),
            "field": ("--field G", "variants.labels", Labels("G", terms={"P": 1})),
            "positive": ("--positive Q", "variants.labels", Labels("F", terms={"Q": 1})),
            "negative": ("--negative N", "variants.labels", Labels("F", terms={"N": 0, "P": 1})),
            "annotation": ("--annotation b", "variants.annotation", B),
            "matched": ("--matched 3", "variants.matched", 3),
        },
    ),
    "build enhancers": Verb(
        f"--links a --tss t {MADE}",
        {f"{BUILD}.enhancers": B},
        {
            **_common("enhancers"),
            **_splits("enhancers"),
            "links": ("--links a b", "enhancers.links", [A, B]),
            "tss": ("--tss b", "enhancers.tss", B),
            "bins": ("--bins 3", "enhancers.bins", 3),
            "bin_size": ("--bin-size 3", "enhancers.bin_size", 3),
            "min_score": ("--min-score 3", "enhancers.min_score", 3),
        },
    ),
    "build control": Verb(
        "gene_finding --kind permuted --genome g -o o",
        {f"{BUILD}.control": B},
        {
            "task": ("", "control.task", "gene_finding"),
            "what": ("--kind shuffled", "control.kind", "shuffled"),
            "genome": ("--genome b", "control.genome", B),
            "data_dir": ("--data-dir a", "control.data_dir", A),
            "output": ("-o b", "control.output", B),
            "seed": ("--seed 3", "control.seed", 3),
        },
    ),
    "models ls": Verb("", {}),
    "models info": Verb(
        "nt-v2-50m",
        {},
        {"name": ("--format json", "stdout", lambda text: '"name": "nt-v2-50m"' in text)},
    ),
    "results ls": Verb(
        "a",
        {"bend_hf.results.record.read_results": []},
        {"results": ("b", "read_results.where", [A, B])},
    ),
    "results info": Verb(
        "a",
        {"bend_hf.results.record.read_result": SimpleNamespace(to_json=dict)},
        {"result": ("", "read_result.path", A)},
    ),
    "results verify": Verb(
        "a",
        {"bend_hf.results.record.record_files": []},
        {"results": ("b", "record_files.where", [A, B])},
    ),
    "cache ls": Verb("", {"bend_hf.cache.contents": []}),
    "cache rm": Verb("a", {"bend_hf.cache.remove": []}, {"parts": ("b", "remove.names", ["a", "b"])}),
    "cache verify": Verb("", {"bend_hf.cache.damaged": ["a"]}),
    "version": Verb("", {}),
    "completion": Verb("bash", {}, {"shell": ("", "stdout", lambda text: "complete -o" in text)}),
}

ELSEWHERE = {
    ("build variants", "clinvar"): (f"a --clinvar {MADE}", lambda labels: labels.field == "CLNSIG"),
    ("build variants", "threshold"): (f"a --field F --threshold 0 {MADE}", Labels("F", threshold=0.0)),
    ("build variants", "label_table"): (f"a --label-table b {MADE}", Labels(table=B)),
}
"""Ways to label variants that exclude the one of the table above: the words, and the labels that come of them."""


def _flags(parser, path=()) -> dict[str, list[str]]:
    """Return verb → destinations of its flags and arguments; those of all verbs are the parser's own."""
    nouns = [action for action in parser._actions if isinstance(action, _SubParsersAction)]
    if not nouns:
        return {" ".join(path): [a.dest for a in parser._actions if SUPPRESS not in (a.dest, a.default)]}
    return {verb: flags for name, sub in nouns[0].choices.items() for verb, flags in _flags(sub, (*path, name)).items()}


PARSER = build_parser()
BY_VERB = _flags(PARSER)
FLAGS = [(verb, flag) for verb, flags in BY_VERB.items() for flag in flags]


def test_every_verb_is_here():
    assert set(BY_VERB) == {*VERBS, "cache verify"}
    assert BY_VERB["cache verify"] == []  # there is nothing to pass on
    assert len(FLAGS) == len(set(FLAGS))  # no flag hides behind another one of its destination


def test_every_flag_has_a_row_and_every_row_a_flag():
    rows = {(verb, flag) for verb, found in VERBS.items() for flag in found.rows} | set(ELSEWHERE)
    assert set(FLAGS) == rows


@pytest.fixture
def received(monkeypatch, capsys, tmp_path):
    """Return a function that runs a verb: what it calls (``function.argument``), what it prints, and its exit code."""

    monkeypatch.chdir(tmp_path)
    Path("run.yaml").write_text("epochs: 7\n")

    def run(verb: str, words: str) -> dict[str, Any]:
        found: dict[str, Any] = {}

        def spy(module: Any, name: str, answer: Any) -> None:
            signature = inspect.signature(getattr(module, name))

            def called(*arguments: Any, **options: Any) -> Any:
                bound = signature.bind(*arguments, **options)
                bound.apply_defaults()
                values = dict(bound.arguments)
                for parameter in signature.parameters.values():
                    if parameter.kind is parameter.VAR_KEYWORD:
                        values |= values.pop(parameter.name)
                found.update({f"{name}.{argument}": value for argument, value in values.items()})
                return answer

            context.setattr(module, name, called)

        with monkeypatch.context() as context:
            for target, answer in VERBS[verb].calls.items():
                module, _, name = target.rpartition(".")
                spy(importlib.import_module(module), name, answer)
            context.setattr("bend_hf.cli.parser.build_parser", lambda: PARSER)
            context.setattr(sys, "argv", ["bend-hf"])
            capsys.readouterr()
            code = main([*verb.split(), *words.split()])
        output = capsys.readouterr()
        assert not output.err.startswith("bend-hf"), output.err
        return found | {"stdout": output.out, "code": code}

    return run


PLAIN: dict[str, dict[str, Any]] = {}
"""What a verb calls without further words; filled by the first test that needs it."""


def _fits(value: Any, expected: Any) -> bool:
    return bool(expected(value)) if callable(expected) else value == expected


@pytest.mark.parametrize(("verb", "flag"), [pair for pair in FLAGS if pair not in ELSEWHERE])
def test_a_flag_reaches_the_library(verb, flag, received):
    if verb == "completion":
        pytest.importorskip("shtab", reason="completion is an extra")
    words, argument, expected = VERBS[verb].rows[flag]
    without = VERBS[verb].words
    found = received(verb, f"{without} {words}")
    assert _fits(found[argument], expected), found[argument]
    if words:
        if verb not in PLAIN:
            PLAIN[verb] = received(verb, without)
        before = PLAIN[verb]
        assert argument not in before or not _fits(before[argument], expected), "the flag changes nothing"


@pytest.mark.parametrize("verb", list(BY_VERB))
def test_every_verb_answers_in_three_forms(verb, received):
    """JSON is one document, for people it is none, quiet is a line for each name; -q is quiet where nothing else is."""
    if verb == "completion":
        pytest.importorskip("shtab", reason="completion is an extra")
    words = VERBS[verb].words
    human, as_json, quiet = (received(verb, f"{words} --format {form}") for form in ("human", "json", "quiet"))
    assert received(verb, words)["stdout"] == human["stdout"]
    data = json.loads(as_json["stdout"])
    assert isinstance(data, dict | list)
    if verb != "results info":  # whose text for people is the record itself
        with pytest.raises(ValueError):
            json.loads(human["stdout"])
    lines = quiet["stdout"].splitlines()
    assert len(set(lines)) == len(lines) or verb == "completion"
    assert received(verb, f"{words} -q")["stdout"] == quiet["stdout"]
    assert received(verb, f"-q {words} --format json")["stdout"] == as_json["stdout"]
    assert {one["code"] for one in (human, as_json, quiet)} == {human["code"]}


@pytest.mark.parametrize(("verb", "flag"), ELSEWHERE)
def test_a_way_to_label_variants_reaches_the_library(verb, flag, received):
    words, expected = ELSEWHERE[verb, flag]
    assert _fits(received(verb, words)["variants.labels"], expected)


@pytest.mark.parametrize(
    "words",
    [
        "prepare --list --toy",
        "prepare --remove gene_finding --data-dir a",
        "build variants a --clinvar --field F " + MADE,
        "build variants a --label-table b --field F " + MADE,
        "publish --namespace lab --mirror a --genome b --dry-run",
    ],
)
def test_a_flag_that_would_change_nothing_is_refused(words, capsys):
    assert main(words.split()) == 1
    assert "leave out" in capsys.readouterr().err


def test_two_things_at_once_are_refused():
    with pytest.raises(SystemExit):
        main(["prepare", "--list", "--remove"])


@pytest.mark.parametrize(
    "verb",
    ["compare", "report", "export --tracks t", "results ls", "results verify"],
    ids=lambda verb: verb.split(" --")[0],
)
def test_results_are_read_where_evaluate_writes_them(verb):
    written = PARSER.parse_args(["evaluate", "onehot"]).output
    assert PARSER.parse_args(verb.split()).results == [written] == [Path("bend-results")]
