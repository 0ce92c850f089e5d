"""Tasks of the LM Evaluation Harness (EleutherAI, package lm_eval): found by name, and loaded with their texts.

A task of the user's own is a YAML file, which may name Python functions beside it, which then run: it is a program.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from atlas.errors import AtlasError, CorpusError, UnknownNameError, UsageError
from atlas.extras import require
from atlas.silence import silence
from builders.evaluation.config import HarnessRequest, is_task_file

EXTRA = "lm-eval"
TALKATIVE = ("lm_eval", "datasets", "huggingface_hub", "transformers", "evaluate")
"""Loggers of the harness and of what it loads texts with."""


@dataclass(frozen=True)
class HarnessTasks:
    """What `TaskManager.load` of the harness returns: its `tasks` and `groups`; how many texts of each to take."""

    loaded: dict[str, Any]
    limit: int | None

    def note(self) -> str:
        """A line for a reader who wants to run the same: the harness and the versions of the tasks."""
        named = ", ".join(f"{name} (version {task.VERSION})" for name, task in self.loaded["tasks"].items())
        return f"lm-eval {version('lm_eval')} ran {named}"


def load_tasks(request: HarnessRequest) -> HarnessTasks:
    """The tasks of the request, with their texts.

    Raises MissingExtraError where the harness is not installed, UnknownNameError for a name that it and the folder
    lack, UsageError for a file that is no task, CorpusError for a task whose texts cannot be had.
    """
    for package in ("lm_eval", "accelerate"):
        require(package, EXTRA, "to run lm-eval tasks")
    with silence(*TALKATIVE):
        return HarnessTasks(_loaded(_manager(request), request.tasks), request.limit)


def problem_of(error: BaseException) -> str:
    """What another library says of its trouble, in a line."""
    return textwrap.shorten(f"{type(error).__name__}: {error}", 300, placeholder=" …")


def _manager(request: HarnessRequest) -> Any:
    """A TaskManager that knows every task named. Listing the harness's own takes half a minute: only if need be."""
    from lm_eval.tasks import TaskManager

    folder = None if request.path is None else str(request.path)
    wanted = []
    for name in request.tasks:
        if not is_task_file(name):
            wanted.append(name)
        elif not Path(name).is_file():
            raise UsageError(f"there is no lm-eval task at {name}", "Name a YAML file that is there.")
    if folder is not None or not wanted:
        manager = TaskManager(include_path=folder, include_defaults=False)
        if set(wanted) <= set(manager.all_tasks):
            return manager
        broken = _broken(request.path) if request.path is not None else []
        if broken:
            raise UsageError(broken[0], "Mend or move that file: a task that is asked for is not in the others.")
    manager = TaskManager(include_path=folder)
    for name in wanted:
        if name not in manager.all_tasks:
            where = "" if folder is None else f", neither in {folder} nor among the harness's own"
            raise UnknownNameError(
                "lm-eval task",
                name,
                manager.all_tasks,
                "Name a folder with tasks of your own: --lm-eval-path DIR.",
                problem=f"unknown lm-eval task {name[:60]!r}{where}",
            )
    return manager


def _broken(folder: Path) -> list[str]:
    """What is wrong with each YAML file in `folder` that the harness passes over in silence."""
    import yaml

    class Loader(yaml.SafeLoader):
        """Takes the harness's mark for Python functions as text."""

    Loader.add_constructor("!function", lambda loader, node: str(node.value))
    found = []
    for path in sorted(folder.rglob("*.yaml")):
        try:
            with path.open("rb") as file:
                known = yaml.load(file, Loader=Loader)  # a SafeLoader
            if not isinstance(known, dict):
                found.append(f"{path} is no lm-eval task: it has no keys")
        except (OSError, ValueError, yaml.YAMLError) as error:
            found.append(f"{path} cannot be read: {problem_of(error)}")
    return found


def _loaded(manager: Any, names: Sequence[str]) -> dict[str, Any]:
    try:
        loaded: dict[str, Any] = manager.load(list(names))
        for name, task in loaded["tasks"].items():
            if task.get_config("num_fewshot") is None:
                task.set_config(key="num_fewshot", value=0)
            if not len(task.eval_docs):
                raise CorpusError(
                    f"the lm-eval task {name} has no texts", "Check the split and the file that it names."
                )
        return loaded
    except AtlasError:
        raise
    except Exception as error:  # what a stranger's file makes the harness, `datasets` or its own Python raise
        hint = "Check the YAML file, and the file of texts that it names."
        if isinstance(error, ConnectionError) or "Hub" in str(error) or "offline" in str(error):
            hint = "Its texts are on the Hugging Face hub: give it a network, or name own tasks with --lm-eval-path."
        problem = f"the lm-eval tasks {','.join(names)} cannot be loaded: {problem_of(error)}"
        raise CorpusError(problem, hint) from error
