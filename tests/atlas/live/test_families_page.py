"""docs/families.md is what the adapters, the reasons and the tests' models say."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from atlas.live.adapters.multimodal import MULTIMODAL
from atlas.live.adapters.registry import FAMILIES
from atlas.live.adapters.unsupported import UNSUPPORTED

DOCS = Path(__file__).parents[3] / "docs"


def test_the_page_is_up_to_date_and_names_every_model_type() -> None:
    spec = importlib.util.spec_from_file_location("make_families", DOCS / "make_families.py")
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    text = (DOCS / "families.md").read_text(encoding="utf-8")
    assert maker.page() == text, "run: python docs/make_families.py"
    cells = {name.strip() for line in text.splitlines() for cell in line.split("|") for name in cell.split(",")}
    assert cells >= FAMILIES.keys() | MULTIMODAL.keys() | UNSUPPORTED.keys()


def test_no_model_type_is_both_supported_and_not() -> None:
    assert not UNSUPPORTED.keys() & (FAMILIES.keys() | MULTIMODAL.keys())
