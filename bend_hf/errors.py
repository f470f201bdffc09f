"""What goes wrong, in words: the package's errors, the "did you mean" of unknown names, and what other libraries mean.

Every message names what is wrong (file, row, field, value) and what to do about it. In Python a `BendError` is an
ordinary ``ValueError``; the command line prints the message alone. Each type has a stable `code`, which
``--format json`` shows:

    input         a name, value or file that was given does not fit
    data          label files, genomes or results on disk are not what they should be
    model         a checkpoint, its tokenizer or its code cannot be read rightly
    hub           the Hub or a download does not answer as it should
    disk          a file cannot be written or read: space, permissions, paths
    memory        memory ran out
    interrupted   Ctrl-C
    internal      a fault of bend_hf

`described` is the one place that knows what exceptions of other libraries mean.
"""

from __future__ import annotations

import difflib
import errno
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping

_SECRETS = (
    (re.compile(r"(?<=://)[^/?#\s'\"]*@"), ""),
    (re.compile(r"(://[^\s?'\"<>]+\?)[^\s'\"<>)]+"), r"\1…"),  # signed addresses carry their key in the query
    (re.compile(r"\b(hf|api_org)_[A-Za-z0-9]{16,}"), r"\1_…"),
    (re.compile(r"(\bBearer|(?i:authorization)['\":= ]+\w+)\s+[^\s'\",;]{6,}"), r"\1 …"),
)
# Breaks lines, colours a terminal, turns the direction of writing, or is no text at all (a name of undecodable bytes).
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_BREAK = re.compile(r"\s*[\r\n]\s*")
_ENDLESS = re.compile(r"(\S{400})\S{600,}(\S{100})")


class BendError(ValueError):
    """Bad input or a state that cannot give a trustworthy result; the message says what to do.

    The message is one line that can be read: a user name and password in a URL are left out, and so is the middle of a
    word of more than a thousand characters; what cannot be printed is written as an escape.
    """

    code = "input"

    def __init__(self, message: object) -> None:
        super().__init__(readable(str(message)))


def readable(text: str) -> str:
    """Return a text as one line without credentials, endless words and what cannot be printed."""
    return printable(_ENDLESS.sub(r"\1…\2", _BREAK.sub(" ", without_credentials(text).strip())), kept="")


def printable(text: str, kept: str = "\n\t") -> str:
    """Return a text in which what cannot be printed is written as an escape, but for the characters that are kept.

    Names may be strangers': none colours a terminal, rings its bell, moves its cursor or turns its writing.
    """
    return _UNPRINTABLE.sub(
        lambda found: found[0] if found[0] in kept else found[0].encode("unicode_escape").decode(), text
    )


def without_credentials(text: str) -> str:
    """Return a text without the secrets in it: ``user:password@`` and queries of URLs, tokens, what follows Bearer."""
    for secret, instead in _SECRETS:
        text = secret.sub(instead, text)
    return text


class DataError(BendError):
    """Data on disk that are not what they should be."""

    code = "data"


class ModelError(BendError):
    """A model that cannot be read so that its vectors are right."""

    code = "model"


class HubError(BendError):
    """The Hub, or a server, that does not answer as it should."""

    code = "hub"


class DiskError(BendError, OSError):
    """A file that cannot be read or written."""

    code = "disk"


class MissingError(DiskError, FileNotFoundError):
    """A file that is not there."""


class OutOfMemoryError(BendError, MemoryError):
    """Memory that ran out."""

    code = "memory"


class InternalError(BendError):
    """A fault of the package."""

    code = "internal"


def unknown(kind: str, name: str, choices: Iterable[str]) -> BendError:
    """Return the error for an unknown name: the nearest choice, then all of them.

    Args:
        kind: What was asked for, e.g. ``"task"``.
        name: What was given.
        choices: Every valid name.
    """
    choices = list(choices)
    near = nearest(str(name), choices)
    hint = f" Did you mean {near!r}?" if near else ""
    return BendError(f"Unknown {kind} {name!r}.{hint} Choices: {', '.join(choices)}.")


def nearest(name: str, choices: Iterable[str]) -> str | None:
    """Return the choice that looks most like a name, None where none does."""
    folded = {choice.casefold(): choice for choice in choices}
    near = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.5)
    return folded[near[0]] if near else None


_ERRNO: dict[int, tuple[type[BendError], str]] = {
    errno.ENOENT: (MissingError, "there is no such file or folder. Check the path."),
    errno.EACCES: (DiskError, "permission is denied. Choose another path, or change its permissions."),
    errno.EPERM: (DiskError, "the operation is not permitted. Choose another path, or change its permissions."),
    errno.EROFS: (DiskError, "the file system is read-only. Choose another path."),
    errno.ENOSPC: (DiskError, "the disk is full. Free some space, or choose another disk; nothing partial was kept."),
    errno.EDQUOT: (DiskError, "the disk quota is used up. Free some space, or choose another disk."),
    errno.EFBIG: (DiskError, "the file is larger than the file system allows. Choose another disk."),
    errno.EISDIR: (DiskError, "it is a folder, where a file is meant. Give the path of a file."),
    errno.ENOTDIR: (DiskError, "a part of the path is a file, where a folder is meant. Check the path."),
    errno.EEXIST: (DiskError, "it is there already. Choose another path, or remove it."),
    errno.ENOTEMPTY: (DiskError, "the folder is not empty. Choose another path, or remove it."),
    errno.ENAMETOOLONG: (DiskError, "the name is too long for the file system. Choose a shorter one."),
    errno.ELOOP: (DiskError, "its links go round in a circle. Remove the link."),
    errno.EMFILE: (DiskError, "too many files are open. Raise the limit (ulimit -n), or use fewer processes."),
    errno.EIO: (DiskError, "the disk reports an error in reading or writing. Check the disk."),
    errno.ESTALE: (DiskError, "the network file system lost the file. Run again."),
    errno.ENOMEM: (OutOfMemoryError, "memory ran out. Use smaller batches or fewer processes."),
}


_PARTIAL = re.compile(r"\.([^/]+)\.[0-9a-f]{32}\.partial$")
"""Temporary names of `bend_hf.files.atomic`; a person knows the file by the name in it."""


def _os_error(error: OSError) -> BendError | None:
    if error.errno is None:  # of h5py and the like, which say no more than this
        return DataError(f"a file cannot be read or written ({_short(error)}): truncated, damaged or none of its kind.")
    if error.errno not in _ERRNO:
        return None
    kind, text = _ERRNO[error.errno]
    name = error.filename2 or error.filename
    text_of_name = _PARTIAL.sub(r"\1", os.fsdecode(name)) if isinstance(name, str | bytes) else str(name or "")
    where = f"{text_of_name}: " if text_of_name else ""
    return kind(f"{where}{text}")


def hub_answer(error: BaseException, *, writing: bool = False) -> str | None:
    """Return what an exception of the Hub's client, or one behind it, means and what to do; None where it is none.

    Args:
        error: The exception; the chain of its causes is looked through.
        writing: Whether something was to be uploaded.
    """
    seen: BaseException | None = error
    while seen is not None:
        name = type(seen).__name__
        response = getattr(seen, "response", None)
        if name == "OfflineModeIsEnabled":
            return "offline mode is on; unset HF_HUB_OFFLINE."
        if response is not None and hasattr(response, "status_code"):
            return _of_status(int(response.status_code), str(seen), dict(response.headers), writing)
        # The client speaks of certificates in what it says of pages that are none of the Hub's, too.
        if name in ("FileMetadataError", "TooManyRedirects") or _is_of_a_page(seen):
            return f"{_BETWEEN} a page that is no file of the Hub's ({_LOGIN})."
        if name in ("SSLError", "SSLCertVerificationError") or "certificate verify failed" in str(seen).lower():
            return (
                f"{_BETWEEN} a certificate that cannot be trusted. Name the file of your network's certificates in "
                "SSL_CERT_FILE and REQUESTS_CA_BUNDLE."
            )
        if name == "ProxyError" and "407" in str(seen):
            return _of_status(407, "", {}, writing)
        if name == "ProxyError":
            return "the proxy does not let the request through. Check HTTPS_PROXY."
        if name in ("UnsupportedProtocol", "InvalidURL", "MissingSchema", "InvalidSchema") or "proxy URL" in str(seen):
            return f"an address is none ({_short(seen)}). Check HF_ENDPOINT and HTTPS_PROXY."
        # The client's HTTP library has changed its name between versions.
        if type(seen).__module__.partition(".")[0] in ("httpx", "httpx2", "httpcore", "requests"):
            return f"the connection to the Hub broke ({name}). Try again; what is cached is used with HF_HUB_OFFLINE=1."
        seen = seen.__cause__ or seen.__context__
    return None


_BETWEEN = "something between here and the Hub answers with"
_LOGIN = "a login page, a proxy or a firewall: open a page in a browser and log in, or check HTTPS_PROXY"


def _is_of_a_page(error: BaseException) -> bool:
    """Whether the client was given a page where it had asked for a file of known size, or for JSON."""
    if isinstance(error, OSError) and "Consistency check failed" in str(error):
        return True
    if not isinstance(error, json.JSONDecodeError):
        return False
    frame = error.__traceback__
    while frame is not None:
        if frame.tb_frame.f_globals.get("__name__", "").startswith("huggingface_hub."):
            return True
        frame = frame.tb_next
    return False


def _of_status(status: int, detail: str, headers: Mapping[str, str], writing: bool) -> str:
    told = {name.lower(): value for name, value in headers.items()}
    window = re.search(r"\bt=(\d+)", told.get("ratelimit", ""))  # of the Hub: "api";r=0;t=55
    wait = told.get("retry-after") or (window[1] if window else None)
    if status == 401:
        return (
            "the Hub does not accept the token, or there is none (401). Log in with: hf auth login, or set HF_TOKEN to "
            f"a token{' with write access' if writing else ''}. The Hub answers the same for a private repository one "
            "may not see."
        )
    if status == 403 and writing:
        return "the token may not write there (403). Use one with write access to this namespace."
    if status == 403:
        return "the token may not read it (403): it is gated or private. Ask for access on its page; hf auth login."
    if status == 404:
        return "the Hub has no such repository or revision, or it is private (404). Check the name."
    if status == 407:
        return "the proxy wants to know who asks (407). Give a user name and a password in HTTPS_PROXY."
    if status in (409, 412):
        return f"the repository was changed meanwhile ({status}). Run the command again."
    if status == 429:
        pause = f"{wait} seconds" if wait and wait.isdecimal() else "a few minutes"
        return f"the Hub takes no more requests for now (429). Wait {pause} and run the command again."
    if status >= 500:
        return f"the Hub failed ({status}). Try again later."
    return f"the Hub refused ({status}): {' '.join(detail.split())[:300]}"


_MEMORY = "Use smaller batches (--batch-size), a lower precision (--dtype), fewer processes or another device."
_FOREIGN: tuple[tuple[str, str, type[BendError], Callable[[str], str]], ...] = (
    ("torch", "OutOfMemoryError", OutOfMemoryError, lambda text: f"memory ran out on the device. {_MEMORY}"),
    ("builtins", "MemoryError", OutOfMemoryError, lambda text: f"memory ran out. {_MEMORY}"),
    ("builtins", "RecursionError", DataError, lambda text: "a file is nested too deeply to be one of ours."),
    ("builtins", "UnicodeDecodeError", DataError, lambda text: f"a file is no text in UTF-8 ({text})."),
    ("builtins", "UnicodeEncodeError", BendError, lambda text: f"a name cannot be written here ({text})."),
    ("json", "", DataError, lambda text: f"a file is no JSON ({text}): damaged; make or download it again."),
    ("pyarrow", "", DataError, lambda text: f"a table cannot be read ({text}): damaged; make or download it again."),
    ("safetensors", "", DataError, lambda text: f"a tensor file cannot be read ({text}): damaged; make it again."),
    ("gzip", "", DataError, lambda text: f"a compressed file cannot be read ({text}): truncated or damaged."),
    ("zlib", "", DataError, lambda text: f"a compressed file cannot be read ({text}): truncated or damaged."),
    ("multiprocess", "", InternalError, lambda text: f"a worker process ended ({text}). Use fewer (--num-proc)."),
    ("concurrent", "BrokenProcessPool", InternalError, lambda text: f"a worker process ended ({text}). Use fewer."),
    ("huggingface_hub", "", HubError, lambda text: f"the Hub does not give what was asked for ({text})."),
)
"""Top-level package and name of an exception's type (``""``: any) → what it means."""


def described(error: BaseException) -> BendError:
    """Return an exception as an error of this package: itself, what another library means, or `InternalError`.

    The chain of causes is looked through, since libraries wrap what they do not know.
    """
    seen: BaseException | None = error
    while seen is not None:
        found = _meaning(seen)
        if found is not None:
            return found
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    return InternalError(f"{type(error).__name__}: {_short(error)}")


def _meaning(error: BaseException) -> BendError | None:
    if isinstance(error, BendError):
        return error
    if isinstance(error, OSError) and (found := _os_error(error)) is not None:
        return found
    if (said := hub_answer(error)) is not None:
        return HubError(said)
    for base in type(error).__mro__:
        for package, name, kind, text in _FOREIGN:
            if base.__module__.partition(".")[0] == package and name in ("", base.__name__):
                return kind(text(_short(error)))
    return None


def _short(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else f"{text[:297]}…"
