"""Write docs/cli.md from the commands themselves: `python docs/make_cli_reference.py`, project installed.

tests/atlas/cli/test_reference.py fails when the page and the commands differ.
"""

from __future__ import annotations

from pathlib import Path

import click

from atlas import errors
from atlas.__main__ import COMMANDS, PROGRAM
from atlas.answers.cells import LIST_WIDTH, TOKEN_LIST_WIDTH, TOKEN_WIDTH
from atlas.answers.formats import FORMATS
from atlas.cli.group import LazyGroup
from atlas.printable import TEXT_WIDTH

PAGE = Path(__file__).with_name("cli.md")

HEAD = """\
# Command line reference

Written by `docs/make_cli_reference.py` from the commands themselves; do not edit by hand.

`{program}`, `python -m neuron_atlas` and `python -m atlas` are the same. A command that reads takes its atlas from
`-a FILE`, else from `$NEURON_ATLAS`, else it takes the newest file in `data/atlases`.

Data goes to stdout or to the file of `-o`; notes, progress and errors go to stderr. When an answer is cut,
stderr says so and names the flag that lifts the cut.

The file of `-o` appears whole or not at all and replaces an older one; a link stays a link. A device, a pipe or
`/dev/stdout` is written through. No answer replaces a database, such as an atlas, or a file that the command reads;
`build --replace` replaces only an atlas, `export --force` only what an export wrote.

Names and texts in an atlas may come from strangers: notes, errors and tables show as escapes, such as `\\x1b`, what a
terminal obeys or does not draw in a place of its own ([security.md](security.md)), and so does CSV on a terminal.
"""

FORMATS_HEAD = """\
## Formats

A table is for reading: it shows the main columns in four digits and quotes tokens, so that a leading space is
seen. A token wider than {token} columns of the terminal, another text wider than {text}, and a list wider than
{tokens} (of tokens) or {listed} end in "…", as does a token that its column is too narrow for. Numbers are never cut;
they rather make the table wider than the terminal.

All other formats carry every column, text and digit. In JSON, NaN and infinity are null; in CSV they
are empty and lists are JSON text. JSON shows controls of any kind as `\\uXXXX`; CSV has texts as they are, unless
`--csv-safe` puts ' before those that a spreadsheet would take for a formula. {binary} need `-o FILE` or a pipe.
Without `--format` the suffix of the file chooses.

`build`, `fetch` and `export` say where the thing is that they made: its path alone, as for
`$({program} fetch smollm2-135m)`, unless `--format` asks for more.

| `--format` | suffix |
|---|---|
"""

CODES = [
    (errors.EXIT_OK, "an answer, also one without rows"),
    (errors.EXIT_QUESTION, "the question cannot be answered: an unknown name, bad SQL, a limit reached"),
    (errors.EXIT_USAGE, "wrong options, or options that do not fit together"),
    (errors.EXIT_ATLAS, "the atlas is missing, locked, damaged or of another schema version"),
    (
        errors.EXIT_EXTRA,
        "an optional package is missing, or one of ours is hidden by another; the hint says what to do",
    ),
    (errors.EXIT_BUILD, "a build could not start or failed its checks; nothing was published"),
    (errors.EXIT_INTERRUPT, "interrupted"),
]

COMPLETION = """\
## Shell completion

| shell | once |
|---|---|
| bash | `{program} completion bash >> ~/.bashrc` |
| zsh | `{program} completion zsh >> ~/.zshrc` |
| fish | `{program} completion fish > ~/.config/fish/completions/{program}.fish` |
"""


def reference() -> str:
    """The whole page."""
    door = LazyGroup(PROGRAM, COMMANDS)
    context = click.Context(door, info_name=PROGRAM, terminal_width=100, **door.context_settings)
    parts = [HEAD.format(program=PROGRAM), _help(PROGRAM, door.get_help(context)), _formats(), _codes()]
    parts.append(COMPLETION.format(program=PROGRAM))
    for name in COMMANDS:
        command = door.get_command(context, name)
        inner = click.Context(command, info_name=name, parent=context)
        parts.append(_help(f"{PROGRAM} {name}", command.get_help(inner)))
    return "\n".join(parts)


def _help(title: str, text: str) -> str:
    lines = "\n".join(line.rstrip() for line in text.splitlines())
    return f"## {title}\n\n```text\n{lines}\n```\n"


def _formats() -> str:
    rows = []
    for name in FORMATS:
        suffixes = ", ".join(f"`{suffix}`" for suffix in FORMATS[name].suffixes)
        rows.append(f"| `{name}` | {suffixes or 'any other'} |\n")
    widths = {"token": TOKEN_WIDTH, "text": TEXT_WIDTH, "tokens": TOKEN_LIST_WIDTH, "listed": LIST_WIDTH}
    binary = " and ".join(sorted(name for name, row in FORMATS.items() if row.binary))
    return FORMATS_HEAD.format(program=PROGRAM, binary=binary, **widths) + "".join(rows)


def _codes() -> str:
    rows = "".join(f"| {code} | {meaning} |\n" for code, meaning in CODES)
    return f"## Exit codes\n\nThese are a contract.\n\n| code | means |\n|---|---|\n{rows}"


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
