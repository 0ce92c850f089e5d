"""An atlas, a spec, a model and arguments whose every text is hostile: a terminal gets no control sequence of them."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import duckdb
import pytest

from atlas.__main__ import COMMANDS
from atlas.store.evaluations import append_evaluations, sidecar_of
from tests.atlas_factory import changed_by_hand, write_small_atlas
from tests.builders.evaluation.test_sidecar import rows
from tests.hostile.counts import FULL, count
from tests.hostile.tables import assert_settled
from tests.hostile.terminal import HOSTILE, assert_harmless, on_terminal

H = HOSTILE
# Columns whose words the program itself has chosen, so that no question would get past another one.
OUR_WORDS = {"site", "position", "weight", "fingerprint"}
QUESTIONS: dict[str, list[list[str]]] = {
    "info": [[], ["--section", "fits"], ["--format", "json"], ["--section", "runs", "--format", "csv"]],
    "concepts": [[], ["--family", H], ["--format", "csv"], ["--format", "jsonl"]],
    "token": [["dog" + H], ["dog"], [H], ["--exact", " dog" + H], ["--exact", " dog" + H, "--format", "csv"]],
    "concept": [["sports" + H], ["sports"], ["sports" + H, "--family", H], ["sports" + H, "--template", H]]
    + [["sports" + H, "--format", form] for form in ("json", "jsonl", "csv")],
    "neuron": [["L1N7"], [H], ["L1N7", "--family", H], ["L1N7", "--format", "json"]],
    "layer": [["1"], [H], ["1", "--format", "csv"], ["1", "--format", "json"]],
    "nearest": [["L1N7"], [H]],
    "sql": [
        ["FROM vocab"],
        ["FROM concept", "--format", "csv"],
        ["SELECT 1 AS \"x\x1b[2J\x9b6n\", {'\x1b[2J': ['\u202e']} AS y"],
        ["SELECT error('\x1b[2J\u202e')"],
        [f"SELECT '{H}' AS a", "--format", "json"],
        [f'SELECT nothing FROM "{H}"'],
        [H],
        ["--file", H],
    ],
    "spec": [
        ["--concept", "sports" + H, "--top", "2"],
        ["--concept", H],
        ["--token", "dog", "--top", "2"],
        ["--token", H],
        ["--neurons", H],
        ["--neurons", "L1N7", "--op", H],
        ["--concept", "sports" + H, "--layers", H],
    ],
    "evaluations": [[], ["--target", H], ["--format", "json"], ["--format", "csv"]],
}
WITHOUT_ATLAS: dict[str, list[list[str]]] = {
    "build": [[H, "-o", H], ["{folder}/" + H, "-o", "x.duckdb"], ["smollm2-135m", "-o", "{folder}/x", "--concepts", H]],
    "fetch": [[H]],
    "compare": [["{atlas}", "{atlas}"], [H, H], ["{atlas}", H]],
    "run": [["{spec}", "--prompt", H], [H, "--prompt", H], ["{spec}", "--prompt", H, "--model", H]],
    "evaluate": [
        ["{spec}", "-a", "{atlas}"],
        [H, "-a", "{atlas}"],
        ["--sweep", "--concept", H, "-a", "{atlas}"],
        ["{spec}", "-a", "{atlas}", "--corpus", H],
        ["{spec}", "-a", "{atlas}", "--label", H],
    ],
    "explain": [
        [H, "--model", H],
        [H, "-a", "{atlas}"],
        [H, "--model", "{folder}", "--token", H],
        ["--file", H, "--model", H],
        ["a", "--model", H, "--op", H],
    ],
    "export": [
        ["{spec}", "--to", H, "-o", H],
        [H, "--to", "hooks", "-o", "x.py"],
        ["--list"],
        ["{spec}", "--to", "hooks", "-o", H + ".py"],
        ["{spec}", "--to", "weights", "-o", H],
    ],
    "completion": [[H], ["bash"]],
}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory) -> dict[str, str]:
    """Paths of an atlas whose every text is hostile, and of a spec with a hostile source and another broken one."""
    folder = tmp_path_factory.mktemp("hostile")
    place = folder / "a\x1b[2J\u202e\x9b6n"
    place.mkdir()
    path = write_small_atlas(place / "small.duckdb")
    with changed_by_hand(path) as connection:
        texts = connection.execute(
            "SELECT table_name, column_name FROM duckdb_columns() JOIN duckdb_tables() USING (table_name) "
            "WHERE data_type = 'VARCHAR'"
        ).fetchall()
        for table, column in texts:
            if column not in OUR_WORDS:
                connection.execute(f"UPDATE {table} SET {column} = {column} || ?", [H])
    # No spec can name a model that cannot be printed, so there is one whose model can.
    named = shutil.copy(path, place / "named.duckdb")
    with changed_by_hand(Path(named)) as connection:
        connection.execute("UPDATE atlas SET model_id = 'a-model'")
    append_evaluations(sidecar_of(path), rows("one" + H, "h1" + H))
    with duckdb.connect(str(sidecar_of(path))) as connection:
        for column in (
            "target",
            "corpus",
            "template",
            "labels",
            "model_id",
            "device",
            "rule",
            "op",
            "sites",
            "other_text",
        ):
            connection.execute(f"UPDATE evaluation SET {column} = ?", [H])
        connection.execute("UPDATE score SET metric = metric || ?", [H])
    spec = {
        "format": "neuron-atlas/intervention",
        "version": 1,
        "model": {"id": "./no-such/model", "fingerprint": "sha256:" + "ab" * 32, "n_layers": 3}
        | {"d_model": 8, "d_mlp": 16, "gated": True},
        "tokenization": {"add_bos": False, "chat_template": False},
        "phase": "all",
        "positions": "all",
        "edits": [{"site": "mlp_post", "layer": 1, "neuron": 7, "op": "set", "value": 0.0}],
        "source": {"concept": H, "family": H, "template": H, "rule": H, "op": H},
    }
    (folder / "hostile.spec.json").write_text(json.dumps(spec))
    for name, field, value in (("id", "id", H), ("more", H, 1)):
        broken = {**spec, "model": {**spec["model"], field: value}}
        (folder / f"{name}.spec.json").write_text(json.dumps(broken))
    return {"atlas": str(path), "named": str(named), "folder": str(folder), "spec": str(folder / "hostile.spec.json")}


def lines(name: str, paths: dict[str, str]) -> list[list[str]]:
    """Command lines of one command; a command that this file does not know gets what any command can get."""
    if name in QUESTIONS:
        atlases = ("atlas", "named") if FULL or name == "spec" else ("atlas",)
        known = [[*line, "-a", paths[atlas]] for atlas in atlases for line in QUESTIONS[name]]
        known.append(["dog", "-a", paths["folder"] + H])
    else:
        known = [
            [part.format(**paths) if part[:1] == "{" else part for part in line] for line in WITHOUT_ATLAS.get(name, [])
        ]
        known += [
            [paths["spec"].replace("hostile.spec", other) if part == paths["spec"] else part for part in line]
            for other in ("id.spec", "more.spec")
            for line in known[:1]
            if paths["spec"] in line
        ]
    return [*known, ["--no-such" + H], ["--format", H], [H], [H, H, H], ["-o", H], ["--format=" + H, "x"], []]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_terminal_gets_no_control_sequence_of_a_stranger(
    name: str, hostile: dict[str, str], tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NEURON_ATLAS", raising=False)
    answered = 0
    for line in lines(name, hostile):
        code, text = on_terminal(name, *line)
        assert_harmless(text)
        assert "error: unexpected " not in text, (line, text)
        answered += code == 0
    assert answered or name not in QUESTIONS or name == "nearest", (
        "no line was answered, so nothing of the atlas was shown"
    )


# What no terminal takes for a control, and which all the same moves what stands beside it.
MOVING = (
    "Z" + "\u0301\u0489" * 9 + "שלום سلام 12\ufe0f\U0001f1e9\U0001f44d\U0001f3fd\u1112\u1161\ue000\u3164" + "-" * 300
)
TABLES = [["info"], ["concepts"], ["token", "--exact", " dog" + MOVING], ["concept", "sports" + MOVING]]
TABLES += [
    ["neuron", "L1N7"],
    ["layer", "1"],
    ["sql", "FROM vocab"],
    ["sql", f'SELECT 1 AS "{MOVING}"'],
    ["evaluations"],
]
REFUSED = [["concept", MOVING], ["token", MOVING], ["sql", f"FROM '{MOVING}'"], ["neuron", MOVING]]


def test_tables_notes_and_errors_move_nothing(tmp_path: Path) -> None:
    path = write_small_atlas(tmp_path / "small.duckdb")
    append_evaluations(sidecar_of(path), rows("one"))
    with duckdb.connect(str(sidecar_of(path))) as connection:
        connection.execute("UPDATE evaluation SET target = ?", [MOVING])
    with changed_by_hand(path) as connection:
        for table, column in (("atlas", "model_id"), ("concept", "concept"), ("fit", "template"), ("vocab", "token")):
            connection.execute(f"UPDATE {table} SET {column} = {column} || ?", [MOVING])
    for line in (*TABLES, *REFUSED):
        code, text = on_terminal(*line, "-a", str(path))
        assert (code == 0) == (line in TABLES), (line, text)
        assert "\\u0" in text, (line, text)  # it was shown
        for character in re.sub(r"\x1b\[[0-9;]*m|\r?\n", "", text):
            assert_settled(character)


def test_the_front_door_itself(hostile: dict[str, str]) -> None:
    for line in ([H], [H, H], ["--" + H], ["-x" + H], ["info" + H], ["--version" + H]):
        code, text = on_terminal(*line)
        assert_harmless(text)
        assert code == 2


@pytest.mark.parametrize("suffix", ["svg", "png", "pdf"][: count(1, 3)])
def test_pictures_show_escapes_too(hostile: dict[str, str], tmp_path: Path, suffix: str) -> None:
    """An SVG with a control character in it is no XML, and a viewer obeys what turns a line around."""
    for number, line in enumerate((["concept", "sports" + H], ["neuron", "L1N7", "--family", "topics" + H])):
        path = tmp_path / f"{number}.{suffix}"
        code, text = on_terminal(*line, "-a", hostile["atlas"], "--plot", str(path))
        assert code == 0, text
        assert_harmless(text)
        if suffix == "svg":
            ElementTree.parse(path)
            shown = path.read_text(encoding="utf-8")
            assert "sports\\x1b" in shown and all(c.isprintable() or c in "\n\t" for c in shown)


def test_the_test_can_fail() -> None:
    for bad in ("\x1b[2J", "\x9b6n", "\u202e", "\x07", "a\rb", "x\nerror: forged"):
        with pytest.raises(AssertionError):
            assert_harmless(f"text {bad} more")
    assert_harmless("a \x1b[1mtitle\x1b[0m\r\nrow\n")


@pytest.mark.skipif(not FULL, reason="builds an atlas and runs a model")
def test_a_build_a_run_an_evaluation_and_an_export(tmp_path: Path, monkeypatch) -> None:
    from tests.builders.evaluation.planted import LABELS, TEXTS, plant

    monkeypatch.chdir(tmp_path)
    model = tmp_path / "folder\x1b[2J\u202e" / "model"
    shutil.copytree(plant(tmp_path / "plain"), model)
    corpus = tmp_path / "words\x1b[2J.jsonl"
    texts = [{"text": text, "concept": name} for name, texts in TEXTS.items() for text in texts]
    corpus.write_text("".join(json.dumps(row) + "\n" for row in texts))
    atlas, spec = "a\x9b6n.duckdb", "s\u202e.spec.json"
    labels = [option for name, word in LABELS.items() for option in ("--label", f"{name}={word}")]
    shown = []
    for line in (
        f"build|{model}|-o|{atlas}|--concepts|words={corpus}|--template|{{text}} this|--holdout|0.4|--top|6".split("|"),
        ["spec", "-a", atlas, "--concept", "pets", "--top", "2", "-o", spec],
        ["run", spec, "--prompt", "the dog" + H, "--model", str(model), "--write-check", "--device", "cpu"],
        ["evaluate", spec, "-a", atlas, "--model", str(model), "--bootstrap", "0", "--other-limit", "2", *labels],
        ["evaluations", "-a", atlas],
        ["export", spec, "--to", "hooks", "-o", "e\x1b[2J.py", "--model", str(model)],
    ):
        code, text = on_terminal(*line)
        shown.append((code, text))
        assert_harmless(text)
    assert [code for code, _ in shown] == [0] * 6, shown
