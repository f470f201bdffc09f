"""Primary sources and options that no task can be built from, and audits of what is none."""

from __future__ import annotations

import gzip
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from damage.bench import At, Bench, Given, Kind, cli, python

sys.path.append(str(Path(__file__).resolve().parents[1] / "build"))
import made_up

from bend_hf import build
from bend_hf.data.genome import Genome
from bend_hf.tracks.write import write_tracks

GENES = (made_up.A, made_up.B, made_up.C)
ON = "--genome {here}/g.fa --build toy -o {here}/t"
UNSPLIT = f"{ON} --split none"
COMMANDS = {
    "a.gff3": f"build genes {{here}}/a.gff3 {UNSPLIT} --flanks 10",
    "p.bed": f"build peaks x={{here}}/p.bed {UNSPLIT}",
    "m.bed": f"build methylation x={{here}}/m.bed {UNSPLIT}",
    "v.vcf": f"build variants {{here}}/v.vcf {ON} --field X --positive bad --negative ok",
    "l.tsv": f"build enhancers --links {{here}}/l.tsv --tss {{here}}/a.gff3 {UNSPLIT} --bins 10 --bin-size 10",
}
PEAKS, VARIANTS = COMMANDS["p.bed"], COMMANDS["v.vcf"]
BY_BLOCKS = PEAKS.replace("none", "blocks")


def lay(bench: Bench) -> None:
    """Write a small genome with its index, and sound sources on it."""
    Genome(made_up.genome(bench.here / "g.fa", list(GENES), {"c1": 3000, "c2": 1500}))
    made_up.gff3(bench.here / "a.gff3", list(GENES))
    bench.put("p.bed", "c1\t700\t800\nc2\t100\t200\n")
    bench.put("m.bed", "c1\t700\t702\t.\t0\t+\t700\t702\t0\t10\t50\n")
    bench.put("v.vcf", "##fileformat=VCFv4.2\nc1\t701\t.\tA\tC\t.\t.\tX=bad\nc1\t801\t.\tA\tC\t.\t.\tX=ok\n")
    bench.put("l.tsv", "chromosome\tstart\tend\tgene\nc1\t60\t70\tA\n")


def of(words: str, *harms: Callable[[Bench], Any]) -> Given:
    """Run a command once the sources are laid out, and harmed."""

    def harm(bench: Bench) -> None:
        lay(bench)
        for each in harms:
            each(bench)

    return cli(words, harm)


def source(name: str, how: Callable[[bytes], bytes] | bytes) -> Given:
    """Build from a source whose content is changed, or another."""

    def harm(bench: Bench) -> None:
        bench.put(name, how((bench.here / name).read_bytes()) if callable(how) else how)

    return of(COMMANDS[name], harm)


def instead(name: str, make: Callable[[Path], Any]) -> Given:
    """Build from what stands in a source's place."""

    def harm(bench: Bench) -> None:
        (bench.here / name).unlink()
        make(bench.here / name)

    return of(COMMANDS[name], harm)


FIRST = At(lambda bench: [bench.here / "p.bed"])


def called(function: Callable[..., Any], first: Any = FIRST, **options: Any) -> Given:
    """Call a builder of the library."""

    def given(bench: Bench) -> Callable[[], Any]:
        lay(bench)
        usual = {"genome": bench.here / "g.fa", "output": bench.here / "t", "build": "toy"}
        return python(function, first, **usual | options)(bench)

    return given


NINE = "1 tab-separated fields, not 9: "
RETURNS = "has carriage returns that end no line, as lines of another system do."
UTF16 = "is UTF-16 text. Convert it to UTF-8: iconv -f UTF-16 -t UTF-8."
OTHER = ": it is a folder, a device or a pipe, where a file is meant."
TRUNCATED = "is truncated or damaged (Compressed file ended before"
KINDS = (
    Kind("an annotation that is empty", source("a.gff3", b""), "a.gff3 has no features. It should be GTF or GFF3."),
    Kind(
        "an annotation of comments", source("a.gff3", b"#a\n#b\n"), "a.gff3 has no features. It should be GTF or GFF3."
    ),
    Kind("an annotation that is a login page", source("a.gff3", b"<html>\n"), f"a.gff3, line 1: {NINE}'<html>'."),
    Kind("an annotation of brackets", source("a.gff3", b"[" * 100_000), f"a.gff3, line 1: {NINE}'[[[["),
    Kind("an annotation in UTF-16", source("a.gff3", lambda c: c.decode().encode("utf-16")), UTF16),
    Kind("an annotation of carriage returns", source("a.gff3", lambda c: c.replace(b"\n", b"\r")), RETURNS),
    Kind("an annotation cut short in gzip", source("a.gff3", lambda c: gzip.compress(c)[:-12]), TRUNCATED),
    Kind(
        "an annotation in Latin-1",
        source("a.gff3", lambda c: c.replace(b"c1", b"c\xe9", 1)),
        "line 2: not UTF-8 text (b'c",
    ),
    Kind(
        "an annotation in other digits",
        source("a.gff3", lambda c: c.replace(b"0", "٠".encode())),
        "line 2, start: '1٠1' is not a whole number.",
    ),
    Kind(
        "an annotation of another build",
        source("a.gff3", lambda c: c.replace(b"520", b"29999")),
        "beyond its chromosome in",
    ),
    Kind(
        "an annotation of other chromosomes",
        source("a.gff3", lambda c: c.replace(b"c1\t", b"c9\t")),
        "(c9; the genome has c1, c2)",
    ),
    Kind("an annotation that is a pipe", instead("a.gff3", os.mkfifo), f"a.gff3{OTHER}"),
    Kind("an annotation that is a folder", instead("a.gff3", Path.mkdir), f"a.gff3{OTHER}"),
    Kind("an annotation that is missing", instead("a.gff3", lambda p: None), "a.gff3: there is no such file."),
    Kind("peaks that are empty", source("p.bed", b""), "p.bed has no rows. It should be BED, narrowPeak or broadPeak;"),
    Kind("peaks that are binary", source("p.bed", bytes(range(256))), "line 1: 2 tab-separated fields, not 3 or more:"),
    Kind("peaks in UTF-16", source("p.bed", lambda c: c.decode().encode("utf-16")), UTF16),
    Kind("peaks of carriage returns", source("p.bed", lambda c: c.replace(b"\n", b"\r")), RETURNS),
    Kind("peaks with one carriage return", source("p.bed", lambda c: c.replace(b"\t200", b"\r200")), RETURNS),
    Kind("peaks in gzip cut short", source("p.bed", lambda c: gzip.compress(c)[:-12]), TRUNCATED),
    Kind(
        "peaks before the first base", source("p.bed", b"c1\t-7\t8\n"), "line 1, start: '-7' is before the chromosome's"
    ),
    Kind("peaks of forty digits", source("p.bed", b"c1\t" + b"9" * 40 + b"\t8\n"), "9' is not a whole number."),
    Kind(
        "peaks in powers of ten",
        source("p.bed", b"c1\t7e2\t800\n"),
        "p.bed, line 1, start: '7e2' is not a whole number.",
    ),
    Kind("peaks back to front", source("p.bed", b"c1\t9\t8\n"), "line 1, end: '8' is not behind start (BED is 0-based"),
    Kind(
        "peaks beyond the end",
        source("p.bed", b"c1\t9\t9999\n"),
        "line 1, end: '9999' lies beyond the chromosome's end: c1",
    ),
    Kind(
        "peaks with spaces behind", source("p.bed", b"c1\t9\t99 \n"), "p.bed, line 1, end: '99 ' is not a whole number."
    ),
    Kind("peaks of a chromosome with a NUL", source("p.bed", b"c\0\t9\t99\n"), r"(c\x00; the genome has c1, c2)"),
    Kind("peaks that are a device", instead("p.bed", lambda p: p.symlink_to("/dev/zero")), f"p.bed{OTHER}"),
    Kind(
        "peaks that are a link to nothing",
        instead("p.bed", lambda p: p.symlink_to("no")),
        "no such file, only a link to nothing",
    ),
    Kind(
        "methylation of one column",
        source("m.bed", b"x\ny\n"),
        "1 columns are neither bedMethyl (11 or more) nor bedGraph",
    ),
    Kind("methylation at no CpG", source("m.bed", lambda c: c), "are no CpG in"),
    Kind("a methylation of 150 percent", source("m.bed", b"c1\t1\t2\t150\n"), "value: '150' is no level from 0 to 100"),
    Kind("a methylation that is NaN", source("m.bed", b"c1\t1\t2\tNaN\n"), "value: 'NaN' is no level from 0 to 100"),
    Kind("a VCF that is empty", source("v.vcf", b""), "v.vcf is no VCF: it starts with b''"),
    Kind("a VCF that is none", source("v.vcf", b"#CHROM\tPOS\n"), "v.vcf is no VCF: it starts with b'#CHROM"),
    Kind("a VCF in UTF-16", source("v.vcf", lambda c: c.decode().encode("utf-16")), UTF16),
    Kind("a VCF of carriage returns", source("v.vcf", lambda c: c.replace(b"\n", b"\r")), RETURNS),
    Kind(
        "a VCF with a position of words",
        source("v.vcf", lambda c: c.replace(b"701", b"x")),
        "line 2, POS: 'x' is not a whole",
    ),
    Kind(
        "a VCF with a position 0", source("v.vcf", lambda c: c.replace(b"701", b"0")), "line 2, POS: '0' is before the"
    ),
    Kind("links that are empty", source("l.tsv", b""), "l.tsv is no table of links: its first line is ''."),
    Kind("links that are none", source("l.tsv", b"a\tb\n"), "l.tsv is no table of links: its first line is 'a b'."),
    Kind(
        "links of carriage returns",
        source("l.tsv", lambda c: c.replace(b"\n", b"\r")),
        "is no table of links: its first line",
    ),
    Kind(
        "links back to front",
        source("l.tsv", lambda c: c.replace(b"70", b"7")),
        "'7' is no end of an interval that starts at 60",
    ),
    Kind(
        "links beyond the end",
        source("l.tsv", lambda c: c.replace(b"70", b"9999")),
        "the element c1:60-9999 ends beyond its chromosome, which has",
    ),
    Kind(
        "starts of genes that are empty",
        of(COMMANDS["l.tsv"].replace("a.gff3", "e.tsv"), lambda b: b.put("e.tsv", "")),
        "e.tsv has no features. It should be GTF or GFF3.",
    ),
    *(
        Kind(f"{command.split()[1]}: {option} of {value}", of(f"{command} --{option} {value}"), words)
        for command, option, value, words in (
            (COMMANDS["a.gff3"], "flanks", "-5", "flanks=-5 (--flanks) is no whole number of at least 0."),
            (COMMANDS["a.gff3"], "flanks", "9" * 20, "(--flanks) is larger than anything counted here"),
            (COMMANDS["a.gff3"], "flank-left", "-3", "flank_left=-3 (--flank-left) is no whole number of at least 0."),
            (COMMANDS["a.gff3"], "max-length", "0", "max_length=0 (--max-length) is no whole number of at least 1."),
            (COMMANDS["a.gff3"], "transcripts", "no.tsv", "no.tsv: there is no such file."),
            (COMMANDS["a.gff3"], "transcripts", "{here}/p.bed", "the header of transcripts lacks 'transcript_id';"),
            (PEAKS, "seed", "-1", "seed=-1 (--seed) is no whole number of at least 0."),
            (PEAKS, "width", "0", "width=0 (--width) is no whole number of at least 2."),
            (PEAKS, "width", "3", "A width of 3 bases: give an even number."),
            (PEAKS, "width", "100000", "No window is left to split. Left out: 2 × peak on a chromosome shorter"),
            (PEAKS, "negatives", "nan", "negatives=nan (--negatives) is no number from 0 to 1000."),
            (PEAKS, "negatives", "-1", "negatives=-1.0 (--negatives) is no number from 0 to 1000."),
            (PEAKS, "merge-overlap", "-1", "merge_overlap=-1 (--merge-overlap) is no whole number of at least 0."),
            (PEAKS, "center", "summit", "line 1: 3 tab-separated fields, not 10 or more"),
            (PEAKS, "controls", "permuted permuted", "controls=['permuted', 'permuted'] (--controls): name each once."),
            (
                PEAKS,
                "split-file",
                "{here}/p.bed",
                "file (--split-file) changes nothing where the scheme of splits is none",
            ),
            (PEAKS, "test", "c1", "test (--test) changes nothing where the scheme of splits is none: leave it out."),
            (BY_BLOCKS, "block", "0", "block=0 (--block) is no whole number of at least 1."),
            (BY_BLOCKS, "buffer", "-5", "buffer=-5 (--buffer) is no whole number of at least 0."),
            (BY_BLOCKS, "fractions", "nan 1 1", "fractions=nan (--fractions) is no finite number."),
            (BY_BLOCKS, "fractions", "-1 1 1", "are no shares of a whole: give three above 0 with the sum 1."),
            (
                PEAKS.replace("none", "file"),
                "split-file",
                "{here}/m.bed",
                "the header of splits lacks 'split'; it has: c1",
            ),
            (
                PEAKS.replace("none", "homology"),
                "identity",
                "2",
                "identity 2.0 and coverage 0.5: give 0.5 to 1 and above",
            ),
            (COMMANDS["m.bed"], "threshold", "nan", "threshold=nan (--threshold) is no finite number."),
            (COMMANDS["m.bed"], "max-rows", "0", "max_rows=0 (--max-rows) is no whole number of at least 1."),
            (VARIANTS, "positive", "ok", "'ok' is given as a --positive and as a --negative term."),
            (VARIANTS, "threshold", "1", "Say how variants are labelled: by terms, by a threshold, or by a table"),
            (VARIANTS, "matched", "-1", "matched=-1 (--matched) is no whole number of at least 0."),
            (COMMANDS["l.tsv"], "bins", "-1", "bins=-1 (--bins) is no whole number of at least 1."),
            (COMMANDS["l.tsv"], "min-score", "nan", "min_score=nan (--min-score) is no finite number."),
        )
    ),
    Kind(
        "a threshold that is NaN",
        python(build.Labels, "X", threshold=float("nan")),
        "threshold=nan (--threshold) is no finite",
    ),
    Kind(
        "a track without a name",
        of(PEAKS.replace("x={here}", "={here}")),
        "'' is no name of a track: it becomes a label's.",
    ),
    Kind(
        "a build that turns the text",
        of(PEAKS.replace("toy", "\u202e")),
        r"build='\u202e' (--build) is no name of a genome",
    ),
    Kind(
        "a task in a folder that is there",
        of(PEAKS.replace("/t ", " ")),
        "exists. Give another folder (-o), or remove it first.",
    ),
    Kind(
        "a task behind a link to nothing",
        of(PEAKS, lambda b: (b.here / "t").symlink_to("nowhere")),
        "/t exists. Give another folder (-o), or remove it first.",
    ),
    Kind(
        "a task in a device", of(PEAKS.replace("{here}/t", "/dev/null")), "/dev/null exists. Give another folder (-o)"
    ),
    Kind(
        "a task whose name has a space",
        called(build.peaks, output="a b"),
        "the folder's name becomes the task's: letters, digits",
    ),
    Kind(
        "a task below a file",
        of(PEAKS.replace("{here}/t", "{here}/g.fa/t")),
        "a part of the path is a file, where a folder",
        "disk",
    ),
    Kind(
        "a genome that is BED", of(PEAKS.replace("/g.fa", "/p.bed")), "p.bed is not a FASTA file: it starts with b'c1"
    ),
    Kind("no tracks", called(build.peaks, []), "There are no tracks. Give at least one file."),
    Kind(
        "tracks that are one text",
        called(build.peaks, "p.bed"),
        "tracks='p.bed' are no files of tracks: give a list, or",
    ),
    Kind("tracks that are numbers", called(build.methylation, [1]), "tracks=1 is no path."),
    Kind("a track that is None", called(build.peaks, {"x": None}), "tracks['x']=None is no path."),
    Kind("a genome that is None", called(build.peaks, genome=None), "genome=None: this is needed."),
    Kind(
        "a width of windows in words",
        called(build.peaks, width="512"),
        "width='512' (--width) is no whole number of at least 2.",
    ),
    Kind(
        "a width that is true",
        called(build.peaks, width=True),
        "width=True (--width) is no whole number of at least 2.",
    ),
    Kind("a split in words", called(build.peaks, split="none"), "split='none' does not say how rows are split: give"),
    Kind(
        "controls in one word",
        called(build.peaks, controls="permuted"),
        "controls='permuted' (--controls) are no names of",
    ),
    Kind(
        "links in one word",
        called(build.enhancers, "l.tsv", tss="x"),
        "links='l.tsv' (--links) are no files of links: give",
    ),
    Kind(
        "labels that are none",
        called(build.variants, "v.vcf", labels=3),
        "labels=3 does not say how variants are labelled: give",
    ),
    Kind(
        "a scheme of splits that is none", python(build.Split, "random"), "Unknown scheme of splits 'random'. Choices:"
    ),
    Kind(
        "a chromosome for chromosomes",
        python(build.Split, "chromosomes", test="chr1"),
        "test='chr1' (--test) are no chromosomes",
    ),
    Kind(
        "a control of two tasks",
        of("build control variant_effects --kind permuted --data-dir {data} --genome {here}/g.fa -o {here}/t"),
        "variant_effects names several tasks (variant_effects_expression, variant_effects_disease)",
    ),
    Kind(
        "a control on another genome",
        of("build control cpg_methylation --kind permuted --data-dir {data} --genome {here}/g.fa -o {here}/t"),
        "g.fa is not the genome of GRCh38 that",
    ),
    Kind(
        "an audit of nothing",
        cli("audit {here}/nothing/"),
        "task.json: there is no such file or folder. Check the path. A task",
    ),
    Kind(
        "an audit of a file",
        of("audit {here}/g.fa"),
        "g.fa/task.json: a part of the path is a file, where a folder is meant.",
    ),
    Kind(
        "an audit of fewer than no pieces",
        cli("audit cpg_methylation --data-dir {data} --queries -1"),
        "queries=-1 (--queries) is",
    ),
    Kind(
        "an annotation for tasks without variants",
        cli("audit cpg_methylation --data-dir {data} --annotation x"),
        "--annotation changes nothing where no task is of variants: leave out",
    ),
    Kind(
        "aliases without an annotation",
        cli("audit cpg_methylation --data-dir {data} --aliases x"),
        "--aliases changes nothing without",
    ),
    Kind(
        "an annotation that is missing, audited",
        cli("audit variant_effects_disease --data-dir {data} --annotation no.gtf"),
        "no.gtf: there is no such GTF or GFF3 file.",
    ),
    Kind(
        "an annotation that is FASTA, audited",
        of("audit variant_effects_disease --data-dir {data} --annotation {here}/g.fa"),
        "g.fa has no features. It should be GTF or GFF3.",
    ),
    Kind("tracks of None", python(write_tracks, None, "x"), "None are no results: read them with read_results."),
    Kind(
        "tracks of a path",
        python(write_tracks, "results", "x"),
        "'results' are no results: read them with read_results.",
    ),
)
