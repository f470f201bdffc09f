"""Downloads BEND's released files and the two reference genomes into the package's cache, once.

    released("variant_effects/variant_effects_disease.bed")      # -> path in the cache
    genome("GRCh38")

A download resumes where it broke off, is retried with growing pauses, and is put in place only when it is complete and
is what it should be. Beside each file, ``<file>.json`` records its URL, SHA-256 and size: no checksums are published,
so that this record is what later runs compare with. ``BEND_HF_DATA_URL`` names a mirror of the released files; a user
name and password in it are sent to that server, and neither printed nor recorded, nor is what stands behind ``?``.
"""

from __future__ import annotations

import gzip
import os
import shutil
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bend_hf import files
from bend_hf.console import log, progress
from bend_hf.errors import BendError
from bend_hf.tasks import Build

RELEASE = "https://sid.erda.dk/share_redirect/f6hdp1zTzh/data"
# The primary assemblies. The release of an annotation does not change the sequence of its assembly's chromosomes.
GENOMES: dict[Build, str] = {
    "GRCh38": "https://ftp.ebi.ac.uk/pub/databases/gencode/Gencode_human/release_44/GRCh38.primary_assembly.genome.fa.gz",
    "GRCh37": "https://ftp.ensembl.org/pub/grch37/release-113/fasta/homo_sapiens/dna/Homo_sapiens.GRCh37.dna.primary_assembly.fa.gz",
}
ATTEMPTS = 6
PAUSE = 1.0
"""Seconds before the second attempt; doubled for every further one."""
_CHUNK = 1 << 20


def released(name: str, *, offline: bool | None = None) -> Path:
    """Return a released file, e.g. ``gene_finding/gene_finding.bed``, downloading it if the cache lacks it.

    Raises:
        BendError: Offline, or the download failed; the message names the URL and where to put the file by hand.
    """
    root = os.environ.get("BEND_HF_DATA_URL", RELEASE).rstrip("/")
    return fetch(f"{root}/{name}", files.cache_dir("data") / name, offline=offline)


def genome(build: Build, *, offline: bool | None = None) -> Path:
    """Return a reference genome as an uncompressed FASTA, downloading and decompressing it if the cache lacks it.

    Raises:
        BendError: As `released`.
    """
    target = files.cache_dir("data", "genomes") / f"{build}.primary_assembly.fa"
    return fetch(GENOMES[build], target, offline=offline, decompress=True)


def fetch(url: str, target: Path, *, offline: bool | None = None, decompress: bool = False) -> Path:
    """Download `url` to `target` unless it is there already, complete and recorded.

    Args:
        url: Where from.
        target: Where to; what arrives is kept in ``<target>.part`` until it is complete.
        offline: Download nothing; None to follow ``HF_HUB_OFFLINE``.
        decompress: The URL is of a gzip file, `target` is what it holds.

    Raises:
        BendError: Offline, a permanent HTTP error, too many failed attempts, or a response that is not the file.
    """
    from huggingface_hub.utils import WeakFileLock

    address = _Address(url)
    if _trusted(target):
        return target
    _refuse_offline(address, target, offline, decompress)
    target.parent.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(target.with_name(target.name + ".lock")):
        if _trusted(target):
            return target
        part = target.with_name(target.name + ".part")
        log.warning("Downloading %s to %s", address, target)
        try:
            validator = _download(address, part)
            _refuse_other_content(address, part, "gzip" if decompress else target.suffix)
            record = {"url": str(address), "validator": validator, "downloaded_sha256": files.content_digest(part)}
            _put_in_place(part, target, record, decompress)
        except OSError as error:
            raise BendError(
                f"{target} cannot be written: {error}. Free space, or set BEND_HF_CACHE elsewhere."
            ) from error
        _discard(part)
    return target


class _Address:
    """A URL, which shows itself without the secrets it may hold.

    Attributes:
        url: Without user name and password, to be asked for.
        auth: These, or None.
    """

    def __init__(self, url: str) -> None:
        import httpx

        try:
            whole = httpx.URL(url)
        except httpx.InvalidURL:
            whole = httpx.URL("")
        if whole.scheme not in ("http", "https") or not whole.host:  # not shown: what is wrong may be the password
            raise BendError("The address to download from is none of http:// or https://. Check BEND_HF_DATA_URL.")
        self.url = whole.copy_with(userinfo=b"")
        self.auth = (whole.username, whole.password) if whole.userinfo else None

    def __str__(self) -> str:
        return str(self.url.copy_with(query=None, fragment=None))

    @property
    def digest(self) -> str:
        """Tells this URL from another one without holding its secrets."""
        return files.digest_of([str(self.url), self.auth])


def _trusted(target: Path) -> bool:
    """Tell whether a file was downloaded completely; one that was put there by hand is taken as it is."""
    record_path = target.with_name(target.name + ".json")
    if not target.is_file():
        return False
    if not record_path.is_file():
        log.warning("%s has no record of a download; it is used as it is.", target)
        return True
    record = _read_json(record_path)
    if target.stat().st_size != record.get("size") or files.content_digest(target) != record.get("sha256"):
        raise BendError(
            f"{target} was changed after its download, or {record_path.name} was. Delete both to download it again."
        )
    return True


def _refuse_offline(url: _Address, target: Path, offline: bool | None, decompress: bool) -> None:
    if offline is None:
        from huggingface_hub import constants

        offline = constants.HF_HUB_OFFLINE
    if offline:
        by_hand = f"decompress it to {target}" if decompress else f"put it at {target}"
        raise BendError(
            f"{target.name} is not in the cache, and nothing is downloaded offline (HF_HUB_OFFLINE, --offline). "
            f"Download {url} on another machine and {by_hand}; or pass data_dir= and genome= (--data-dir, --genome), "
            f"or set BEND_HF_DATA."
        )


class _PassingError(Exception):
    """A failure that may pass: the attempt is repeated."""

    def __init__(self, message: str, pause: float | None = None) -> None:
        super().__init__(message)
        self.pause = pause


def _download(url: _Address, part: Path) -> str | None:
    """Bring `part` to completion; return the server's validator of the content (ETag or date)."""
    failures = 0
    while True:
        size = part.stat().st_size if part.exists() else 0
        try:
            return _attempt(url, part)
        except _PassingError as error:
            arrived = part.stat().st_size if part.exists() else 0
            # A slow line that breaks often gets through as long as every attempt brings something.
            failures = 1 if arrived - size >= _CHUNK else failures + 1
            if failures >= ATTEMPTS:
                raise BendError(
                    f"{url}: gave up after {failures} attempts ({error}). {arrived:,} bytes are kept; "
                    f"run again to resume."
                ) from error
            pause = error.pause if error.pause is not None else PAUSE * 2 ** (failures - 1)
            log.warning("%s: %s; next attempt in %.0f s", url, error, pause)
            time.sleep(pause)


def _attempt(url: _Address, part: Path) -> str | None:
    import httpx

    have = part.stat().st_size if part.exists() else 0
    state = _read_json(_state(part))
    headers = {"Accept-Encoding": "identity"}
    if have and state.get("url") == url.digest and state.get("validator"):
        # With If-Range, a server whose file has changed sends the whole new one.
        headers |= {"Range": f"bytes={have}-", "If-Range": state["validator"]}
    try:
        with httpx.stream(
            "GET", url.url, auth=url.auth, headers=headers, follow_redirects=True, timeout=60
        ) as response:
            if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                if response.headers.get("Content-Range") == f"bytes */{have}":
                    return str(state["validator"])
                part.unlink()
            _raise_for_status(url, response)
            validator: str | None = response.headers.get("ETag") or response.headers.get("Last-Modified")
            if validator and validator.startswith("W/"):
                validator = response.headers.get("Last-Modified")
            resumed = response.status_code == httpx.codes.PARTIAL_CONTENT
            length = response.headers.get("Content-Length")
            start = have if resumed else 0
            if resumed and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
                part.unlink()
                raise _PassingError("the server resumed at another place than asked for")
            total = start + int(length) if length else None
            if not resumed:
                files.write_json(_state(part), {"url": url.digest, "validator": validator})
            bar = progress(
                name="bend_hf.download", total=total, initial=start, unit="B", unit_scale=True, desc=part.stem
            )
            with part.open("ab" if resumed else "wb") as handle, bar:
                # Pieces as they arrive: gathered into larger ones, the last of them would be lost when the line breaks.
                # Raw, for some servers declare what is a gzip file to be a compressed transfer of its contents.
                for chunk in response.iter_raw():
                    handle.write(chunk)
                    bar.update(len(chunk))
    except httpx.RequestError as error:
        raise _PassingError(f"{type(error).__name__}: {error}") from error
    arrived = part.stat().st_size
    if total is not None and arrived != total:
        raise _PassingError(f"{arrived:,} of {total:,} bytes arrived")
    return validator


def _raise_for_status(url: _Address, response: Any) -> None:
    """Tell apart what may pass (429, 5xx, a range that no longer fits) from what will not."""
    status = response.status_code
    if status in (200, 206):
        if "text/html" in response.headers.get("Content-Type", ""):
            raise BendError(f"{url} answers with an HTML page instead of the file. Has the share moved? {_ELSEWHERE}")
        return
    if status in (408, 416, 429) or status >= 500:
        wait = response.headers.get("Retry-After", "")
        raise _PassingError(f"HTTP {status}", min(float(wait), 120.0) if wait.isdigit() else None)
    raise BendError(f"{url}: HTTP {status} {response.reason_phrase}. {_ELSEWHERE}")


_ELSEWHERE = "Pass data_dir= and genome= (--data-dir, --genome), or set BEND_HF_DATA_URL to a mirror."


def _read_json(path: Path) -> dict[str, Any]:
    """Return what was noted of a download; nothing where there is no note, or none that can be read."""
    try:
        return dict(files.read_json(path))
    except (OSError, ValueError, TypeError):
        return {}


def _state(part: Path) -> Path:
    """Return where it is kept what an incomplete download is a part of."""
    return part.with_name(part.name + ".json")


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _state(part).unlink(missing_ok=True)


def _refuse_other_content(url: _Address, part: Path, kind: str) -> None:
    """Delete and refuse what does not begin and end like a file of its kind: an error page, a torn file."""
    size = part.stat().st_size
    with part.open("rb") as handle:
        start = handle.read(512).lstrip()
        handle.seek(max(0, size - 1))
        last = handle.read(1)
    lower = start.lower()
    expected: dict[str, Callable[[], bool]] = {
        ".bed": lambda: b"\t" in start and last == b"\n",
        ".hdf5": lambda: _is_whole_hdf5(part),
        "gzip": lambda: start.startswith(b"\x1f\x8b"),
    }
    problem = ""
    if not size:
        problem = "an empty file"
    elif lower.startswith((b"<!doctype", b"<html", b"<?xml")):
        problem = "an HTML page"
    elif kind in expected and not expected[kind]():
        problem = f"no complete {kind.removeprefix('.')} file (it starts with {start[:20]!r})"
    if problem:
        _discard(part)
        raise BendError(f"{url} gave {problem}. Has the share moved? {_ELSEWHERE}")


def _is_whole_hdf5(path: Path) -> bool:
    import h5py

    try:
        with h5py.File(path, "r"):
            return True
    except OSError:
        return False


def _put_in_place(part: Path, target: Path, record: dict[str, Any], decompress: bool) -> None:
    """Move or decompress the complete download to `target`; its record is written first, so that both or none count."""
    with files.atomic(target) as temporary:
        if decompress:
            try:
                with gzip.open(part, "rb") as source, temporary.open("wb") as sink:
                    shutil.copyfileobj(source, sink, _CHUNK)
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                _discard(part)
                raise BendError(
                    f"{record['url']} gave a damaged gzip file ({error}). Run again to download it anew."
                ) from error
        else:
            part.replace(temporary)
        record |= {"sha256": files.content_digest(temporary), "size": temporary.stat().st_size}
        files.write_json(target.with_name(target.name + ".json"), record)
