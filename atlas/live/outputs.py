"""What a model gives for one text: the next token, the token at a mask, or labels; as log-probabilities.

Axes: B texts of a batch, T tokens, C outputs: tokens or labels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from atlas.errors import ModelError, UsageError
from atlas.live.model import LiveModel
from atlas.live.positions import position_arguments
from atlas.live.vocabulary import vocabulary_of


def output_names(live: LiveModel) -> dict[int, str]:
    """The outputs by number: texts of tokens, or labels."""
    if live.head_kind == "classifier":
        return dict(enumerate(live.labels))
    return vocabulary_of(live).texts


def output_logits(live: LiveModel, ids: Sequence[int]) -> Tensor:
    """[C] float32 of the token after `ids`, of the token at their mask, or of their label, on the model's device.

    Under whatever edits are in force. Raises UsageError for a text without exactly one mask where that is read, and
    ModelError for a model without a head.
    """
    input_ids = torch.tensor([list(ids)], device=live.device)
    if live.head_kind == "classifier":
        return label_logits(live, input_ids, torch.ones_like(input_ids))[0]
    if live.head is None:
        with torch.inference_mode():
            after: Tensor = live.model(input_ids=input_ids, use_cache=False).logits[0, -1].float()
        return after
    live.unembedding()  # ModelError where there is no head
    place = mask_place(live, ids)
    with torch.inference_mode():
        at_mask: Tensor = live.model(input_ids=input_ids, attention_mask=torch.ones_like(input_ids)).logits[0, place]
    return at_mask.float()


def label_logits(live: LiveModel, ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """[B, C] float32 of a classifier for right-padded texts, under whatever edits are in force."""
    if live.head_kind != "classifier":
        raise ModelError(f"{live.model_id} is no classifier", "Its config names no labels.")
    ids_BT, mask_BT = ids_BT.to(live.device), mask_BT.to(live.device)
    positions = position_arguments(live, live.model.forward, mask_BT)
    with torch.inference_mode():
        found: Tensor = live.model(input_ids=ids_BT, attention_mask=mask_BT, **positions).logits.float()
    return found


def mask_place(live: LiveModel, ids: Sequence[int]) -> int:
    """Where the one mask is among `ids`. UsageError where there is none, or several."""
    places = [place for place, token in enumerate(ids) if token == live.tokenizer.mask_token_id]
    if len(places) != 1:
        raise UsageError(
            f"the prompt has {len(places)} {live.tokenizer.mask_token}, and a masked language model fills in one",
            f'Write it where the token is to be: --prompt "A dog is {live.tokenizer.mask_token}."',
        )
    return places[0]
