# /// script
# requires-python = ">=3.11"
# dependencies = ["bend_hf>=0.1"]
# ///
"""Evaluate a model on Hugging Face Jobs, and keep the results in a dataset repository.

    hf jobs uv run --flavor a10g-large --timeout 12h --secrets HF_TOKEN \\
        examples/hf_jobs/job.py MODEL --results YOU/bend-results
    uv run examples/hf_jobs/job.py MODEL -o bend-results      # on any machine, here without a repository

uv reads what the script needs from its first lines. All other options are those of ``bend-hf evaluate``. The machine
of a job is gone when it ends: with ``--results`` the repository (private, and made if there is none) is read first,
so that what it holds is not done again, and new records and predictions are uploaded every ten minutes and at the end.
The same command goes on with what is missing where a job was cut off.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import nullcontext

from huggingface_hub import CommitScheduler, snapshot_download

from bend_hf.cli import build_parser, main
from bend_hf.errors import BendError
from bend_hf.hub.client import explained

MADE_OF = ["*.json", "*.parquet"]
"""What of a folder of results makes up a result: its record and its predictions."""
MINUTES = 10


def run(words: list[str]) -> int:
    """Evaluate a model, and return the exit code of ``bend-hf evaluate``."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("model", help="Hub id, folder or catalogue name")
    parser.add_argument("--results", metavar="YOU/REPOSITORY", help="dataset repository that keeps the results")
    own, rest = parser.parse_known_args(words)
    command = ["evaluate", own.model, *rest]
    folder = build_parser().parse_args(command).output  # wrong usage is told before anything is fetched
    keeping = nullcontext()
    if own.results:
        where = {"repo_id": own.results, "repo_type": "dataset", "allow_patterns": MADE_OF}
        try:
            with explained(f"--results {own.results}"):
                keeping = CommitScheduler(**where, folder_path=folder, every=MINUTES, private=True)
                snapshot_download(**where, local_dir=folder)
        except BendError as error:
            sys.exit(f"job.py: {error}")
    with keeping:
        return main(command)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
