"""Moments of cosines against float64 and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from builders.decoding import cosines as module
from builders.decoding.cosines import Cosines
from builders.decoding.topk import top
from builders.decoding.topk.top import top_tokens


def matrices(n_zero: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """(w [40, 24], u [3000, 24]): with means far from 0, heavy tails and a zero vector."""
    generator = torch.Generator().manual_seed(4)
    u_VD = torch.randn(3000, 24, generator=generator) ** 3 + 2
    w_ND = torch.randn(40, 24, generator=generator) + torch.linspace(-3, 3, 40)[:, None]
    w_ND[7] = 0
    w_ND[8] *= 1e-12
    w_ND[9] *= 1e12
    u_VD[5 : 5 + n_zero] = 0
    return w_ND, u_VD


def reference(w_ND: torch.Tensor, u_VD: torch.Tensor) -> np.ndarray:
    """[N, 4] of the tokens with a direction, by SciPy in float64."""
    w, u = w_ND.double().numpy(), u_VD.double().numpy()
    u = u[np.linalg.norm(u, axis=1) > 0]
    with np.errstate(invalid="ignore"):
        cosine = (w @ u.T) / np.linalg.norm(w, axis=1)[:, None] / np.linalg.norm(u, axis=1)
    return np.stack([cosine.mean(1), cosine.std(1), stats.skew(cosine, axis=1), stats.kurtosis(cosine, axis=1)], axis=1)


@pytest.mark.parametrize("n_zero", [0, 3])
@pytest.mark.parametrize("memory", [1 << 14, 1 << 27], ids=["chunks", "one"])
def test_against_float64(monkeypatch, memory, n_zero):
    w_ND, u_VD = matrices(n_zero)
    monkeypatch.setattr(module, "_CPU_TILE", 7000)  # two rows and a rest
    cosines, found = Cosines(u_VD), []
    top_tokens(w_ND, u_VD, 5, memory, lambda w_nD, y_nV: found.append(cosines.moments(w_nD, y_nV)))
    assert len(found) == (40 if memory == 1 << 14 else 1)
    due = reference(w_ND, u_VD)
    assert np.isnan(due[7]).all()
    np.testing.assert_allclose(torch.cat(found).numpy(), due, rtol=2e-5, atol=2e-6)


def test_searching_is_the_same_with_and_without_a_look(monkeypatch):
    w_ND, u_VD = matrices()
    seen = []
    plain, looked_at = top_tokens(w_ND, u_VD, 5), top_tokens(w_ND, u_VD, 5, look=lambda w, y: seen.append(y.clone()))
    assert all(
        torch.equal(getattr(plain, name), getattr(looked_at, name)) for name in plain.__annotations__ if "_N" in name
    )
    np.testing.assert_allclose(torch.cat(seen).numpy(), (w_ND.double() @ u_VD.double().T).numpy(), rtol=1e-4, atol=1e-4)


def test_where_bfloat16_logits_are_searched_float32_ones_are_looked_at(monkeypatch):
    w_ND, u_VD = torch.randn(9, 64), torch.randn(4096, 64)
    searched = []
    monkeypatch.setattr(top, "_products", lambda device: "fast products")
    monkeypatch.setattr(top, "screened_top", lambda *arguments: searched.append(arguments[-1]) or "found")
    seen = []
    assert top_tokens(w_ND, u_VD, 4, 1 << 16, lambda w, y: seen.append((w.clone(), y.clone()))) == "found"
    assert searched == ["fast products"]
    assert torch.equal(torch.cat([w for w, _ in seen]), w_ND) and seen[0][1].dtype == torch.float32
    due = (w_ND.double() @ u_VD.double().T).numpy()
    np.testing.assert_allclose(torch.cat([y for _, y in seen]).numpy(), due, rtol=1e-4, atol=1e-4)


def test_a_constant_has_no_shape():
    moments = Cosines(torch.ones(10, 3)).moments(torch.ones(2, 3), torch.full((2, 10), 3.0))[0].tolist()
    assert moments[:2] == pytest.approx([1, 0], abs=1e-6)
