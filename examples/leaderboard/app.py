"""A leaderboard: the report of a results dataset, as a web page.

BEND_RESULTS=YOU/bend-results python app.py      # a dataset repository …
BEND_RESULTS=bend-results python app.py          # … or a folder of results
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from fastapi.responses import FileResponse, PlainTextResponse, Response

from bend_hf.errors import BendError
from bend_hf.report.write import write_report


class Board:
    """The report of one source, made again when it is older than `refresh` seconds."""

    def __init__(self, source: str, refresh: float) -> None:
        self.source = source
        self.refresh = refresh
        self.folder = Path(tempfile.mkdtemp(prefix="bend_leaderboard_"))
        self.made = float("-inf")
        self.lock = threading.Lock()

    def file(self, name: str) -> Path:
        """The report in a format: ``report.html``, ``results.csv`` or ``results.json``."""
        with self.lock:
            if time.monotonic() - self.made > self.refresh:
                results = self.results()
                for report in ("report.html", "results.csv", "results.json"):
                    write_report(results, self.folder / report)
                self.made = time.monotonic()
        return self.folder / name

    def results(self) -> Path:
        """The folder of records: the source itself, or a copy of the dataset repository's newest state."""
        if Path(self.source).is_dir():
            return Path(self.source)
        from huggingface_hub import snapshot_download

        patterns = ["**/*.json", "**/*.parquet", "*.json", "*.parquet"]
        return Path(snapshot_download(self.source, repo_type="dataset", allow_patterns=patterns))


def make_app(source: str, refresh: float = 3600) -> FastAPI:
    """The web application: the page at ``/``, the numbers at ``/results.csv`` and ``/results.json``."""
    app = FastAPI(title="BEND leaderboard", docs_url=None, redoc_url=None)
    board = Board(source, refresh)

    def serve(name: str) -> Response:
        try:
            return FileResponse(board.file(name))
        except BendError as error:
            return PlainTextResponse(f"There is no leaderboard yet: {error}", status_code=503)

    @app.get("/")
    def page() -> Response:
        return serve("report.html")

    @app.get("/results.csv")
    def csv() -> Response:
        return serve("results.csv")

    @app.get("/results.json")
    def json() -> Response:
        return serve("results.json")

    return app


if __name__ == "__main__":
    source = os.environ.get("BEND_RESULTS")
    if not source:
        raise SystemExit("Set BEND_RESULTS to a dataset repository (YOU/bend-results) or a folder of results.")
    refresh = float(os.environ.get("BEND_REFRESH", 3600))
    uvicorn.run(make_app(source, refresh), host="0.0.0.0", port=int(os.environ.get("PORT", 7860)))
