"""Arrows inside the builders: products know what a product is and nothing of what drives them, which names none."""

from __future__ import annotations

import pytest

from tests.architecture.imports import ROOT, imports, sources

# Folder -> what it may import of the builders' other rooms. builders/build/products.py names products by text.
MAY_IMPORT = {
    "decoding": ("builders.build.product", "builders.arrow", "builders.threads"),
    "gaussians": ("builders.build.product", "builders.arrow", "builders.threads"),
    "activations": ("builders.build.product", "builders.progress"),
}


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_product_knows_only_what_a_product_is(room: str) -> None:
    found = [
        each
        for path in sources("builders")
        if path.relative_to(ROOT).parts[1] == room
        for each in imports(path)
        if each.top == "builders" and not each.typing_only
    ]
    assert found
    allowed = (f"builders.{room}", *MAY_IMPORT[room])
    wrong = [each for each in found if not any(f"{each.module}.".startswith(f"{name}.") for name in allowed)]
    assert not wrong, "\n".join(map(str, wrong))


def test_the_loop_of_a_build_knows_no_product() -> None:
    for name in ("pipeline", "make"):
        text = (ROOT / "builders" / "build" / f"{name}.py").read_text(encoding="utf-8").lower()
        assert [word for word in ("decod", "gaussian", "weight", "concept") if word in text] == [], name
