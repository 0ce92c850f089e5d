"""Pooling against float64 loops, for padding on either side."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from atlas.errors import UnknownNameError
from atlas.live.pooling import pool

LENGTHS = (5, 1, 3)


@pytest.fixture(params=["left", "right"])
def padded(request):
    """Activations [3, 5, 7] with NaN on the padding, the mask, and the texts one by one as float64."""
    acts = torch.randn(3, 5, 7, generator=torch.Generator().manual_seed(3)) * 100
    mask = torch.zeros(3, 5, dtype=torch.int64)
    for row, length in enumerate(LENGTHS):
        if request.param == "left":
            mask[row, 5 - length :] = 1
        else:
            mask[row, :length] = 1
    acts[mask == 0] = float("nan")
    texts = [acts[row][mask[row] == 1].double().numpy() for row in range(3)]
    return acts, mask, texts


def test_each_position(padded):
    acts, mask, texts = padded
    expected = {
        "last": np.stack([text[-1] for text in texts]),
        "mean": np.stack([text.mean(0) for text in texts]),
        "max": np.stack([text.max(0) for text in texts]),
        "all": np.concatenate(texts),
    }
    for position, values in expected.items():
        found = pool(acts, mask, position)
        assert found.dtype == torch.float32
        assert np.array_equal(found.numpy(), values.astype(np.float32)), position


def test_lower_precision_activations_are_summed_in_float64():
    acts = torch.ones(1, 1000, 2, dtype=torch.bfloat16) * 1.0078125
    acts[0, 0] = 1024
    mean = pool(acts, torch.ones(1, 1000), "mean")
    assert torch.equal(mean, torch.full((1, 2), (1024 + 999 * 1.0078125) / 1000))
    assert pool(acts, torch.ones(1, 1000), "last").dtype == torch.float32


def test_an_unknown_position():
    with pytest.raises(UnknownNameError, match="Did you mean max"):
        pool(torch.ones(1, 1, 1), torch.ones(1, 1), "maxi")
