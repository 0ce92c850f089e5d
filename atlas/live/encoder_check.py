"""Prove on a short text that an adapter tells the truth about an encoder: its blocks, its head, padding and edits.

What an encoder has no part in, next tokens and caches, is not asked. What takes their place: tokens see those after
them, rows with padding on either side agree with the text alone, and an edit of one token reaches that token only.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack

import torch
from torch import Tensor

from atlas.live.arrival_check import check_arrival
from atlas.live.head import MEAN, behind_final_norm, head_logits, pooling
from atlas.live.intervene import intervene
from atlas.live.model import LiveModel
from atlas.live.positions import position_arguments
from atlas.live.probe import Record, probe_ids, run_probe
from atlas.live.validation import agree, check_blocks, check_final_norm, check_weights, check_zeroing, misfit
from atlas.spec.document import Edit, InterventionSpec, ModelReference, Tokenization

SITE, NEURON = "mlp_post", 0


def validate_encoder(live: LiveModel) -> None:
    """Raise ModelError naming the family, the check and the numbers unless every check holds."""
    check_weights(live)
    first, second = probe_ids(live)[0].tolist()
    before, after = live.around
    text = [*before, first, second, *after]
    record = _read(live, [text])
    check_blocks(live, record, len(text))
    if live.adapter.final_norm is not None:
        check_final_norm(live)
    _check_head(live, record)
    check_zeroing(live, record, _read(live, [text], zero_first_row=True))
    if live.adapter.block_norm is None:  # where there is one, what it reads was compared in every block
        check_arrival(live, torch.tensor([text], device=live.device), record, agree)
    _check_both_ways(live, record, _read(live, [[*before, first, first, *after]]))
    _check_rows(live, text, record, len(before))


def _read(
    live: LiveModel, rows: list[list[int]], starts: list[int] | None = None, *, zero_first_row: bool = False
) -> Record:
    """A pass over `rows`, each from its column of `starts` on, the rest padding."""
    starts = starts or [0] * len(rows)
    width = max(start + len(row) for start, row in zip(starts, rows, strict=True))
    ids = torch.zeros(len(rows), width, dtype=torch.int64, device=live.device)
    mask = torch.zeros_like(ids)
    for number, (start, row) in enumerate(zip(starts, rows, strict=True)):
        ids[number, start : start + len(row)] = torch.tensor(row)
        mask[number, start : start + len(row)] = 1
    positions = position_arguments(live, live.model.forward, mask)
    return run_probe(live, {"input_ids": ids, "attention_mask": mask, **positions}, zero_first_row=zero_first_row)


def _check_head(live: LiveModel, record: Record) -> None:
    """The last states through the head, as the adapter describes it, give the model's own logits."""
    if live.head is None or live.head.kind == "none":
        return
    normed_TD = behind_final_norm(live, record.sites["resid_post", live.n_layers - 1])
    if live.head.kind == "mlm":
        agree(live, "logits = the head of each token's last state", record.logits, head_logits(live, normed_TD))
        return
    where = pooling(live, live.head)
    read_1D = normed_TD.mean(0, keepdim=True) if where == MEAN else normed_TD[:1]
    agree(live, f"logits = the head of the last states ({where})", record.logits[None], head_logits(live, read_1D))


def _check_both_ways(live: LiveModel, record: Record, other: Record) -> None:
    """Another token later in the text changes the state of the first: nothing is masked but padding."""
    key = "resid_post", live.n_layers - 1
    if torch.equal(record.sites[key][0], other.sites[key][0]):
        raise misfit(live, "a token does not see those after it, so this is no encoder")


def _check_rows(live: LiveModel, text: list[int], record: Record, token: int) -> None:
    """An edit of `token` in rows with padding on either side: there alone, and all rows come out as the text alone.

    Their last states do. Of a classifier that reads the first column, padding on the left is another text, and no batch
    here has any.
    """
    number = float(record.sites[SITE, 0].abs().max()) + 1.0
    starts = {"right": 0, "left": 1}
    with ExitStack() as hooks:
        last = _watch(live, hooks, "resid_post", live.n_layers - 1)
        plain = [_read(live, [text]), _read(live, [text, text], [*starts.values()])]
        with _under(live, Edit(SITE, 0, NEURON, "set", number), token):
            edited = _watch(live, hooks, SITE, 0)
            under = [_read(live, [text]), _read(live, [text, text], [*starts.values()])]
    wanted = torch.tensor(number, dtype=live.dtype).float()
    for row, (side, start) in enumerate(starts.items()):
        places = slice(start, start + len(text))
        for what, alone, rows in (("", last[0], last[1]), (" under an edit", last[2], last[3])):
            agree(live, f"states of a {side}-padded text{what} = of the text alone", rows[row, places], alone[0])
        found = (edited[1][row, places, NEURON].cpu() == wanted).nonzero()[:, 0].tolist()
        if found != [token]:
            raise misfit(live, f"an edit of token {token} of a {side}-padded text lands on tokens {found}")
    if live.head_kind == "classifier":
        for what, passes in (("", plain), (" under an edit", under)):
            alone, rows = (each.output["logits"][:1].float() for each in passes)
            agree(live, f"labels of a right-padded text{what} = of the text alone", rows, alone)


def _watch(live: LiveModel, hooks: ExitStack, site: str, layer: int) -> list[Tensor]:
    """Fills with the float32 values [batch, tokens, width] of each pass."""
    seen: list[Tensor] = []
    hooks.callback(live.tap(site, layer).register(lambda acts_BTN: seen.append(acts_BTN.float().clone())).remove)
    return seen


def _under(live: LiveModel, edit: Edit, token: int) -> AbstractContextManager[None]:
    dims = {name: getattr(live, name) for name in ("n_layers", "d_model", "d_mlp", "gated")}
    spec = InterventionSpec(
        model=ModelReference(id="probe", fingerprint="sha256:" + "0" * 64, **dims),
        tokenization=Tokenization(False, False),
        edits=(edit,),
        positions=(token,),
    )
    return intervene(live, spec, override_model=True)
