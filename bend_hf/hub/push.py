"""`push_results` proposes scores for a model's page on the Hub, as `.eval_results/*.yaml`.

    push_results(bend_hf.read_results("bend-results"), "someone/my-dna-model")    # a pull request

One file and one value per benchmark task (see `eval.yaml` in the dataset repositories); several seeds are one mean.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

import yaml

from bend_hf import __version__
from bend_hf import files as file_tools
from bend_hf.errors import BendError
from bend_hf.hub.cards import task_id
from bend_hf.hub.client import explained
from bend_hf.hub.prepare import check_namespace
from bend_hf.results.conditions import departures, of_all_rows
from bend_hf.results.record import Result
from bend_hf.tasks import TASKS
from bend_hf.text import counted

if TYPE_CHECKING:
    from huggingface_hub import EvalResultEntry, HfApi


def push_results(
    results: Iterable[Result],
    model_id: str,
    *,
    create_pr: bool = True,
    namespace: str = "bend",
    source_url: str | None = None,
    token: str | None = None,
) -> str:
    """Write results into the repository of a model.

    Args:
        results: Of one model; those that failed or have no score are left out.
        model_id: Repository of the model on the Hub.
        create_pr: Open a pull request; False to commit directly.
        namespace: Where the datasets are published.
        source_url: Where the results can be looked up; None for the dataset's page.
        token: Of the Hub; None for the one that is logged in.

    Returns:
        The address of the pull request, or of the commit.

    Raises:
        BendError: There is nothing to push, the scores are on toy data, of a part of the rows, on other rows than
            those published or of several models; or the Hub refuses.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    try:
        from huggingface_hub import eval_result_entries_to_yaml
    except ImportError as error:
        raise BendError(f"Results need a newer huggingface_hub: pip install -U huggingface_hub ({error}).") from error
    given = list(results) if isinstance(results, Iterable) else [results]
    if not all(isinstance(result, Result) for result in given):
        raise BendError(f"{results!r} are no results: read them with read_results.")
    check_namespace(namespace)
    groups = _grouped(given, model_id)
    api = HfApi(token=token)
    with explained(f"Looking at {model_id}"):
        api.model_info(model_id)
    operations = []
    for (task_name, protocol), group in groups.items():
        entry = _entry(api, group, namespace, source_url)
        text = yaml.safe_dump(eval_result_entries_to_yaml([entry]), sort_keys=False, allow_unicode=True)
        path = f".eval_results/{namespace}-{task_id(TASKS[task_name], protocol)}.yaml"
        operations.append(CommitOperationAdd(path, text.encode()))
    message = f"BEND (2024 tasks): {counted(len(operations), 'result')}"
    with explained(f"Pushing results to {model_id}"):
        info = api.create_commit(
            model_id,
            operations,
            commit_message=message,
            commit_description=f"Evaluated with bend_hf {__version__}; each entry's notes say how.",
            create_pr=create_pr,
        )
    return str(info.pr_url if create_pr else info.commit_url)


def _grouped(results: list[Result], model_id: str) -> dict[tuple[str, str], list[Result]]:
    if not isinstance(model_id, str) or not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", model_id):
        raise BendError(f"{model_id!r} is no repository of the Hub; expected user/model.")
    models = sorted({result.model for result in results})
    if len(models) > 1:
        raise BendError(f"Results of several models ({', '.join(models)}): push those of one model at a time.")
    scored = [result for result in results if result.failure is None and result.score is not None]
    if not scored:
        raise BendError("There is no result with a score to push.")
    if any(result.toy for result in scored):
        raise BendError("These are results on toy data: they say nothing about a model and are not pushed.")
    if parts := [result.task for result in scored if not of_all_rows(result)]:
        raise BendError(
            f"The results of {', '.join(dict.fromkeys(parts))} are of a part of the rows: they are not pushed."
        )
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in scored:
        groups.setdefault((result.task, result.protocol), []).append(result)
    for (task, _), group in groups.items():
        if len({file_tools.digest_of(_setting(result)) for result in group}) > 1:
            raise BendError(
                f"The results of {task} differ in more than the seed (rows, the model's settings, or the training's): "
                "push those that belong together."
            )
    return groups


def _setting(result: Result) -> list[Any]:
    """Return what all seeds of one score must share: rows, what determines the vectors, how the head was trained."""
    key = result.provenance["model"].get("key")
    return [result.provenance["dataset_digest"], key, result.provenance.get("settings")]


def _entry(api: HfApi, group: list[Result], namespace: str, source_url: str | None) -> EvalResultEntry:
    from huggingface_hub import EvalResultEntry

    first = group[0]
    task = TASKS[first.task]
    repo_id = f"{namespace}/{task.dataset}"
    scores = [result.score for result in group if result.score is not None]
    notes = [f"protocol {first.protocol}"]
    if len(scores) > 1:
        notes.append(f"mean of {len(scores)} seeds, standard deviation {stdev(scores):.4f}")
    elif first.seed is not None:
        notes.append(f"seed {first.seed}")
    notes += [said] if (said := departures(group)) else []
    if len(scores) == 1 and first.interval is not None:
        notes.append("95 % interval {:.4f} to {:.4f}".format(*first.interval))
    notes.append(f"rows sha256 {first.provenance['dataset_digest']}")
    return EvalResultEntry(
        dataset_id=repo_id,
        task_id=task_id(task, first.protocol),
        value=round(fmean(scores), 6),
        dataset_revision=_revision(api, repo_id, task.config, first.provenance["dataset_digest"]),
        date=max(result.provenance["created"] for result in group),
        source_url=source_url or f"{api.endpoint}/datasets/{repo_id}",
        source_name=f"bend_hf {__version__}",
        notes="; ".join(notes),
    )


def _revision(api: HfApi, repo_id: str, config: str, digest: str) -> str:
    """Return the commit of the published dataset, after checking that it has the rows that were evaluated."""
    with explained(f"Looking at the dataset {repo_id} that the results refer to"):
        info: Any = api.dataset_info(repo_id)
    head = info.card_data.to_dict() if info.card_data else {}
    descriptions = [item.get("description", "") for item in head.get("configs", []) if item["config_name"] == config]
    if not any(digest in text for text in descriptions):
        raise BendError(
            f"{repo_id} on the Hub has other rows than those evaluated (sha256 {digest}): evaluate on the published "
            "data, or publish this data first."
        )
    return str(info.sha)
