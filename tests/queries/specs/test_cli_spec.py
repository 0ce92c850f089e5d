"""The `spec` command: JSON on stdout or in a file, remarks on stderr, exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest

from atlas.__main__ import main
from atlas.spec.text import loads, read_spec
from atlas.store.reader import Atlas
from queries.specs.make_spec import make_spec


def test_stdout_is_the_spec_and_nothing_else(
    atlas: Atlas, atlas_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--concept", "sports", "--top", "5", "--op", "set=mean", "--bounds", "gaussian"]
    assert main(["spec", "-a", str(atlas_path), *arguments]) == 0
    out, err = capsys.readouterr()
    assert loads(out) == make_spec(atlas, concept="sports", top=5, op="set=mean", bounds="gaussian")
    assert err.splitlines() == [
        "note: 5 edits (set=mean) at mlp_post in 3 layers, 0 to 2, inside the ranges of sports at tau 2.5",
        "note: mean AUC, either side: 0.712; mean leakage 0.765",
    ]


def test_file_is_replaced(atlas_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "a.spec.json"
    target.write_text("old")
    arguments = [
        "spec",
        "-a",
        str(atlas_path),
        "--token",
        "dog",
        "--top",
        "1",
        "--op",
        "set=20",
        "-o",
        str(target),
    ]
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    assert out == "" and err.splitlines() == [
        'note: tokens used: "dog" " dog" " Dogs" "dogs"',
        f"note: 1 edit (set=20) at mlp_post in layer {read_spec(target).edits[0].layer}",
        f"note: written to {target}",
    ]


def test_options_reach_the_spec(atlas_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = "--concept sports --neurons L1N7,L0N2 --op scale=0.5 --tau 2 --phase generated --positions last"
    assert main(["spec", "-a", str(atlas_path), *arguments.split()]) == 0
    out, err = capsys.readouterr()
    made = loads(out)
    assert (made.phase, made.positions, len(made.edits)) == ("generated", "last", 2)
    assert all(edit.when for edit in made.edits)
    assert "leakage not measured at tau 2" in err
    assert main(["spec", "-a", str(atlas_path), "--concept", "sports", "--whole-neuron"]) == 0
    assert not any(edit.when for edit in loads(capsys.readouterr().out).edits)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ("--concept sprots", 1, "error: unknown concept 'sprots'\nhint: Did you mean sports or politics?\n"),
        ("--top 3", 2, "error: nothing chooses the neurons\nhint: Give --concept, --token or --neurons.\n"),
        (
            "--neurons L1N7 -o /no/such/folder/x",
            2,
            "error: cannot write /no/such/folder/x: No such file or dire",
        ),
        ("--concept sports --phase never", 2, "error: Invalid value for '--phase'"),
    ],
)
def test_errors(atlas_path: Path, capsys: pytest.CaptureFixture[str], arguments: str, code: int, message: str) -> None:
    assert main(["spec", "-a", str(atlas_path), *arguments.split()]) == code
    out, err = capsys.readouterr()
    assert out == "" and err.startswith(message)


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["spec", "--help"]) == 0
    assert "neuron-atlas spec --token dog --top 5 --op set=20" in capsys.readouterr().out
