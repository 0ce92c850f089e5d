"""Run a spec: a prompt before and after, and the next token of both, as `neuron-atlas run` says it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from atlas.answers.result import Document, Result
from atlas.errors import AtlasError, AtlasFileError, UsageError
from queries.specs.make_spec import Made
from queries.specs.remarks import remarks
from queries.web.asked import Asked
from queries.web.live import LONGEST_TEXT
from queries.web.page import Page
from queries.web.render import fragment
from queries.web.spec_form import SpecForm, read_form

TOKENS, MOST_TOKENS = 30, 200
"""New tokens of the two texts."""


def run_page(asked: Asked) -> Page:
    """The answer as a whole, for who has no script, and as data."""
    form = read_form(asked)
    made: Made | None = None
    ran: Document | None = None
    problem: AtlasError | None = None
    prompt = ""
    try:
        prompt = asked.text("prompt", LONGEST_TEXT) or ""
        made = form.spec(asked.atlas)
        ran = run_spec(asked, made, lambda what, value: None)
    except AtlasFileError:
        raise
    except AtlasError as error:
        problem = error
    texts = {} if ran is None else next(iter(ran.sections["generated"]))
    context: dict[str, Any] = {
        "form": form,
        "remarks": [] if made is None else list(remarks(made.spec)),
        "prompt": prompt,
        "tokens": asked.text("tokens", 20) or TOKENS,
        "most_tokens": MOST_TOKENS,
        "longest": LONGEST_TEXT,
        "ran": None if ran is None else ran.sections["next_token"],
        "before": texts.get("before", ""),
        "after": texts.get("after", ""),
        "problem": problem,
    }
    asks = command_of(asked, form) if ran is not None else None
    return Page("Run", "run.html", context, ran, asks, problem=problem)


def run_events(asked: Asked, send: Callable[[str, Any], None]) -> None:
    """Events: "table" (HTML of the next-token table), and "before" and "after" (a piece of text each)."""

    def told(what: str, value: Any) -> None:
        if isinstance(value, Result):
            send("table", fragment("ran_table.html", asked, ran=value))
        else:
            send(what, value)

    ran = run_spec(asked, read_form(asked).spec(asked.atlas), told)
    # As decoded at once: a tokenizer may decode a text otherwise than its pieces.
    send("texts", next(iter(ran.sections["generated"])))


def run_spec(asked: Asked, made: Made, told: Callable[[str, Any], None]) -> Document:
    """Raises what is wrong with the prompt, and what the model refuses."""
    assert asked.live is not None  # the registry says that the page is there with a model alone
    prompt = asked.text("prompt", LONGEST_TEXT)
    tokens = asked.integer("tokens", TOKENS, least=0, most=MOST_TOKENS)
    if prompt is None:
        raise UsageError("there is no prompt", "Give it at least one word.")
    return asked.live.run(
        made.spec, prompt, tokens=TOKENS if tokens is None else tokens, told=told, stopped=asked.stopped
    )


def command_of(asked: Asked, form: SpecForm) -> str:
    """The command line of the same."""
    import shlex

    return shlex.join(
        [
            *("neuron-atlas", "run", form.file_name, "--prompt", asked.text("prompt", LONGEST_TEXT) or ""),
            *("--max-new-tokens", str(asked.integer("tokens", TOKENS))),
        ]
    )
