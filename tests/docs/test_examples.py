"""Every example of a question, in `--help` (and so docs/cli.md) and in docs/schema.md, has an answer with rows.

Asked of an atlas as deep as the packaged model, whose planted neurons and words are those that the examples name; of
the demo atlas too where that is there.
"""

from __future__ import annotations

import importlib
import json
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from atlas.__main__ import COMMANDS, main
from atlas.store.reader import open_atlas
from tests import atlas_factory
from tests.architecture.imports import ROOT
from tests.docs.pages import make_tour
from tests.docs.planted import plant_check, plant_facts, plant_graph, plant_texts

# Those that need more than an atlas, a shell, or scores that a model made; and those that write pages for people.
NOT_ASKED = {"completion", "evaluations", "mcp", "page", "site"}
DEMO = ROOT / make_tour().ATLAS
PLACE = Path("data/atlases/smollm2-135m.duckdb")
VECTORS, PUBLISHED = "with_vectors.duckdb", "published.duckdb"
# What `make demo` does not build: the options that do, in the errors of these commands.
LATER = {"exemplars": "--texts", "graph": "--graphs"}
EMPTY_OF_A_DEMO = {"gradients", "attribution"}


def examples() -> list[str]:
    """The commands under Example: of every question."""
    found = []
    for name, (place, *_) in COMMANDS.items():
        module, _, attribute = place.partition(":")
        if module.startswith("queries.") and name not in NOT_ASKED:
            epilog = getattr(importlib.import_module(module), attribute).epilog
            commands = re.findall(r"neuron-atlas .+", epilog)
            assert commands, f"{name} has no example"
            found += commands
    return found


def statements() -> list[str]:
    """The statements in docs/schema.md."""
    page = (ROOT / "docs" / "schema.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```sql\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if not line.startswith("--")]
    return [statement.strip() for statement in "\n".join(lines).split(";") if statement.strip()]


@pytest.fixture(scope="module", params=["planted", "demo"])
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with an atlas where commands look for one, and under the names of the two that are compared."""
    if request.param == "demo" and not DEMO.exists():
        pytest.skip(f"NOT ASKED of the demo atlas: {DEMO.name} is not there; `make demo` builds it")
    folder = tmp_path_factory.mktemp(request.param)
    path = folder / PLACE
    path.parent.mkdir(parents=True)
    if request.param == "demo":
        path.symlink_to(DEMO)
    else:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(atlas_factory, "N_LAYERS", 30)
            patch.setattr(atlas_factory, "D_MLP", 820)
            atlas_factory.write_small_atlas(path, gradients=True)
        shutil.copy(path, folder / PUBLISHED)
        small = atlas_factory.write_small_atlas(folder / "small.duckdb", texts=True)
        with atlas_factory.changed_by_hand(path) as connection:
            plant_texts(connection, small, 29, 808)
            plant_facts(connection, 30, 820)
            plant_check(connection)
            plant_graph(connection, 29, 808)
        shutil.copy(path, folder / VECTORS)
        with atlas_factory.changed_by_hand(folder / VECTORS) as connection:
            connection.execute(
                "INSERT INTO neuron_vector SELECT 'gate_proj', layer, neuron, [sin(layer + neuron * i)::FLOAT FOR i IN "
                "range(8)] FROM (SELECT unnest(range(30)) AS layer), (SELECT unnest(range(820)) AS neuron)"
            )
    for name in ("base.duckdb", "instruct.duckdb"):
        (folder / name).symlink_to(path.resolve())
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("NEURON_ATLAS", raising=False)
        yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("command", examples())
def test_an_example_of_a_command_has_rows(stage: Path, command: str, capfd: pytest.CaptureFixture[str]) -> None:
    _, name, *arguments = shlex.split(command)
    if name == "nearest":
        if not (stage / VECTORS).exists():
            pytest.skip("the demo atlas has no vectors")
        arguments += ["-a", VECTORS]
    if name == "verify" and (stage / PUBLISHED).exists():
        arguments = [PUBLISHED]  # nothing was planted there by hand
    if name != "spec" and "--format" not in arguments:
        arguments += ["--format", "json"]
    code, (out, err) = main([name, *arguments]), capfd.readouterr()
    if code and (stage / PLACE).is_symlink() and name in LATER and LATER[name] in err:
        pytest.skip(f"the demo atlas has none: {err.splitlines()[0]}")
    if name == "experts":  # neither atlas is of a mixture: tests/end_to_end/test_experts.py asks one that is
        assert code == 1 and "no mixture of experts" in err
        return
    assert code == 0, err
    written = Path(arguments[arguments.index("-o") + 1]).read_text() if "-o" in arguments else out
    found = json.loads(written)
    assert found, f"{command} answers without rows"
    if isinstance(found, dict):
        tables = {key: value for key, value in found.items() if isinstance(value, list)}
        empty = {key for key, value in tables.items() if not value}
        allowed = EMPTY_OF_A_DEMO if (stage / PLACE).is_symlink() else set()
        assert tables and empty <= allowed, f"{command} has an empty table"


@pytest.mark.parametrize("statement", statements())
def test_a_statement_of_the_page_has_rows(stage: Path, statement: str) -> None:
    with open_atlas(stage / PLACE) as atlas:
        _, rows = atlas.query(statement)
    assert rows, f"{statement} answers without rows"


def test_examples_are_found() -> None:
    assert len(statements()) >= 4
    assert {"concept", "concepts", "neuron", "token", "sql", "spec"} <= {text.split()[1] for text in examples()}
