"""Measure a spec on texts that nothing was fitted on, as `neuron-atlas evaluate` does, with few texts by default."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from atlas.answers.result import Result
from atlas.errors import AtlasError, AtlasFileError
from queries.specs.make_spec import Made
from queries.specs.remarks import remarks
from queries.web.asked import Asked
from queries.web.commands import command
from queries.web.page import Page
from queries.web.render import fragment
from queries.web.spec_form import read_form

TEXTS, MOST_TEXTS, OTHERS, MOST_OTHERS = 10, 500, 20, 500
"""Held-out texts a concept, and other texts for perplexity."""


def evaluate_page(asked: Asked) -> Page:
    """The scores, once all are there."""
    form = read_form(asked)
    made: Made | None = None
    scores: Result | None = None
    problem: AtlasError | None = None
    try:
        made = form.spec(asked.atlas)
        scores = evaluate_spec(asked, made, lambda what, value: None)
    except AtlasFileError:
        raise
    except AtlasError as error:
        problem = error
    context: dict[str, Any] = {
        "form": form,
        "remarks": [] if made is None else list(remarks(made.spec)),
        "prompt": None,
        "scores": scores,
        "compared": None if scores is None else compared(scores),
        "problem": problem,
    }
    asks = None
    if scores is not None:
        texts, others = limits(asked)
        asks = command(
            asked.atlas,
            "evaluate",
            form.file_name,
            label=labels(asked),
            limit_per_concept=texts,
            other_limit=others,
            no_store=True,
        )
    return Page("Evaluate", "evaluate.html", context, scores, asks, problem=problem)


def evaluate_events(asked: Asked, send: Callable[[str, Any], None]) -> None:
    """Events: "progress" ([step, share that is done]), and at the end "table" (HTML of the scores)."""
    made = read_form(asked).spec(asked.atlas)
    scores = evaluate_spec(asked, made, lambda what, share: send("progress", [what, round(share, 4)]))
    send("table", fragment("scores.html", asked, scores=scores, compared=compared(scores)))


def evaluate_spec(asked: Asked, made: Made, told: Callable[[str, Any], None]) -> Result:
    """Raises what the limits are wrong with, and what the evaluation raises."""
    assert asked.live is not None  # the registry says that the page is there with a model alone
    texts, others = limits(asked)
    return asked.live.evaluate(
        asked.atlas, made.spec, texts=texts, others=others, labels=labels(asked), told=told, stopped=asked.stopped
    )


def limits(asked: Asked) -> tuple[int, int]:
    """Texts a concept, and other texts."""
    texts = asked.integer("texts", TEXTS, least=1, most=MOST_TEXTS)
    others = asked.integer("others", OTHERS, least=0, most=MOST_OTHERS)
    return texts or TEXTS, OTHERS if others is None else others


def labels(asked: Asked) -> list[str]:
    """CONCEPT=WORD of each line; spaces of the word count."""
    return [line for line in (asked.text("labels") or "").splitlines() if line.strip()]


def compared(scores: Result) -> tuple[list[str], list[tuple[str, str, int, list[dict[str, Any] | None]]]]:
    """(arms, rows): a row is (group of texts, metric, n, of each arm its row of the answer or None)."""
    arms = list(dict.fromkeys(scores.column("arm")))
    found: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for row in scores:
        found.setdefault((row["text_group"], row["metric"]), {})[row["arm"]] = row
    return arms, [
        (*place, next(iter(by_arm.values()))["n"], [by_arm.get(arm) for arm in arms]) for place, by_arm in found.items()
    ]
