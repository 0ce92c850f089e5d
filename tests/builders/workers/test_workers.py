"""Builds by several processes: the rows of one process, whoever is killed and whatever fails."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from atlas.errors import BuildError, UsageError
from atlas.store.staging import building_folder
from builders.build.pipeline import build
from builders.decoding.decode import Decoder
from builders.progress import Lines
from builders.workers.open import check_workers
from tests import warm
from tests.amount import some
from tests.builders.workers.conftest import Heard, passing_of
from tests.builders.workers.options import ALL, OPTIONS
from tests.end_to_end.workbench import all_rows, built, config
from tests.synthetic import make_model

SITE = "mlp_post"


def children() -> list[int]:
    """The workers of this process."""
    return sorted(process.pid for process in multiprocessing.active_children() if process.pid is not None)


def descendants_of(parent: int) -> list[str]:
    """The processes that another one has begun, and those that these have."""
    found = children_of(parent)
    return [*found, *(each for child in found for each in descendants_of(int(child)))]


def children_of(parent: int) -> list[str]:
    """The processes that another one has begun."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(stat.parent.name)
    return found


@pytest.mark.usefixtures("in_threads")
def test_the_rows_are_those_of_one_process(
    model: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that come last are made by workers too, each where the files are that its rows are in."""
    monkeypatch.setattr("builders.gradients.sample.NEURONS", 5)  # the same for both: 100 take as long as all the rest
    alone = all_rows(built(model, tmp_path / "a.duckdb", corpus, texts=(str(corpus),), **ALL))
    sent = passing_of(monkeypatch)
    monkeypatch.chdir(tmp_path)  # where workers of a cluster are not
    heard = Heard()
    options = config(model, Path("b.duckdb"), corpus, texts=(str(corpus),), **ALL)
    found = all_rows(build(options, workers=3, progress=heard).path)
    assert alone["_gradient_sample"] and [table for table in alone if found[table] != alone[table]] == []
    for product in ("decode ", "weights ", "words, batches ", "words/mlp_post/", "exemplars ", "gradients "):
        assert any(f": {product}" in event for event in heard.events), product
    last = [f"exemplars {unit}" for unit in (f"correlated/{SITE}", *(f"place/{SITE}/{each}" for each in range(3)))]
    last += ["exemplars texts", *(f"detectors words/{SITE}/concept/{concept}" for concept in range(3))]
    assert sorted(sent) == sorted(last)
    assert all(passing.rows is None for passing in sent.values())
    assert all(file.is_absolute() for passing in sent.values() for files in passing.files.values() for file in files)
    assert all(any(passing.files.values()) for passing in sent.values())


@pytest.mark.usefixtures("in_threads")
def test_a_mixture_of_experts(corpus: Path, tmp_path: Path) -> None:
    mixture = make_model("qwen2_moe", tmp_path / "model")
    alone = all_rows(built(mixture, tmp_path / "a.duckdb", corpus))
    found = all_rows(build(config(mixture, tmp_path / "b.duckdb", corpus), workers=2).path)
    assert [table for table in alone if found[table] != alone[table]] == []


def test_workers_are_killed(model: Path, corpus: Path, alone: dict, tmp_path: Path) -> None:
    """One at a moment that is drawn among the events, one in the middle of the units that come last."""
    numbers = random.Random(16)
    moment, last = numbers.randrange(3, 12), []

    class Killing(Heard):
        def event(self, text: str) -> None:
            super().event(text)
            if len(self.events) == moment:
                os.kill(numbers.choice(children()), signal.SIGKILL)
            elif f": exemplars place/{SITE}/" in text and not last:
                last.append(len(self.events))
                [other] = [each for each in multiprocessing.active_children() if not text.startswith(f"{each.name}:")]
                os.kill(other.pid, signal.SIGKILL)  # it has another of them

    heard = Killing()
    options = config(model, tmp_path / "b.duckdb", corpus, texts=(str(corpus),), **OPTIONS)
    found = all_rows(build(options, workers=2, progress=heard).path)
    ended = [number for number, event in enumerate(heard.events) if "ended by signal 9, started again" in event]
    assert ended[0] < last[0] <= ended[-1] and "exemplars texts" in heard.events[-1]
    assert [table for table in alone if found[table] != alone[table]] == []
    assert children() == []


def host(model: Path, target: Path, corpus: Path, said: Path) -> None:
    """A build by workers, in a process of its own, that says to a file what it does."""
    with said.open("w", buffering=1) as file:
        build(config(model, target, corpus, texts=(str(corpus),), **OPTIONS), workers=2, progress=Lines(file))


@pytest.mark.parametrize("number", some([signal.SIGKILL, signal.SIGINT], [signal.SIGKILL]))
def test_the_host_ends_in_the_middle(number: int, model: Path, corpus: Path, alone: dict, tmp_path: Path) -> None:
    said, target = tmp_path / "said", tmp_path / "b.duckdb"
    said.touch()
    process = warm.CONTEXT.Process(target=host, args=(model, target, corpus, said))
    process.start()
    assert process.pid is not None
    while "words, batches" not in said.read_text():
        assert process.is_alive(), said.read_text()
        time.sleep(0.01)
    workers = descendants_of(process.pid)
    assert len(workers) >= 2
    os.kill(process.pid, number)
    process.join()
    assert process.exitcode != 0
    while any(os.path.exists(f"/proc/{pid}") and _is_alive(pid) for pid in workers):
        time.sleep(0.05)  # they end by themselves: a test that hangs has failed
    assert building_folder(target).is_dir()
    options = config(model, target, corpus, texts=(str(corpus),), **OPTIONS)
    found = all_rows(build(options, interrupted="resume").path)  # one process goes on with what two have begun
    assert [table for table in alone if found[table] != alone[table]] == []


def _is_alive(pid: str) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


@pytest.mark.usefixtures("in_threads")
def test_a_unit_that_fails_is_named_and_the_rest_is_made(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Decoder.run

    def fails(self: Decoder, unit: str, *rest: Any) -> Any:
        if unit == "down_proj/1":
            raise BuildError("out of luck")
        return run(self, unit, *rest)

    monkeypatch.setattr(Decoder, "run", fails)
    heard, target = Heard(), tmp_path / "b.duckdb"
    options = config(model, target, None, weights=("down_proj",), weight_facts=False)
    with pytest.raises(BuildError, match=r"^1 unit failed: decode down_proj/1: out of luck"):
        build(options, workers=2, progress=heard)
    tried = [event for event in heard.events if "decode down_proj/1" in event]
    assert ["tried again" in event for event in tried] == [True, True, False]
    assert any(": decode down_proj/0" in event for event in heard.events)
    assert not target.exists() and building_folder(target).is_dir()


def test_what_no_worker_is() -> None:
    for text in ("0", "-1", "two", "ray:", "1.5", "99999"):
        with pytest.raises(UsageError, match="--workers"):
            check_workers(text)
