"""What decorators make of several options: one argument, and the same refusals as before a command begins."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from atlas.__main__ import COMMANDS, PROGRAM
from atlas.cli.emit import Output
from atlas.cli.group import LazyGroup
from atlas.cli.options import answer_options, bundled, fit_options, fit_options_with, output_options
from atlas.errors import UsageError
from atlas.fit_choice import ANY_FIT, FitChoice
from atlas.store.reader import open_atlas
from queries import card, info
from queries.cli.options import SIGNS, Source, sign_option, source_options
from tests.atlas_factory import changed_by_hand, write_small_atlas
from tests.commands import invoke


def passed(decorate, *arguments):
    """What a command with these options is called with."""
    found = {}

    @click.command()
    @decorate
    def command(**values):
        """A command."""
        found.update(values)

    done = invoke(command, list(map(str, arguments)), catch_exceptions=False, standalone_mode=False)
    assert done.exit_code == 0, done.output
    return found


def test_a_fit_is_one_argument():
    assert passed(fit_options) == {"fit": ANY_FIT}
    given = ["--family", "topics", "--site", "mlp_post", "--position", "mean", "--template", "{text}!"]
    expected = FitChoice(family="topics", site="mlp_post", position="mean", template="{text}!")
    assert passed(fit_options, *given) == passed(fit_options_with(site="Where."), *given) == {"fit": expected}


def test_an_output_is_one_argument(tmp_path):
    assert passed(answer_options()) == {"out": Output("table", None)}
    assert passed(answer_options(), "--format", "csv", "--csv-safe") == {"out": Output("csv_safe", None)}
    table, picture = tmp_path / "x.jsonl", tmp_path / "x.png"
    assert passed(answer_options(), "-o", table) == {"out": Output("jsonl", table)}
    assert passed(answer_options("Draw."), "-o", table, "--plot", picture) == {"out": Output("jsonl", table, picture)}
    with pytest.raises(UsageError, match="both name"):
        passed(answer_options("Draw."), "-o", picture, "--plot", picture)
    with pytest.raises(click.NoSuchOption):
        passed(answer_options(), "--plot", picture)


def test_the_two_values_of_an_output_are_still_to_be_had(tmp_path):
    assert passed(output_options, "-o", tmp_path / "x.csv") == {"output_format": "csv", "output": tmp_path / "x.csv"}


def test_a_source_opens_its_atlas(small_path):
    (source,) = passed(source_options, "-a", small_path, "--timeout", "7").values()
    assert source == Source(Path(small_path), 7.0)
    assert source.ask(lambda atlas, *more, **named: (atlas.path, more, named), 1, two=2) == (
        small_path,
        (1,),
        {"two": 2},
    )
    with source.open() as atlas, open_atlas(small_path) as same:
        assert atlas.manifest == same.manifest


def test_a_sign_is_a_number():
    for name, number in SIGNS.items():
        assert passed(sign_option("Which."), "--sign", name) == {"sign": number}
    assert passed(sign_option("Which.")) == {"sign": 0}
    assert passed(sign_option("Which.", both=False)) == {"sign": 1}
    with pytest.raises(click.BadParameter):
        passed(sign_option("Which.", both=False), "--sign", "both")


def test_a_bundle_takes_its_parts_and_leaves_the_others():
    def pair(a, b):
        return a, b

    decorate = bundled("ab", pair, ("a", "b"))

    @decorate
    def command(**values):
        return values

    assert command(a=1, b=2, c=3) == {"ab": (1, 2), "c": 3}


@pytest.mark.parametrize(("name", "sections"), [("neuron", card.SECTIONS), ("info", info.SECTIONS)])
def test_the_sections_of_a_command_are_those_of_its_document(tmp_path, name, sections):
    path = write_small_atlas(tmp_path / "whole.duckdb", texts=True)  # what is lacking has no section
    with changed_by_hand(path) as connection:
        connection.execute(
            "INSERT INTO description BY NAME SELECT 1 AS layer, 7 AS neuron, 'input' AS side, 1 AS sign, "
            "'tokens' AS author, 'x' AS text, 'decodings' AS evidence, 'mlp_post' AS site, now() AS created_at"
        )
    command = LazyGroup(PROGRAM, COMMANDS).get_command(click.Context(click.Group()), name)
    (option,) = (parameter for parameter in command.params if parameter.name == "section")
    with open_atlas(path) as atlas:
        document = card.neuron_card(atlas, "L1N7") if name == "neuron" else info.info(atlas)
    of_images = [card.SECOND_ORDER] if name == "neuron" else []  # this atlas is of no image tower
    assert list(option.type.choices) == list(sections) == [*document.sections, *of_images]
