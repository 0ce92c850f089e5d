"""docs/spec.md tells the truth: its example is a valid spec, and it names everything that the tables name."""

from __future__ import annotations

import re
from pathlib import Path

from atlas.ops import OPS
from atlas.sites import SITES
from atlas.spec.fields import CHECK, EDIT, MAX_EDITS, MODEL, PHASES, POSITION_WORDS, RANGE, SPEC, TOKENIZATION
from atlas.spec.text import MAX_BYTES, loads

TEXT = (Path(__file__).parents[3] / "docs" / "spec.md").read_text("utf-8")


def test_example_is_valid() -> None:
    (example,) = re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)
    made = loads(example)
    assert made.check is not None and made.source


def test_every_name_is_explained() -> None:
    fields = [field.name for record in (SPEC, MODEL, TOKENIZATION, EDIT, RANGE, CHECK) for field in record.fields]
    code = " ".join(re.findall(r"`([^`]*)`", TEXT))
    for name in [*fields, *OPS, *SITES]:
        assert re.search(rf"\b{name}\b", code), name
    for word in [*PHASES, *POSITION_WORDS]:
        assert f'`"{word}"`' in TEXT, word
    assert f"{MAX_EDITS:,} edits" in TEXT and f"{MAX_BYTES // 2**20} MiB" in TEXT
