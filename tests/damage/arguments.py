"""Arguments of the wrong kind, and outputs that cannot be written: told before any work."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from damage.bench import At, Bench, Kind, cli, no_work, python

from bend_hf import evaluate, load_dataset, load_metric, register
from bend_hf.hub.prepare import prepare
from bend_hf.tasks import TASKS, to_document


def asked(**options: object):
    """Evaluate with options, by a model that must not be asked for vectors."""
    usual = {"data_dir": At(lambda bench: bench.data), "output": At(lambda bench: bench.out)}
    model = options.pop("model", no_work)
    return python(evaluate, model, options.pop("tasks", "cpg_methylation"), **usual | options)


def pipe(bench: Bench) -> str:
    os.mkfifo(bench.here / "pipe.csv")
    return str(bench.here / "pipe.csv")


def task_with(bench: Bench, changes: dict[str, Any]) -> Path:
    """A task's document with other fields, those of its recipe included."""
    document = to_document(TASKS["cpg_methylation"]) | {"name": "mine", "dataset": "mine"}
    inner = {name: document[name] | value for name, value in changes.items() if isinstance(value, dict)}
    return bench.put("mine/task.json", json.dumps(document | changes | inner)).parent


ONEHOT = "evaluate onehot --tasks cpg_methylation --data-dir {data}"
KINDS = (
    Kind("no model", asked(model=None), "None is no model: give a name, a folder, an embedder, a model and its"),
    Kind(
        "a model that is a number", asked(model=3), "3 is no model: give a name, a folder, an embedder, a model and its"
    ),
    Kind(
        "a model that is bytes",
        asked(model=b"onehot"),
        "b'onehot' is no model: give a name, a folder, an embedder, a model",
    ),
    Kind("an empty model", asked(model=""), "Unknown model ''. Choices: onehot, resnetlm, awdlstm,"),
    Kind("no tasks", asked(tasks=[]), "tasks=[]: name a task or more, or all."),
    Kind("tasks that are None", asked(tasks=None), "tasks=None is no name of a task, nor a list of several."),
    Kind("tasks that are a number", asked(tasks=3), "tasks=3 is no name of a task, nor a list of several."),
    Kind("tasks that are a set", asked(tasks={"gene_finding"}), "tasks={'gene_finding'} is no name of a task"),
    Kind("tasks that are a mapping", asked(tasks={"gene_finding": 1}), "is no name of a task, nor a list of several."),
    Kind("tasks of None", asked(tasks=[None]), "None is no name of a task."),
    Kind(
        "an unknown task",
        asked(tasks="gene_findng"),
        "Unknown task 'gene_findng'. Did you mean 'gene_finding'? Choices:",
    ),
    Kind(
        "epochs as a fraction, to a model", asked(epochs=1.5), "epochs=1.5 (--epochs) is no whole number of at least 1."
    ),
    Kind(
        "a layer in words, in Python",
        asked(model="onehot", layer="x"),
        "onehot: layer='x' would change nothing there; leave that out.",
    ),
    Kind("a context as a fraction", asked(context=1.5), "context=1.5 (--context) is no whole number of at least 1."),
    Kind("a layer as a fraction", asked(layer=0.5, model=At(lambda b: str(b.model))), "layer=0.5 is none"),
    Kind("no layers", asked(layer=[], model=At(lambda b: str(b.model))), "layer=[] is none"),
    Kind(
        "a precision that is none",
        asked(precision="fp8"),
        "Unknown precision 'fp8'. Did you mean 'fp32'? Choices: auto, fp32,",
    ),
    Kind(
        "vectors that are none",
        asked(vectors="int4"),
        "Unknown precision of vectors 'int4'. Did you mean 'int8'? Choices:",
    ),
    Kind(
        "a type that is none",
        asked(dtype="float8", model=At(lambda b: str(b.model))),
        "Unknown dtype 'float8'. Did you mean 'float32'? Choices: auto,",
    ),
    Kind(
        "a strand that is none",
        asked(strand="both", model=At(lambda b: str(b.model))),
        "Unknown strand 'both'. Choices: forward, average.",
    ),
    Kind(
        "a prefix that is a number",
        asked(prefix=3, model=At(lambda b: str(b.model))),
        "prefix=3 (--prefix) is no text.",
    ),
    Kind("a store that is a number", asked(store=3), "path=3 is no path."),
    Kind("a data folder that is a number", asked(data_dir=3), "path=3 is no path."),
    Kind("a data folder that is missing", asked(data_dir="nowhere"), "data_dir) is no folder. It should hold"),
    Kind(
        "a genome that is a number",
        asked(genome=3),
        "genome=3 is neither the path of a FASTA nor a mapping from build to",
    ),
    Kind("a genome that is missing", asked(genome="nowhere.fa"), "genome for GRCh38): there is no such FASTA file."),
    Kind(
        "a genome of an unknown build",
        asked(genome={"hg17": "x.fa"}),
        "Unknown genome build 'hg17'. Choices: GRCh38, GRCh37.",
    ),
    Kind("trackers that are a number", asked(trackers=3), "trackers=3 is no name of a tracker, nor several."),
    Kind("a seed beyond all generators", asked(seeds=[1 << 40]), "seeds=[1099511627776]: a seed is below 2**32."),
    Kind("a dataset that is None", python(load_dataset, None), "None is no name of a dataset."),
    Kind("a dataset that is a number", python(load_dataset, 3), "3 is no name of a dataset."),
    Kind(
        "a dataset that is unknown",
        python(load_dataset, "gene_findng"),
        "Unknown dataset 'gene_findng'. Did you mean 'gene_finding'? Choices:",
    ),
    Kind(
        "a configuration of a dataset that is unknown",
        python(load_dataset, "variant_effects", "cancer"),
        "Unknown configuration of variant_effects 'cancer'. Choices:",
    ),
    Kind(
        "a split that is unknown",
        python(load_dataset, "cpg_methylation", split="tset", data_dir=At(lambda b: b.data)),
        "cpg_methylation, split='tset': Unknown split \"tset\". Should be one of",
    ),
    Kind(
        "a metric that is None",
        python(load_metric, None),
        "Unknown metric 'None'. Choices: mcc, auroc, macro_f1, pearson,",
    ),
    Kind(
        "a metric that is unknown",
        python(load_metric, "f1"),
        "Unknown metric 'f1'. Choices: auprc, auroc, macro_f1, mcc, pearson,",
    ),
    Kind(
        "a metric that leaves its folder",
        python(load_metric, ".."),
        "Unknown metric '..'. Choices: auprc, auroc, macro_f1, mcc, pearson,",
    ),
    Kind("a task to register that is None", python(register, None), "task=None is no path."),
    Kind(
        "a task to register that is nowhere",
        python(register, "nowhere/"),
        "nowhere/task.json: there is no such file or folder. Check the path. A",
    ),
    Kind(
        "a task whose rate has four hundred digits",
        python(register, At(lambda b: task_with(b, {"recipe": {"learning_rate": 10**400}}))),
        "field 'recipe.learning_rate' is 1",
    ),
    Kind(
        "a namespace that is None",
        python(prepare, namespace=None),
        "None is no namespace: letters, digits, and '-' or '_' between them,",
    ),
    Kind(
        "a namespace that leaves its folder",
        python(prepare, namespace="../x"),
        "'../x' is no namespace: letters, digits, and '-' or '_' between them,",
    ),
    Kind(
        "an output that is a file",
        cli(f"{ONEHOT} -o {{harmed}}/out", lambda b: b.put("file", "x")),
        "a part of the path is a file, where a folder is meant. Check the path.",
        "disk",
    ),
    Kind(
        "an output with a name of 300 letters",
        cli(f"{ONEHOT} -o {{here}}/{'x' * 300}"),
        "the name is too long for the file system. Choose a shorter one.",
        "disk",
    ),
    Kind(
        "an output that is a device",
        cli(f"{ONEHOT} -o /dev/null"),
        "output /dev/null cannot be written: /dev/null: it is there already.",
        "disk",
    ),
    Kind(
        "a report to a pipe",
        cli("report {results} -o {harmed}", pipe),
        "is a device or a pipe, where a file is meant. Give the path of a file.",
        "disk",
    ),
    Kind(
        "a report to a device",
        cli("report {results} --as csv -o /dev/full"),
        "/dev/full is a device or a pipe, where a file is meant. Give the path",
        "disk",
    ),
    Kind(
        "a report to a folder",
        cli("report {results} --as csv -o {data}"),
        "it is a folder, where a file is meant. Give the path of a file.",
        "disk",
    ),
    Kind(
        "a report with a name of 300 letters",
        cli(f"report {{results}} -o {{here}}/{'x' * 300}.csv"),
        "the name is too long for the file system. Choose a shorter one.",
        "disk",
    ),
    Kind(
        "a report of an unknown ending",
        cli("report {results} -o {here}/x.pdf"),
        "no format has this ending; choose one with format= of html, markdown,",
    ),
    Kind(
        "a report below a file",
        cli("report {results} -o {harmed}/x.csv", lambda b: b.put("file", "x")),
        "a part of the path is a file, where a folder is meant. Check the path.",
        "disk",
    ),
)
