"""`evaluate` and `evaluations` from the command line, with build and spec before them."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from atlas.__main__ import main
from atlas.spec.text import read_spec, spec_hash
from atlas.store.evaluations import read_rows, sidecar_of
from builders.config import ConceptSource
from builders.evaluation.bootstrap import Interval
from builders.evaluation.sweep import Point, _marked
from tests.builders.evaluation.planted import TEMPLATE
from tests.end_to_end.workbench import built

LABELS = [option for word in ("pets= dog", "sport= team", "state= vote") for option in ("--label", word)]
FAST = ["--bootstrap", "40", "--other-limit", "3", "--device", "cpu"]


@pytest.fixture
def ask(atlas_file: Path, planted: Path, capsys: pytest.CaptureFixture[str]):
    """ask(command, ...) -> (exit code, stdout, stderr), on the atlas and the planted model."""

    def call(command: str, *arguments: str) -> tuple[int, str, str]:
        more = ["--model", str(planted), *LABELS, *FAST] if command == "evaluate" else []
        code = main([command, "-a", str(atlas_file), *arguments, *more])
        streams = capsys.readouterr()
        return code, streams.out, streams.err

    return call


def test_from_spec_to_stored_scores(ask, atlas_file: Path, tmp_path: Path) -> None:
    spec = str(tmp_path / "pets.spec.json")
    assert ask("spec", "--concept", "pets", "--neurons", "L1N7", "--positions", "last", "-o", spec)[0] == 0
    code, out, err = ask("evaluate", spec, "--format", "json")
    assert code == 0, err
    rows = json.loads(out)
    assert {row["spec"] for row in rows} == {spec_hash(read_spec(spec))}
    found = {(row["arm"], row["metric"], row["text_group"]): row for row in rows}
    assert found["range", "accuracy", "target"]["value"] == 0.0
    assert found["range", "accuracy", "complement"]["drop_value"] == 0.0
    assert 0 < found["whole_neuron", "accuracy", "complement"]["drop_value"] < 1
    assert "fresh texts used" in err
    assert "dropped that the statistics have used" in err

    code, out, _ = ask("evaluations", "--format", "json")
    assert code == 0
    kept = json.loads(out)
    assert {(r["arm"], r["metric"], r["text_group"]): r["value"] for r in kept} == {
        key: row["value"] for key, row in found.items()
    }
    [first] = {(r["target"], r["corpus"], r["template"], r["n_used"] + r["n_dropped"]) for r in kept}
    assert first == ("pets", "words", TEMPLATE, 54)
    assert ask("evaluations", "--target", "sport", "--format", "jsonl")[1] == ""
    assert ask("evaluate", spec, "--no-store")[0] == 0
    assert len(read_rows(sidecar_of(atlas_file), "SELECT * FROM evaluation", {})[1]) == 1


def test_a_sweep_draws_its_frontier(ask, atlas_file: Path, tmp_path: Path) -> None:
    picture = tmp_path / "sweep.png"
    lists = [
        "--rule",
        "auc,mean_abs",
        "--top",
        "1,10%",
        "--tau",
        "1,2.5",
        "--bounds",
        "gaussian,contrast",
        "--op",
        "set=0,scale=0.5",
    ]
    options = ["--concept", "pets", *lists, "--layers", "0-1", "--positions", "last", "--plot", str(picture)]
    code, out, err = ask("evaluate", "--sweep", *options, "--format", "csv")
    assert code == 0, err
    rows = list(csv.DictReader(io.StringIO(out)))
    # Whole-neuron edits do not depend on tau.
    assert len(rows) == 2 * 2 * (2 + 1) * 2 + 2 * 2 * 2
    drops = [(float(row["target_drop"]), float(row["complement_drop"])) for row in rows]
    for row, (gain, cost) in zip(rows, drops, strict=True):
        better = [d for d in drops if d[0] >= gain and d[1] <= cost and d != (gain, cost)]
        assert (row["best"] == "true") == (not better)
    assert picture.read_bytes().startswith(b"\x89PNG")
    [sweep_id] = {r[0] for r in read_rows(sidecar_of(atlas_file), "SELECT sweep_id FROM evaluation", {})[1]}
    code, out, _ = ask("evaluations", "--sweep", sweep_id, "--metric", "accuracy", "--format", "jsonl")
    assert len(out.splitlines()) == 24 * 3 * 2


def test_a_table_for_people(ask) -> None:
    code, out, err = ask("evaluate", "--sweep", "--concept", "pets", "--top", "2", "--range-only")
    assert code == 0, err
    assert out.splitlines()[0].split()[:5] == ["best", "rule", "top", "bounds", "tau"]
    assert len(out.splitlines()) == 3
    assert out.splitlines()[2].split()[:5] == ["yes", "auc", "2", "gaussian", "2.500"]
    assert ask("evaluations")[0] == 0


def test_every_format_has_the_same_scores(ask, tmp_path: Path) -> None:
    from pyarrow import ipc, parquet

    spec = tmp_path / "pets.spec.json"
    assert ask("spec", "--concept", "pets", "--neurons", "L1N7", "--positions", "last", "-o", str(spec))[0] == 0
    code, out, _ = ask("evaluate", str(spec), "--no-store", "--format", "json")
    rows = json.loads(out)
    assert code == 0 and list(rows[0])[:5] == ["spec", "target", "arm", "metric", "text_group"]
    for name in ("scores.jsonl", "scores.csv", "scores.parquet", "scores.arrow"):
        code, out, err = ask("evaluate", str(spec), "--no-store", "-o", str(tmp_path / name))
        assert (code, out) == (0, ""), err
    assert [json.loads(line) for line in (tmp_path / "scores.jsonl").read_text().splitlines()] == rows
    assert parquet.read_table(tmp_path / "scores.parquet").to_pylist() == rows
    assert ipc.open_file(tmp_path / "scores.arrow").read_all().to_pylist() == rows
    with open(tmp_path / "scores.csv", newline="") as stream:
        for line, row in zip(csv.DictReader(stream), rows, strict=True):
            assert line == {name: "" if value is None else str(value) for name, value in row.items()}
    code, out, _ = ask("evaluate", str(spec), "--no-store")
    lines = [line.split() for line in out.splitlines()]
    assert [line[:4] for line in lines[2:]] == [
        [row["spec"][len("sha256:") :][:8], row["target"], row["arm"], row["metric"]] for row in rows
    ]


def test_an_answer_never_replaces_what_is_evaluated(ask, planted: Path, atlas_file: Path, tmp_path: Path) -> None:
    spec = tmp_path / "pets.spec.json"
    assert ask("spec", "--concept", "pets", "--neurons", "L1N7", "-o", str(spec))[0] == 0
    kept = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for output in (spec, atlas_file, planted):
        code, out, err = ask("evaluate", str(spec), "-o", str(output))
        assert (code, out) == (2, "") and str(output) in err
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == kept


def test_an_atlas_without_held_out_texts(planted: Path, corpus: Path, tmp_path: Path, capsys) -> None:
    sources = (ConceptSource(str(corpus), template=TEMPLATE),)
    path = built(planted, tmp_path / "all.duckdb", corpus, concepts=sources, decode=False)
    assert main(["evaluate", "-a", str(path), "--sweep", "--concept", "pets", "--top", "2"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[0].startswith("error: all 54 texts of words were used by the statistics")
    assert "--holdout" in err.splitlines()[1]
    assert not sidecar_of(path).exists()
    assert main(["evaluations", "-a", str(path), "--format", "json"]) == 0
    assert "nothing has been evaluated" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no spec given"),
        (["--sweep"], "--sweep needs a concept"),
        (["--sweep", "--concept", "pets", "x.json"], "makes its own specs"),
        (["x.json", "--tau", "2"], "--tau goes with --sweep"),
        (["x.json", "--plot", "a.png"], "--plot goes with --sweep"),
        (["x.json", "--label", "sport"], "no label"),
        (["--sweep", "--concept", "pets", "--tau", "2,x"], "no number"),
        (["--sweep", "--concept", "pets", "--top", "2,,3"], "no list"),
        (["--sweep", "--concept", "pets", "--plot", "a.txt"], "not a picture"),
        (["x.json", "--lm-eval-limit", "3"], "--lm-eval-limit goes with --lm-eval"),
        (["x.json", "--lm-eval-path", "."], "--lm-eval-path goes with --lm-eval"),
        (["x.json", "--lm-eval", "a,,b"], "no list"),
        (["x.json", "--lm-eval", "a", "--lm-eval-limit", "0"], "--lm-eval-limit"),
        (["x.json", "--lm-eval", "a", "--lm-eval-path", "nowhere"], "nowhere"),
        (["--sweep", "--concept", "pets", "--lm-eval", "a"], "a sweep has none"),
    ],
)
def test_options_that_do_not_fit(ask, arguments: list[str], message: str) -> None:
    code, out, err = ask("evaluate", *arguments)
    assert (code, out) == (2, "")
    assert message in err


def test_a_foreign_sidecar_stops_the_work_early(ask, atlas_file: Path) -> None:
    sidecar_of(atlas_file).write_text("something else")
    code, _, err = ask("evaluate", "--sweep", "--concept", "pets", "--top", "2")
    assert code == 3
    assert "holds no evaluations" in err
    assert ask("evaluations")[0] == 3


@pytest.mark.parametrize("package", ["lm_eval", "accelerate"])
def test_without_the_harness_nothing_is_run(ask, tmp_path: Path, monkeypatch, package: str) -> None:
    spec = str(tmp_path / "pets.spec.json")
    assert ask("spec", "--concept", "pets", "--neurons", "L1N7", "-o", spec)[0] == 0
    monkeypatch.setitem(sys.modules, "lm_eval", ModuleType("lm_eval"))
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    code, out, err = ask("evaluate", spec, "--lm-eval", "arc_easy")
    assert (code, out) == (4, "")
    assert err.splitlines() == [
        f"error: the package '{package}' is not installed and is needed to run lm-eval tasks",
        "hint: Run: pip install 'neuron-atlas[lm-eval]'",
    ]


def test_points_that_tie_are_all_best() -> None:
    def point(gain: float, cost: float) -> Point:
        return Point(
            "auc", 1, "gaussian", 2.5, "set=0", "range", Interval(gain, None, None), Interval(cost, None, None)
        )

    points = [point(0.9, 0.5), point(0.9, 0.5), point(0.9, 0.6), point(0.2, 0.1), point(0.1, 0.1), point(0.0, -0.1)]
    assert [_marked(each, points).best for each in points] == [True, True, False, True, False, True]


@pytest.mark.parametrize(
    ("names", "code", "message"),
    [
        (["--family", "word"], 1, "unknown family 'word'"),
        (["--site", "mlp_pre"], 1, "the concept 'pets' has no fit with site 'mlp_pre'"),
        (["--family", "words", "--site", "mlp_post", "--layers", "7"], 2, "--layers has 7"),  # the fit itself is found
    ],
)
def test_a_sweep_says_which_fit_it_means(ask, names: list[str], code: int, message: str) -> None:
    found, out, err = ask("evaluate", "--sweep", "--concept", "pets", *names)
    assert (found, out) == (code, "")
    assert message in err


def test_a_spec_whose_source_is_no_name_is_refused_in_a_line(ask, tmp_path: Path) -> None:
    path = tmp_path / "pets.spec.json"
    assert ask("spec", "--concept", "pets", "--neurons", "L1N7", "-o", str(path))[0] == 0
    document = json.loads(path.read_text())
    for name, value in (("family", ["words"]), ("template", {"text": 1})):
        path.write_text(json.dumps(document | {"source": document["source"] | {name: value}}))
        code, out, err = ask("evaluate", str(path))
        assert (code, out) == (2, "")
        assert f"the {name} of a fit is a text" in err.splitlines()[0]
