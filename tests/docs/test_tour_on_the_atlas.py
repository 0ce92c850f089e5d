"""docs/tour.md, README.md and their picture against the atlas of `make demo`, to the tolerance of outputs.py.

Building that atlas takes longer than the suite may, so without one this is skipped, and says so.
tests/docs/test_tour.py checks what needs no atlas.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.imports import ROOT
from tests.docs.outputs import first_difference
from tests.docs.pages import make_tour, python_blocks

pytestmark = pytest.mark.slow

SCRIPT = make_tour()
BUILT = ROOT / SCRIPT.ATLAS
LARGEST = 0.004
"""Mean difference of the pixels of two pictures of the same numbers, of 1; another neuron's is nine times that."""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the demo atlas in its place: what the tour writes beside it must not replace anybody's files."""
    if not BUILT.exists():
        pytest.skip(f"NOT COMPARED: {SCRIPT.ATLAS} is not there, so docs/tour.md may be stale; `make demo` builds it")
    folder = tmp_path_factory.mktemp("stage")
    (folder / SCRIPT.ATLAS).parent.mkdir(parents=True)
    (folder / SCRIPT.ATLAS).symlink_to(BUILT)
    return folder


@pytest.fixture(scope="module")
def outputs(stage: Path) -> dict[str, str]:
    """Command -> what it prints here; all of the tour, in order, as later steps read what earlier ones write."""
    return {step.command: SCRIPT.run(step, stage) for step in SCRIPT.steps(SCRIPT.TOUR.read_text(encoding="utf-8"))}


@pytest.mark.parametrize("page", [SCRIPT.TOUR, SCRIPT.README], ids=["tour", "readme"])
def test_the_page_says_what_the_commands_print(page: Path, outputs: dict[str, str]) -> None:
    found = []
    for step in SCRIPT.steps(page.read_text(encoding="utf-8")):
        difference = first_difference(step.output, outputs[step.command])
        if difference:
            found.append(f"$ {step.command}\n{difference}")
    assert not found, f"{page.name} is stale (`make tour` writes it anew):\n\n" + "\n\n".join(found)


def test_the_picture_shows_what_is_drawn_now(stage: Path) -> None:
    committed, command, drawn = the_picture()
    SCRIPT.run(SCRIPT.Step(command, ""), stage)
    SCRIPT.copy_picture(stage / drawn, stage / "now.png")
    assert distance(committed, stage / "now.png") <= LARGEST, f"{committed.name} is stale: `make tour` draws it anew"


def test_the_picture_of_another_neuron_is_told_apart(stage: Path) -> None:
    committed, command, drawn = the_picture()
    address = Path(drawn).stem
    layer, neuron = address[1:].split("N")
    command = command.replace(drawn, "another.png").replace(address, f"L{layer}N{int(neuron) + 1}")
    SCRIPT.run(SCRIPT.Step(command, ""), stage)
    SCRIPT.copy_picture(stage / "another.png", stage / "now.png")
    assert distance(committed, stage / "now.png") > 2 * LARGEST


def the_picture() -> tuple[Path, str, str]:
    """The committed picture, the command of the tour that draws it, and the path that it draws to."""
    page = SCRIPT.TOUR.read_text(encoding="utf-8")
    (drawn,) = SCRIPT.pictures(page)
    (command,) = (step.command for step in SCRIPT.steps(page) if drawn in step.words())
    return SCRIPT.TOUR.with_name(Path(drawn).name), command, drawn


def distance(one: Path, other: Path) -> float:
    """Mean difference of the pixels of two pictures, from 0 to 1; 1 when their sizes differ."""
    image = pytest.importorskip("matplotlib.image", reason="without matplotlib no picture is compared")
    a, b = image.imread(one)[..., :3], image.imread(other)[..., :3]
    return float(abs(a - b).mean()) if a.shape == b.shape else 1.0


def test_the_python_page_runs(stage: Path) -> None:
    code = "\n".join(python_blocks((ROOT / "docs" / "python.md").read_text(encoding="utf-8")))
    done = subprocess.run([sys.executable, "-c", code], cwd=stage, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [line.split()[0][0] for line in done.stdout.splitlines()[:3]] == ["L", "L", "L"]
