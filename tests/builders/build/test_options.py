"""From flags to the configuration of a build: what is accepted, and what is refused with which words."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from atlas import packaged
from atlas.errors import AtlasError, BuildError, UnknownNameError, UsageError
from builders.amounts import parse_bytes
from builders.cli import build as cli
from builders.concept_sets import concept_sources, own_sets
from builders.config import BuildConfig, ConceptSource, layers_of, parse_layers
from tests.architecture.imports import ROOT
from tests.commands import context_of, invoke

# A command remembers the help option of its first context, and the generated reference shows it.


def config_of(*arguments: str) -> BuildConfig:
    """The configuration that a command line makes."""
    context = context_of(cli.build, "build", ["some-model", "-o", "a.duckdb", *arguments])
    return cli.config_from(context.params)


@pytest.mark.parametrize(
    ("text", "value"), [("2GB", 2 * 10**9), ("1.5 gb", 15 * 10**8), ("750MB", 75 * 10**7), ("4096", 4096)]
)
def test_amounts_of_memory(text: str, value: int) -> None:
    assert parse_bytes(text) == value


@pytest.mark.parametrize("text", ["", "two", "-1GB", "1GiB", "1e9", "GB"])
def test_no_amounts_of_memory(text: str) -> None:
    with pytest.raises(UsageError):
        parse_bytes(text)


def test_lists_of_layers() -> None:
    assert parse_layers("0-3,7, 5-5") == (0, 1, 2, 3, 5, 7)
    for text in ("", "a", "3-1", "1,,2", "-1", "1-"):
        with pytest.raises(UsageError):
            parse_layers(text)


def test_layers_must_exist() -> None:
    with pytest.raises(UsageError, match="layers 0 to 2, not 3"):
        layers_of(config_of("--layers", "1-3"), 3)
    assert layers_of(config_of(), 3) == [0, 1, 2]


@pytest.mark.parametrize(
    "change",
    [
        {"top": 0},
        {"bins": 1},
        {"taus": ()},
        {"taus": (0.0,)},
        {"taus": (float("nan"),)},
        {"memory": 10},
        {"sites": ("mlp_pots",)},
        {"weights": ("w_in",)},
        {"position": "first"},
        {"mode": "normed"},
        {"decode": False},
        {"max_tokens": 0},
        {"batch_tokens": 0},
        {"concepts": (ConceptSource("x.jsonl", template="no place"),)},
        {"concepts": (ConceptSource("x.jsonl", template="{text}{text}"),)},
    ],
)
def test_values_out_of_their_domain(change: dict) -> None:
    with pytest.raises(AtlasError) as caught:
        BuildConfig(**{"model": "m", "target": Path("a.duckdb"), **change})
    assert "\n" not in str(caught.value)


def test_the_default_is_the_project_s_own_sets() -> None:
    assert config_of().concepts == tuple(own_sets().values())
    assert config_of("--concepts", "emotions").concepts == (own_sets()["emotions"],)
    assert config_of("--no-concepts").concepts == ()
    for source in own_sets().values():
        assert Path(source.source).is_file()


def test_own_files_families_and_templates() -> None:
    options = ("--concepts", "news=a/b.csv", "--concepts", "c.jsonl", "--template", r"news={text}\nIt is about")
    assert config_of(*options).concepts == (
        ConceptSource("a/b.csv", family="news", template="{text}\nIt is about"),
        ConceptSource("c.jsonl"),
    )
    everywhere = config_of("--concepts", "c.jsonl", "--template", "So: {text} = what?").concepts
    assert everywhere == (ConceptSource("c.jsonl", template="So: {text} = what?"),)
    with pytest.raises(UnknownNameError, match="Did you mean news"):
        config_of("--concepts", "news=a.csv", "--template", "mews={text}")
    with pytest.raises(UsageError):
        config_of("--concepts", "a.csv", "--no-concepts")
    with pytest.raises(UsageError, match="--template and --no-concepts"):
        config_of("--template", "{text}?", "--no-concepts")


@pytest.mark.parametrize("template", ["x={text}", "x={text} it's", r"text_1={text}\nx="])
def test_a_template_that_begins_like_a_family_is_told_how_to_be_written(template: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        config_of("--concepts", "data/news.csv", "--template", template)
    error = caught.value
    assert error.message == f"unknown family {template.partition('=')[0]!r}" and error.hint.startswith(
        "Known: news. A "
    )
    offered = shlex.split(error.hint.partition("name: ")[2])
    (source,) = config_of("--concepts", "data/news.csv", *offered).concepts
    assert source.template == template.replace("\\n", "\n")


def test_a_wrong_flag_is_a_usage_error() -> None:
    for arguments in (["m"], ["m", "-o", "a", "--sites", "x"], ["m", "-o", "a", "--top", "x"], ["m", "-o", "a", "--x"]):
        assert invoke(cli.build, arguments).exit_code == 2


def test_the_own_sets_are_those_of_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "concepts"
    folder.mkdir()
    (tmp_path / "models.toml").touch()
    monkeypatch.setattr(packaged, "_BESIDE_THE_PACKAGES", tmp_path)
    # Who names files needs no table; who names none is told that it is missing.
    assert concept_sources(["c.csv"]) == (ConceptSource("c.csv"),)
    with pytest.raises(BuildError, match="concept sets are not at"):
        concept_sources([])
    (folder / "sets.toml").write_text('[colours]\nfile = "c.jsonl"\ntemplate = "{text} is"\n')
    colours = ConceptSource(str(folder / "c.jsonl"), family="colours", template="{text} is", own_template=True)
    assert concept_sources([]) == concept_sources(["colours"]) == (colours,)
    assert concept_sources(["topics"]) == (ConceptSource("topics"),)


def test_the_help_names_the_own_sets() -> None:
    [concepts] = [option for option in cli.build.params if option.name == "concepts"]
    assert f"({', '.join(own_sets())})" in concepts.help
    for path in (ROOT / "builders").rglob("*.py"):
        assert not {f'"{name}"' for name in own_sets()} & set(re.findall(r'"\w+"', path.read_text(encoding="utf-8")))
