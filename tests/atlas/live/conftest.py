"""One tiny model of each family, loaded once and only read."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from atlas.live.loading import load
from atlas.live.model import LiveModel
from tests.synthetic import FAMILIES, make_model

# Fields that make a family's rarer parts take part: biases, softcaps are on by default in Gemma 2.
VARIANTS = {
    **{family: (family, {}) for family in FAMILIES},
    "llama_with_biases": ("llama", {"mlp_bias": True, "attention_bias": True, "tie_word_embeddings": True}),
    "gpt_neox_in_turn": ("gpt_neox", {"use_parallel_residual": False}),
    "gpt2_narrow": ("gpt2", {"n_inner": 24}),
}


def variant_loader(
    tmp_path_factory: pytest.TempPathFactory, prepare: Callable[[LiveModel, str], None] | None = None
) -> Callable[[str], LiveModel]:
    """A function that loads each variant once; `prepare(live, folder)` may change it right after loading."""
    loaded: dict[str, LiveModel] = {}

    def get(variant: str) -> LiveModel:
        if variant not in loaded:
            family, fields = VARIANTS[variant]
            folder = make_model(family, tmp_path_factory.mktemp(variant) / variant, **fields)
            loaded[variant] = load(str(folder), device="cpu")
            if prepare is not None:
                prepare(loaded[variant], str(folder))
        return loaded[variant]

    return get


@pytest.fixture(scope="session")
def live_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], LiveModel]:
    """`live_of(variant)`: the loaded model. Do not change it; load a fresh one for that."""
    return variant_loader(tmp_path_factory)


@pytest.fixture(params=VARIANTS)
def live(request: pytest.FixtureRequest, live_of: Callable[[str], LiveModel]) -> LiveModel:
    """Each variant in turn."""
    return live_of(request.param)
