"""One identity for a set of weights, however it is stored."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor, nn

_CHUNK = 1 << 22  # elements upcast at a time: 16 MiB as float32


def fingerprint(model: nn.Module) -> str:
    """ "sha256:..." over the model's parameters.

    The sha256 of the sorted distinct digests of the parameters, each the sha256 of its shape and its
    float32 little-endian values. So it depends on neither names nor order, nor on whether an embedding is
    tied or stored twice, nor on whether bfloat16 weights are held as float32. It is that of the weights as
    loaded: rounded to a lower precision than the checkpoint's, they are other weights. Memory: a few chunks.
    """
    workers = min(4, os.cpu_count() or 1)  # hashing releases the interpreter lock
    with ThreadPoolExecutor(workers) as pool:
        digests = set(pool.map(_tensor_digest, model.parameters()))
    return "sha256:" + hashlib.sha256("\n".join(sorted(digests)).encode()).hexdigest()


def _tensor_digest(tensor: Tensor) -> str:
    digest = hashlib.sha256(repr(tuple(tensor.shape)).encode())
    flat = tensor.detach().reshape(-1)
    for chunk in flat.split(_CHUNK):
        values = chunk.to("cpu", torch.float32).numpy()
        digest.update(values.astype("<f4", copy=False))
    return digest.hexdigest()
