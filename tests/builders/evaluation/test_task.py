"""What is evaluated on: never a text that the statistics have used, with defaults from the spec's source."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from atlas.errors import QuestionError, UnknownNameError, UsageError
from atlas.store.reader import open_atlas
from builders.config import ConceptSource
from builders.corpora.text_hash import text_hash
from builders.evaluation.config import TaskRequest
from builders.evaluation.task import Task, plan_task
from queries.specs.make_spec import make_spec
from tests.atlas_factory import write_small_atlas
from tests.builders.evaluation.planted import EXAMPLES, TEMPLATE, write_corpus
from tests.end_to_end.workbench import built


def planned(path: Path, change: dict | None = None, **request) -> Task:
    """The task of a spec for pets; `change` replaces fields of the spec's source."""
    with open_atlas(path) as atlas:
        spec = make_spec(atlas, concept="pets", neurons="L1N7")
        spec = replace(spec, source={k: v for k, v in {**spec.source, **(change or {})}.items() if v is not None})
        return plan_task(atlas, [spec], TaskRequest(**request))


def used_hashes(path: Path) -> set[int]:
    with open_atlas(path) as atlas:
        return {number for (number,) in atlas.query("SELECT text_hash FROM fit_example")[1]}


def test_defaults_come_from_the_spec(published: Path) -> None:
    task, used = planned(published), used_hashes(published)
    assert task.examples == [example for example in EXAMPLES if text_hash(example[0]) not in used]
    assert task.n_dropped == len(EXAMPLES) - len(task.examples) > 0
    assert task.template == TEMPLATE
    assert task.labels == {"pets": " pets", "sport": " sport", "state": " state"}
    assert task.targets == ["pets"]
    assert task.corpus == "words"
    assert len(task.other_texts) == 200
    assert task.other_name == "topics,emotions"
    assert f"{task.n_dropped} dropped" in task.notes[0]


def test_options_replace_defaults(published: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_text("one text\n\n another text \n")
    request = {"labels": {"sport": " team"}, "template": "x {text}", "target": "state", "other_text": str(other)}
    task = planned(published, **request, limit_per_concept=2, seed=3)
    assert (task.labels["sport"], task.template, task.targets) == (" team", "x {text}", ["state"])
    assert task.other_texts == ["one text", "another text"]
    assert len(task.examples) == 6
    assert task.examples != planned(published, limit_per_concept=2, seed=4).examples
    assert planned(published, other_limit=0).other_texts == []


@pytest.mark.parametrize("shots", [1, 3])
def test_shots_come_from_used_texts(published: Path, shots: int) -> None:
    task = planned(published, shots=shots)
    assert {text_hash(text) for text, _ in task.shots} <= used_hashes(published)
    assert sorted(name for _, name in task.shots) == sorted(["pets", "sport", "state"] * shots)
    assert len(task.examples) + task.n_dropped == len(EXAMPLES)


def test_shots_of_fresh_texts_are_a_fixed_part(published: Path, tmp_path: Path) -> None:
    fresh = tmp_path / "fresh.jsonl"
    lines = write_corpus(fresh).read_text().replace("the ", "this ")
    fresh.write_text(lines)
    one, two = (planned(published, corpus=str(fresh), shots=2, seed=seed) for seed in (0, 1))
    assert one.n_dropped == 0
    assert one.shots == two.shots
    assert len(one.shots) == 6
    assert set(one.shots).isdisjoint(one.examples)
    assert len(one.examples) == len(EXAMPLES) - 6


def test_without_fresh_texts_nothing_is_evaluated(planted: Path, corpus: Path, tmp_path: Path) -> None:
    sources = (ConceptSource(str(corpus), template=TEMPLATE),)
    path = built(planted, tmp_path / "all.duckdb", corpus, concepts=sources, decode=False)
    with pytest.raises(QuestionError, match="all 54 texts of words were used") as error:
        planned(path)
    assert "--holdout" in error.value.hint


def test_a_class_without_fresh_texts_is_refused(published: Path, tmp_path: Path) -> None:
    used = used_hashes(published)
    rows = [line for line in write_corpus(tmp_path / "w.jsonl").read_text().splitlines(keepends=True)]
    kept = [row for row, (text, name) in zip(rows, EXAMPLES, strict=True) if name != "pets" or text_hash(text) in used]
    (tmp_path / "w.jsonl").write_text("".join(kept))
    with pytest.raises(QuestionError, match="no text of pets is left"):
        planned(published, corpus=str(tmp_path / "w.jsonl"))


def test_an_atlas_that_does_not_say_what_it_used(tmp_path: Path) -> None:
    silent = write_small_atlas(tmp_path / "silent.duckdb")  # its fits were not made from texts
    older = write_small_atlas(tmp_path / "older.duckdb")
    with duckdb.connect(str(older)) as connection:
        connection.execute("DROP VIEW fit_example")
    for path in (silent, older):
        with open_atlas(path) as atlas, pytest.raises(QuestionError, match="does not say") as error:
            plan_task(atlas, [make_spec(atlas, concept="sports", top=2)], TaskRequest())
        assert "--holdout" in error.value.hint


def test_what_cannot_be_known_is_refused(published: Path) -> None:
    with pytest.raises(UsageError, match="another atlas"):
        planned(published, {"atlas_id": "f" * 32})
    with pytest.raises(UsageError, match="names no family"):
        planned(published, {"family": None})
    with pytest.raises(UsageError, match="the family of a fit is a text"):
        planned(published, {"family": ["words"]})
    with pytest.raises(UsageError, match="names no concept"):
        planned(published, {"concept": None})
    with pytest.raises(UnknownNameError, match="'poetry'"):
        planned(published, target="poetry")
    with pytest.raises(UnknownNameError, match="'poetry'"):
        planned(published, labels={"poetry": " x"})
