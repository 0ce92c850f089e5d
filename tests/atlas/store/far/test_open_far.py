"""Atlases at URLs answer as the file on this machine does, or say in one line why they do not."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from atlas.answers.result import Document, Result
from atlas.errors import AtlasError, AtlasFileError, QuestionError
from atlas.store.far import transport
from atlas.store.reader import Atlas, open_atlas
from builders.sharing.publish import PublishRequest, publish_atlas
from queries.card import neuron_card
from queries.concepts import concepts
from queries.exemplars import exemplars
from queries.info import info
from queries.layer_profile import layer_profile
from queries.neurons import neurons_for_concept, neurons_for_token
from queries.sandbox.sandbox import run_sql
from tests.atlas_factory import write_small_atlas
from tests.range_server import RangeServer, range_server


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`small.duckdb`, and `published`, the same as a published folder."""
    made = tmp_path_factory.mktemp("far")
    write_small_atlas(made / "small.duckdb", gradients=True, texts=True)
    publish_atlas(PublishRequest(made / "small.duckdb", str(made / "published"), with_texts=True))
    return made


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[RangeServer]:
    with range_server(folder) as serving:
        yield serving


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing has been read before."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(transport, "_AGAIN_S", 0.0)
    return tmp_path / "cache"


def said(answer: Result | Document) -> Any:
    if isinstance(answer, Result):
        return answer.columns, answer.rows, answer.notes
    fields = {name: value for name, value in answer.fields.items() if name not in ("file", "bytes")}
    return fields, {name: (part.columns, part.rows) for name, part in answer.sections.items() if name != "rows"}


QUESTIONS: dict[str, Callable[[Atlas], Any]] = {
    "info": info,
    "card": lambda atlas: neuron_card(atlas, "L1N7"),
    "another card": lambda atlas: neuron_card(atlas, "L0N0"),
    "exemplars": lambda atlas: exemplars(atlas, "L1N7"),
    "concepts": concepts,
    "concept": lambda atlas: neurons_for_concept(atlas, "sports"),
    "concept by AUC": lambda atlas: neurons_for_concept(atlas, "sports", rule="auc"),
    "token": lambda atlas: neurons_for_token(atlas, "dog"),
    "layers": layer_profile,
    "sql": lambda atlas: run_sql(atlas, "SELECT * FROM concept_range ORDER BY ALL LIMIT 50"),
}


@pytest.fixture(scope="module")
def here(folder: Path) -> dict[str, Any]:
    """What the file on this machine answers."""
    return {name: answer(folder / "small.duckdb", ask) for name, ask in QUESTIONS.items()}


def answer(place: Path | str, ask: Callable[[Atlas], Any]) -> Any:
    with open_atlas(place) as atlas:
        return said(ask(atlas))


@pytest.mark.parametrize("end", ["published", "small.duckdb"])
def test_every_question_answers_as_the_file_does(
    server: RangeServer, here: dict[str, Any], end: str, empty_cache
) -> None:
    with open_atlas(f"{server.url}/{end}") as atlas:
        for name, ask in QUESTIONS.items():
            assert said(ask(atlas)) == here[name], name


def test_a_folder_of_this_machine_is_opened_by_its_name(folder: Path, here: dict[str, Any]) -> None:
    assert answer(folder / "published", QUESTIONS["card"]) == here["card"]


def test_a_card_takes_few_requests_and_the_next_one_none(server: RangeServer, empty_cache: Path) -> None:
    server.asked.clear()
    with open_atlas(f"{server.url}/published") as atlas:
        neuron_card(atlas, "L1N7")
        assert len(server.asked) <= 12
        assert sum(size for _, size in server.asked) <= 2 * 2**20
        # Nothing but cards and words: a table about neurons would be read a column at a time.
        asked = {path.removeprefix("/published/").removeprefix("tables/").partition("-")[0] for path, _ in server.asked}
        assert asked <= {"manifest.json", "model", "cards/layer", "vocab", "text"}, asked
        server.asked.clear()
        neuron_card(atlas, "L1N6")  # of the same row group
        assert server.asked == []


@pytest.mark.parametrize("end", ["plain", "plain.duckdb"])
def test_an_atlas_without_running_text_or_gradients(end: str, tmp_path: Path, empty_cache: Path) -> None:
    write_small_atlas(tmp_path / "plain.duckdb")
    publish_atlas(PublishRequest(tmp_path / "plain.duckdb", str(tmp_path / "plain")))
    due = answer(tmp_path / "plain.duckdb", QUESTIONS["card"])
    with range_server(tmp_path) as server:
        assert answer(f"{server.url}/{end}", QUESTIONS["card"]) == due


def test_blocks_are_kept_for_the_next_process(server: RangeServer, empty_cache: Path) -> None:
    answer(f"{server.url}/published", QUESTIONS["card"])
    server.asked.clear()
    answer(f"{server.url}/published", QUESTIONS["card"])
    assert [path for path, _ in server.asked] == ["/published/manifest.json"]


@pytest.mark.parametrize("end", ["published", "small.duckdb"])
def test_a_network_that_is_cut_is_an_error_in_one_line(
    server: RangeServer, end: str, here: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "_AGAIN_S", 0.0)
    try:
        for number in range(40):
            monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / f"cache-{number}"))
            with server.guard:
                server.begun, server.cut_from = 0, number
            try:
                assert answer(f"{server.url}/{end}", QUESTIONS["card"]) == here["card"]
                break  # the network was cut behind the last request
            except AtlasError as error:
                assert server.url in str(error) and "\n" not in str(error)
        else:
            raise AssertionError("a card takes more than 40 requests")
        assert number > 2
    finally:
        server.cut_from = None


@pytest.mark.parametrize("end", ["published", "small.duckdb"])
def test_a_file_that_is_replaced_is_never_mixed(
    folder: Path, tmp_path: Path, end: str, here: dict[str, Any], empty_cache: Path
) -> None:
    write_small_atlas(tmp_path / "other.duckdb", seed=7, gradients=True, texts=True)
    publish_atlas(PublishRequest(tmp_path / "other.duckdb", str(tmp_path / "other"), with_texts=True))
    if end == "published":
        shutil.copytree(folder / end, tmp_path / "served" / end)
    else:
        (tmp_path / "served").mkdir()
        shutil.copy(folder / end, tmp_path / "served" / end)
    with range_server(tmp_path / "served") as server, open_atlas(f"{server.url}/{end}") as atlas:
        assert said(neuron_card(atlas, "L1N7")) == here["card"]
        if end == "published":
            shutil.rmtree(tmp_path / "served" / end)
            shutil.copytree(tmp_path / "other", tmp_path / "served" / end)
        else:
            shutil.copy(tmp_path / "other.duckdb", tmp_path / "served" / end)
        for name, ask in QUESTIONS.items():
            try:
                assert said(ask(atlas)) == here[name]
            except AtlasFileError as error:
                assert "replaced" in str(error)


def test_the_sandbox_reaches_the_atlas_alone(server: RangeServer, folder: Path) -> None:
    for end in ("published", "small.duckdb"):
        for sql in (
            f"FROM read_text('{folder / 'published' / 'README.md'}')",
            f"FROM read_parquet('{server.url}/published/model.parquet')",
            "FROM read_parquet('atlas-far://../other')",
            "FROM glob('/*')",
            "SET threads = 1",
            "COPY (SELECT 1) TO 'atlas-far://manifest.json'",
        ):
            with pytest.raises(QuestionError):
                run_sql(f"{server.url}/{end}", sql)


def test_what_is_no_atlas_is_refused(server: RangeServer, folder: Path) -> None:
    (folder / "text.duckdb").write_text("nothing of the kind")
    for end, reason in (("", "there is no"), ("/nowhere.duckdb", "there is no"), ("/text.duckdb", "not a DuckDB file")):
        with pytest.raises(AtlasFileError, match=reason):
            open_atlas(f"{server.url}{end}")
    with pytest.raises(AtlasError):
        open_atlas("gopher://127.0.0.1/atlas.duckdb")
