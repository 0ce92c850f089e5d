"""Which part of a published atlas is pulled: of which layers, and which tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from atlas.errors import UnknownNameError, UsageError
from atlas.schema.published import is_of_neurons, published_name
from atlas.schema.table import FAMILY, FIT, MODEL, NEURON, RUN, WEIGHT, Table
from atlas.store.far.publication import Publication, PublishedFile


class Choice(NamedTuple):
    """`layers`, `tables`: as asked for; None for all. `chosen`: the tables that are filled."""

    layers: tuple[int, ...] | None
    tables: list[str] | None
    chosen: list[Table]

    @property
    def partial(self) -> bool:
        """Whether something is left out."""
        return self.layers is not None or self.tables is not None

    def from_cards(self, table: Table) -> bool:
        """Whether a table is read from the cards: only they are by layer."""
        return self.layers is not None and is_of_neurons(table)


def choose(publication: Publication, layers: tuple[int, ...] | None, tables: Sequence[str] | None) -> Choice:
    """What to pull. UnknownNameError for a table that is not there, UsageError for a layer that no neuron has.

    A table brings those that are about the same thing (weights, fits, running text, descriptions), which say how it
    was made and are checked with it.
    """
    there = [found.table for found in publication.tables.values() if not found.table.derived]
    chosen = there
    if tables:
        names = {published_name(table.name): table for table in there}
        for name in tables:
            if name not in names:
                raise UnknownNameError("table", name, names)
        about = {names[name].about for name in tables}
        about |= {MODEL, RUN} | ({FAMILY} if FIT in about else set()) | ({WEIGHT} if NEURON in about else set())
        chosen = [table for table in there if table.about in about]
    if layers is not None:
        held = {file.layer for file in publication.cards}
        absent = [layer for layer in layers if layer not in held]
        if absent:
            raise UsageError(
                f"no neuron of layer {absent[0]} is published", f"There are {len(held)} layers, from 0 on."
            )
    return Choice(layers, list(tables) if tables else None, chosen)


def files_of(publication: Publication, choice: Choice) -> list[PublishedFile]:
    """The files that it takes, largest first, so that none is waited for at the end."""
    found = {
        file.path: file
        for table in choice.chosen
        if not choice.from_cards(table)
        for file in publication.tables[table.name].files
    }
    if any(choice.from_cards(table) for table in choice.chosen):
        found |= {file.path: file for file in publication.cards if file.layer in (choice.layers or ())}
    return sorted(found.values(), key=lambda file: -file.bytes)
