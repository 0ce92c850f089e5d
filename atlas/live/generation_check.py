"""Prove on three tokens that edits land where they should when a model reads with a cache or with padding.

Which token is which is read off the passes (token_positions.py), and how passes look is the library's affair.
So a small edit of the third token is made in every way that a generation or a batch makes it, and has to give
the same each time; two tokens before it have to stay what they are without edits.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass

import torch
from torch import Tensor

from atlas.errors import ModelError
from atlas.live.cache import cache_argument, cache_of, keeps_states
from atlas.live.intervene import intervene
from atlas.live.model import LiveModel
from atlas.live.positions import position_arguments
from atlas.live.probe import Record, run_probe
from atlas.live.versions import ran_with
from atlas.spec.document import Edit, InterventionSpec, ModelReference, Tokenization

# Rows of the batch: which columns hold the three tokens. The first row has two only, and its neurons zeroed.
ROWS = {"zeroed": slice(0, 2), "right-padded": slice(0, 3), "left-padded": slice(1, 4)}
N_PROMPT = 2

# Largest allowed root mean square of a difference of logits, relative to their spread: whole passes with other
# shapes, so many roundings. Passes that take tokens for others differ by the spread itself.
TOLERANCE = {torch.float32: 1e-3, torch.float16: 0.1, torch.bfloat16: 0.2}
SITE, NEURON = "mlp_post", 0


@dataclass(frozen=True)
class EditedRows:
    """A pass over ROWS under the edit: the first row as a record, values at the edited neuron, logits."""

    zeroed: Record
    edit: Edit
    acts_BT: Tensor
    logits_BTV: Tensor


def run_edited_rows(live: LiveModel, input_ids: Tensor, record: Record) -> EditedRows:
    """One pass over ROWS; `record` is that of the two tokens `input_ids` without edits. Raises ModelError."""
    three = torch.cat([input_ids, input_ids[:, :1]], 1)
    ids = input_ids.new_zeros(len(ROWS), 4)
    mask = torch.zeros_like(ids)
    for row, columns in enumerate(ROWS.values()):
        width = columns.stop - columns.start
        ids[row, columns], mask[row, columns] = three[0, :width], 1
    # A value that the neuron has at neither token of the prompt, and no wild one.
    site = _site(live)
    edit = Edit(site, 0, NEURON, "set", float(record.sites[site, 0].abs().max()) + 1.0)
    positions = position_arguments(live, live.model.forward, mask)
    inputs = {"input_ids": ids, "attention_mask": mask, **positions, "use_cache": False}
    try:
        with ExitStack() as hooks:
            hooks.enter_context(_under(live, edit, [N_PROMPT] * len(ROWS)))
            acts_BT = _watch(live, hooks)
            zeroed = run_probe(live, inputs, zero_first_row=True)
    except ModelError as error:
        raise _refusal(live, error.message) from error
    return EditedRows(zeroed, edit, acts_BT[0], zeroed.output["logits"].float())


def check_generation(live: LiveModel, input_ids: Tensor, record: Record, rows: EditedRows) -> None:
    """Raise ModelError, with the versions of the libraries, unless the third token is edited and it alone.

    `record`: of the two tokens `input_ids`, whose cache the third one is read after here, in one more pass.
    """
    try:
        if keeps_states(cache_of(record.output)) != live.adapter.recurrent:
            kept = "keys and values alone" if live.adapter.recurrent else "states of recurrent layers"
            raise ModelError(f"its cache holds {kept}, and the {live.adapter.family} adapter says otherwise")
        acts_BT, logits_BTV = _cached_step(live, input_ids, record, rows.edit)
    except ModelError as error:
        raise _refusal(live, error.message) from error
    step = logits_BTV[0, -1]
    _expect_edit(live, "a step after a cache", acts_BT[0], rows.edit, [True])
    for row, (name, columns) in enumerate(ROWS.items()):
        if name == "zeroed":
            continue
        found_TV = rows.logits_BTV[row, columns]
        _expect_edit(live, f"a {name} row", rows.acts_BT[row, columns], rows.edit, [False, False, True])
        for token in range(N_PROMPT):
            _agree(live, f"token {token} of a {name} row and of a text alone", found_TV[token], record.logits[token])
        _agree(live, f"a step after a cache and in a {name} row", step, found_TV[N_PROMPT])


def _site(live: LiveModel) -> str:
    """Where the edit is: at a neuron, but where the token may not be routed to the neuron's expert."""
    return SITE if live.experts(0) is None else "resid_post"


def _cached_step(live: LiveModel, input_ids: Tensor, record: Record, edit: Edit) -> tuple[Tensor, Tensor]:
    """(values at the edited neuron, logits) of a third token, read as `generate` reads one."""
    mask = torch.ones(1, N_PROMPT + 1, dtype=torch.long, device=live.device)
    with ExitStack() as hooks, torch.inference_mode():
        hooks.enter_context(_under(live, edit))
        acts = _watch(live, hooks)
        output = live.model(
            input_ids=input_ids[:, :1],
            attention_mask=mask,
            **position_arguments(live, live.model.forward, mask, 1),
            use_cache=True,
            **{cache_argument(live.model.forward): cache_of(record.output)},
        )
    return acts[0], output.logits.float()


def _under(live: LiveModel, edit: Edit, prompt_lengths: list[int] | None = None) -> AbstractContextManager[None]:
    """The edit for generated tokens only, so that it shows what is taken for prompt and what is not."""
    dims = {name: getattr(live, name) for name in ("n_layers", "d_model", "d_mlp", "gated")}
    spec = InterventionSpec(
        model=ModelReference(id="probe", fingerprint="sha256:" + "0" * 64, **dims),
        tokenization=Tokenization(False, False),
        edits=(edit,),
        phase="generated",
    )
    return intervene(live, spec, override_model=True, prompt_lengths=prompt_lengths)


def _watch(live: LiveModel, hooks: ExitStack) -> list[Tensor]:
    """Fills with [batch, tokens] float32 values of the edited neuron, as they are after the edit."""
    seen: list[Tensor] = []
    tap = live.tap(_site(live), 0)
    hooks.callback(tap.register(lambda acts_BTN: seen.append(acts_BTN[..., NEURON].float())).remove)
    return seen


def _expect_edit(live: LiveModel, what: str, acts_T: Tensor, edit: Edit, wanted: list[bool]) -> None:
    number = torch.tensor(edit.value, dtype=live.dtype, device=acts_T.device).float()
    found = (acts_T == number).tolist()
    if found != wanted:
        raise _refusal(live, f"in {what} the edited tokens are {_places(found)}, and should be {_places(wanted)}")


def _places(edited: list[bool]) -> str:
    return ", ".join(str(token) for token, is_edited in enumerate(edited) if is_edited) or "none"


def _agree(live: LiveModel, what: str, found_V: Tensor, expected_V: Tensor) -> None:
    spread = (expected_V - expected_V.mean()).square().mean().sqrt()
    difference = (found_V - expected_V).square().mean().sqrt()
    if not difference <= TOLERANCE[live.dtype] * spread:
        raise _refusal(
            live, f"logits of {what} differ by {float(difference):.3g}, where they spread by {float(spread):.3g}"
        )


def _refusal(live: LiveModel, what: str) -> ModelError:
    return ModelError(
        f"{live.model_id} cannot be edited reliably while it generates: {what}",
        f"Ran with {ran_with()}; other versions of transformers may read passes in another way.",
    )
