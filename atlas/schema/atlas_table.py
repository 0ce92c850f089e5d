"""The table `atlas`: one row, the model that the file describes."""

from __future__ import annotations

from atlas.schema.table import MODEL, Column, Table

ATLAS = Table(
    "atlas",
    MODEL,
    (
        Column("atlas_id", "VARCHAR", "identity of this file, new with every publish"),
        Column("schema_version", "INTEGER", "version of this layout"),
        Column("created_at", "TIMESTAMP", "when it was published"),
        Column("software", "VARCHAR", "name and version of the program that wrote it"),
        Column("model_id", "VARCHAR", "packaged name, Hugging Face id, or folder name"),
        Column("fingerprint", "VARCHAR", "of weights, layers and config (building.md); older: of weights alone"),
        Column("family", "VARCHAR", "family of the adapter that located the sites"),
        Column("architecture", "VARCHAR", "the model's class in transformers"),
        Column("hidden_act", "VARCHAR", "activation function, as in the model's config"),
        Column("gated", "BOOLEAN", "whether the MLP multiplies act(gate) with a second branch"),
        Column("n_layers", "INTEGER", "transformer blocks"),
        Column("d_model", "INTEGER", "width of the residual stream"),
        Column("d_mlp", "INTEGER", "MLP neurons per layer; where layers differ, of the widest (`expert`)"),
        Column("d_vocab", "INTEGER", "rows of the unembedding (encoders: of the embedding), padding rows included"),
        Column("add_bos", "BOOLEAN", "whether the tokenizer puts a beginning-of-sequence token first"),
        Column(
            "decoding_mode",
            "VARCHAR",
            "`raw`, `folded` or `linearised` (methods.md); NULL where nothing is decoded",
            null=True,
        ),
        Column("top", "INTEGER", "tokens kept per neuron, weight and sign"),
        Column("bins", "INTEGER", "histogram bins"),
        Column(
            "model_path",
            "VARCHAR",
            "where the model was, absolute, if it was built from a folder or `.gguf` file; else NULL. It tells "
            "readers of the file what your folders are called",
            null=True,
        ),
        Column("model_beside", "VARCHAR", "the same, seen from the folder of the atlas", null=True),
        Column("validated", "VARCHAR", "passes that checked the adapter: `model`, `instance`; NULL: older", null=True),
        Column(
            "head",
            "VARCHAR",
            "`lm`, `mlm`, `classifier`, `none` (encoders.md), `words` (vision.md); NULL: older, `lm`",
            null=True,
        ),
        Column("quantised", "VARCHAR", "JSON: how the checkpoint's weights were packed, if they were", null=True),
        Column(
            "revision",
            "VARCHAR",
            "commit of the model on the Hugging Face hub, PACKAGE==VERSION of a packaged one; NULL: not known",
            null=True,
        ),
        Column("tower", "VARCHAR", "`text` or `image` of a model that reads both (vision.md); else NULL", null=True),
    ),
    meaning="One row: the model that the file describes.",
)
