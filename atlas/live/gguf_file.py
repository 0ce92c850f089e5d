"""A GGUF file before transformers reads it: what its header counts, and alone in a folder."""

from __future__ import annotations

import contextlib
import struct
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import PretrainedConfig

from atlas.errors import ModelError
from atlas.live.strict_json import NotStrict

_HEADER = struct.Struct("<4sIQQ")
_SMALLEST_ENTRY = 12  # bytes of a metadata field or of a tensor's description, at least
_MOST_FIELDS = 100_000
_WEIGHTS_PER_BYTE = 8  # the densest quantisation has 5


@dataclass(frozen=True)
class GgufCounts:
    """`n_bytes`: of the whole file."""

    n_tensors: int
    n_bytes: int


def read_gguf_counts(path: Path) -> GgufCounts:
    """What the first bytes say. Raises NotStrict where the file cannot hold as much, or OSError."""
    n_bytes = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(_HEADER.size)
    if len(head) < _HEADER.size or head[:4] != b"GGUF":
        raise NotStrict(f"{path.name} is cut off")
    _, version, n_tensors, n_fields = _HEADER.unpack(head)
    if version not in (2, 3):
        raise NotStrict(f"{path.name} is of GGUF version {version}, and 2 and 3 are known")
    if max(n_tensors, n_fields) > min(_MOST_FIELDS, n_bytes // _SMALLEST_ENTRY):
        raise NotStrict(f"{path.name} has {n_bytes} bytes and would describe {max(n_tensors, n_fields)} things")
    return GgufCounts(n_tensors, n_bytes)


@contextlib.contextmanager
def alone(path: Path) -> Iterator[tuple[str, str]]:
    """(folder, name) of a link to the file in a folder of its own: nothing that lies beside it is read."""
    with tempfile.TemporaryDirectory(prefix="neuron-atlas-") as folder:
        name = "model.gguf"
        (Path(folder) / name).symlink_to(path.resolve())
        yield folder, name


def check_size(model_class: type, config: PretrainedConfig, counts: GgufCounts, model_id: str) -> None:
    """Refuse a config that asks for more weights than the file can hold, before they take memory."""
    with torch.device("meta"):
        model = model_class(config)
    wanted = sum(tensor.numel() for tensor in [*model.parameters(), *model.buffers()])
    if wanted > _WEIGHTS_PER_BYTE * counts.n_bytes:
        raise ModelError(
            f"the config of {model_id} asks for {wanted:.3g} weights, and the file has {counts.n_bytes} bytes",
            "The file may be damaged or incomplete.",
        )
