"""From flags to the configuration of `run`, and what is refused before a model is loaded."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from atlas.errors import UsageError
from builders.cli import run as cli
from builders.run_config import RunConfig
from tests.commands import context_of

SPEC = Path("s.spec.json")


def config_of(*arguments: str) -> RunConfig:
    """The configuration that a command line makes."""
    context = context_of(cli.run, "run", [str(SPEC), "--prompt", "x", *arguments])
    # --device-map has become part of `device` by then (atlas.cli.model_options).
    others = ("section", "output_format", "device_map")
    return cli.config_from({key: value for key, value in context.params.items() if key not in others})


def test_flags_and_fields() -> None:
    assert config_of() == RunConfig(SPEC, "x")
    assert config_of("--sample").temperature == 1.0
    more = ["--top", "3", "--max-new-tokens", "0", "--sample", "--temperature", "0.5", "--seed", "7", "--model", "m"]
    more += ["--device", "cpu", "--dtype", "float32", "--write-check", "-o", "x.json"]
    assert config_of(*more) == RunConfig(
        SPEC,
        "x",
        top=3,
        max_new_tokens=0,
        temperature=0.5,
        seed=7,
        model="m",
        device="cpu",
        dtype="float32",
        write_check=True,
        output=Path("x.json"),
    )
    with pytest.raises(UsageError, match="--temperature is for --sample"):
        config_of("--temperature", "0.5")


@pytest.mark.parametrize(
    "change",
    [
        {"top": 0},
        {"max_new_tokens": -1},
        {"seed": -1},
        {"seed": 2**63},
        {"temperature": 0.0},
        {"temperature": float("nan")},
        {"temperature": float("inf")},
        {"write_check": True, "override_model": True},
    ],
)
def test_values_out_of_their_domain(change: dict) -> None:
    with pytest.raises(UsageError):
        RunConfig(SPEC, "x", **change)


def test_files_that_must_not_be_written(tmp_path: Path) -> None:
    spec, model = tmp_path / "s.json", tmp_path / "m.gguf"
    spec.touch(), model.touch()
    os.link(model, tmp_path / "same.gguf")
    RunConfig(spec, "x", model=str(model), output=tmp_path / "new.json", write_check=True).require_outputs()
    for output in (spec, model, tmp_path / "same.gguf", tmp_path):
        with pytest.raises(UsageError):
            RunConfig(spec, "x", model=str(model), output=output).require_outputs()
