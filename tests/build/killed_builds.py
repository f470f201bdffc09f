"""Kills builds (SIGKILL) at every place where something was read or came to the disk, and runs them again.

    python tests/build/killed_builds.py             # every place of every builder; CI draws one of each kind

Places are blocks that were read, files that were flushed to the disk, and files and folders that got their name; the
undisturbed build tells how many there are. After each kill the same build is run again: its folder has to be that of
the undisturbed build, byte for byte, nothing else may be left beside it, and no source may be read again whose step was
kept. Prints a line per builder; the exit code is 1 if any trial ended otherwise.

This process imports and waits; every run is in a forked child, so that a trial costs no imports.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import signal
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from made_up import A, B, C, genome, gtf

from bend_hf import build, files
from bend_hf.build import write
from bend_hf.build.readers import text
from bend_hf.build.splits import Split
from bend_hf.build.work import Work

LENGTHS = {"c1": 3000, "c2": 1500}
OTHER = {"A": "C", "C": "G", "G": "T", "T": "A"}
Builder = Callable[[Path], Path]


def builders(folder: Path) -> dict[str, Builder]:
    """Write small sources, and return how each builder makes a task of them in a given folder."""
    fasta = genome(folder / "g.fa", [A, B, C], LENGTHS)
    annotation = gtf(folder / "a.gtf", [A, B, C])
    letters = fasta.read_text().split("\n")[1]
    tracks = []
    for track in range(3):
        rows = "".join(f"c1\t{at}\t{at + 60}\n" for at in range(200 + 20 * track, 2800, 120))
        tracks.append(folder / f"t{track}.bed")
        tracks[-1].write_text(rows)
    cpgs = [at for at in range(300, 2700) if letters[at : at + 2] == "CG"]
    levels = []
    for track in range(3):
        levels.append(folder / f"m{track}.bed")
        levels[-1].write_text(
            "".join(
                f"c1\t{at}\t{at + 2}\tm\t0\t+\t{at}\t{at + 2}\t0\t9\t{(at * (track + 3)) % 101}\n"
                for at in cpgs[track:]
            )
        )
    vcf = folder / "v.vcf"
    head = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    records = (f"c1\t{at + 1}\t.\t{letters[at]}\t{OTHER[letters[at]]}\t.\t.\tP={at % 2}\n" for at in range(700, 900, 7))
    vcf.write_text(head + "".join(records))
    tss, links = folder / "tss.tsv", [folder / "l0.tsv", folder / "l1.tsv"]
    tss.write_text("chromosome\ttss\tgene\nc1\t900\tX\nc1\t2000\tY\nc2\t700\tZ\n")
    columns = "chromosome\tstart\tend\tgene\n"
    links[0].write_text(columns + "c1\t850\t870\tX\nc1\t990\t1010\tX\n")
    links[1].write_text(columns + "c1\t1900\t1950\tY\nc2\t650\t660\tZ\nc1\t10\t20\tX\n")
    none, blocks = Split("none"), Split("blocks", block=300, fractions=(0.6, 0.2, 0.2))
    kinds: dict[str, Builder] = {
        "genes": lambda out: build.genes(annotation, fasta, out, build="toy", flanks=20, split=none),
        "peaks": lambda out: build.peaks(tracks, fasta, out, build="toy", width=100, split=blocks),
        "methylation": lambda out: build.methylation(levels, fasta, out, build="toy", width=100, split=blocks),
        "variants": lambda out: build.variants(
            vcf, fasta, out, build="toy", labels=build.Labels("P", threshold=1), annotation=annotation
        ),
        "enhancers": lambda out: build.enhancers(
            links, tss, fasta, out, build="toy", bins=10, bin_size=40, split=none, controls=["permuted"]
        ),
    }
    return kinds


def attempt(make: Builder, folder: Path, at: int = 0) -> tuple[int, list[str]]:
    """Build in a child that is killed at its place `at` (never where 0); return its exit code and what it did."""
    told = folder.with_name(f"{folder.name}.told")
    told.unlink(missing_ok=True)
    child = os.fork()
    if not child:
        try:
            with told.open("a", buffering=1) as handle:
                watch(handle.write, at)
                make(folder / "task")
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return status, told.read_text().splitlines()


def watch(tell: Callable[[str], object], at: int) -> None:
    """Have every place told, and the process killed at one of them."""
    places = 0

    def place(what: str) -> None:
        nonlocal places
        places += 1
        tell(f"{what}\n")
        if places == at:
            os.kill(os.getpid(), signal.SIGKILL)

    def after(function: Callable, what: Callable[..., str]) -> Callable:
        def told(*arguments, **options):
            value = function(*arguments, **options)
            place(what(*arguments))
            return value

        return told

    read = text.read_bytes

    def read_bytes(path):
        for block in read(path):
            place(f"read {path.name}")
            yield block

    logging.disable(logging.CRITICAL)
    write.QUERIES, text._BLOCK = 0, 256  # many blocks of small files
    text.read_bytes = read_bytes
    files._fsync = after(files._fsync, lambda path: "flushed")
    Path.replace = after(Path.replace, lambda path, target: "named")
    Work.step = after(Work.step, lambda work, what, *rest: f"kept {what}")


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def reads(told: list[str]) -> tuple[Counter[str], Counter[str]]:
    """Count the blocks that were read of each source, before the last step was kept and after it."""
    last = max((row for row, line in enumerate(told) if line.startswith("kept ")), default=0)
    before, after = (
        Counter(line for line in lines if line.startswith("read ")) for lines in (told[:last], told[last:])
    )
    return before, after


def trial(make: Builder, folder: Path, at: int, whole: list[str], wanted: dict[str, bytes]) -> str:
    """Return what is wrong after a kill at a place and a second run, "" for nothing."""
    code, before = attempt(make, folder, at)
    if code != -signal.SIGKILL:
        return f"the build that was to be killed ended with {code}"
    code, after = attempt(make, folder)
    if code:
        return f"the second run ended with {code}"
    kept, _ = reads(before)
    _, audited = reads(whole)
    again = [line for line in kept if Counter(after)[line] > audited[line]]
    if again:
        return f"was read again: {again}"
    found = content(folder)
    return "" if found == wanted else f"differs: {sorted(found.keys() ^ wanted.keys()) or 'in bytes'}"


def main(each: int) -> int:
    """Try so many places of each kind and builder (0: all); return how many trials went wrong."""
    wrong = 0
    with tempfile.TemporaryDirectory() as work:
        sources = Path(work, "sources")
        sources.mkdir()
        kinds = builders(sources)
        attempt(kinds["genes"], Path(work, "first"))  # which indexes the genome, as none does after it
        for name, make in kinds.items():
            whole = Path(work, name)
            code, told = attempt(make, whole)
            assert code == 0, name
            wanted = content(whole)
            assert {path.split("/")[0] for path in wanted} <= {"task", "task_permuted"}
            places: Sequence[int] = range(1, len(told) + 1)
            if each:
                draw, kinds = random.Random(name), {line.split()[0] for line in told}
                of_kind = [[at for at in places if told[at - 1].startswith(kind)] for kind in sorted(kinds)]
                places = [at for kind in of_kind for at in draw.sample(kind, min(each, len(kind)))]
            for at in places:
                if problem := trial(make, Path(work, f"{name}-{at}"), at, told, wanted):
                    wrong += 1
                    print(f"{name}, killed at place {at} ({told[at - 1]}): {problem}")
            print(f"{name}: killed at {len(places)} of {len(told)} places", flush=True)
    return wrong


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--each", type=int, default=0, metavar="N", help="places of each kind and builder (0: all)")
    sys.exit(main(parser.parse_args().each) > 0)
