"""What `run` prints: a table for people, JSON for programs."""

from __future__ import annotations

import io
import json
from dataclasses import asdict

from atlas.live.versions import live_versions
from atlas.printable import json_text, printable
from builders.before_after import Comparison

PLAIN_WIDTH = 100  # without a terminal, as in the tables of the other commands


def as_json(comparison: Comparison, *, indent: int | None = None) -> str:
    """One JSON object and a newline; on one line without `indent`. `versions`: what the passes ran with."""
    document = {
        "prompt": comparison.prompt,
        "prompt_ids": comparison.prompt_ids,
        "next_token": [asdict(token) for token in comparison.tokens],
        "generated": {"before": comparison.text_before, "after": comparison.text_after},
        "versions": live_versions(),
    }
    return json_text(document, indent=indent) + "\n"


def as_table(comparison: Comparison, width: int | None = None) -> str:
    """The next token as a table, then the two texts beside each other."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    stream = io.StringIO()
    console = Console(file=stream, width=width or PLAIN_WIDTH, highlight=False, color_system=None)
    layout = {"box": box.SIMPLE_HEAD, "pad_edge": False, "show_edge": False}
    console.print(f"next token after {printable(json.dumps(comparison.prompt, ensure_ascii=False))}", markup=False)
    table = Table(**layout)
    table.add_column("token")
    for name in ("before", "after", "rank before", "rank after"):
        table.add_column(name, justify="right", no_wrap=True)
    for token in comparison.tokens:
        shown = Text(printable(json.dumps(token.token, ensure_ascii=False)))
        table.add_row(
            shown,
            _share(token.probability_before),
            _share(token.probability_after),
            f"{token.rank_before}",
            f"{token.rank_after}",
        )
    console.print(table)
    if comparison.text_before or comparison.text_after:
        console.print("\ngenerated")
        texts = Table(**layout, expand=True)
        for name in ("before", "after"):
            texts.add_column(name, ratio=1, overflow="fold")
        texts.add_row(
            *(Text(printable(text.strip("\n"), keep="\n")) for text in (comparison.text_before, comparison.text_after))
        )
        console.print(texts)
    return "".join(line.rstrip() + "\n" for line in stream.getvalue().splitlines())


def _share(probability: float) -> str:
    return f"{probability:.4f}" if probability >= 0.0001 or probability == 0 else f"{probability:.1e}"
