"""Writes intervention.schema.json from the tables of the code: python -m atlas.schema.make_json_schema"""

from __future__ import annotations

import json
from pathlib import Path

from atlas.spec.text import json_schema

SCHEMA_FILE = Path(__file__).with_name("intervention.schema.json")


def schema_text() -> str:
    """The content that the committed file must have."""
    return json.dumps(json_schema(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    SCHEMA_FILE.write_text(schema_text(), encoding="utf-8")
