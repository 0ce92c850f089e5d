"""What a visitor of the explorer reads of a live model that no command asks: a neuron on a text, likely next tokens."""

from __future__ import annotations

import torch
from torch import Tensor

from atlas.answers.result import Result
from atlas.errors import ModelError, UsageError
from atlas.live.batching import Batch, batches, encode_counted
from atlas.live.capture import capture
from atlas.live.expert_pass import Routed
from atlas.live.model import LiveModel
from atlas.live.passes import log_probs, run_pass
from atlas.live.prompts import prompt_ids
from atlas.sites import format_neuron
from atlas.sites import site as site_of
from atlas.spec.document import Tokenization
from builders.attribution.tokens import Tokens

MOST_TOKENS = 512


def read_neuron(live: LiveModel, tokens: Tokens, text: str, layer: int, neuron: int, site: str) -> Result:
    """Columns position, token_id, token, value: the activation of one neuron on each token of a text, as `fires` reads.

    value is None on special tokens, and on tokens that were not routed to the expert of the neuron.
    Raises UnknownNameError and ModelError for a site that the model lacks, UsageError for a neuron that it lacks, and
    CorpusError for a text of no tokens.
    """
    site_of(site)
    live.require_site(site)
    if not (0 <= layer < live.n_layers and 0 <= neuron < live.width(site, layer)):
        raise UsageError(f"{live.model_id} has no {format_neuron(layer, neuron)} at {site}")
    encoded, (counted,) = encode_counted(live, [text], "{text}", MOST_TOKENS, "prompt")
    (ids,) = encoded.input_ids
    (batch,) = batches([ids], len(ids))
    values = _values(live, batch, layer, neuron, site)
    rows = [
        (position, token_id, tokens.text(token_id), values[position] if counts else None)
        for position, (token_id, counts) in enumerate(zip(ids, counted, strict=True))
    ]
    notes = [f"cut to {MOST_TOKENS} tokens"] if encoded.n_cut else []
    return Result(["position", "token_id", "token", "value"], rows, notes)


def _values(live: LiveModel, batch: Batch, layer: int, neuron: int, site: str) -> list[float | None]:
    """One activation a token; None where an expert did not see it."""
    found: list[float | None] = [None] * batch.input_ids.shape[1]
    experts = live.experts_at(site, layer)
    expert, unit = (-1, neuron) if experts is None else experts.place(neuron)

    def keep(site: str, layer: int, acts_BTN: Tensor) -> None:
        found[:] = acts_BTN[0, :, unit].float().tolist()

    def keep_routed(site: str, layer: int, routed: Routed) -> None:
        if routed.expert == expert:
            for token, value in zip(routed.tokens_R.tolist(), routed.acts_RN[:, unit].float().tolist(), strict=True):
                found[token] = value

    capture(live, batch.input_ids, batch.attention_mask, [site], [layer], keep, keep_routed)
    if any(value is not None and not -torch.inf < value < torch.inf for value in found):
        raise ModelError(f"{live.model_id} gives activations that are no finite numbers", "Try --dtype float32.")
    return found


def likeliest(live: LiveModel, tokens: Tokens, prompt: str, top: int) -> Result:
    """Columns token_id, token, probability of the `top` likeliest next tokens. Raises as `prompt_ids`."""
    live.require_generation("a next token")
    ids = prompt_ids(live, Tokenization(add_bos=live.add_bos, chat_template=False), prompt)
    ids_BT = torch.tensor([ids], device=live.device)
    final_BTD = run_pass(live, ids_BT, torch.ones_like(ids_BT)).final_BTD
    logprob_V = log_probs(live, final_BTD[:, -1], lambda logprob_SV, rows: logprob_SV)[0]
    best = logprob_V.sort(descending=True, stable=True).indices[:top].tolist()
    rows = [(each, tokens.text(each), float(logprob_V[each].exp())) for each in best]
    return Result(["token_id", "token", "probability"], rows)
