"""The Hub as `publish` and `push_results` speak to it: one commit per repository, and errors that say what to do."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bend_hf import files as file_tools
from bend_hf.errors import BendError, HubError, hub_answer

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

RepoType = Literal["model", "dataset", "space"]


@dataclass(frozen=True)
class Change:
    """What a commit does to one file: ``"new"``, ``"changed"``, ``"same"`` or ``"deleted"``; `size` in bytes."""

    path: str
    size: int
    change: Literal["new", "changed", "same", "deleted"]


@dataclass(frozen=True)
class Remote:
    """A repository as it is on the Hub: its last commit and files; a commit of None where there is no repository."""

    commit: str | None
    files: Mapping[str, RepoFile]


@contextmanager
def explained(action: str) -> Iterator[None]:
    """Turn what the client raises into a `BendError` that begins with `action` and says what to do."""
    try:
        yield
    except BendError:
        raise
    except Exception as error:
        text = hub_answer(error, writing=True)
        if text is None:
            raise
        raise HubError(f"{action}: {text}") from error


def remote(api: HfApi, repo_id: str, repo_type: RepoType) -> Remote:
    """Return the files of a repository by path, as `huggingface_hub.hf_api.RepoFile`."""
    from huggingface_hub.errors import RepositoryNotFoundError
    from huggingface_hub.hf_api import RepoFile

    try:
        commit = api.repo_info(repo_id, repo_type=repo_type).sha
    except RepositoryNotFoundError:
        return Remote(None, {})
    tree = api.list_repo_tree(repo_id, recursive=True, revision=commit, repo_type=repo_type)
    return Remote(commit, {item.path: item for item in tree if isinstance(item, RepoFile)})


def compare(files: Mapping[str, Path], there: Remote, obsolete: Sequence[str]) -> list[Change]:
    """Return what a commit would do: local files by path in the repository, and remote paths to delete."""
    changes = []
    for path, local in files.items():
        size = local.stat().st_size
        item = there.files.get(path)
        changes.append(Change(path, size, "new" if item is None else "same" if _equal(local, item) else "changed"))
    return [*changes, *(Change(path, there.files[path].size, "deleted") for path in obsolete)]


def _equal(local: Path, item: RepoFile) -> bool:
    if local.stat().st_size != item.size:
        return False
    if item.lfs is not None:
        return file_tools.digest_file(local) == item.lfs.sha256
    content = local.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest() == item.blob_id


def commit(
    api: HfApi,
    repo_id: str,
    repo_type: RepoType,
    *,
    files: Mapping[str, Path],
    changes: Sequence[Change],
    there: Remote,
    message: str,
    private: bool,
) -> str:
    """Make `changes` in one commit, creating the repository if there is none, and return the commit's id.

    It is one commit whatever the size: a reader sees all of it or nothing. (`HfApi.upload_folder` of huggingface_hub 2
    may cut a slow upload into several.) If the commit fails and the repository was created for it, it is removed again.

    Raises:
        BendError: What went wrong and what to do.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    created = there.commit is None
    if created:
        with explained(f"Creating {repo_id}"):
            sdk = "gradio" if repo_type == "space" else None
            api.create_repo(repo_id, repo_type=repo_type, private=private, space_sdk=sdk)
    operations = [
        CommitOperationDelete(change.path)
        if change.change == "deleted"
        else CommitOperationAdd(change.path, files[change.path])
        for change in changes
        if change.change != "same"
    ]
    head = there.commit
    try:
        with explained(f"Uploading {repo_id}"):
            if created:
                head = api.repo_info(repo_id, repo_type=repo_type).sha
            result = api.create_commit(
                repo_id, operations, commit_message=message, repo_type=repo_type, parent_commit=head
            )
        return str(result.oid)
    except BendError as error:
        # The answer may have been lost after the commit was made.
        done = _committed(api, repo_id, repo_type, files)
        if done is not None:
            return done
        if created and not _discarded(api, repo_id, repo_type, head):
            raise BendError(
                f"{error} {repo_id} was created for this and is still there; nothing was uploaded."
            ) from error
        raise BendError(f"{error} {repo_id} is as it was.") from error
    except BaseException:
        if created:
            _discarded(api, repo_id, repo_type, head)
        raise


def _committed(api: HfApi, repo_id: str, repo_type: RepoType, files: Mapping[str, Path]) -> str | None:
    """Return the last commit if the repository holds exactly these files' contents."""
    try:
        there = remote(api, repo_id, repo_type)
    except Exception:
        return None
    same = all(change.change == "same" for change in compare(files, there, ()))
    return there.commit if same else None


def _discarded(api: HfApi, repo_id: str, repo_type: RepoType, head: str | None) -> bool:
    """Delete a repository that was just created, unless there is more in it than its creation left."""
    try:
        if head is None or api.repo_info(repo_id, repo_type=repo_type).sha != head:
            return False
        api.delete_repo(repo_id, repo_type=repo_type, missing_ok=True)
    except Exception:
        return False
    return True
