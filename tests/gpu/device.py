"""The device that the tests of this folder use: the GPU, or what NEURON_ATLAS_GPU_DEVICE names to rehearse them."""

from __future__ import annotations

import os

import pytest
import torch

DEVICE = torch.device(os.environ.get("NEURON_ATLAS_GPU_DEVICE", "cuda"))
MARKS = [
    pytest.mark.gpu,
    pytest.mark.skipif(DEVICE.type == "cuda" and not torch.cuda.is_available(), reason="needs a CUDA device"),
]
