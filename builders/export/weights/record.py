"""What lies beside exported weights: neuron-atlas.json with the spec and its check, and a script that runs it."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import torch

from atlas.json_text import JsonError, read_json
from atlas.live.check import next_logprobs
from atlas.live.model import LiveModel
from atlas.printable import json_text
from atlas.spec.document import InterventionSpec
from atlas.spec.text import MAX_BYTES, spec_hash, to_document

RECORD = "neuron-atlas.json"
SCRIPT = "verify_neuron_atlas.py"
FORMAT = "neuron-atlas/export"


def write_record(spec: InterventionSpec, target: str, folder: Path) -> None:
    """Write both files into `folder`, which is otherwise complete: the record lists all. `spec` must have a check."""
    script = files("builders.export").joinpath("templates", f"verify_{target}.py.txt").read_text(encoding="utf-8")
    (folder / SCRIPT).write_text(script, encoding="utf-8")
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    document = {"format": FORMAT, "target": target, "spec_hash": spec_hash(spec), "files": sorted([RECORD, *names])}
    text = json_text({**document, "spec": to_document(spec)}, indent=1)
    (folder / RECORD).write_text(text + "\n", encoding="utf-8")


def recorded_files(folder: Path) -> frozenset[str] | None:
    """The files that the export in `folder` says are its own, relative to it; None where no export wrote it.

    Empty for a record from before the files were listed. The list comes from a file that anybody may have written:
    compare names with it, and never take a path from it.
    """
    try:
        with open(folder / RECORD, "rb") as stream:
            record = read_json(stream.read(MAX_BYTES))
    except (OSError, JsonError):
        return None
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        return None
    names = record.get("files", [])
    return frozenset(name for name in names if isinstance(name, str)) if isinstance(names, list) else frozenset()


def difference_after(live: LiveModel, spec: InterventionSpec) -> float:
    """Largest difference between the check's log-probabilities with the edits and those of `live.model` as it is."""
    check = spec.check
    found = next_logprobs(live, check.prompt_ids)[list(check.tokens)].double()
    return float((found - torch.tensor(check.logprob_after, dtype=torch.float64)).abs().max())
