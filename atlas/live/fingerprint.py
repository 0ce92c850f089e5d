"""One identity for what a model computes, however it is stored: its weights, their layers, its config.

Two kinds of fingerprint exist. `sha256:` (the first kind) is of the weights alone, as a set; `sha256v2:` also of which
layer each is of, and of what the config says of the computation (computation.py). Atlases and specs carry either, and
a loaded model has both.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Hashable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from atlas.fingerprint_kinds import FIRST, SECOND
from atlas.live.computation import computation

if TYPE_CHECKING:
    from atlas.live.model import LiveModel

_CHUNK = 1 << 22  # elements upcast at a time: 16 MiB as float32


class Fingerprints(NamedTuple):
    """`model`: of the second kind. `weights`: of the first."""

    model: str
    weights: str


def fingerprints(live: LiveModel, digests: Mapping[str, str] | None = None) -> Fingerprints:
    """Both of a model. `digests`: those of its parameters by all their names, where they are known already.

    The second kind is the sha256 of a JSON text: what the config says of the computation; for each block, in order, the
    sorted distinct digests of its parameters; and those of all others. Names of parameters do not enter, which
    libraries change; nor whether an embedding is tied or stored twice, nor the dtype that holds the values.
    """
    named = dict(live.model.named_parameters(remove_duplicate=False))
    found = _held(named) if digests is None else digests
    block = re.compile(re.escape(live.adapter.block).replace(re.escape("{layer}"), r"(\d+)") + r"\.")
    blocks = [set[str]() for _ in range(live.n_layers)]
    rest = set[str]()
    for name in named:
        place = block.match(name)
        (blocks[int(place[1])] if place else rest).add(found[name])
    said = {
        "computation": computation(live.model),
        "blocks": [sorted(each) for each in blocks],
        "rest": sorted(rest),
    }
    text = json.dumps(said, sort_keys=True, separators=(",", ":"))
    return Fingerprints(SECOND + hashlib.sha256(text.encode()).hexdigest(), _of_set(found[name] for name in named))


def fingerprint(model: nn.Module) -> str:
    """ "sha256:..." over the model's parameters: the first kind.

    The sha256 of the sorted distinct digests of the parameters, each the sha256 of its shape and its
    float32 little-endian values. So it depends on neither names nor order, nor on whether an embedding is
    tied or stored twice, nor on whether bfloat16 weights are held as float32. It is that of the weights as
    loaded: rounded to a lower precision than the checkpoint's, they are other weights. Memory: a few chunks.
    """
    return _of_set(_held(dict(model.named_parameters())).values())


def digests_of(keys: Mapping[str, Hashable], digest: Callable[[str], str]) -> dict[str, str]:
    """The digest of each name; names with the same key have the same one, and are hashed once."""
    firsts: dict[Hashable, str] = {}
    for name, key in keys.items():
        firsts.setdefault(key, name)
    workers = min(4, os.cpu_count() or 1)  # hashing releases the interpreter lock
    with ThreadPoolExecutor(workers) as pool:
        found = dict(zip(firsts, pool.map(digest, firsts.values()), strict=True))
    return {name: found[key] for name, key in keys.items()}


def _held(named: Mapping[str, Tensor]) -> dict[str, str]:
    return digests_of({name: id(each) for name, each in named.items()}, lambda name: tensor_digest(named[name]))


def _of_set(digests: Iterable[str]) -> str:
    return FIRST + hashlib.sha256("\n".join(sorted(set(digests))).encode()).hexdigest()


def tensor_digest(tensor: Tensor, rounded: torch.dtype | None = None) -> str:
    """The sha256 of the shape and the values as float32; `rounded`: as they are in that dtype."""
    digest = hashlib.sha256(repr(tuple(tensor.shape)).encode())
    flat = tensor.detach().reshape(-1)
    for chunk in flat.split(_CHUNK):
        values = chunk.to(rounded or chunk.dtype).to("cpu", torch.float32).numpy()
        digest.update(values.astype("<f4", copy=False))
    return digest.hexdigest()
