"""Rows of one pass, each under a spec of its own, against plain hooks on each text alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from atlas.errors import ModelError, SpecError
from atlas.live.intervene import intervene_rows
from atlas.live.logits import LogitTarget
from atlas.spec.document import Edit
from builders.attribution.effects import Effects
from tests.atlas.live.plain_edits import a_spec, mixed_edits, plain_logits

TEXT = [14, 21, 49, 4, 26]


def specs_of(live, positions):
    """One a row: all kinds of edits, one of a layer, and none that the others have."""
    edits = mixed_edits(live)
    parts = edits, edits[:3], edits[-5:], [Edit("mlp_post", 1, 2, "set", 9.0)]
    return [a_spec(live, *part, positions=positions) for part in parts]


@pytest.mark.parametrize("positions", ["all", "last"])
def test_each_row_is_edited_as_its_text_alone(live, positions):
    specs = specs_of(live, positions)
    with torch.no_grad(), intervene_rows(live, specs):
        found = live.model(input_ids=torch.tensor([TEXT] * len(specs))).logits
    for row, spec in enumerate(specs):
        expected = plain_logits(live, spec, TEXT, len(TEXT))
        torch.testing.assert_close(found[row], expected, rtol=1e-5, atol=2e-5)
        assert not torch.allclose(expected, plain_logits(live, None, TEXT, len(TEXT)), atol=1e-4)


@pytest.mark.parametrize("few", [1, 8, 64])
@pytest.mark.parametrize("positions", ["last", (0, 2, 3)])
def test_changes_by_shared_passes_are_those_of_plain_hooks(live_of, positions, few, monkeypatch):
    live = live_of("gemma2")
    monkeypatch.setattr("builders.attribution.effects._FEW_TOKENS", few)
    edits = [Edit("mlp_post", layer, n, "set", 2.0 + n) for n in (3, 0, 7) for layer in (2, 0, 1)]
    specs = [a_spec(live, edit, positions=positions) for edit in edits]
    specs.append(a_spec(live, edits[0], edits[1], positions=positions))
    found = Effects(live, TEXT, only_last=positions == "last").changes(specs, LogitTarget(17, 5))
    cap = live.logit_softcap

    def target(spec):
        # The target is what there is before the cap.
        logits = cap * torch.atanh(plain_logits(live, spec, TEXT, len(TEXT))[-1].double() / cap)
        return float(logits[17] - logits[5])

    assert found == pytest.approx([target(spec) - target(None) for spec in specs], abs=2e-4)
    assert len({round(change, 3) for change in found}) > 5


def test_what_cannot_be_said_of_rows(live_of):
    live = live_of("llama")
    spec, other = (a_spec(live, Edit("mlp_post", 1, 5, "set", 3.0), positions=each) for each in ("all", "last"))
    ids = torch.tensor([TEXT, TEXT])
    for specs in ([], [spec, other], [spec, replace(spec, phase="prompt")]):
        with pytest.raises(SpecError, match="same positions and phase"), intervene_rows(live, specs):
            pass
    with pytest.raises(ModelError, match="3 rows have edits of their own, and a pass has 2"), torch.no_grad():
        with intervene_rows(live, [spec] * 3):
            live.model(input_ids=ids)
    with torch.no_grad(), intervene_rows(live, [spec] * 2):  # the hooks are gone
        with pytest.raises(ModelError, match="edited already"), intervene_rows(live, [spec]):
            pass
        live.model(input_ids=ids)
