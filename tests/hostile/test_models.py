"""Checkpoints from strangers: refused in one line, or loaded as what they are; nothing run, asked, or filled."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import warm
from tests.encoders import make_encoder
from tests.hostile.counts import SEED, count
from tests.synthetic import make_model

pytest.importorskip("gguf")
pytest.importorskip("accelerate")

N_CASES = count(14, 270)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("honest")
    for family in ("llama", "gpt2", "gemma3"):
        make_model(family, folder / family)
    make_encoder("bert", "classifier", folder / "bert")
    make_encoder("roberta", "mlm", folder / "roberta")
    return folder


def test_hostile_checkpoints_do_no_harm(models: Path) -> None:
    cases = [(number, f"{SEED}/models") for number in range(N_CASES)]
    done = warm.run(["-m", "tests.hostile.model_attacks", models, json.dumps(cases)])
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0 and len(rows) == N_CASES, done.stderr[-2000:]
    wrong = [
        row
        for row in rows
        if row["raised"] not in ("", "AtlasError") or row["ran"] or "\n" in row["said"] or row["seconds"] > 30
    ]
    assert wrong == []
    # The attacks do attack: most of what is drawn is refused.
    assert sum(row["raised"] == "AtlasError" for row in rows) > N_CASES / 2
