"""What the smaller commands are asked wrongly: nouns, exports, mirrors, stores; and outputs in odd places."""

from __future__ import annotations

from damage.bench import RESULT, Kind, cli

EMBED = "embed {model} --tasks cpg_methylation --data-dir {data}"
KINDS = (
    Kind(
        "a model that the catalogue lacks",
        cli("models info nt-v2-500n"),
        "Unknown model 'nt-v2-500n'. Did you mean 'nt-v2-500m'?",
    ),
    Kind("a noun without a verb", cli("models"), "the following arguments are required: VERB", "usage"),
    Kind("a verb that a noun lacks", cli("models rm x"), "there is no command 'rm'. Commands: ls, info", "usage"),
    Kind(
        "records that are not there, listed",
        cli("results ls {here}/no"),
        "no: no such file or folder of results.",
        "disk",
    ),
    Kind("a folder without records, listed", cli("results ls {data}"), "data: holds no results (<model>/<task>"),
    Kind(
        "a record that is none, shown",
        cli("results info {model}/config.json"),
        "is no result of bend_hf (there is no schema",
    ),
    Kind(
        "a folder shown as a record",
        cli("results info {results}"),
        "is a folder, a device or a pipe, where a file is",
        "disk",
    ),
    Kind(
        "a folder without records, verified", cli("results verify {model}"), "model: holds no results (<model>/<task>"
    ),
    Kind("a part that the cache lacks", cli("cache rm nothing"), "Unknown part of the cache 'nothing'."),
    Kind("a part outside the cache", cli("cache rm ../.."), "Unknown part of the cache '../..'."),
    Kind(
        "a command that is none",
        cli("evaluat onehot"),
        "there is no command 'evaluat'. Did you mean 'evaluate'?",
        "usage",
    ),
    Kind(
        "tracks from nowhere", cli("export {here}/no --tracks {out}"), "no: no such file or folder of results.", "disk"
    ),
    Kind("tracks of data", cli("export {data} --tracks {out}"), "data: holds no results (<model>/<task>"),
    Kind(
        "tracks into a file",
        cli("export {results} --tracks {model}/config.json"),
        "config.json cannot be written:",
        "disk",
    ),
    Kind(
        "tracks into a device", cli("export {results} --tracks /dev/null"), "output /dev/null cannot be written", "disk"
    ),
    Kind(
        "tracks on a genome that is missing",
        cli("export {results} --tracks {out} --genome {here}/no.fa"),
        "no.fa: there is no such FASTA file.",
    ),
    Kind(
        "tracks on a genome that is JSON",
        cli("export {results} --tracks {out} --genome {model}/config.json"),
        "config.json is not a FASTA file: it starts with",
    ),
    Kind(
        "tracks on another genome",
        cli("export {results} --tracks {out} --genome {data}/genomes/GRCh38.toy.fa"),
        "the results were made on another genome. Give its FASTA with genome=",
    ),
    Kind(
        "a report without an ending",
        cli("report {results} -o {here}/x"),
        "x: no format has this ending; choose one with format=",
    ),
    Kind(
        "a report of an ending alone",
        cli("report {results} -o {here}/.csv"),
        ".csv: no format has this ending; choose one with",
    ),
    Kind(
        "a report in gzip",
        cli("report {results} -o {here}/x.csv.gz"),
        "x.csv.gz: no format has this ending; choose one",
    ),
    Kind(
        "a picture in capitals that is no SVG",
        cli(f"plot {{results}}/{RESULT} -o {{here}}/x.PNG"),
        "pictures are SVG files; give",
    ),
    Kind(
        "a namespace that leaves its folder, published",
        cli("publish --namespace ../x --dry-run"),
        "'../x' is no namespace: letters",
    ),
    Kind(
        "a namespace with a slash", cli("publish --namespace a/b --dry-run"), "'a/b' is no namespace: letters, digits"
    ),
    Kind(
        "a mirror that is not there",
        cli("publish --namespace me --mirror {here}/no --dry-run"),
        "holds no repositories; write them",
    ),
    Kind(
        "a mirror that is a file",
        cli("publish --namespace me --mirror {model}/config.json --dry-run"),
        "holds no repositories; write",
    ),
    Kind(
        "a mirror and data",
        cli("publish --namespace me --mirror {here} --data-dir {data} --dry-run"),
        "A mirror holds its rows: leave out where data and genomes lie",
    ),
    Kind(
        "a task that is unknown, published",
        cli("publish --namespace me --tasks nothing --dry-run"),
        "Unknown task 'nothing'.",
    ),
    Kind(
        "toy data published without a login",
        cli("publish --namespace me --toy --tasks cpg_methylation"),
        "Not logged in to the Hub.",
    ),
    Kind(
        "toy data prepared as real",
        cli("prepare cpg_methylation --data-dir {data} --to {here}"),
        "is toy data; say so with toy=True",
    ),
    Kind(
        "toy data and data",
        cli("prepare --toy --data-dir {data}"),
        "The toy data brings its own files and genomes: leave out",
    ),
    Kind("a list of what is to be made", cli("prepare --list --toy"), "--toy changes nothing with --list: leave out"),
    Kind(
        "a model that is not there, stored",
        cli("embed {here}/no"),
        "no': give the path of a folder with a config.json, or",
    ),
    Kind(
        "vectors of a baseline",
        cli("embed composition --tasks cpg_methylation --data-dir {data}"),
        "composition is a baseline, which",
    ),
    Kind(
        "a baseline examined", cli("doctor composition"), "composition is a baseline, which has no vectors to look at"
    ),
    Kind(
        "vectors of variants",
        cli("embed {model} --tasks variant_effects --data-dir {data}"),
        "variant tasks keep no vectors; name",
    ),
    Kind(
        "a share beyond the last",
        cli(f"{EMBED} --shard 3/3"),
        "argument --shard: 3/3 is not I/N with 0 <= I < N",
        "usage",
    ),
    Kind(
        "a limit of a store in words",
        cli(f"{EMBED} --store-limit lots"),
        "Size 'lots' is not understood; write for example 500MB",
    ),
    Kind(
        "a limit of a store that is NaN",
        cli(f"{EMBED} --store-limit nanGB"),
        "Size 'nanGB' is not understood; write for example",
    ),
    Kind(
        "a store below a file",
        cli(f"{EMBED} --store {{model}}/config.json"),
        "a part of the path is a file, where a folder",
        "disk",
    ),
    Kind("a genome given twice", cli(f"{EMBED} --genome x=y=z"), "Unknown genome build 'x'. Choices: GRCh38, GRCh37."),
    Kind(
        "a demo into a device",
        cli("demo -o /dev/null"),
        "a part of the path is a file, where a folder is meant.",
        "disk",
    ),
    Kind(
        "a rerun of a configuration",
        cli("rerun {model}/config.json"),
        "is no result of bend_hf (there is no schema version in it).",
    ),
    Kind(
        "a level that is NaN",
        cli("compare {results} --level nan"),
        "argument --level: nan is no level: give a number",
        "usage",
    ),
    Kind(
        "a level of published values",
        cli("compare {results} --published --level 0.5"),
        "--level, --resamples and --seed are of comparisons on the same rows",
    ),
    Kind(
        "a track that is missing",
        cli("evaluate onehot --tasks variant_effects_disease --data-dir {data} --track no.bw -o {out}"),
        "no.bw (--track) cannot be read as bigWig",
    ),
    Kind(
        "epochs of twenty digits",
        cli(f"evaluate onehot --tasks cpg_methylation --data-dir {{data}} --epochs {'9' * 20} -o {{out}}"),
        "(--epochs) is larger than anything counted here: at most 1,099,511,627,776.",
    ),
    Kind(
        "a push of a dry run",
        cli("evaluate onehot --tasks cpg_methylation --data-dir {data} --push x -o {out} --dry-run"),
        "--push changes nothing in a dry run: leave out",
    ),
)
