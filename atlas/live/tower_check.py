"""Prove on two short texts, or two made-up images, that an adapter tells the truth about a tower and its projection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from atlas.live.arrival_check import check_arrival
from atlas.live.head import behind_final_norm
from atlas.live.inputs import pass_inputs
from atlas.live.model import LiveModel
from atlas.live.probe import Record, probe_ids, run_probe
from atlas.live.validation import agree, check_blocks, check_final_norm, check_weights, check_zeroing, misfit


def validate_tower(live: LiveModel) -> None:
    """Raise ModelError naming the family, the check and the numbers unless every check holds."""
    check_weights(live)
    ids_1T, other_1T = _probes(live)
    record = run_probe(live, _inputs(live, ids_1T))
    check_blocks(live, record, ids_1T.shape[1])
    check_final_norm(live)
    _check_projection(live, record)
    check_zeroing(live, record, run_probe(live, _inputs(live, ids_1T), zero_first_row=True))
    check_arrival(live, ids_1T, record, agree)
    if live.images is None:
        _check_padding(live, ids_1T, record)
    if torch.equal(record.logits, run_probe(live, _inputs(live, other_1T)).logits):
        raise misfit(live, "another text or image has the same projection")


def _probes(live: LiveModel) -> tuple[Tensor, Tensor]:
    """[1, T] each: two texts of two tokens, or two images."""
    if live.images is not None:
        first, second = live.images.row(-1), live.images.row(-2)
    else:
        one, two = probe_ids(live)[0].tolist()
        before, after = live.around
        first, second = [*before, one, two, *after], [*before, two, one, *after]
    return torch.tensor([first], device=live.device), torch.tensor([second], device=live.device)


def _inputs(live: LiveModel, ids_BT: Tensor, mask_BT: Tensor | None = None) -> Mapping[str, Any]:
    mask_BT = torch.ones_like(ids_BT) if mask_BT is None else mask_BT
    return pass_inputs(live, live.model.forward, ids_BT, mask_BT)


def _check_projection(live: LiveModel, record: Record) -> None:
    """The state that the head reads, through the final norm and the projection, is the model's own vector."""
    head = live.head
    assert head is not None and head.kind == "words"  # what loading makes
    states_TD = record.sites["resid_post", live.n_layers - 1]
    read_1D = states_TD[-1:] if head.reads == "last" else states_TD[:1]
    matrix_ED = live.submodule(head.dense).get_parameter("weight").float()
    found_1E = F.linear(behind_final_norm(live, read_1D), matrix_ED)
    agree(live, f"{head.output} = the projection of the {head.reads} token's state", record.logits[None], found_1E)


def _check_padding(live: LiveModel, ids_1T: Tensor, record: Record) -> None:
    """A right-padded text has the vector of the text alone."""
    padded_1T = torch.cat([ids_1T, torch.zeros_like(ids_1T[:, :2])], 1)
    mask_1T = torch.cat([torch.ones_like(ids_1T), torch.zeros_like(ids_1T[:, :2])], 1)
    padded = run_probe(live, _inputs(live, padded_1T, mask_1T))
    agree(live, "the vector of a right-padded text = of the text alone", padded.logits[None], record.logits[None])
