"""Tiny models, loaded once and only read, and emitted files as modules."""

from __future__ import annotations

import importlib.util
import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from atlas.live.model import LiveModel
from atlas.spec.document import InterventionSpec
from builders.export.export import places_of
from tests.atlas.live.conftest import variant_loader

_NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def live_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], LiveModel]:
    """`live_of(variant)`: the loaded model; generation does not stop at a token."""

    def for_export(live: LiveModel, folder: str) -> None:
        live.model_id = folder
        live.model.generation_config.eos_token_id = None

    return variant_loader(tmp_path_factory, for_export)


@pytest.fixture
def emitted(tmp_path: Path) -> Callable[[str, LiveModel, InterventionSpec], ModuleType]:
    """`emitted(target module, live, spec)`: the file for that target, imported from disk as a user would."""

    def get(target: str, live: LiveModel, spec: InterventionSpec) -> ModuleType:
        writer = importlib.import_module(f"builders.export.code.{target}")
        name = f"emitted_{target}_{next(_NUMBERS)}"
        path = tmp_path / f"{name}.py"
        path.write_text(writer.write(spec, places_of(live)), encoding="utf-8")
        found = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(found)
        sys.modules[name] = module
        found.loader.exec_module(module)
        return module

    return get
