"""A client of the test Hub in a process of its own, with the unmodified libraries and an empty HF_HOME.

    with Client(tmp_path, hub.environment()) as client:
        client.run("from datasets import load_dataset", "load_dataset('bend/gene_finding', split='test').num_rows")

`run` executes statements and returns the value of the last expression (JSON-able); an exception comes back as
`ClientError` with its type and message. The process lives on between calls, so that libraries are imported once.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class ClientError(Exception):
    """An exception of the other process."""

    def __init__(self, kind: str, message: str, trace: str):
        super().__init__(f"{kind}: {message}")
        self.kind, self.message, self.trace = kind, message, trace


class Client:
    def __init__(self, home: Path, environment: Mapping[str, str], cwd: Path | None = None):
        package = Path(__file__).resolve().parent.parent
        keep = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "BEND_HF_"))}
        own = {"HF_HOME": f"{home}/hf", "BEND_HF_CACHE": f"{home}/cache", "PYTHONPATH": str(package)}
        own |= {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "OMP_NUM_THREADS": "1"}
        self.waiting = 0
        home.mkdir(parents=True, exist_ok=True)
        self.errors = (home / "stderr.txt").open("w")
        self.process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            cwd=cwd or home,
            env=keep | own | dict(environment),
        )

    def send(self, *lines: str) -> None:
        """Start on some lines without waiting for the answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps("\n".join(lines)) + "\n")
        self.process.stdin.flush()
        self.waiting += 1

    def receive(self) -> Any:
        assert self.process.stdout is not None
        self.waiting -= 1
        line = self.process.stdout.readline()
        if not line:
            raise ClientError(
                "Exit", f"the process ended with {self.process.wait()}", Path(self.errors.name).read_text()
            )
        answer = json.loads(line)
        if "error" in answer:
            raise ClientError(*answer["error"])
        return answer["value"]

    def run(self, *lines: str) -> Any:
        self.send(*lines)
        return self.receive()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        if self.waiting:
            self.process.kill()  # nobody asks for the answer any more
        self.process.wait(timeout=60)
        self.process.stdout.close()
        self.errors.close()


def serve() -> None:
    """Read code from standard input, answer on what standard output was; the code's own output goes to stderr."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    names: dict[str, Any] = {}
    for line in sys.stdin:
        try:
            tree = ast.parse(json.loads(line))
            last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
            exec(compile(tree, "<client>", "exec"), names)
            value = eval(compile(ast.Expression(last.value), "<client>", "eval"), names) if last is not None else None
            answer = json.dumps({"value": value})
        except Exception as error:
            answer = json.dumps({"error": [type(error).__name__, str(error), traceback.format_exc()]})
        answers.write(answer + "\n")
        answers.flush()


if __name__ == "__main__":
    serve()
