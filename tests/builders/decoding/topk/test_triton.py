"""The Triton kernels on a processor, by Triton's interpreter. Skipped where Triton is not installed."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

CHECK = """
import torch
from builders.decoding.topk import cuda
from builders.decoding.topk import screening
from builders.decoding.topk.vocabulary import Vocabulary
from tests.builders.decoding.topk import cases

def fast(w_ND, u_VD, k):
    return screening.screened_top(w_ND, Vocabulary(u_VD), k, 1 << 24, cuda)

for n_vocab, d_model in ((2300, 64), (4096, 300)):
    w_ND, u_VD = cases.random(6, d_model) * 0.05, cases.random(n_vocab, d_model, seed=1)
    found = cases.assert_exact(fast, w_ND, u_VD, 8)
    cases.assert_lse(found, w_ND, u_VD, atol=1e-3)
"""


@pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")
def test_the_kernels_by_the_interpreter() -> None:
    # The mode is read when a kernel is defined, so it takes a process of its own.
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    done = subprocess.run([sys.executable, "-c", CHECK], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
