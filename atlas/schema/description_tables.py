"""What the product `descriptions` stores: rows of the table of tables."""

from __future__ import annotations

from atlas.schema.table import DESCRIPTION, Column, Table

SIDES = ("input", "output")
"""Of a description: what a neuron responds to, what it promotes."""
MEASURES_OF = {"input": "detection", "output": "token_change"}
"""What the score of a side is."""
LONGEST_TEXT = 400
"""Characters of a description."""
MOST_DIMENSIONS = 8192
"""Of an embedding."""

DESCRIPTION_TABLES: tuple[Table, ...] = (
    Table(
        "description",
        DESCRIPTION,
        (
            Column("layer", "INTEGER"),
            Column("neuron", "INTEGER"),
            Column("side", "VARCHAR", "input: what the neuron responds to; output: what it promotes"),
            Column("sign", "TINYINT", "of the activation: 1 above 0, -1 below it"),
            Column("author", "VARCHAR", "tokens (fixed rules), local:MODEL or openai:MODEL"),
            Column("text", "VARCHAR", "the sentence; tokens that it names stand in double quotes"),
            Column("evidence", "VARCHAR", "what it was made of: decodings, intervals, exemplars"),
            Column("site", "VARCHAR", "whose exemplars and intervals"),
            Column("prompt_sha256", "VARCHAR", "of the prompt that a model answered; NULL of fixed rules", null=True),
            Column("created_at", "TIMESTAMP"),
            Column(
                "measure",
                "VARCHAR",
                "what score is. detection: balanced accuracy at telling texts that the neuron fires on from near "
                "misses, none of which the author was shown; token_change: mean change of the probability of the "
                "tokens that the text names, when the neuron is set to its largest (sign -1: smallest) stored value",
                null=True,
            ),
            Column("score", "DOUBLE", "NULL where there is nothing to measure it on", null=True),
            Column("score_n", "INTEGER", "texts (detection) or prompts (token_change) of the score", null=True),
            Column("control", "DOUBLE", "score of a description of another neuron on the same", null=True),
        ),
        key=("layer", "neuron", "side", "sign", "author"),
        meaning="After `build --describe`: one row per layer, neuron, side, sign and author.",
        later=True,
    ),
    Table(
        "_embedding",
        DESCRIPTION,
        (
            Column("layer", "INTEGER"),
            Column("neuron", "INTEGER"),
            Column("side", "VARCHAR"),
            Column("sign", "TINYINT"),
            Column("author", "VARCHAR", "of the description that it is of"),
            Column("embedder", "VARCHAR", "local:MODEL or openai:MODEL"),
            Column("vector", "BLOB", "unit vector, float16, little-endian"),
        ),
        key=("layer", "neuron", "side", "sign", "author"),
        later=True,
        whole=True,
    ),
)
