"""What one can ask the SQL console: the tables with their columns, the macros, and statements to begin with."""

from __future__ import annotations

from typing import NamedTuple

from atlas.schema.table import Column
from atlas.schema.tables import TABLES
from atlas.schema.views import views


class Relation(NamedTuple):
    """A public table or view; `meaning` in a sentence or two."""

    name: str
    kind: str
    meaning: str
    columns: list[Column]


class Example(NamedTuple):
    """A statement to begin with; `x`, `y`: the columns that make a picture of its answer."""

    title: str
    sql: str
    x: str | None = None
    y: str | None = None


def relations() -> list[Relation]:
    """All that is public, tables first, in the order of docs/schema.md."""
    found = [
        Relation(table.name, "table", _plain(table.meaning), [_written(column) for column in table.columns])
        for table in TABLES.values()
        if table.public
    ]
    return found + [
        Relation(view.name, "view", _plain(view.meaning), [_written(column) for column in view.columns])
        for view in views().values()
    ]


def _written(column: Column) -> Column:
    """With its type as people write it."""
    return column._replace(type=column.type.replace("{", "").replace("}", ""))


def _plain(meaning: str) -> str:
    return " ".join(meaning.replace("`", "").split())


# docs/schema.md has all of them.
MACROS = (
    ("neuron_name(layer, neuron)", "'L29N808'"),
    ("neuron_tokens(layer, neuron)", "the tokens of one neuron, ordered"),
    ("token_ids('word')", "tokens that are the word, whatever the case and the spaces around"),
    ("find_neurons(ids, sgn := 1, k := 50)", "neurons that raise (1) or lower (-1) one of the token ids most"),
    ("wilson_low(hits, n), wilson_high(hits, n)", "95 % interval of a share"),
)

EXAMPLES = (
    Example(
        "The neurons that tell each concept best",
        """SELECT family, concept, neuron_name(layer, neuron) AS address, held_out_coverage, held_out_leakage, q
FROM concept_interval
QUALIFY row_number() OVER (PARTITION BY fit_id, concept_id
                           ORDER BY held_out_coverage - held_out_leakage DESC) <= 3
ORDER BY family, concept, held_out_coverage - held_out_leakage DESC""",
        "held_out_leakage",
        "held_out_coverage",
    ),
    Example(
        "Who writes a word",
        """SELECT neuron_name(layer, neuron) AS address, *
FROM find_neurons((SELECT list(token_id) FROM token_ids('dog')), k := 20)""",
    ),
    Example(
        "How many neurons of each layer tell a concept",
        """SELECT layer, count(*) AS neurons
FROM concept_interval
WHERE held_out_coverage - held_out_leakage >= 0.5
GROUP BY layer ORDER BY layer""",
        "layer",
        "neurons",
    ),
    Example(
        "What neurons do to what they read",
        "SELECT io_class, count(*) AS neurons FROM neuron_fact GROUP BY io_class ORDER BY neurons DESC",
        "io_class",
        "neurons",
    ),
    Example(
        "Tokens that most neurons raise first",
        """SELECT token, count(*) AS neurons
FROM token_decoding
WHERE weight = 'down_proj' AND sign = 1 AND rank = 1
GROUP BY token ORDER BY neurons DESC, token LIMIT 30""",
        "token",
        "neurons",
    ),
    Example(
        "Rare neurons: seldom above 0, and then far",
        """SELECT neuron_name(layer, neuron) AS address, layer, neuron, share_positive, max
FROM firing ORDER BY share_positive LIMIT 500""",
        "share_positive",
        "max",
    ),
)
