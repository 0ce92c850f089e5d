"""One prompt through a model without and with a spec's edits: the next token, the one at a mask, or the label."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from atlas.errors import SpecError, UsageError
from atlas.live.check import before_and_after, verify_check
from atlas.live.generation import Decoding, continuation
from atlas.live.intervene import check_model, intervene
from atlas.live.model import LiveModel
from atlas.live.outputs import output_names
from atlas.live.prompts import prompt_ids
from atlas.spec.document import InterventionSpec


@dataclass(frozen=True)
class NextToken:
    """A candidate for the token after the prompt, with its probability and 1-based rank in both runs.

    Of a masked language model for the token at the prompt's mask, of a classifier a label.
    """

    token_id: int
    token: str
    probability_before: float
    probability_after: float
    rank_before: int
    rank_after: int


@dataclass(frozen=True)
class Comparison:
    """`tokens`: likeliest without and with the edits, by the latter. The texts are what follows the prompt."""

    prompt: str
    prompt_ids: list[int]
    tokens: list[NextToken]
    text_before: str
    text_after: str


def compare(
    live: LiveModel,
    spec: InterventionSpec,
    prompt: str,
    *,
    top: int = 10,
    decoding: Decoding | None = None,
    override_model: bool = False,
    told: Callable[[str, Any], None] | None = None,
) -> Comparison:
    """Run `prompt`, tokenized as the spec says, without and with the edits; the same seed gives the same answer.

    `top`: how many tokens of either run the table takes; it has the union, so up to twice as many.

    `told` hears what is known as soon as it is: ("tokens", those of the table), and of the texts ("before", a piece)
    and ("after", a piece), piece by piece.

    An encoder generates no text. Raises what `intervene` raises, UsageError for a prompt that leaves no room for the
    new tokens, and ModelError for an encoder that is to sample.
    """
    decoding = decoding or Decoding()
    if live.head is not None:
        if decoding.temperature is not None:
            live.require_generation("--sample")
        decoding = Decoding(max_new_tokens=0)
    ids = prompt_ids(live, spec.tokenization, prompt)
    longest = live.max_positions
    if longest is not None and len(ids) + decoding.max_new_tokens > longest:
        raise UsageError(
            f"{len(ids)} tokens of prompt and {decoding.max_new_tokens} new ones are more than the {longest} that "
            f"{live.model_id} reads",
            f"Use --max-new-tokens {longest - len(ids)}.",
        )
    tokens = _next_tokens(live, spec, ids, top, override_model)
    if told is not None:
        told("tokens", tokens)
    before = continuation(live, ids, decoding, told and functools.partial(told, "before"))
    after = before
    if decoding.max_new_tokens:
        with intervene(live, spec, override_model=override_model):
            after = continuation(live, ids, decoding, told and functools.partial(told, "after"))
    return Comparison(prompt, ids, tokens, before, after)


def require_check(live: LiveModel, spec: InterventionSpec) -> str:
    """Verify the spec's check and return a remark on it. SpecError when it fails, with what differs."""
    report = verify_check(live, spec)
    if not report.ok:
        same_model = report.max_before <= report.tolerance
        dtype = str(live.dtype).removeprefix("torch.")
        raise SpecError(
            f"the check of the spec fails: log-probabilities differ by {report.max_before:.2g} without and "
            f"{report.max_after:.2g} with the edits, allowed {report.tolerance:g}",
            "The model is the same; the edits were changed since, or acted elsewhere in another way. "
            "--write-check makes a new check."
            if same_model
            else f"The model computes something else here, in {dtype}; try --dtype float32.",
        )
    largest = max(report.max_before, report.max_after)
    return f"check ok: log-probabilities differ by at most {largest:.1g}, allowed {report.tolerance:g}"


def check_is_blind(spec: InterventionSpec) -> bool:
    """Whether the edits change nothing that the spec's check looks at, so that it cannot tell them from none."""
    check = spec.check
    pairs = zip(check.logprob_before, check.logprob_after, strict=True)
    return all(abs(before - after) <= check.tolerance for before, after in pairs)


def _next_tokens(
    live: LiveModel, spec: InterventionSpec, ids: Sequence[int], top: int, override_model: bool
) -> list[NextToken]:
    check_model(live, spec, override_model=override_model)
    before, after = before_and_after(live, spec, ids, override_model=override_model)
    orders = [logprobs.sort(descending=True, stable=True).indices for logprobs in (before, after)]
    ranks = [order.argsort() + 1 for order in orders]
    shown = set(orders[0][:top].tolist()) | set(orders[1][:top].tolist())
    texts = output_names(live)
    return [
        NextToken(
            token,
            texts.get(token, f"[{token}]"),
            float(before[token].exp()),
            float(after[token].exp()),
            int(ranks[0][token]),
            int(ranks[1][token]),
        )
        for token in sorted(shown, key=lambda token: int(ranks[1][token]))
    ]
