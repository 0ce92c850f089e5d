"""The card of a published atlas, README.md: what it is, how to ask it in three programs, what each column means."""

from __future__ import annotations

import json
from typing import Any

from atlas.schema.published import is_of_neurons, table_of
from atlas.schema.table import Table

_CARDS = "cards/*.parquet"


def dataset_card(document: dict[str, Any]) -> str:
    """README.md of a published folder, from its manifest."""
    tables = [table for name in document["tables"] if (table := table_of(name)) is not None]
    parts = [_front_matter(document), _about(document), _queries(document), _files(document), _columns(tables)]
    return "\n".join(parts)


def queries(document: dict[str, Any], neuron: tuple[int, int] = (0, 0)) -> dict[str, str]:
    """By program: what to paste to get the tokens that one neuron raises most, in a folder that is the current one."""
    layer, number = neuron
    vocab = document["tables"]["vocab"]["files"][0]
    weight = next(iter(document["tables"]["decoding"]["layers"]), "down_proj")
    duckdb = f"""SELECT token, logit
FROM (SELECT unnest(d.raised_token) AS token_id, unnest(d.raised_logit) AS logit
      FROM (SELECT unnest(decoding) AS d FROM '{_CARDS}' WHERE layer = {layer} AND neuron = {number})
      WHERE d.weight = '{weight}')
JOIN '{vocab}' USING (token_id)
ORDER BY logit DESC, token_id;"""
    pandas = f"""import pandas as pd
cards = pd.read_parquet("cards", columns=["layer", "neuron", "decoding"],
                        filters=[("layer", "==", {layer}), ("neuron", "==", {number})])
lists = pd.DataFrame(list(cards["decoding"].iloc[0])).set_index("weight").loc["{weight}"]
tokens = pd.DataFrame({{"token_id": lists["raised_token"], "logit": lists["raised_logit"]}})
vocab = pd.read_parquet("{vocab}", columns=["token_id", "token"])
answer = tokens.merge(vocab, on="token_id").sort_values(["logit", "token_id"], ascending=[False, True])
print(answer[["token", "logit"]])"""
    polars = f"""import polars as pl
lists = (pl.scan_parquet("{_CARDS}").filter((pl.col("layer") == {layer}) & (pl.col("neuron") == {number}))
         .select("decoding").explode("decoding").unnest("decoding").filter(pl.col("weight") == "{weight}"))
tokens = lists.select(token_id="raised_token", logit="raised_logit").explode("token_id", "logit")
answer = (tokens.join(pl.scan_parquet("{vocab}"), on="token_id").select("token", "logit", "token_id")
          .sort("logit", "token_id", descending=[True, False]).select("token", "logit").collect())
print(answer)"""
    return {"sql": duckdb, "pandas": pandas, "polars": polars}


def _front_matter(document: dict[str, Any]) -> str:
    atlas = document["atlas"]
    lines = ["---", f"pretty_name: {_quoted('Neuron atlas of ' + atlas['model_id'])}"]
    lines += [f"license: {_quoted(document['licence'])}"] if document["licence"] != "unknown" else []
    lines += ["tags:", "- interpretability", "- neurons", "- neuron-atlas"]
    lines += [f"base_model: {_quoted(atlas['model_id'])}"] if "/" in atlas["model_id"] else []
    lines += ["configs:", "- config_name: cards", f"  data_files: {_quoted(_CARDS)}", "  default: true"]
    for name, table in document["tables"].items():
        lines += [f"- config_name: {name}", "  data_files:", *(f"  - {_quoted(file)}" for file in table["files"])]
    return "\n".join([*lines, "---", ""])


def _about(document: dict[str, Any]) -> str:
    atlas = document["atlas"]
    rows = [
        ("model", atlas["model_id"]),
        ("revision of the model", atlas["revision"] or "not known"),
        ("fingerprint of its weights", atlas["fingerprint"]),
        ("layers × neurons", f"{atlas['n_layers']} × {atlas['d_mlp']:,}"),
        ("atlas", atlas["atlas_id"]),
        ("built by", atlas["software"]),
        ("published", document["published_at"]),
    ]
    corpora = [
        f"- {_cell(each['name'])}: {each['kind']}, {each['texts']:,}, licence {_cell(each['licence'])}"
        for each in document["corpora"]
    ]
    texts = "The running text itself is here." if document["texts"] else "The running text itself is left out."
    return "\n".join(
        [
            f"# Neuron atlas of {_cell(atlas['model_id'])}",
            "",
            "What the neurons of this model mean: tokens that their weights decode to, their activation under labelled",
            "concepts, and where in running text they fire. Made by neuron-atlas, which reads it from here:",
            "`neuron-atlas neuron L0N0 -a URL`, or brings it as one file: `neuron-atlas pull URL -o atlas.duckdb`.",
            "",
            "| | |",
            "|---|---|",
            *(f"| {name} | {_cell(str(value))} |" for name, value in rows),
            "",
            f"Made of: {texts}",
            "",
            *corpora,
            "",
        ]
    )


def _queries(document: dict[str, Any]) -> str:
    if not document["tables"].get("decoding", {}).get("rows"):
        return ""
    asked = queries(document)
    return "\n".join(
        [
            "## Ask it",
            "",
            "In this folder: the tokens that the first neuron raises most.",
            "",
            *("DuckDB", "", "```sql", asked["sql"], "```", ""),
            *("pandas", "", "```python", asked["pandas"], "```", ""),
            *("polars", "", "```python", asked["polars"], "```", ""),
        ]
    )


def _files(document: dict[str, Any]) -> str:
    lines = ["## Files", "", "| file | rows | bytes |", "|---|---|---|"]
    cards = [file for file in document["files"] if file["path"].startswith("cards/")]
    if cards:
        lines.append(f"| {_CARDS} | {sum(f['rows'] for f in cards):,} | {sum(f['bytes'] for f in cards):,} |")
    lines += [f"| {f['path']} | {f['rows']:,} | {f['bytes']:,} |" for f in document["files"] if f not in cards]
    return "\n".join([*lines, "", "manifest.json has the sha256 of each.", ""])


def _columns(tables: list[Table]) -> str:
    lines = [
        "## Columns",
        "",
        "A row of `cards` is a neuron (layer, neuron): of each table marked * a list of its rows.",
        "",
    ]
    for table in tables:
        name = table.name.removeprefix("_")
        lines += [f"### {name}{' *' if is_of_neurons(table) else ''}", ""]
        lines += [table.meaning.replace("\n", " "), ""] if table.meaning else []
        for column in table.columns:
            meaning = f": {column.meaning}" if column.meaning else ""
            unit = f" ({column.unit})" if column.unit else ""
            lines.append(f"- `{column.name}`{meaning}{unit}")
        lines.append("")
    return "\n".join(lines)


def _quoted(text: str) -> str:
    return json.dumps(text)  # a JSON string is a YAML string


def _cell(text: str) -> str:
    """Text that a table of Markdown shows as it is."""
    return "".join(f"\\{letter}" if letter in "|\\`*_[]<>#" else letter for letter in " ".join(text.split()))
