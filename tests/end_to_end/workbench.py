"""What the end-to-end tests share: a small corpus, a build of it, and the rows of an atlas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from atlas.schema.tables import TABLES
from atlas.store.reader import open_atlas
from builders.build.pipeline import build
from builders.config import BuildConfig, ConceptSource

PETS = ["my dog runs", "The cat is good", "a cat and a dog", "dogs and cats", "the dog is sad", "my favourite animal"]
SPORT = ["the team won", "The match is lost", "a goal !", "football is good", "the team played", "my team runs"]
STATE = [
    "the minister lost",
    "The government is new",
    "a vote in Paris",
    "the election in France",
    "vote",
    "old minister",
]


def write_corpus(path: Path) -> Path:
    """A JSONL of three concepts with six examples each; most words are in the synthetic vocabulary."""
    rows = [(text, name) for name, texts in (("pets", PETS), ("sport", SPORT), ("state", STATE)) for text in texts]
    path.write_text("".join(json.dumps({"text": text, "concept": name}) + "\n" for text, name in rows))
    return path


def config(model: Path, target: Path, corpus: Path | None, **changes: Any) -> BuildConfig:
    """A small build; `changes` replace fields of the configuration."""
    concepts = () if corpus is None else (ConceptSource(str(corpus)),)
    fields: dict[str, Any] = {"concepts": concepts, "top": 6, "bins": 5, "batch_tokens": 24}
    return BuildConfig(model=str(model), target=target, **{**fields, **changes})


def built(model: Path, target: Path, corpus: Path | None, **changes: Any) -> Path:
    """The published file of `config(...)`."""
    return build(config(model, target, corpus, **changes)).path


def all_rows(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table that must not depend on when and how often a build was run."""
    with open_atlas(path) as atlas:
        rows = {
            table: atlas.query(f"SELECT * FROM {table} ORDER BY ALL")[1]
            for table in TABLES
            if table not in ("run", "_digest")
        }
        # Those of what may differ differ too.
        rows["_digest"] = atlas.query("SELECT * FROM _digest WHERE object NOT IN ('atlas', 'run') ORDER BY ALL")[1]
        rows["run"] = atlas.query("SELECT run_id, builder, parameters FROM run ORDER BY 1")[1]
        rows["atlas"] = atlas.query("SELECT * EXCLUDE (atlas_id, created_at) FROM atlas")[1]
    return rows
