"""The check of a spec: log-probabilities that show whether model and effect are those it was made with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from atlas.errors import ModelError, SpecError, UsageError
from atlas.live.intervene import check_model, intervene
from atlas.live.model import LiveModel
from atlas.live.outputs import output_logits
from atlas.live.prompts import check_ids, prompt_ids
from atlas.spec.document import Check, InterventionSpec

# Largest difference between two machines that counts as equal. Half precision has few digits.
TOLERANCE = {torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 5e-2}


@dataclass(frozen=True)
class CheckReport:
    """Largest absolute differences of log-probability to the spec's check, without and with the edits."""

    max_before: float
    max_after: float
    tolerance: float
    ok: bool


def next_logprobs(live: LiveModel, ids: Sequence[int]) -> Tensor:
    """[d_vocab] float32 log-probabilities of the token after `ids`, on the CPU; of an encoder what its head gives.

    Under whatever edits are in force. Raises ModelError when they are not numbers.
    """
    logprobs: Tensor = output_logits(live, ids).log_softmax(-1).cpu()
    if logprobs.isnan().any():
        raise ModelError(f"{live.model_id} computes logits that are not numbers", "An edit's number may be too large.")
    return logprobs


def with_check(
    live: LiveModel,
    spec: InterventionSpec,
    prompt: str,
    *,
    tokens: Sequence[int] | None = None,
    n_tokens: int = 5,
    override_model: bool = False,
) -> InterventionSpec:
    """The spec with its `check` filled in (anew) from this model and `prompt`.

    `tokens`: ids to look at; None: the `n_tokens` that are likeliest without or with the edits. The tolerance
    is that of the model's dtype. A check is one forward pass, so it does not see edits of phase `generated`.

    Raises SpecError for a spec of another model, UsageError for a prompt or tokens that do not fit.
    """
    ids = prompt_ids(live, spec.tokenization, prompt)
    before, after = before_and_after(live, spec, ids, override_model=override_model)
    if tokens is None:
        likeliest = torch.maximum(before, after).sort(descending=True, stable=True).indices
        tokens = likeliest[:n_tokens].tolist()
    wrong = [token for token in tokens if not 0 <= token < live.n_outputs]
    if wrong or not tokens:
        problem = f"there is no token {wrong[0]}" if wrong else "a check needs at least one token"
        raise UsageError(problem, f"Token ids are 0 to {live.n_outputs - 1}.")
    check = Check(
        prompt_ids=tuple(ids),
        tokens=tuple(tokens),
        logprob_before=tuple(before[list(tokens)].tolist()),
        logprob_after=tuple(after[list(tokens)].tolist()),
        tolerance=TOLERANCE[live.dtype],
    )
    return replace(spec, check=check)


def verify_check(live: LiveModel, spec: InterventionSpec, *, override_model: bool = False) -> CheckReport:
    """Run the spec's check on this model.

    Raises SpecError when there is no check, or when it or the spec is for another model.
    """
    if spec.check is None:
        raise SpecError(
            "the spec has no check",
            "Add one: neuron-atlas run SPEC --prompt TEXT --write-check.",
        )
    check_model(live, spec, override_model=override_model)
    check = spec.check
    try:
        check_ids(live, check.prompt_ids)
    except UsageError as error:
        raise SpecError(f"check.prompt_ids: {error.message}") from None
    if max(check.tokens) >= live.n_outputs:
        raise SpecError(
            f"check.tokens: {max(check.tokens)} is outside 0..{live.n_outputs - 1}, the tokens of the model"
        )
    found = before_and_after(live, spec, check.prompt_ids, override_model=override_model)
    wanted = check.logprob_before, check.logprob_after
    max_before, max_after = (
        float((logprobs[list(check.tokens)].double() - torch.tensor(numbers, dtype=torch.float64)).abs().max())
        for logprobs, numbers in zip(found, wanted, strict=True)
    )
    ok = max(max_before, max_after) <= check.tolerance
    return CheckReport(max_before, max_after, check.tolerance, ok)


def before_and_after(
    live: LiveModel, spec: InterventionSpec, ids: Sequence[int], *, override_model: bool = False
) -> tuple[Tensor, Tensor]:
    """`next_logprobs` without and with the edits. Raises as `intervene` does."""
    before = next_logprobs(live, ids)
    with intervene(live, spec, override_model=override_model):
        return before, next_logprobs(live, ids)
