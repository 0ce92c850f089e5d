"""Graphs of a real build: what is stored, against brute force and after a kill too, and what is asked of it."""

from __future__ import annotations

import json
import random
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from atlas.__main__ import main
from atlas.errors import AtlasFileError, QuestionError, UsageError
from atlas.graph import ANY, ROOT
from atlas.live.loading import load
from atlas.store.reader import open_atlas
from atlas.store.staging import Staging
from atlas.store.verify import BROKEN, OK, checks_of
from builders.build.pipeline import build
from queries.graph import neuron_graph, stored_graph
from tests.atlas_factory import changed_by_hand
from tests.end_to_end.workbench import all_rows, config
from tests.fixtures.old_atlases.make import HERE
from tests.running_text import activations_of
from tests.synthetic import WORDS, make_model

ASKED = ("L0N3", "L2N5", "L1N0")
TEXTS = [" ".join(random.Random(seed).choices(WORDS, k=9)) for seed in range(60)]
OPTIONS: dict[str, Any] = {"decode": False, "concepts": (), "graphs": ASKED}


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("graphs")


@pytest.fixture(scope="module")
def model(room: Path) -> Path:
    return make_model("llama", room / "model", add_bos=True)


@pytest.fixture(scope="module")
def texts(room: Path) -> Path:
    path = room / "texts.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    return path


@pytest.fixture(scope="module")
def base(room: Path, model: Path, texts: Path) -> Path:
    """With running text."""
    return build(config(model, room / "base.duckdb", None, decode=False, texts=(str(texts),), batch_tokens=512)).path


@pytest.fixture(scope="module")
def made(room: Path, model: Path, base: Path) -> Path:
    path = room / "made.duckdb"
    path.write_bytes(base.read_bytes())
    return build(config(model, path, None, **OPTIONS), existing="add").path


def test_every_neuron_that_was_asked_for_has_a_graph(made: Path) -> None:
    with open_atlas(made) as atlas:
        _, rows = atlas.query("SELECT 'L' || layer || 'N' || neuron, nodes, exemplars, held_exemplars FROM graph")
        assert sorted(row[0] for row in rows) == sorted(ASKED)
        assert all(nodes > 0 and (train, held) == (8, 8) for _, nodes, train, held in rows)
        assert atlas.query("SELECT count(*) FROM run WHERE builder = 'graphs' AND finished_at IS NOT NULL")[1] == [(1,)]
    assert all(check.result == OK for check in checks_of(made))


def test_counts_are_those_of_all_tokens_by_brute_force(made: Path, model: Path) -> None:
    live = load(str(model), device="cpu", dtype="float32")
    acts_of = cache(lambda text_id: activations_of(live, texts[text_id]))
    sql = "SELECT kind, rank, text_id FROM exemplar WHERE site = 'mlp_post' AND layer = ? AND neuron = ?"
    with open_atlas(made) as atlas:
        texts = dict(atlas.query("SELECT text_id, tokens FROM exemplar_text")[1])
        for address in ASKED:
            found = stored_graph(atlas, address)
            layer, neuron = (int(part) for part in address[1:].split("N"))
            side = "top" if found.sign > 0 else "bottom"
            rows = atlas.query(sql, [layer, neuron])[1]
            train = [text for kind, rank, text in sorted(rows) if kind == side and rank % 2]
            held = [text for kind, rank, text in sorted(rows) if kind == side and rank % 2 == 0]
            drawn = [text for kind, _, text in rows if kind == "band" and text not in {*train, *held}]
            assert found.held_random == len(drawn)
            for counts, ids in ((found.train, train), (found.held, [*held, *drawn])):
                pairs = []
                for text_id in ids:
                    acts = acts_of(text_id)[layer, :, neuron]
                    said = found.graph.predict(texts[text_id])
                    pairs += [(a / found.largest >= 0.5, p >= 0.5) for a, p in zip(acts[1:], said[1:], strict=True)]
                assert (counts.found, counts.wrong, counts.missed, counts.n) == (
                    pairs.count((True, True)),
                    pairs.count((False, True)),
                    pairs.count((True, False)),
                    len(pairs),
                )


def test_the_graph_names_what_it_was_made_from(made: Path) -> None:
    """The first exemplar of each neuron, the largest of all, is found by its own pattern."""
    sql = "SELECT text_id, position, value FROM exemplar WHERE layer = ? AND neuron = ? AND kind = ? AND rank = 1"
    with open_atlas(made) as atlas:
        for address in ASKED:
            found = stored_graph(atlas, address)
            place = [int(part) for part in address[1:].split("N")]
            [(text_id, position, value)] = atlas.query(sql, [*place, "top" if found.sign > 0 else "bottom"])[1]
            assert found.largest == value
            [(tokens,)] = atlas.query("SELECT tokens FROM exemplar_text WHERE text_id = ?", [text_id])[1]
            assert found.graph.predict(tokens)[position] > 0


def test_answers_and_views_agree(made: Path) -> None:
    with open_atlas(made) as atlas:
        answer = neuron_graph(atlas, "L2N5")
        names = "node, parent, token_id, token, value, n"
        columns, rows = atlas.query(f"SELECT {names} FROM graph_node WHERE (layer, neuron) = (2, 5) ORDER BY node")
        nodes = answer.sections["nodes"]
        assert [tuple(row[name] for name in columns) for row in nodes] == rows
        [(f1, recall)] = atlas.query("SELECT held_f1, held_recall FROM graph WHERE layer = 2 AND neuron = 5")[1]
        assert (answer.sections["scores"].dicts()[0]["f1"], answer.sections["scores"].dicts()[0]["recall"]) == (
            f1,
            recall,
        )
        for row in nodes:
            assert row["pattern"].endswith("any token" if row["token_id"] == ANY else f'"{row["token"]}"')
            assert row["pattern"].startswith('"') == (row["parent"] == ROOT)


class Killed(BaseException):
    pass


def test_a_killed_build_resumes_neuron_by_neuron(
    model: Path, base: Path, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.duckdb"
    path.write_bytes(base.read_bytes())
    commit, done = Staging.commit, []

    def dies(self: Staging, step: str, unit: str, tables: Any) -> None:
        commit(self, step, unit, tables)
        if step == "graphs":
            done.append(unit)
            if len(done) == 2:
                raise Killed

    monkeypatch.setattr(Staging, "commit", dies)
    with pytest.raises(Killed):
        build(config(model, path, None, **OPTIONS), existing="add")
    build(config(model, path, None, **OPTIONS), existing="add", interrupted="resume")
    assert sorted(done) == sorted(f"mlp_post/{address}" for address in ASKED)
    assert all_rows(path)["_graph"] == all_rows(made)["_graph"]


def test_added_graphs_keep_others_and_replace_their_own(model: Path, made: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.duckdb"
    path.write_bytes(made.read_bytes())
    options = {**OPTIONS, "graphs": ("L0N3", "L0N4")}
    build(config(model, path, None, **options), existing="add")
    before, after = ({row[1:3]: row for row in all_rows(each)["_graph"]} for each in (made, path))
    assert set(after) == {*before, (0, 4)}
    for place, row in before.items():
        assert (after[place][3] != row[3]) == (place == (0, 3))  # the run that made it
        assert after[place][4:] == row[4:]


def test_other_running_text_takes_the_graphs_along(model: Path, made: Path, texts: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.duckdb"
    path.write_bytes(made.read_bytes())
    options = {"decode": False, "texts": (str(texts),), "words": False, "batch_tokens": 512}
    build(config(model, path, None, **options), existing="add")
    with open_atlas(path) as atlas:
        assert atlas.query("SELECT (SELECT count(*) FROM graph), (SELECT count(*) FROM firing)")[1] == [(0, 96)]
    with pytest.raises(UsageError, match="this atlas has none"):  # of their words
        build(config(model, path, None, **OPTIONS), existing="add")


@pytest.mark.parametrize(
    ("graphs", "message"),
    [
        (("L9N3",), "layers 0 to 2"),
        (("layer:3",), "layers 0 to 2"),
        (("L0N99",), "neurons 0 to 31"),
        (("layer:x",), "is no layer"),
        (("dog",), "not a neuron address"),
        (("",), "not a neuron address"),
    ],
)
def test_neurons_that_there_are_not(model: Path, base: Path, graphs: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build(config(model, base, None, **{**OPTIONS, "graphs": graphs}), existing="add")


def test_graphs_need_an_atlas_with_exemplars(model: Path, tmp_path: Path) -> None:
    assert main(["build", str(model), "-o", str(tmp_path / "b.duckdb"), "--graphs", "L0N1"]) == 2
    with pytest.raises(UsageError, match="exemplars that an atlas has"):
        config(model, tmp_path / "b.duckdb", None, texts=("a.txt",), graphs=("L0N1",))


@pytest.mark.parametrize("name", sorted(file.stem for file in HERE.glob("*.duckdb")))
def test_an_atlas_from_before_says_how_to_add_them(name: str) -> None:
    with (
        open_atlas(HERE / f"{name}.duckdb") as atlas,
        pytest.raises(QuestionError, match="no graph of L0N1") as refusal,
    ):
        neuron_graph(atlas, "L0N1")
    assert "--graphs L0N1" in refusal.value.hint


def test_the_command(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dot, picture = tmp_path / "a.dot", tmp_path / "a.png"
    assert main(["graph", "L2N5", "-a", str(made), "--dot", str(dot), "--plot", str(picture)]) == 0
    out = capsys.readouterr().out
    with open_atlas(made) as atlas:
        found = stored_graph(atlas, "L2N5")
    assert sum("└─" in line or "├─" in line for line in out.splitlines()) == sum(
        node.parent != ROOT for node in found.graph.nodes
    )
    text = dot.read_text()
    assert text.count("->") == sum(node.parent != ROOT for node in found.graph.nodes)
    assert text.count("label=") == len(found.graph.nodes)
    assert picture.read_bytes()[:4] == b"\x89PNG"
    assert main(["graph", "L2N5", "-a", str(made), "--format", "json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["nodes"]) == len(found.graph.nodes)
    assert main(["graph", "L2N5", "-a", str(made), "--dot", str(dot), "-o", str(dot)]) == 2
    assert main(["graph", "L0N9", "-a", str(made)]) == 1


@pytest.mark.parametrize(
    "change",
    [
        "parent = list_transform(parent, lambda x: 0::INTEGER)",
        "parent = list_transform(parent, lambda x: 5000::INTEGER)",
        "token = list_transform(token, lambda x: -5::INTEGER)",
        "token = list_transform(token, lambda x: NULL::INTEGER)",
        "value = [1.0]::FLOAT[]",
        "token = [], parent = [], value = [], n = []",
    ],
)
def test_documents_of_strangers(made: Path, tmp_path: Path, change: str) -> None:
    path = tmp_path / "a.duckdb"
    path.write_bytes(made.read_bytes())
    with changed_by_hand(path) as connection:
        connection.execute(f"UPDATE _graph SET {change} WHERE layer = 2")
    with open_atlas(path) as atlas, pytest.raises(AtlasFileError, match="is damaged"):
        neuron_graph(atlas, "L2N5")


def test_verify_names_what_a_graph_breaks(made: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.duckdb"
    path.write_bytes(made.read_bytes())
    with changed_by_hand(path) as connection:
        connection.execute(
            "UPDATE _graph SET parent = list_transform(parent, lambda x: 5000::INTEGER), largest = -largest, "
            "token = list_transform(token, lambda x: 5000::INTEGER), n = list_transform(n, lambda x: 0::INTEGER), "
            "held_found = held_tokens + 1 WHERE layer = 2"
        )
    broken = [check.name for check in checks_of(path) if check.result == BROKEN]
    assert {
        "graphs say which side they are of",
        "graphs count within their texts",
        "nodes of graphs come after their parents",
        "tokens of graphs are of the vocabulary",
        "values of graphs are parts of the largest",
    } <= set(broken)
