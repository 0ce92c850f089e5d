"""Tiny models, loaded once and only read, and emitted files as modules."""

from __future__ import annotations

import importlib.util
import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from atlas.live.loading import load
from atlas.live.model import LiveModel
from atlas.spec import InterventionSpec
from builders.export import places_of
from tests.live.conftest import VARIANTS
from tests.synthetic import make_model

_NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def live_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], LiveModel]:
    """`live_of(variant)`: the loaded model; generation does not stop at a token."""
    loaded: dict[str, LiveModel] = {}

    def get(variant: str) -> LiveModel:
        if variant not in loaded:
            family, fields = VARIANTS[variant]
            folder = make_model(family, tmp_path_factory.mktemp(variant) / variant, **fields)
            loaded[variant] = load(str(folder), device="cpu")
            loaded[variant].model_id = str(folder)
            loaded[variant].model.generation_config.eos_token_id = None
        return loaded[variant]

    return get


@pytest.fixture
def emitted(tmp_path: Path) -> Callable[[str, LiveModel, InterventionSpec], ModuleType]:
    """`emitted(target module, live, spec)`: the file for that target, imported from disk as a user would."""

    def get(target: str, live: LiveModel, spec: InterventionSpec) -> ModuleType:
        writer = importlib.import_module(f"atlas.export.{target}")
        name = f"emitted_{target}_{next(_NUMBERS)}"
        path = tmp_path / f"{name}.py"
        path.write_text(writer.write(spec, places_of(live)), encoding="utf-8")
        found = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(found)
        sys.modules[name] = module
        found.loader.exec_module(module)
        return module

    return get
