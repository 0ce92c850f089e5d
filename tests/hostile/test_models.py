"""Checkpoints from strangers: refused in one line, or loaded as what they are; nothing run, asked, or filled."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.encoders import make_encoder
from tests.hostile.counts import SEED, count
from tests.synthetic import make_model

pytest.importorskip("gguf")
pytest.importorskip("accelerate")

ROOT = Path(__file__).resolve().parents[2]
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
    done = subprocess.run(
        [sys.executable, "-m", "tests.hostile.model_attacks", str(models), json.dumps(cases)],
        cwd=ROOT,
        env={**os.environ, "HF_HUB_DISABLE_TELEMETRY": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=60 + 30 * N_CASES,
    )
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
