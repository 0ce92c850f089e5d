"""Where exports go: what --force may replace, and that nothing else is lost. No model is needed for that."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from atlas.errors import UsageError
from builders.export.place import check_output, free_place, put
from builders.export.registry import TARGETS

FOLDER, CODE, FILE = TARGETS["lora"], TARGETS["hooks"], TARGETS["control-vector"]
HASH = "sha256:" + "0" * 64


def export_into(folder: Path, names: list[str], files: object = None) -> Path:
    """A folder as an export leaves it; `files` stands in its record instead of the true list."""
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(f"made {name}")
    record = {"format": "neuron-atlas/export", "files": sorted([*names, "neuron-atlas.json"])}
    if files is not None:
        record["files"] = files
    (folder / "neuron-atlas.json").write_text(json.dumps(record))
    return folder


def content(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def again(output: Path, names: list[str]) -> None:
    """What `export --force` does to `output`, with another export in the place of the real one."""
    check_output(FOLDER, output, True, [])
    with free_place(output) as place:
        export_into(place, names)
        put(place, output)


def test_a_second_export_keeps_what_the_first_did_not_write(tmp_path: Path) -> None:
    out = export_into(tmp_path / "out", ["a.safetensors", "old.json", "sub/own.txt"])
    (out / "thesis.tex").write_text("mine")
    (out / "sub" / "notes.txt").write_text("mine too")
    (out / "deep" / "er").mkdir(parents=True)
    (out / "deep" / "er" / "x").write_text("deep")
    (out / "link").symlink_to(tmp_path / "elsewhere")
    again(out, ["a.safetensors", "new.json"])
    assert set(content(out)) == {
        *("a.safetensors", "new.json", "neuron-atlas.json", "thesis.tex", "sub/notes.txt", "deep/er/x")
    }
    assert (out / "thesis.tex").read_text() == "mine" and (out / "sub" / "notes.txt").read_text() == "mine too"
    assert os.readlink(out / "link") == str(tmp_path / "elsewhere")
    assert os.listdir(tmp_path) == ["out"]


def test_a_file_that_the_new_export_would_replace_is_refused_with_nothing_changed(tmp_path: Path) -> None:
    out = export_into(tmp_path / "out", ["a.safetensors"])
    (out / "new.json").write_text("mine")
    before = content(out)
    with pytest.raises(UsageError, match=r"new\.json is not of the earlier export"):
        again(out, ["a.safetensors", "new.json"])
    assert content(out) == before and os.listdir(tmp_path) == ["out"]


def test_folders_of_somebody_stay_even_where_they_are_empty(tmp_path: Path) -> None:
    out = export_into(tmp_path / "out", ["a.safetensors", "sub/own.txt"])
    (out / "empty" / "deeper").mkdir(parents=True)
    again(out, ["a.safetensors", "empty/own.txt"])
    assert (out / "empty" / "deeper").is_dir() and sorted(os.listdir(out / "empty")) == ["deeper", "own.txt"]
    assert not (out / "sub").exists()


@pytest.mark.parametrize(("theirs", "new"), [("new/thesis.tex", "new"), ("new", "new/own.txt")])
def test_a_folder_where_the_new_export_has_a_file_is_refused_with_nothing_changed(
    tmp_path: Path, theirs: str, new: str
) -> None:
    out = export_into(tmp_path / "out", ["a"])
    (out / theirs).parent.mkdir(exist_ok=True)
    (out / theirs).write_text("mine")
    before = content(out)
    with pytest.raises(UsageError, match="not of the earlier export"):
        again(out, ["a", new])
    assert content(out) == before and os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize(
    "listed", [["../victim", "a"], ["/etc/passwd", "a"], ["a", 7, None, {}, "link/victim"], ["a", "", ".", ".."]]
)
def test_a_record_of_a_stranger_reaches_nothing_outside(tmp_path: Path, listed: list) -> None:
    (tmp_path / "victim").write_text("mine")
    out = export_into(tmp_path / "out", ["a"], files=[*listed, "neuron-atlas.json"])
    (out / "link").symlink_to(tmp_path)
    again(out, ["b"])
    assert (tmp_path / "victim").read_text() == "mine"
    assert sorted(os.listdir(out)) == ["b", "link", "neuron-atlas.json"]


RECORDS = """

[]
{}
nonsense
{"format": "other"}
{"format": "neuron-atlas/export"}
{"format": "neuron-atlas/export", "files": "abc"}
{"format": "neuron-atlas/export", "files": []}
{"format": "neuron-atlas/export", "files": ["a"], "files": ["thesis.tex"]}""".split("\n")[1:]


@pytest.mark.parametrize("record", [*RECORDS, "[" * 100_000])
def test_folders_that_do_not_say_what_is_theirs_are_left_alone(tmp_path: Path, record: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("mine")
    (tmp_path / "out" / "neuron-atlas.json").write_text(record)
    with pytest.raises(UsageError, match=r"no export wrote|does not say"):
        check_output(FOLDER, tmp_path / "out", True, [])


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    for name, text, row in (
        ("x.py", "print('mine')\n", CODE),
        ("y.py", "", CODE),
        ("z.py", f"x = 'SPEC_HASH = {HASH}'\n", CODE),
        ("model.gguf", "GGUF of a model", FILE),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(UsageError, match="no export wrote"):
            check_output(row, tmp_path / name, True, [])
    (tmp_path / "own.py").write_text(f'"""Doc."""\n\nSPEC_HASH = "{HASH}"\n')
    check_output(CODE, tmp_path / "own.py", True, [])
    with pytest.raises(UsageError, match="read here"):
        check_output(CODE, tmp_path / "own.py", True, [tmp_path / "own.py"])


def test_links_and_devices(tmp_path: Path) -> None:
    real = export_into(tmp_path / "real", ["a"])
    (tmp_path / "link").symlink_to("real")
    again(tmp_path / "link", ["b"])
    assert (tmp_path / "link").is_symlink() and sorted(os.listdir(real)) == ["b", "neuron-atlas.json"]
    (tmp_path / "null.py").symlink_to("/dev/null")
    check_output(CODE, tmp_path / "null.py", False, [])
    with free_place(tmp_path / "null.py") as place:
        place.write_text("text")
        put(place, tmp_path / "null.py")
    assert os.readlink(tmp_path / "null.py") == "/dev/null" and not os.path.isfile("/dev/null")
    for bad in ("x" * 300 + ".py", "a\0.py"):
        with pytest.raises(UsageError):
            check_output(CODE, tmp_path / bad, False, [])
    with pytest.raises(UsageError, match="not a folder"):
        check_output(FOLDER, Path("/dev/null"), True, [])
    assert sorted(os.listdir(tmp_path)) == ["link", "null.py", "real"]
