"""What `explain` answers: a row a prompt, and a row a named neuron, as a Document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields

from atlas.answers.cells import quoted
from atlas.answers.result import Document, Result
from builders.attribution.edits import Neuron
from builders.attribution.explain import Explanation, NeuronShare
from builders.attribution.known import Known
from builders.attribution.request import COMPUTED, RULES, ExplainRequest

SECTIONS = ("prompts", "neurons")
_SHARE = [field.name for field in fields(NeuronShare)]
_PROMPT = ["prompt", "token", "token_id", "against", "against_id", "logit", "neurons", *COMPUTED, "measured"]


def document(
    found: Sequence[Explanation], request: ExplainRequest, known: Mapping[Neuron, Known] | None, notes: Sequence[str]
) -> Document:
    """`known`: of an atlas, where one was named. The table leaves out what says the same in every row."""
    several = len(found) > 1
    compared = ["against"] if any(each.against for each in found) else []
    prompts = Result(
        [*_PROMPT, "together", "all_direct", "sets_tried", "prompt_ids"],
        [
            (
                each.prompt,
                each.token,
                each.token_id,
                each.against,
                each.against_id,
                each.value,
                len(each.neurons),
                *(each.sums[rule] for rule in COMPUTED),
                each.sums["measured"],
                each.holds,
                each.all_direct,
                each.tried or None,
                each.prompt_ids,
            )
            for each in found
        ],
        shown=["prompt", "token", *compared, "logit", *COMPUTED, "measured", "together"],
    )
    own = [] if known is None else list(Known._fields)
    neurons = Result(
        ["prompt", "token", "place", *_SHARE, *own],
        [
            (each.prompt, each.token, place, *(getattr(share, name) for name in _SHARE), *_known(known, share))
            for each in found
            for place, share in enumerate(each.neurons, start=1)
        ],
        shown=[*(["prompt"] if several else []), "address", "activation", *COMPUTED, "measured", *own[:1], "writes"],
    )
    texts = [*notes, *_notes(found, request)]
    return Document({}, {"prompts": prompts, "neurons": neurons}, texts)


def _known(known: Mapping[Neuron, Known] | None, share: NeuronShare) -> tuple[object, ...]:
    if known is None:
        return ()
    return known.get((share.layer, share.neuron), (None, None))


def _notes(found: Sequence[Explanation], request: ExplainRequest) -> Iterator[str]:
    """What the numbers are, and of a single prompt how much of its logit is named."""
    way = "down" if request.sign < 0 else "up"
    where = "at the last token" if request.position == "last" else "summed over all tokens of the prompt"
    yield f"named by {request.rule}: {RULES[request.rule]}; neurons that hold the logit {way}, {where}"
    yield (
        f"computed: {', '.join(COMPUTED)} (direct at the last token alone); measured by setting neurons to 0: "
        "measured one by one, together all that are named; every number is a part of the logit, positive where it "
        "holds it up"
    )
    if len(found) == 1:
        (each,) = found
        than = "" if each.against is None else f" above that of {quoted(each.against)}"
        yield (
            f"the logit of {quoted(each.token)} is {each.value:.4g}{than}: it loses {each.holds:.4g} with these "
            f"{len(each.neurons)} neurons at 0 together; their gradient attributions add up to "
            f"{each.sums['gradient']:.4g}"
        )
