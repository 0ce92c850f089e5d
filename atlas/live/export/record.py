"""What lies beside exported weights: neuron-atlas.json with the spec and its check, and a script that runs it."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import torch

from atlas.live.check import next_logprobs
from atlas.live.model import LiveModel
from atlas.spec import InterventionSpec
from atlas.spec_json import spec_hash, to_document

RECORD = "neuron-atlas.json"
SCRIPT = "verify_neuron_atlas.py"


def write_record(spec: InterventionSpec, target: str, folder: Path) -> None:
    """Write both files into `folder`. `spec` must have a check."""
    document = {"format": "neuron-atlas/export", "target": target, "spec_hash": spec_hash(spec)}
    text = json.dumps({**document, "spec": to_document(spec)}, ensure_ascii=False, indent=1)
    (folder / RECORD).write_text(text + "\n", encoding="utf-8")
    script = files("atlas.export").joinpath("templates", f"verify_{target}.py.txt").read_text(encoding="utf-8")
    (folder / SCRIPT).write_text(script, encoding="utf-8")


def difference_after(live: LiveModel, spec: InterventionSpec) -> float:
    """Largest difference between the check's log-probabilities with the edits and those of `live.model` as it is."""
    check = spec.check
    found = next_logprobs(live, check.prompt_ids)[list(check.tokens)].double()
    return float((found - torch.tensor(check.logprob_after, dtype=torch.float64)).abs().max())
