"""The questions, asked of the atlas through its public functions and of the rival through its best SQL.

Both sides start from what a person types (words, a concept's name, an address) and end with Python rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from atlas.fit_choice import FitChoice
from atlas.sites import WEIGHTS, parse_neuron
from atlas.store.reader import Atlas
from benchmarks.postgres import sql
from queries.card import neuron_card
from queries.layers import layer_tokens
from queries.neurons import Only, neurons_for_concept, neurons_for_token
from queries.wordforms import word_forms

if TYPE_CHECKING:
    import psycopg

LIMIT = 20
Rows = list[dict[str, Any]]
Ask = Callable[[Any], list[Rows]]


@dataclass(frozen=True)
class Word:
    """What is asked for: words with all their forms, or the literal text of one token."""

    words: tuple[str, ...]
    exact: bool


def ours(atlas: Atlas, concept_family: str) -> dict[str, Ask]:
    """How the atlas answers each kind of question: a list of tables a question."""

    fit = FitChoice(family=concept_family)

    def token(word: Word) -> list[Rows]:
        return [neurons_for_token(atlas, word.words, exact=word.exact, limit=LIMIT).dicts()]

    def concept(name: str) -> list[Rows]:
        return [neurons_for_concept(atlas, name, fit=fit, limit=LIMIT).dicts()]

    def both(asked: tuple[str, Word]) -> list[Rows]:
        name, word = asked
        only = Only(words=word.words, exact=word.exact)
        found = neurons_for_concept(atlas, name, fit=fit, only=only, limit=LIMIT)
        return [found.dicts()]

    def card(asked: tuple[str, int]) -> list[Rows]:
        sections = neuron_card(atlas, asked[0], top=asked[1]).sections
        return [sections[name].dicts() for name in ("tokens", "concepts", "background")]

    def layer(number: int) -> list[Rows]:
        return [layer_tokens(atlas, number, limit=LIMIT).dicts()]

    return {"token": token, "concept": concept, "both": both, "both by walk": both, "card": card, "layer": layer}


class Rival:
    """How the rival answers the same questions."""

    def __init__(self, connection: psycopg.Connection, atlas: Atlas, concept_family: str) -> None:
        from psycopg.rows import dict_row

        self._cursor = connection.cursor(row_factory=dict_row, binary=True)
        self._family = concept_family
        self._width = atlas.manifest.d_mlp
        self._spots = atlas.manifest.n_layers * atlas.manifest.d_mlp

    def asks(self) -> dict[str, Ask]:
        """The same kinds as `ours`."""
        return {
            "token": self._token,
            "concept": self._concept,
            "both": self._both,
            "both by walk": self._both_by_walk,
            "card": self._card,
            "layer": self._layer,
        }

    def _ids(self, word: Word) -> list[int]:
        """The tokens that the words mean."""
        if word.exact:
            return self._value(sql.IDS_BY_TEXT, texts=list(word.words))
        return self._value(sql.IDS_BY_FORM, texts=[form for text in word.words for form in word_forms(text)])

    def _fit(self, concept: str) -> dict[str, int]:
        (row,) = self._rows(sql.FIT_OF_CONCEPT, concept=concept, family=self._family)
        return row

    def _token(self, word: Word) -> list[Rows]:
        return [self._rows(sql.NEURONS_FOR_TOKEN, ids=self._ids(word), limit=LIMIT)]

    def _concept(self, name: str) -> list[Rows]:
        return [self._rows(sql.NEURONS_FOR_CONCEPT, **self._fit(name), limit=LIMIT)]

    def _both(self, asked: tuple[str, Word], statement: str = sql.NEURONS_FOR_BOTH) -> list[Rows]:
        name, word = asked
        return [self._rows(statement, ids=self._ids(word), **self._fit(name), limit=LIMIT)]

    def _both_by_walk(self, asked: tuple[str, Word]) -> list[Rows]:
        return self._both(asked, sql.NEURONS_FOR_BOTH_BY_WALK)

    def _card(self, asked: tuple[str, int]) -> list[Rows]:
        layer, neuron = parse_neuron(asked[0])
        spot = layer * self._width + neuron
        nids = [weight * self._spots + spot for weight in range(len(WEIGHTS))]
        tokens = self._rows(sql.CARD_TOKENS, nids=nids, top=asked[1])
        return [tokens, self._rows(sql.CARD_CONCEPTS, spot=spot), self._rows(sql.CARD_BACKGROUND, spot=spot)]

    def _layer(self, number: int) -> list[Rows]:
        up, gate, down = (weight * self._spots + number * self._width for weight in range(len(WEIGHTS)))
        return [self._rows(sql.LAYER_SUMMARY, up=up, gate=gate, down=down, limit=LIMIT)]

    def _value(self, statement: str, **parameters: Any) -> Any:
        (row,) = self._rows(statement, **parameters)
        (value,) = row.values()
        return value

    def _rows(self, statement: str, **parameters: Any) -> Rows:
        text = statement.replace("{spots}", str(self._spots)).replace("{width}", str(self._width))
        return self._cursor.execute(text, parameters, prepare=True).fetchall()
