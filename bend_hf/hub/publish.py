"""`bend-hf publish` puts datasets and metrics on the Hub.

    for upload in publish("someone", toy=True, dry_run=True):
        print(describe(upload))
    publish("bend", mirror="mirror")

Everything is written and checked before anything is uploaded; each repository then changes in one commit, or not.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from bend_hf import __version__
from bend_hf import files as file_tools
from bend_hf.console import log, progress, spoken
from bend_hf.data.builds import GenomeArgument, pinned
from bend_hf.errors import BendError
from bend_hf.hub.cards import tasks_of
from bend_hf.hub.client import Change, Remote, RepoType, commit, compare, explained, remote
from bend_hf.hub.mirror import AGAIN, MARKER, Repository, metric_files, read_mirror, writable, write_mirror
from bend_hf.hub.prepare import check_namespace, locate_datasets
from bend_hf.hub.push import push_results
from bend_hf.tasks import BEND, get_tasks
from bend_hf.text import counted

if TYPE_CHECKING:
    from huggingface_hub import HfApi

__all__ = ["Upload", "describe", "publish", "push_results"]

OF_A_DATASET = re.compile(r"README\.md|eval\.yaml|[\w-]+/\w+-\d{5}-of-\d{5}\.parquet")
"""Paths of what a dataset's repository holds."""
SPACE_FILES = ("README.md", "app.py", "requirements.txt")
WRITING_ROLES = ("admin", "write", "contributor")


@dataclass(frozen=True)
class Upload:
    """What was done, or would be done, to one repository.

    Attributes:
        repo_id: Name with namespace.
        repo_type: ``"dataset"``, or ``"space"`` for a metric.
        url: Of its page.
        exists: Whether the repository was there before.
        changes: Every file with its size and what happens to it.
        commit: Id of the commit on the Hub that has this content; None for a dry run.
    """

    repo_id: str
    repo_type: RepoType
    url: str
    exists: bool
    changes: tuple[Change, ...]
    commit: str | None


def publish(
    namespace: str,
    *,
    tasks: str | Iterable[str] = "all",
    mirror: str | os.PathLike[str] | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    genome: GenomeArgument = None,
    genome_checked: bool = False,
    strict: bool = False,
    toy: bool = False,
    incomplete: bool = False,
    private: bool = False,
    dry_run: bool = False,
    token: str | None = None,
    verbose: bool = False,
) -> list[Upload]:
    """Create or update the dataset repositories and metric Spaces of a namespace.

    Args:
        namespace: User or organisation on the Hub.
        tasks: ``"all"``, names of tasks or of datasets; the metrics always go along.
        mirror: Folder written by ``prepare(to=…, namespace=…)``; None to build one that is deleted afterwards.
        data_dir: See `bend_hf.hub.prepare.prepare`; like the next three, for a mirror that is built.
        genome: See `bend_hf.hub.prepare.prepare`.
        genome_checked: See `bend_hf.hub.prepare.prepare`.
        strict: See `bend_hf.hub.prepare.prepare`.
        toy: Publish the toy data; the cards say so.
        incomplete: Publish although rows differ in number from those declared; the cards say so.
        private: Create repositories as private ones; those that exist keep their visibility.
        dry_run: Do everything but the upload.
        token: Of the Hub; None for the one that is logged in.
        verbose: Whether to tell what is done and how far it is, as the command line does.

    Returns:
        One entry per repository.

    Raises:
        BendError: A check failed (nothing was uploaded), or an upload did (the message names what was published
            before, and that the repository it failed on is as it was).
    """
    from huggingface_hub import HfApi

    check_namespace(namespace)
    api = HfApi(token=token)
    if not (dry_run and token is None and not _logged_in()):
        _check_access(api, namespace)
    with ExitStack() as stack:
        stack.enter_context(spoken(verbose))
        if mirror is None:
            located = locate_datasets(
                tasks,
                namespace=namespace,
                data_dir=data_dir,
                genome=genome,
                genome_checked=genome_checked,
                strict=strict,
                toy=toy,
            )
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=file_tools.cache_dir("publish"))))
            with writable():
                repositories = write_mirror(folder, located, namespace=namespace, toy=toy)
        else:
            if data_dir is not None or genome is not None or genome_checked or strict:
                raise BendError("A mirror holds its rows: leave out where data and genomes lie, or the mirror.")
            wanted = {task.dataset for task in get_tasks(tasks)}
            found = read_mirror(pinned(mirror), namespace)
            repositories = [item for item in found if item.kind == "metric" or item.path.name in wanted]
        for repository in repositories:
            check(repository, toy=toy, incomplete=incomplete)
        plans = [_plan(api, repository) for repository in repositories]
        if dry_run:
            return [upload for upload, _ in plans]
        return _upload(api, repositories, plans, private)


def describe(upload: Upload) -> str:
    """Return the repository, and every file with its size and what changes; after an upload, the commit."""
    state = "" if upload.exists else " (new)"
    lines = [f"{upload.repo_type} {upload.repo_id}{state}"]
    lines += [f"  {item.change:<8} {item.size:>13,} B  {item.path}" for item in upload.changes]
    changed = [item for item in upload.changes if item.change in ("new", "changed")]
    done = "to upload" if upload.commit is None else f"uploaded: {upload.url} is at {upload.commit}"
    lines.append(f"  {counted(len(changed), 'file')}, {sum(item.size for item in changed):,} B {done}")
    return "\n".join(lines)


def _logged_in() -> bool:
    from huggingface_hub import get_token

    return get_token() is not None


def _check_access(api: HfApi, namespace: str) -> None:
    with explained("Asking the Hub who is logged in"):
        if api.token is None and not _logged_in():
            raise BendError("Not logged in to the Hub. Log in with: hf auth login, or set HF_TOKEN.")
        who = api.whoami()
    may = {who["name"], *(org["name"] for org in who.get("orgs", []) if org.get("roleInOrg", "write") in WRITING_ROLES)}
    if namespace not in may:
        raise BendError(
            f"{who['name']} may not write to the namespace {namespace!r} on the Hub, only to: {', '.join(sorted(may))}."
        )


def check(repository: Repository, *, toy: bool, incomplete: bool) -> None:
    """Check that what is uploaded of a repository's folder is what was written there, and loads as its card says.

    Raises:
        BendError: What is wrong with which file.
    """
    names = {path.relative_to(repository.path).as_posix() for path in repository.files}
    where = repository.path
    if problem := file_tools.damage(where):
        raise BendError(f"{where}: {problem} since bend-hf prepare wrote it. {AGAIN}")
    for path in repository.files:
        inside = (path, *(parent for parent in path.parents if parent == where or where in parent.parents))
        if linked := next((part for part in inside if part.is_symlink()), None):
            raise BendError(f"{linked} is a symbolic link, which is not uploaded. {AGAIN}")
    # Whoever made the folder could seal anything.
    if repository.kind == "dataset" and (others := sorted(name for name in names if not OF_A_DATASET.fullmatch(name))):
        raise BendError(f"{where / others[0]} is no file that bend-hf prepare writes for a dataset. {AGAIN}")
    written = {where / name for name in (*names, MARKER, file_tools.FOLDER_SEAL)}
    for path in sorted(path for path in where.rglob("*") if not path.is_dir() and path not in written):
        log.warning("%s was not written by bend-hf prepare: it is not uploaded.", path)
    if repository.kind == "metric":
        # What runs on other machines is the package's own text, whatever a seal says.
        for name, text in metric_files(where.name, repository.name.partition("/")[0]).items():
            if name not in names or (where / name).read_text(encoding="utf-8") != text:
                raise BendError(f"{where / name} is not the metric of this version of bend_hf. {AGAIN}")
        return
    if repository.marker["toy"] != toy:
        kind = "toy" if repository.marker["toy"] else "real"
        raise BendError(f"{where} holds {kind} data, which is not what was asked for (toy={toy}).")
    head = yaml.safe_load((where / "README.md").read_text(encoding="utf-8").split("---\n")[1])
    _check_parquet(repository, head)
    benchmark = yaml.safe_load((where / "eval.yaml").read_text(encoding="utf-8"))
    splits = {item["config_name"]: {split["name"] for split in item["splits"]} for item in head["dataset_info"]}
    for entry in benchmark["tasks"]:
        if entry["config"] not in splits or not {entry.get("split")} - {None} <= splits[entry["config"]]:
            raise BendError(
                f"{where / 'eval.yaml'}: task {entry['id']} names a configuration or split that is not there."
            )
    for task in tasks_of(where.name):
        rows = repository.marker["configs"][task.config]["rows"]
        if rows != dict(task.rows) and not (toy or incomplete):
            whole = "BEND's release" if task in BEND else "its document"
            raise BendError(
                f"{where}: {task.name} has {counted(sum(rows.values()), 'row')}, {whole} {sum(task.rows.values()):,}. "
                "Publish it all the same with incomplete=True (--incomplete); its card says so."
            )


def _check_parquet(repository: Repository, head: Mapping[str, Any]) -> None:
    import pyarrow.parquet as pq

    where = repository.path
    infos = {item["config_name"]: item for item in head["dataset_info"]}
    for config in head["configs"]:
        declared = {split["name"]: split["num_examples"] for split in infos[config["config_name"]]["splits"]}
        for item in config["data_files"]:
            found = 0
            for path in (path for path in repository.files if path.match(item["path"])):
                try:
                    found += pq.read_metadata(path).num_rows
                except (OSError, ValueError) as error:
                    raise BendError(f"{path} is no whole Parquet file ({error}). {AGAIN}") from error
            if found != declared[item["split"]]:
                raise BendError(
                    f"{where / item['path']}: {counted(found, 'row')}, but README.md declares "
                    f"{declared[item['split']]:,} for the split {item['split']}. {AGAIN}"
                )


def _plan(api: HfApi, repository: Repository) -> tuple[Upload, Remote]:
    from huggingface_hub import RepoCard

    repo_type: RepoType = "dataset" if repository.kind == "dataset" else "space"
    files = _local(repository)
    with explained(f"Checking the card of {repository.name}"):
        try:
            RepoCard.load(files["README.md"]).validate(repo_type=repo_type)
        except ValueError as error:
            raise BendError(f"{files['README.md']}: the Hub does not accept the card's metadata: {error}") from error
    with explained(f"Looking at {repository.name}"):
        there = remote(api, repository.name, repo_type)
    # Old shards would be read along with the new ones, and a script stops `datasets` from loading the repository.
    obsolete = [
        path
        for path in there.files
        if path not in files and repo_type == "dataset" and path.endswith((".parquet", f"{repository.path.name}.py"))
    ]
    changes = tuple(compare(files, there, obsolete))
    url = f"{api.endpoint}/{repo_type}s/{repository.name}"
    return Upload(repository.name, repo_type, url, there.commit is not None, changes, None), there


def _local(repository: Repository) -> dict[str, Path]:
    return {path.relative_to(repository.path).as_posix(): path for path in repository.files}


def _upload(
    api: HfApi, repositories: Sequence[Repository], plans: Sequence[tuple[Upload, Remote]], private: bool
) -> list[Upload]:
    done: list[Upload] = []
    bar = progress(list(zip(repositories, plans, strict=True)), name="bend_hf.publish", desc="publish", unit="repo")
    for repository, (upload, there) in bar:
        sha = there.commit
        if any(change.change != "same" for change in upload.changes):
            try:
                if problem := file_tools.damage(repository.path):
                    raise BendError(f"{repository.path}: {problem} since it was checked. {AGAIN}")
                sha = commit(
                    api,
                    upload.repo_id,
                    upload.repo_type,
                    files=_local(repository),
                    changes=upload.changes,
                    there=there,
                    message=f"bend_hf {__version__}",
                    private=private,
                )
            except BendError as error:
                published = ", ".join(item.repo_id for item in done) or "nothing"
                raise BendError(f"{error} Published before it: {published}.") from error
        log.info("%s is at %s", upload.repo_id, sha)
        done.append(Upload(upload.repo_id, upload.repo_type, upload.url, upload.exists, upload.changes, sha))
    return done
