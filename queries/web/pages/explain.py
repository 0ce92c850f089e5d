"""Which neurons hold the logit of a next token: computed for all, measured for those that are named."""

from __future__ import annotations

from typing import Any

from atlas.answers.result import Document, Result
from atlas.errors import AtlasError, AtlasFileError
from queries.web.asked import Asked
from queries.web.commands import command
from queries.web.live import LONGEST_TEXT
from queries.web.page import Page

TOP, MOST_TOP, CANDIDATES = 10, 50, 10
EXAMPLE = "The capital of France is"


def explain_page(asked: Asked) -> Page:
    """The likeliest next tokens of a prompt to choose from, and the neurons behind the chosen one."""
    assert asked.live is not None  # the registry says that the page is there with a model alone
    prompt = asked.text("prompt", LONGEST_TEXT)
    token, against = asked.text("token", 200), asked.text("against", 200)
    top = asked.integer("top", TOP, least=1, most=MOST_TOP) or TOP
    likely: Result | None = None
    found: Document | None = None
    problem: AtlasError | None = None
    if prompt is not None:
        try:
            likely = asked.live.next_tokens(prompt, top=CANDIDATES, stopped=asked.stopped)
            found = asked.live.explain(
                asked.atlas, prompt, token=token, against=against, top=top, stopped=asked.stopped
            )
        except AtlasFileError:
            raise
        except AtlasError as error:
            problem = error
    neurons = [] if found is None else _with_bars(found.sections["neurons"])
    context: dict[str, Any] = {
        "prompt": prompt or "",
        "token": token,
        "against": against,
        "top": top,
        "likely": likely,
        "found": found,
        "target": None if found is None else next(iter(found.sections["prompts"])),
        "neurons": neurons,
        "addresses": list(dict.fromkeys(row["address"] for row in neurons)),
        "problem": problem,
        "example": EXAMPLE,
        "longest": LONGEST_TEXT,
    }
    asks = None
    if prompt is not None:
        asks = command(asked.atlas, "explain", prompt, token=token, against=against, top=top, verify=top)
    return Page("Explain", "explain.html", context, found, asks, problem=problem)


def _with_bars(neurons: Result) -> list[dict[str, Any]]:
    """The rows, each with how long its measured part is beside the longest, from -100 to 100."""
    rows = neurons.dicts()
    longest = max((abs(row["measured"]) for row in rows if row["measured"] is not None), default=0.0) or 1.0
    for row in rows:
        row["bar"] = None if row["measured"] is None else round(100 * row["measured"] / longest)
    return rows
