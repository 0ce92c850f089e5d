"""Words of tokens, and the names that a sentence gives to them."""

from __future__ import annotations

import pytest

from atlas.errors import AtlasError, QuestionError, UsageError
from builders.descriptions.choice import Describer, check_neurons, chosen_neurons, parse_describer
from builders.descriptions.forms import grouped, kind_of, named_in, names_of, quoted


def test_tokens_are_grouped_by_their_word_and_weighed_together() -> None:
    weighted = [(" cat", 0.5), ("dog", 0.3), (" Dogs", 0.4), (" dog", 0.35), ("cats", 0.1), ("\ufffd", 9.0)]
    assert grouped(weighted) == ["dogs", "cat"]  # 1.05 and 0.6; by its strongest form


@pytest.mark.parametrize(
    "form", ["dog", 'a "b" c', "\\", "\x1b[2J", "\u202eabc", "über", "\n", "狗", "a\u200bb", "\U0001f600"]
)
def test_what_a_sentence_quotes_is_read_back_and_shows_nothing_odd(form: str) -> None:
    text = f"Promotes {quoted(form)}, {quoted('cat')}."
    assert text.isprintable()
    assert named_in(text) == [form.strip().lower() or form, "cat"]


def test_without_quotes_every_uncommon_word_is_a_name() -> None:
    assert named_in("The neuron fires on Dogs and other pets.") == ["dogs", "pets"]
    assert named_in("it is.") == []
    assert {"dog", "dogs"} <= names_of(["dogs"])


@pytest.mark.parametrize(
    ("tokens", "kind"),
    [
        ([" 1", "22", " 3", "4"], "numbers"),
        ([".", ",", " !", "?)"], "punctuation"),
        ([" Paris", " France", " Rome", " the"], "capitalised words"),
        ([" да", "нет", "это", "он"], "Cyrillic letters"),
        ([" dog", " cat", " the", " of"], ""),
        ([" 1", "2"], ""),  # too few to say
    ],
)
def test_what_tokens_have_in_common(tokens: list[str], kind: str) -> None:
    assert kind_of(tokens) == kind


def test_describers() -> None:
    assert parse_describer("tokens") == Describer("tokens") and Describer("tokens").author == "tokens"
    assert parse_describer("local:smollm2-135m").author == "local:smollm2-135m"


@pytest.mark.parametrize("text", ["", "token", "tokens:x", "local:", "gpt", "local:a\nb", "local:" + "x" * 200])
def test_no_describers(text: str) -> None:
    with pytest.raises(UsageError):
        parse_describer(text)


def test_chosen_neurons() -> None:
    assert chosen_neurons("L2N1,L0N3", 3, 4) == [(2, 1), (0, 3)]
    assert chosen_neurons("layer:1", 3, 4) == [(1, 0), (1, 1), (1, 2), (1, 3)]
    assert chosen_neurons("all", 2, 2) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    for beyond in ("L3N0", "L0N4", "layer:3"):
        with pytest.raises(QuestionError, match="there is no neuron"):
            chosen_neurons(beyond, 3, 4)


@pytest.mark.parametrize(
    "text", ["", "L0", "L0N1,L0N1", "layer:", "layer:x", "layer:٣", "layer:-1", "ALL", "L0N1, L0N2"]
)
def test_no_choice_of_neurons(text: str) -> None:
    with pytest.raises(AtlasError):
        check_neurons(text)
