"""`neuron-atlas export` from the outside."""

from __future__ import annotations

import importlib.util
import json
import os
from dataclasses import replace

import pytest

from atlas.__main__ import main
from atlas.sites import SITES
from atlas.spec.document import Edit, Range
from atlas.spec.text import spec_hash, write_spec
from builders.export.registry import TARGETS
from tests.builders.export.runners import TransformerLens
from tests.builders.export.specs import spec_of


@pytest.fixture
def spec(live_of, tmp_path):
    """(path of a spec of one edit with a range, the spec)."""
    spec = spec_of(live_of("llama"), [Edit("mlp_post", 1, 3, "set", 2.0, Range(-9.0, 9.0))])
    write_spec(spec, tmp_path / "a.spec.json")
    return tmp_path / "a.spec.json", spec


def run(capsys, *arguments):
    code = main(["export", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


AT_ONCE = pytest.mark.usefixtures("exports_start_at_once")


@pytest.mark.parametrize("target", ["hooks", "transformer-lens", "nnsight", "pyvene"])
def test_writes_a_verified_file(target, spec, tmp_path, capsys, request):
    if target != "hooks":  # which is run in earnest
        request.getfixturevalue("exports_start_at_once")
    package = TARGETS[target].package
    if package:
        pytest.importorskip(package, reason=f"{package} is not installed (make test installs it)")
    path, document = spec
    code, out, err = run(capsys, path, "--to", target, "-o", tmp_path / "out.py")
    assert (code, out) == (0, f"{tmp_path / 'out.py'}\n")
    *notes, verified = err.splitlines()
    assert verified.startswith("note: verified, ")
    if target == TransformerLens.target.replace("_", "-") and TransformerLens.loses_the_cache:
        assert len(notes) == 1 and notes[0].startswith("note: generate with use_past_kv_cache=False: ")
    else:
        assert notes == []
    assert spec_hash(document) in (tmp_path / "out.py").read_text(encoding="utf-8")
    assert sorted(os.listdir(tmp_path)) == ["a.spec.json", "out.py"]


def test_without_its_library_a_file_is_written_and_said_to_be_unverified(spec, tmp_path, capsys, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "pyvene" else found(name))
    code, out, err = run(capsys, spec[0], "--to", "pyvene", "-o", tmp_path / "out.py")
    assert (code, out) == (0, f"{tmp_path / 'out.py'}\n")
    assert err == "note: not verified, as pyvene is not installed: pip install 'neuron-atlas[pyvene]'\n"


def test_the_list_shows_every_target(capsys):
    code, out, _ = run(capsys, "--list")
    assert code == 0
    assert all(name in out for name in TARGETS)
    assert out.splitlines()[0] == "exact" and "targets" in out.splitlines()


def test_the_list_in_every_format(tmp_path, capsys):
    from pyarrow import parquet

    code, out, _ = run(capsys, "--list", "--format", "json")
    listed = json.loads(out)
    assert code == 0 and list(listed) == ["exact", "targets"]
    for row in listed["exact"]:
        table = TARGETS[row["target"]]
        assert {site: row[site] for site in SITES} == {site: list(table.ops.get(site, ())) for site in SITES}
        assert (row["ranges"], row["positions"]) == (table.ranges, table.some_tokens)
    assert [(row["target"], row["extra"] or "") for row in listed["targets"]] == [
        (name, table.extra) for name, table in TARGETS.items()
    ]
    for section, rows in listed.items():
        path = tmp_path / f"{section}.parquet"
        assert run(capsys, "--list", "--section", section, "-o", path) == (0, "", "")
        assert parquet.read_table(path).to_pylist() == rows
    code, out, err = run(capsys, "--list", "--format", "csv")
    assert (code, out) == (2, "") and "--section exact|targets" in err
    code, out, err = run(capsys, "--section", "exact")
    assert (code, out) == (2, "") and "--section goes with --list" in err
    code, out, err = run(capsys, "--list", "-o", tmp_path)
    assert (code, out) == (2, "") and "is a folder" in err


@AT_ONCE
def test_what_was_written_as_data(spec, tmp_path, capsys):
    code, out, err = run(capsys, spec[0], "--to", "hooks", "-o", tmp_path / "out.py", "--format", "json")
    assert code == 0 and err.startswith("note: verified, ")
    [made] = json.loads(out)
    assert (made["target"], made["path"]) == ("hooks", str(tmp_path / "out.py"))
    assert 0 <= made["difference"] <= made["tolerance"] == spec[1].check.tolerance


def test_refusals_are_one_line_and_leave_nothing(spec, live_of, tmp_path, capsys):
    path, document = spec
    write_spec(replace(document, check=None), tmp_path / "unchecked.json")
    wrong = replace(document.check, logprob_after=tuple(x - 1 for x in document.check.logprob_after))
    write_spec(replace(document, check=wrong), tmp_path / "wrong.json")
    (tmp_path / "taken.py").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.tex").touch()
    write_spec(spec_of(live_of("llama"), [Edit("mlp_post", 1, 3, "set", 0.0)]), tmp_path / "plain.json")
    before = sorted(os.listdir(tmp_path))
    out = tmp_path / "out.py"
    for arguments, code, words in (
        ([], 2, "SPEC is missing"),
        ([path], 2, "--to TARGET is missing"),
        ([path, "--to", "hooks"], 2, "-o PATH is missing"),
        ([path, "--to", "nnsigt", "-o", out], 1, "Did you mean nnsight?"),
        ([tmp_path / "none.json", "--to", "hooks", "-o", out], 1, "cannot read"),
        ([tmp_path / "unchecked.json", "--to", "hooks", "-o", out], 1, "--write-check"),
        ([tmp_path / "wrong.json", "--to", "hooks", "-o", out], 1, "check does not hold"),
        ([path, "--to", "weights", "-o", tmp_path / "w"], 1, "Targets that can: hooks, transformer-lens"),
        ([path, "--to", "hooks", "-o", tmp_path / "taken.py"], 2, "--force"),
        ([path, "--to", "hooks", "-o", tmp_path / "out"], 2, "does not end in .py"),
        ([path, "--to", "hooks", "-o", tmp_path / "no" / "out.py"], 2, "there is no folder"),
        ([path, "--to", "hooks", "-o", out, "--model", live_of("gpt2").model_id], 1, "the spec is for"),
        ([path, "--to", "hooks", "-o", out, "--model", tmp_path / "nowhere"], 5, "there is no model at"),
        ([tmp_path / "plain.json", "--to", "weights", "-o", tmp_path / "folder", "--force"], 2, "no export wrote"),
        ([tmp_path / "plain.json", "--to", "weights", "-o", tmp_path / "taken.py", "--force"], 2, "not a folder"),
    ):
        found, said, err = run(capsys, *arguments)
        assert (found, said) == (code, ""), (arguments, err)
        assert words in err and "Traceback" not in err
        assert [line.partition(":")[0] for line in err.splitlines()] in (["error", "hint"], ["error"])
        assert sorted(os.listdir(tmp_path)) == before


@AT_ONCE
def test_force_replaces_files_and_folders(live_of, tmp_path, capsys):
    spec = tmp_path / "plain.json"
    write_spec(spec_of(live_of("llama"), [Edit("mlp_post", 1, 3, "set", 0.0)]), spec)
    pytest.importorskip("peft", reason="peft is not installed (make test installs it)")
    for target, name in (("hooks", "out.py"), ("lora", "out")):
        assert run(capsys, spec, "--to", target, "-o", tmp_path / name)[0] == 0
        assert run(capsys, spec, "--to", target, "-o", tmp_path / name)[0] == 2
        assert run(capsys, spec, "--to", target, "-o", tmp_path / name, "--force")[0] == 0
    assert sorted(os.listdir(tmp_path)) == ["out", "out.py", "plain.json"]
