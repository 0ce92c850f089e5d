"""Run the commands of docs/tour.md and README.md and put their real output below them: `python docs/make_tour.py`.

A page is its own script. Every block that begins with ```console holds commands, each after "$ ", and what they print;
this script runs the commands in order, on the demo atlas, from the root of the repository, and writes their output
anew. Everything outside of the blocks is written by hand. What `--plot` draws in a command is copied beside the tour,
as a PNG of 256 colours. `--show` runs the tour in this terminal instead, with its words between the commands, and
writes no page: that is the end of `make demo`.

What differs from one machine or run to the next is masked (`MASKS`). The last line of a page is a digest of its blocks:
tests/docs/test_tour.py finds out who edited one by hand, and compares the pages with a built demo atlas.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise, takewhile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
TOUR, README = ROOT / "docs" / "tour.md", ROOT / "README.md"
ATLAS = "data/atlases/smollm2-135m.duckdb"

_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SEAL = re.compile(r"^<!-- commands and outputs: sha256 (\w+) -->\n\Z", re.MULTILINE)

# Pattern and what stands for it; what only some runs print (progress) is left out.
MASKS = (
    (r"^progress: .*\n", ""),
    (r"^(bytes +)\d+$", r"\1<bytes>"),
    (r"^(built with +)\S.*\n(?: *\S.*\n)*", r"\1<versions>\n"),
    (r"neuron-atlas \d+(\.\w+)+", "neuron-atlas <version>"),
    (r"\b[0-9a-f]{32}\b", "<id>"),
    (r"^[0-9a-f]{8}(?= )", "<spec>  "),
    (r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) +[\d.]+$", r"\1  <seconds>"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "<time>"),
    (r"(?<=verified, )\S+(?= from)", "<difference>"),
)


class Step(NamedTuple):
    """A command as a shell reads it, and what the page says it prints."""

    command: str
    output: str

    def words(self) -> list[str]:
        """The command as its program gets it."""
        return shlex.split(self.command.replace("\\\n", ""))


def steps(page: str) -> list[Step]:
    """All commands of a page in order."""
    return [step for block in _BLOCK.finditer(page) for step in _steps_of(block[1])]


def pictures(page: str) -> list[str]:
    """What the commands of a page draw, as paths from the root of the repository."""
    words = [word for step in steps(page) for word in step.words()]
    return [after for word, after in pairwise(words) if word == "--plot"]


def seal(page: str) -> str:
    """The digest of a page's commands and outputs, in hex."""
    return hashlib.sha256(repr([tuple(step) for step in steps(page)]).encode()).hexdigest()


def sealed(page: str) -> str | None:
    """The digest that a page states, or None."""
    found = _SEAL.search(page)
    return found and found[1]


def run(step: Step, root: Path) -> str:
    """What a step prints, masked; `root` is the folder that its paths start from. RuntimeError when it fails."""
    done = subprocess.run(
        ["bash", "-c", step.command],
        cwd=root,
        env=_environment() | {"COLUMNS": "100", "TERM": "dumb"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"exit code {done.returncode}: {step.command}\n{done.stdout}")
    return mask(done.stdout)


def mask(text: str) -> str:
    """`text` without what differs from one machine or run to the next, and without blanks at the end of lines."""
    text = "".join(f"{line.rstrip()}\n" for line in text.splitlines())
    for pattern, mark in MASKS:
        text = re.sub(pattern, mark, text, flags=re.MULTILINE)
    return text


def refreshed(page: str, root: Path = ROOT) -> str:
    """The page with the outputs of today and their digest."""

    def anew(block: re.Match[str]) -> str:
        parts = [f"$ {step.command}\n{run(step, root)}" for step in _steps_of(block[1])]
        return f"```console\n{''.join(parts)}```"

    page = _SEAL.sub("", _BLOCK.sub(anew, page))
    return f"{page.rstrip()}\n\n<!-- commands and outputs: sha256 {seal(page)} -->\n"


def show(page: str, root: Path = ROOT) -> None:
    """Run the tour in this terminal. CalledProcessError when a command fails."""
    at = 0
    for block in _BLOCK.finditer(page):
        _say(page[at : block.start()])
        for step in _steps_of(block[1]):
            _say(f"$ {step.command}")
            subprocess.run(["bash", "-c", step.command], cwd=root, env=_environment(), check=True)
        at = block.end()
    _say(page[at:])


def _steps_of(body: str) -> Iterator[Step]:
    lines = body.splitlines(keepends=True)
    while lines:
        command = lines.pop(0).removeprefix("$ ")
        while lines and _unfinished(command):
            command += lines.pop(0)
        output = list(takewhile(lambda line: not line.startswith("$ "), lines))
        del lines[: len(output)]
        yield Step(command.removesuffix("\n"), "".join(output))


def _unfinished(command: str) -> bool:
    """Whether a shell would read on: after a backslash, and inside of quotes."""
    try:
        shlex.split(command)
    except ValueError:
        return True
    return command.endswith("\\\n")


def _environment() -> dict[str, str]:
    """The commands are those of this interpreter's environment, and ask the demo atlas."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return os.environ | {"PATH": path, "NEURON_ATLAS": ATLAS}


def _say(text: str) -> None:
    """Print the words of a page without its comments and pictures."""
    text = re.sub(r"^(<!--.*-->|!\[.*\]\(.*\))\n", "", text, flags=re.MULTILINE)
    sys.stdout.write(f"\n{text.strip()}\n\n" if text.strip() else "\n")
    sys.stdout.flush()


def copy_picture(drawn: Path, target: Path) -> None:
    """Copy a PNG as one of 256 colours, a third of its bytes."""
    from PIL import Image

    Image.open(drawn).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(target, optimize=True)


def main() -> None:
    """Both pages, or with --show the tour in this terminal."""
    if "--show" in sys.argv[1:]:
        return show(TOUR.read_text(encoding="utf-8"))
    for page in (TOUR, README):
        text = refreshed(page.read_text(encoding="utf-8"))
        for drawn in pictures(text):
            copy_picture(ROOT / drawn, TOUR.with_name(Path(drawn).name))
        page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
