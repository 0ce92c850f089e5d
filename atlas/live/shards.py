"""Which safetensors files hold a checkpoint's weights, and what they say is in them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import safe_open
from torch import Tensor

from atlas.errors import ModelError
from atlas.live.damaged import Damaged, read_json_file
from atlas.live.safetensors_header import TensorInfo, read_header

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
_SHARD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\.safetensors")
_INDEX_BYTES = 64 << 20

Find = Callable[[str], Path | None]
"""The plain file of a name, or None."""


@dataclass(frozen=True)
class Packed:
    """A weight of several stored tensors; `sources`: their names, by what each is to `unpack` (unpacking.py)."""

    sources: Mapping[str, str]
    unpack: Callable[[Mapping[str, Tensor], Mapping[str, Any]], Tensor]
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Weights:
    """`tensors`: what the headers describe, by name. `files`: where each stored tensor is.

    `packed`: of a quantised checkpoint, how weights among `tensors` are made of the stored ones.
    """

    tensors: dict[str, TensorInfo]
    files: dict[str, Path]
    packed: Mapping[str, Packed] = field(default_factory=dict)

    @property
    def n_elements(self) -> int:
        """Of all tensors together."""
        return sum(tensor.n_elements for tensor in self.tensors.values())


def find_weights(find: Find) -> Weights | None:
    """The weights of a checkpoint whose files `find` finds: one file, else those of the index; None without either.

    Raises Damaged for an index or header that is wrong, ModelError for a shard that is no plain safetensors file.
    """
    whole = find(SINGLE)
    if whole is not None:
        header = read_header(whole)
        return Weights(header, dict.fromkeys(header, whole))
    index = find(INDEX)
    if index is None:
        return None
    places = _places(read_json_file(index, _INDEX_BYTES))
    tensors: dict[str, TensorInfo] = {}
    files: dict[str, Path] = {}
    for shard in sorted(set(places.values())):
        path = find(shard)
        if path is None:
            raise Damaged(f"the index names {shard}, which is not there")
        for name, tensor in read_header(path).items():
            if name in tensors:
                raise Damaged(f"two shards hold {name[:100]!r}")
            if places.get(name) != shard:
                raise Damaged(f"{shard} holds {name[:100]!r}, which the index does not place there")
            tensors[name], files[name] = tensor, path
    if lost := sorted(places.keys() - tensors.keys()):
        raise Damaged(f"{places[lost[0]]} does not hold {lost[0][:100]!r}, which the index places there")
    return Weights(tensors, files)


def read_tensors(weights: Weights) -> dict[str, Tensor]:
    """Every tensor by name, mapped from its file: read when it is used; packed ones are unpacked now."""
    found: dict[str, Tensor] = {}
    for path in sorted(set(weights.files.values())):
        with safe_open(path, framework="pt", device="cpu") as file:
            found |= {name: file.get_tensor(name) for name, place in weights.files.items() if place == path}
    plain = {name: found[name] for name in weights.tensors if name not in weights.packed}
    return plain | {name: read_tensor(weights, name) for name in weights.packed}


def read_tensor(weights: Weights, name: str) -> Tensor:
    """One tensor: mapped, its pages given back with it, as a file is opened for it alone; or unpacked.

    Raises Damaged where a packed one cannot be.
    """
    packed = weights.packed.get(name)
    if packed is None:
        return _mapped(weights.files[name], name)
    parts = {part: _mapped(weights.files[source], source) for part, source in packed.sources.items()}
    tensor = packed.unpack(parts, packed.settings).contiguous()  # as a plain one lies in memory
    if tuple(tensor.shape) != weights.tensors[name].shape:
        raise Damaged(f"{name[:100]} has not the shape that its parts promise")
    return tensor


def _mapped(path: Path, name: str) -> Tensor:
    with safe_open(path, framework="pt", device="cpu") as file:
        tensor: Tensor = file.get_tensor(name)
    return tensor


def _places(index: Any) -> dict[str, str]:
    """Tensor name -> file name."""
    places = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(places, dict) or not places:
        raise Damaged(f"{INDEX} has no weight_map")
    for name, file in places.items():
        if not isinstance(file, str) or not _SHARD.fullmatch(file):
            raise ModelError(
                f"{INDEX} places {name[:100]!r} in {str(file)[:100]!r}, and shards are plain .safetensors files",
                "Pickled weights are never read, nor files elsewhere; save the checkpoint as safetensors.",
            )
    return places
