"""docs/tour.md and README.md without an atlas: what they tell people to type exists, and nobody edited an output."""

from __future__ import annotations

import importlib
import re
import subprocess
from itertools import pairwise
from pathlib import Path

import click
import pytest

from atlas import __main__ as door
from tests.architecture.imports import ROOT
from tests.commands import AS_IN_THE_GROUP
from tests.docs.pages import make_tour

SCRIPT = make_tour()
TOUR, README = (page.read_text(encoding="utf-8") for page in (SCRIPT.TOUR, SCRIPT.README))
PARTS = [
    "info",
    "concept",
    "token",
    "neuron",
    "exemplars",
    "fires",
    "explain",
    "sql",
    "spec",
    "evaluate",
    "run",
    "export",
]


def refused(words: list[str]) -> str | None:
    """What the command line finds wrong with a command of ours, before it does anything; None when nothing."""
    program, name, *arguments = words
    if program != door.PROGRAM:
        return f"{program} is not {door.PROGRAM}"
    if name not in door.COMMANDS:
        return f"no command {name}"
    module, _, attribute = door.COMMANDS[name][0].partition(":")
    found = getattr(importlib.import_module(module), attribute)
    # As the door makes them: a command keeps the help option of its first context.
    context = click.Context(found, info_name=name, **AS_IN_THE_GROUP)
    try:
        values, rest, _ = found.make_parser(context).parse_args(list(arguments))
        for parameter in found.params:
            if parameter.name in values and not isinstance(parameter.type, click.Path):
                parameter.type_cast_value(context, values[parameter.name])
    except click.ClickException as error:
        return error.format_message()
    return f"left over: {rest}" if rest else None


@pytest.mark.parametrize("step", [*SCRIPT.steps(TOUR), *SCRIPT.steps(README)], ids=lambda step: step.command[:60])
def test_every_command_is_one_that_the_command_line_takes(step) -> None:
    assert refused(step.words()) is None
    assert step.output, "no output: run `make tour`"


@pytest.mark.parametrize(
    "command",
    [
        "neuron-atlas tokens dog",
        "neuron-atlas token dog --limits 5",
        "neuron-atlas token dog --limit five",
        "neuron-atlas concept sports --rule lowleakage",
        "neuron-atlas concept sports food",
        "rm -r .",
    ],
)
def test_a_command_that_is_wrong_is_found(command: str) -> None:
    assert refused(command.split()) is not None


@pytest.mark.parametrize(("name", "page"), [("docs/tour.md", TOUR), ("README.md", README)])
def test_outputs_are_those_of_the_commands_that_stand_there(name: str, page: str) -> None:
    assert SCRIPT.sealed(page) == SCRIPT.seal(page), f"a block of {name} was edited by hand: run `make tour`"


@pytest.mark.parametrize(
    ("old", "new"), [("--limit 5", "--limit 4"), ("L29N808", "L29N809"), ("0.0426", "0.0427"), ("note: ", "note:")]
)
def test_an_edit_by_hand_breaks_the_seal(old: str, new: str) -> None:
    assert old in TOUR
    assert SCRIPT.seal(TOUR.replace(old, new)) != SCRIPT.sealed(TOUR)


def test_words_between_the_blocks_are_free() -> None:
    assert SCRIPT.seal(TOUR.replace("## Take it elsewhere", "## Elsewhere")) == SCRIPT.sealed(TOUR)


def test_the_tour_shows_its_parts_in_order() -> None:
    names = [step.words()[1] for step in SCRIPT.steps(TOUR)]
    assert list(dict.fromkeys(names)) == PARTS
    assert names == sorted(names, key=PARTS.index)
    titles = re.findall(r"^## (.*)$", TOUR, re.MULTILINE)
    assert len(titles) >= len(PARTS) and len(set(titles)) == len(titles)


def test_every_file_that_a_step_reads_was_written_by_an_earlier_one() -> None:
    there: set[str] = set()
    for step in SCRIPT.steps(TOUR):
        words = step.words()
        files = [word for word in words if word.startswith("data/atlases/")]
        written = {word for option, word in pairwise(words) if option in ("-o", "--plot")}
        assert set(files) - written <= there, step.command
        there |= written
    assert len(there) >= 3


def test_nothing_on_the_pages_belongs_to_one_machine() -> None:
    for page in (TOUR, README):
        for step in SCRIPT.steps(page):
            assert SCRIPT.mask(step.output) == step.output
            assert not re.search(
                r"\d\d:\d\d:\d\d|\b[0-9a-f]{32}\b|/home/|/root/|/tmp/|" + re.escape(str(ROOT)), step.output
            )


def test_masks_hide_what_they_say_and_nothing_else() -> None:
    printed = """\
progress: perplexity: 50%, 0:00:30
bytes           151793696
atlas id        56a70e58bbec4d1db82c5cef90b21fe1
created at      2026-11-29 10:52:17
software        neuron-atlas 0.1.0
built with      software: neuron-atlas 0.1.0, python: 3.11.7,
numpy: 2.4.6

     1  decode     cpu     float32  2026-11-29 10:45:06      269
829708d8  sports  baseline  accuracy  0.7857
note: verified, 3.5e-06 from the check (0.0001 is allowed)
 fingerprint sha256:fa906bbe808e5f0dc429ae1866eee3645e253d47869d9398d0c27dd5be810a80 0.9573   \n"""
    masked = """\
bytes           <bytes>
atlas id        <id>
created at      <time>
software        neuron-atlas <version>
built with      <versions>

     1  decode     cpu     float32  <time>  <seconds>
<spec>    sports  baseline  accuracy  0.7857
note: verified, <difference> from the check (0.0001 is allowed)
 fingerprint sha256:fa906bbe808e5f0dc429ae1866eee3645e253d47869d9398d0c27dd5be810a80 0.9573
"""
    assert SCRIPT.mask(printed) == masked
    for _, mark in SCRIPT.MASKS:
        for named in re.findall(r"<\w+>", mark):
            assert f"`{named}`" in TOUR.split("\n## ")[0], f"the tour does not say what {named} stands for"


def test_readme_shows_an_answer_and_a_picture_of_the_tour() -> None:
    (answer,) = SCRIPT.steps(README)
    assert answer in SCRIPT.steps(TOUR)
    assert len(answer.output.splitlines()) <= 12
    (picture,) = SCRIPT.pictures(TOUR)
    name = Path(picture).name
    assert f"({name})" in TOUR
    for name in ("explorer-concept.png", "explorer-neuron.png"):
        assert f'src="docs/{name}"' in README and (SCRIPT.ROOT / "docs" / name).stat().st_size > 10_000


def test_readme_is_one_screen_and_says_the_two_commands() -> None:
    lines = README.splitlines()
    # A note is one line, however long: a terminal wraps it.
    assert len(lines) <= 66 and max(len(line) for line in lines if not line.startswith("note: ")) <= 120
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    for target in ("demo", "test"):
        assert re.search(rf"^make {target}\b", README, re.MULTILINE) and target in targets


def test_pictures_of_the_pages_are_small_and_can_be_opened() -> None:
    image = pytest.importorskip("matplotlib.image", reason="without matplotlib no picture is looked at")
    for picture in SCRIPT.pictures(TOUR):
        path = SCRIPT.TOUR.with_name(Path(picture).name)
        assert path.stat().st_size < 100_000
        height, width = image.imread(path).shape[:2]
        assert 400 < width < 2000 and 400 < height < 2000


PAGE = """\
# Page

```console
$ echo "two
words" \\
    three; echo to stderr >&2
old
lines
$ echo 'and $ another'
```

Between.

```
$ not run
```

```console
$ echo 0123456789abcdef0123456789abcdef > made; cat made
```
"""


def test_commands_run_in_order_and_their_output_replaces_the_old(tmp_path: Path) -> None:
    made = SCRIPT.refreshed(PAGE, tmp_path)
    assert made.startswith(
        PAGE.replace("old\nlines\n", "two\nwords three\nto stderr\n")
        .replace("'and $ another'\n", "'and $ another'\nand $ another\n")
        .replace("cat made\n", "cat made\n<id>\n")
    )
    assert SCRIPT.sealed(made) == SCRIPT.seal(made)
    assert SCRIPT.refreshed(made, tmp_path) == made


def test_a_command_that_fails_leaves_no_page(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"exit code 3: exit 3"):
        SCRIPT.refreshed(PAGE.replace("$ echo 'and $ another'", "$ exit 3"), tmp_path)


def test_the_tour_in_a_terminal_says_words_commands_and_outputs(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    SCRIPT.show(PAGE.replace("Between.", "Between.\n\n![a picture](x.png)\n"), tmp_path)
    said = capfd.readouterr().out
    order = [
        "# Page",
        '$ echo "two',
        "two\nwords three",
        "$ echo 'and",
        "and $ another\n",
        "Between.",
        "0123456789abcdef\n",
    ]
    places = [said.index(part) for part in order]
    assert places == sorted(places)
    assert "old" not in said and "picture" not in said
    with pytest.raises(subprocess.CalledProcessError):
        SCRIPT.show("```console\n$ exit 1\n```\n", tmp_path)
