"""What each target refuses, and that table, documentation and packaging say the same."""

from __future__ import annotations

import importlib
import itertools
import re
import tomllib

import pytest

from atlas.errors import SpecError
from atlas.ops import OPS
from atlas.sites import SITES
from atlas.spec.document import Edit, InterventionSpec, ModelReference, Range, Tokenization
from builders.export.capabilities import capabilities, check_expressible
from builders.export.registry import TARGETS, target
from tests.architecture.imports import ROOT

CODE = ["hooks", "transformer-lens", "nnsight", "pyvene"]
MODEL = ModelReference(id="m", fingerprint="sha256:" + "0" * 64, n_layers=4, d_model=8, d_mlp=16, gated=True)


def spec(edit, positions="all", phase="all"):
    return InterventionSpec(
        model=MODEL, tokenization=Tokenization(False, False), edits=(edit,), positions=positions, phase=phase
    )


def able(*arguments):
    found = []
    for name in TARGETS:
        try:
            check_expressible(target(name), spec(*arguments))
        except SpecError as error:
            assert f"{name} cannot express" in error.message
            hinted = re.fullmatch(r"Targets that can: (.*)\.", error.hint)[1].split(", ")
            assert name not in hinted and set(CODE) <= set(hinted)
        else:
            found.append(name)
    return found


def test_every_combination_is_accepted_or_refused_with_targets_that_can():
    for site, op, ranged, positions, phase in itertools.product(
        SITES, OPS, (False, True), ("all", "last", (1,)), ("all", "prompt", "generated")
    ):
        if op == "damp" and not ranged:
            continue
        edit = Edit(site, 1, 3, op, 0.5, Range(0.0, 1.0) if ranged else None)
        expected = list(CODE)
        if not ranged and positions == phase == "all":
            weights = {"set", "scale", "add"} if site != "resid_post" else {"add"}
            expected += ["weights"] * (op in weights)
            expected += ["lora"] * (site == "mlp_post" and op == "scale")
            expected += ["control-vector"] * (op == "add" and site in ("mlp_post", "resid_post"))
        assert able(edit, positions, phase) == expected


def test_lora_sets_to_zero_only():
    assert "lora" in able(Edit("mlp_post", 1, 3, "set", 0.0))
    assert "lora" not in able(Edit("mlp_post", 1, 3, "set", 0.5))


def test_the_reason_names_what_is_in_the_way():
    for arguments, words in (
        ((Edit("mlp_post", 1, 3, "set", 0.0, Range(0.0, 1.0)),), "the range of L1N3 at mlp_post"),
        ((Edit("mlp_post", 1, 3, "set", 0.0), "last"), "positions last"),
        ((Edit("mlp_post", 1, 3, "set", 0.0), (1, 2)), "positions by index"),
        ((Edit("mlp_post", 1, 3, "set", 0.0), "all", "prompt"), "phase prompt"),
        ((Edit("resid_post", 1, 3, "set", 0.0),), "set 0 of L1N3 at resid_post"),
    ):
        with pytest.raises(SpecError, match=f"weights cannot express {words} exactly"):
            check_expressible(target("weights"), spec(*arguments))


def test_every_row_has_its_module_and_its_extra():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    installed = re.search(r"^EXTRAS := (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)[1].split(",")
    for row in TARGETS.values():
        assert callable(importlib.import_module(row.module).write)
        assert not row.extra or (row.extra in extras and row.extra in installed)


def test_the_documented_table_is_the_table():
    def line(cells):
        return "| " + " | ".join(cells) + " |"

    def word(value):
        if isinstance(value, bool):
            return "yes" if value else "no"
        return (", ".join(value) or "no") if isinstance(value, list) else value

    text = (ROOT / "docs" / "exports.md").read_text(encoding="utf-8")
    exact = capabilities().sections["exact"]
    rows = [exact.columns, ["---"] * len(exact.columns), *(map(word, row) for row in exact.rows)]
    assert "\n".join(map(line, rows)) in text
    for row in TARGETS.values():
        assert f"## {row.name}\n" in text
