"""Texts through a masked language model: the token at the mask of a prompt, and every token of a text masked in turn.

A mask is one token, so a label word must be one there; its probability is that of the whole word. The perplexity is
the pseudo-perplexity of Salazar et al. 2020 (arXiv 1910.14659, section 2.2): exp of the mean over all tokens t of all
texts of -log p(t | the text with t alone masked). Special tokens around a text are neither masked nor counted.

Axes: E texts, K tokens asked for, B texts of a batch, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from atlas.errors import ModelError, QuestionError, UsageError
from atlas.live.batching import PLACEHOLDER, batches, encode_at
from atlas.live.head import head_logits
from atlas.live.model import LiveModel
from atlas.live.token_ids import token_ids
from builders.evaluation.edited import Budget, Edits, edited
from builders.evaluation.prompts import Example, Prompts, require_labels
from builders.evaluation.scoring import plain_pass

Advance = Callable[[int], None]


def masked_prompts(
    live: LiveModel,
    examples: Sequence[Example],
    labels: Mapping[str, str],
    template: str,
    shots: Sequence[Example],
    max_tokens: int,
) -> Prompts:
    """Each text in the template, with one mask.

    Raises as `mask_tokens` and `encode_at` (CorpusError for a prompt of no mask or several), UnknownNameError for a
    concept without a label word, and UsageError for shots.
    """
    if shots:
        raise UsageError(
            "--shots are examples before a next token, and a masked language model predicts none", "Leave them out."
        )
    require_labels(examples, labels, "label word")
    tokens = mask_tokens(live, template, labels)
    (encoded, n_cut), _ = encode_at(live, [text for text, _ in examples], template, max_tokens, "mask", "text")
    concepts = list(labels)
    return Prompts(encoded, [concepts.index(concept) for _, concept in examples], concepts, tokens, n_cut)


def mask_tokens(live: LiveModel, template: str, labels: Mapping[str, str]) -> list[int]:
    """The token of each label word where it stands in the place of the template's mask.

    White space around a word does not count: the template says what stands around the mask. Raises ModelError for a
    tokenizer without a mask; UsageError for a template without exactly one {text} and one mask, for a word that is
    several tokens there or that the tokenizer does not know, and for two words that are the same token.
    """
    mask = live.tokenizer.mask_token
    if mask is None:
        raise ModelError(f"the tokenizer of {live.model_id} has no mask token", "A masked language model needs one.")
    if len(labels) < 2:
        raise UsageError("a classification needs at least 2 labels")
    if template.count(PLACEHOLDER) != 1 or template.count(mask) != 1:
        raise UsageError(
            f"the template {template!r} must contain {PLACEHOLDER} and {mask} exactly once: labels stand at the mask",
            f"Give one: --template '{PLACEHOLDER} It was about {mask}.'",
        )
    prompt = template.replace(PLACEHOLDER, "A text.")
    concept_of: dict[int, str] = {}
    for concept, word in labels.items():
        name = word.strip()
        found = _in_place(live, prompt, mask, name)
        unknown = live.tokenizer.unk_token_id
        # An unknown word may be the same token as the space before a mask, and then nothing seems to stand there.
        if found == [unknown] or (not found and unknown in token_ids(live, [name])[0]):
            raise UsageError(
                f"the tokenizer does not know the label word {name!r} of {concept}",
                f"Choose another word: --label {concept}=WORD.",
            )
        if len(found) != 1:
            raise UsageError(
                f"the label word {name!r} of {concept} is {len(found)} tokens at the mask, and a mask is one",
                f"Choose a word of one token: --label {concept}=WORD.",
            )
        (token,) = found
        if token in concept_of:
            raise UsageError(
                f"the label words of {concept_of[token]} and {concept} are the same token at the mask",
                f"Choose another word: --label {concept}=WORD.",
            )
        concept_of[token] = concept
    return list(concept_of)


def mask_log_probs(
    live: LiveModel,
    prompts: Sequence[Sequence[int]],
    tokens_A: Sequence[Sequence[int]],
    specs: Sequence[Edits],
    *,
    budget: Budget,
    override_model: bool = False,
    advance: Advance = lambda n: None,
) -> list[np.ndarray]:
    """logprob_EK, float64, of each spec (None: no edit): of its own K `tokens_A[arm]` at the mask of each prompt.

    Raises QuestionError where the edits drive the model out of the numbers of its type.
    """
    mask = live.tokenizer.mask_token_id
    places = [list(ids).index(mask) for ids in prompts]
    columns_A = [torch.tensor(tokens, device=live.device) for tokens in tokens_A]
    out_A = [np.empty((len(prompts), len(tokens))) for tokens in tokens_A]
    for batch in batches(prompts, budget.batch_tokens):
        places_B = torch.tensor([places[index] for index in batch.indices])
        options = {"budget": budget, "override_model": override_model}
        arms = _at(live, batch.input_ids, batch.attention_mask, places_B, specs, **options)
        for arm, logprob_BV in enumerate(arms):
            out_A[arm][batch.indices] = logprob_BV[:, columns_A[arm]].double().cpu().numpy()
            advance(len(batch.indices))
    return out_A


def n_masked(live: LiveModel, ids: Sequence[int]) -> int:
    """How many tokens of a text are predicted: all but the special ones around it."""
    before, after = live.surrounding()
    return len(ids) - len(before) - len(after)


def masked_losses(
    live: LiveModel,
    texts: Sequence[Sequence[int]],
    specs: Sequence[Edits],
    *,
    budget: Budget,
    override_model: bool = False,
    advance: Advance = lambda n: None,
) -> np.ndarray:
    """nll_AE, float64: summed negative log-probability in nats of each text's tokens, each masked by itself."""
    out_AE = np.zeros((len(specs), len(texts)))
    first = len(live.surrounding()[0])
    for number, ids in enumerate(texts):
        places = range(first, first + n_masked(live, ids))
        step = max(1, budget.batch_tokens // len(ids))
        for start in range(0, len(places), step):
            places_B = torch.tensor(places[start : start + step])
            ids_BT = torch.tensor(list(ids)).repeat(len(places_B), 1)
            rows_B = torch.arange(len(places_B))
            tokens_B = ids_BT[rows_B, places_B].to(live.device)
            ids_BT[rows_B, places_B] = live.tokenizer.mask_token_id
            options = {"budget": budget, "override_model": override_model}
            arms = _at(live, ids_BT, torch.ones_like(ids_BT), places_B, specs, **options)
            for arm, logprob_BV in enumerate(arms):
                out_AE[arm, number] -= float(logprob_BV.gather(1, tokens_B[:, None]).double().sum())
        for _ in specs:
            advance(1)
    return out_AE


def _at(
    live: LiveModel,
    ids_BT: Tensor,
    mask_BT: Tensor,
    places_B: Tensor,
    specs: Sequence[Edits],
    *,
    budget: Budget,
    override_model: bool,
) -> Iterator[Tensor]:
    """Of each spec float32 [B, V]: log-probabilities of the token at each row's place; one spec's at a time."""
    ids_BT, mask_BT, places_B = (each.to(live.device) for each in (ids_BT, mask_BT, places_B))
    plain = plain_pass(live, ids_BT, mask_BT, None, specs, budget)
    for spec in specs:
        with edited(live, spec, mask_BT.sum(1), override_model):
            final_BTD = plain.under(spec).final_BTD
        states_BD = final_BTD[torch.arange(len(places_B), device=live.device), places_B]
        logprob_BV = head_logits(live, states_BD).log_softmax(-1)
        if not torch.isfinite(logprob_BV).all():
            raise QuestionError("the edits make log-probabilities that are no finite numbers", "Use smaller values.")
        yield logprob_BV


def _in_place(live: LiveModel, prompt: str, mask: str, word: str) -> list[int]:
    """The tokens that stand where the mask of `prompt` stood, once `word` is there: all that both do not share.

    A tokenizer may join a space with the word, and may make a token of its own of the space before a mask.
    """
    masked, filled = token_ids(live, [prompt, prompt.replace(mask, word)])
    start = 0
    while start < min(len(masked), len(filled)) and masked[start] == filled[start]:
        start += 1
    end = 0
    while end < min(len(masked), len(filled)) - start and masked[-1 - end] == filled[-1 - end]:
        end += 1
    return filled[start : len(filled) - end]
