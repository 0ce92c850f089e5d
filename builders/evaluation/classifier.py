"""Texts through a classifier's own head: the log-probabilities of its labels under each arm.

Concepts are its labels, told apart by their names. Axes: A arms, E texts, C labels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch

from atlas.errors import QuestionError, UnknownNameError, UsageError
from atlas.live.batching import batches, encode
from atlas.live.head import label_logits_of
from atlas.live.model import LiveModel
from builders.evaluation.edited import Budget, Edits, edited
from builders.evaluation.prompts import Example, Prompts, require_labels
from builders.evaluation.scoring import plain_pass


def label_places(live: LiveModel, labels: Mapping[str, str]) -> dict[str, int]:
    """Each concept's label, as its number among the classifier's; `labels`: concept -> the label's name.

    Capitals and white space around a name do not matter. Raises UnknownNameError for a name that is no label, and
    UsageError for one that two concepts have.
    """
    numbers = {name.strip().casefold(): number for number, name in enumerate(live.labels)}
    if len(numbers) < len(live.labels):
        raise UsageError(f"labels of {live.model_id} differ in capitals alone", "Rename them in its config.")
    places: dict[str, int] = {}
    for concept, word in labels.items():
        name = word.strip().casefold()
        if name not in numbers:
            problem = f"{live.model_id} has no label {word.strip()!r}, and concepts are its labels"
            error = UnknownNameError("label", word.strip(), live.labels, problem=problem)
            error.hint = f"{error.hint or ''} Name it: --label {concept}=LABEL.".strip()
            raise error
        if numbers[name] in places.values():
            raise UsageError(f"two concepts have the label {word.strip()!r}", "Name one a concept: --label.")
        places[concept] = numbers[name]
    return places


def classifier_prompts(
    live: LiveModel,
    examples: Sequence[Example],
    labels: Mapping[str, str],
    template: str,
    shots: Sequence[Example],
    max_tokens: int,
) -> Prompts:
    """Each text in the template. `gold` and `label_tokens` are numbers of labels.

    Raises as `label_places` and `encode`, and UsageError for shots: a classifier learns nothing from them.
    """
    if shots:
        raise UsageError("--shots are examples before a next token, and a classifier predicts none", "Leave them out.")
    places = label_places(live, labels)
    require_labels(examples, labels, "label")
    encoded, n_cut = encode(live, [text for text, _ in examples], template, max_tokens)
    gold = [places[concept] for _, concept in examples]
    return Prompts(encoded, gold, list(places), list(places.values()), n_cut)


def classifier_log_probs(
    live: LiveModel,
    prompts: Sequence[Sequence[int]],
    specs: Sequence[Edits],
    *,
    budget: Budget,
    override_model: bool = False,
    advance: Callable[[int], None] = lambda n: None,
) -> list[np.ndarray]:
    """logprob_EC, float64, of each spec: of all labels of the classifier. `advance(n)` after n texts of one arm.

    Blocks below the first edited one are computed once for all arms (docs/evaluation.md).
    Raises QuestionError where the edits drive the model out of the numbers of its type.
    """
    out_A = [np.empty((len(prompts), live.n_outputs)) for _ in specs]
    for batch in batches(prompts, budget.batch_tokens):
        ids_BT, mask_BT = batch.input_ids.to(live.device), batch.attention_mask.to(live.device)
        plain = plain_pass(live, ids_BT, mask_BT, None, specs, budget)
        for arm, spec in enumerate(specs):
            with edited(live, spec, mask_BT.sum(1), override_model):
                final_BTD = plain.under(spec).final_BTD
            logits_BC = label_logits_of(live, final_BTD, mask_BT)
            if not torch.isfinite(logits_BC).all():
                raise QuestionError("the edits make logits that are no finite numbers", "Use smaller values.")
            out_A[arm][batch.indices] = logits_BC.double().log_softmax(-1).cpu().numpy()
            advance(len(batch.indices))
    return out_A
