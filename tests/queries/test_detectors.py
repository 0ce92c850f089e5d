"""The rules that an atlas has: what the question and the command say of them, and what they refuse."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from atlas.__main__ import main
from atlas.errors import QuestionError, UnknownNameError, UsageError
from atlas.store.reader import open_atlas
from atlas.store.verify import BROKEN as IS_BROKEN
from atlas.store.verify import checks_of
from queries.detectors import detector, detectors
from tests.atlas_factory import changed_by_hand
from tests.builders.detectors.test_build import OPTIONS, texts_of, write
from tests.end_to_end.workbench import built
from tests.fixtures.old_atlases.make import HERE
from tests.synthetic import make_model


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("detect")


@pytest.fixture(scope="module")
def made(room: Path) -> Path:
    corpus = write(room / "topics.jsonl", texts_of())
    return built(make_model("llama", room / "model"), room / "made.duckdb", corpus, **OPTIONS)


def test_figures_and_neurons_are_those_of_the_views(made: Path) -> None:
    with open_atlas(made) as atlas:
        answer = detectors(atlas, "sport", form="linear", neurons=2)
        columns, rows = atlas.query("SELECT * FROM detector WHERE concept = 'sport'")
        assert {(row["form"], row["neurons"]): row["youden_j"] for row in answer.sections["figures"]} == {
            (row["form"], row["neurons"]): row["youden_j"] for row in (dict(zip(columns, r, strict=True)) for r in rows)
        }
        assert answer.sections["figures"].column("form") == ["interval"] * 8 + ["linear"] * 8 + ["layer"]
        _, rows = atlas.query(
            "SELECT 'L' || layer || 'N' || neuron, weight, mean, std FROM detector_neuron "
            "WHERE concept = 'sport' AND form = 'linear' AND neurons = 2 ORDER BY place"
        )
        rule = answer.sections["rule"]
        assert [tuple(row[name] for name in ("address", "weight", "mean", "std")) for row in rule] == rows


def test_a_rule_in_words(made: Path) -> None:
    with open_atlas(made) as atlas:
        for neuron in detector(atlas, "pets", neurons=8).neurons:
            low = "(-inf" if neuron.lower == -float("inf") else f"[{neuron.lower:.3g}"
            high = "inf)" if neuron.upper == float("inf") else f"{neuron.upper:.3g}]"
            assert neuron.words() == f"inside {low}, {high}: {neuron.weight:+.3g}"
        [neuron] = detector(atlas, "pets", form="linear", neurons=1).neurons
        assert neuron.words() == f"{neuron.weight:+.3g} per {neuron.std:.3g} above {neuron.mean:.3g}"


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"neurons": 9}, QuestionError, "no rule of 9 neurons for pets. There are those of 1 to 8"),
        ({"neurons": 0}, QuestionError, "no rule of 0 neurons"),
        ({"form": "layer"}, UsageError, "none of interval, linear"),
    ],
)
def test_what_there_is_not(made: Path, options: dict, kind: type, message: str) -> None:
    with open_atlas(made) as atlas, pytest.raises(kind, match=message):
        detectors(atlas, "pets", **options)


def test_an_unknown_concept(made: Path) -> None:
    with open_atlas(made) as atlas, pytest.raises(UnknownNameError, match="Did you mean pets"):
        detectors(atlas, "pet")


@pytest.mark.parametrize("name", sorted(file.stem for file in HERE.glob("*.duckdb")))
def test_an_atlas_from_before_says_how_to_add_them(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with open_atlas(HERE / f"{name}.duckdb") as atlas:
        concept = atlas.query("SELECT concept FROM concept ORDER BY concept_id LIMIT 1")[1][0][0]
        assert atlas.query("SELECT count(*) FROM detector")[1] == [(0,)]
    family = ["--family", "topics"] if concept else []
    code = main(["detect", concept, "-a", str(HERE / f"{name}.duckdb"), "--site", "mlp_post", *family])
    said = capsys.readouterr().err
    assert code in (1, 2) and "Traceback" not in said
    if code == 1:
        assert "there are no detectors of" in said and "build --add --detectors" in said


def test_texts_from_a_file_and_from_stdin_are_labelled_alike(
    made: Path, room: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = ["my dog runs", "the team won a match", "vote !"]
    (room / "plain.txt").write_text("\n".join(texts))
    (room / "texts.jsonl").write_text("".join(json.dumps({"said": text}) + "\n" for text in texts))
    question = ["detect", "pets", "-a", str(made), "--format", "json", "--text"]
    answers = []
    for source in ([str(room / "plain.txt")], [str(room / "texts.jsonl"), "--text-column", "said"]):
        assert main([*question, *source]) == 0
        told = capsys.readouterr()
        answers.append(json.loads(told.out))
    assert "read at mlp_post, position last, in float32, with the template '{text}'" in told.err
    command = [sys.executable, "-m", "atlas", *question, "-"]
    done = subprocess.run(command, input="\n".join(texts) + "\n", capture_output=True, text=True)
    first, *others = [*answers, json.loads(done.stdout)]
    assert [row["text"] for row in first] == texts
    assert all(set(row) == {"text", "score", "has_concept", "inside"} for row in first)
    assert others == [first, first]


@pytest.mark.parametrize("form", ["table", "json", "jsonl", "csv", "parquet", "arrow"])
def test_every_format(made: Path, room: Path, capsys: pytest.CaptureFixture[str], form: str) -> None:
    (room / "one.txt").write_text("my dog runs\n")
    target = room / f"answer.{form}"
    assert (
        main(["detect", "pets", "-a", str(made), "--text", str(room / "one.txt"), "--format", form, "-o", str(target)])
        == 0
    )
    assert target.stat().st_size > 20
    section = [] if form in ("table", "json") else ["--section", "rule"]
    assert main(["detect", "pets", "-a", str(made), "--format", form, "-o", str(target), *section]) == 0
    capsys.readouterr()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a dog\n\nb\n", "line 2: the text is empty"),
        ("", "there is no text in it"),
        ("a\0b\n", "NUL"),
    ],
)
def test_texts_that_are_none(
    made: Path, room: Path, capsys: pytest.CaptureFixture[str], content: str, message: str
) -> None:
    (room / "bad.txt").write_text(content)
    assert main(["detect", "pets", "-a", str(made), "--text", str(room / "bad.txt")]) == 5
    assert message in capsys.readouterr().err


def test_what_the_command_refuses(made: Path, room: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, message in (
        (["--model", "x"], "--model goes with --text"),
        (["--text", str(room / "gone.txt")], "there is no file"),
        (["--text", str(made), "--section", "rule"], "--section is for the answer without --text"),
        (["--neurons", "9"], "9 is not in the range"),
        (["--format", "csv"], "--section figures|rule"),
    ):
        assert main(["detect", "pets", "-a", str(made), *arguments]) == 2
        assert message in capsys.readouterr().err


def test_another_model_is_refused(made: Path, room: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = make_model("llama", room / "other", seed=1)
    (room / "one.txt").write_text("my dog runs\n")
    arguments = ["detect", "pets", "-a", str(made), "--text", str(room / "one.txt"), "--model", str(other)]
    assert main(arguments) == 5
    assert "is not the model of the atlas" in capsys.readouterr().err


def test_the_stored_part_imports_nothing_slow(made: Path) -> None:
    code = (
        "import sys; from atlas.__main__ import main; "
        f"assert main(['detect', 'pets', '-a', {str(made)!r}]) == 0; "
        "assert not {'torch', 'numpy', 'pyarrow', 'scipy', 'transformers'} & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=120).returncode == 0


BROKEN = {
    "UPDATE _detector_neuron SET lower = upper + 1 WHERE form = 'interval' AND place = 1": "what their form needs",
    "UPDATE _detector_neuron SET std = 0 WHERE form = 'linear'": "what their form needs",
    "UPDATE _detector_neuron SET weight = 'nan'": "weights of rules are finite",
    "UPDATE _detector_neuron SET layer = 3 WHERE place = 8": "neurons of rules are of their fit",
    "DELETE FROM _detector_neuron WHERE place = 2 AND neurons = 4": "as many as they say",
    "UPDATE _detector SET held_inside = 21": "rules count within their samples",
    "UPDATE _detector SET form = 'other' WHERE form = 'layer'": "rules are of a known form",
    "UPDATE _detector SET threshold = 'inf'": "rules are finite",
    "DELETE FROM _detector_fit": "rules are of a fit",
}


@pytest.mark.parametrize("statement", BROKEN)
def test_what_rules_promise_is_checked(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], statement: str
) -> None:
    copy = tmp_path / "broken.duckdb"
    copy.write_bytes(made.read_bytes())
    with changed_by_hand(copy) as connection:
        connection.execute(statement)
    assert BROKEN[statement] in " ".join(check.name for check in checks_of(copy) if check.result == IS_BROKEN)
    # A question answers or says that the file is damaged; it never fails otherwise.
    assert main(["detect", "pets", "-a", str(copy)]) in (0, 1, 3)
    assert "unexpected" not in capsys.readouterr().err
