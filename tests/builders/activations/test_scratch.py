"""Activations on disk: appended, cut back after a kill, refused when the disk is too small."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from atlas.errors import BuildError
from builders.activations.scratch import DeviceScratch, Scratch, scratch_for

SIZES = {("mlp_post", 0): 4, ("resid_post", 0): 2}


def filled(scratch: Scratch | DeviceScratch) -> Scratch | DeviceScratch:
    scratch.prepare(SIZES, rows=5)
    for (site, layer), width in SIZES.items():
        scratch.append(site, layer, torch.arange(3.0 * width).reshape(3, width))
        scratch.append(site, layer, torch.full((2, width), -1.0))
    return scratch


@pytest.mark.parametrize("on", ["disk", "device"])
def test_rows_come_back_in_order(tmp_path: Path, on: str) -> None:
    scratch = Scratch(tmp_path) if on == "disk" else DeviceScratch(torch.device("cpu"))
    acts_RN = filled(scratch).read("mlp_post", 0, 5, 4)
    np.testing.assert_array_equal(acts_RN[:3], np.arange(12).reshape(3, 4))
    np.testing.assert_array_equal(acts_RN[3:], -1)


def test_rows_beyond_the_note_are_dropped(tmp_path: Path) -> None:
    scratch = filled(Scratch(tmp_path))
    scratch.truncate(SIZES, rows=3)
    scratch.append("mlp_post", 0, torch.full((1, 4), 7.0))
    np.testing.assert_array_equal(scratch.read("mlp_post", 0, 4, 4)[3], 7)


def test_a_lost_file_is_noticed(tmp_path: Path) -> None:
    scratch = filled(Scratch(tmp_path))
    (tmp_path / "mlp_post.L0.f32").unlink()
    with pytest.raises(BuildError, match="gone"):
        scratch.truncate(SIZES, rows=3)
    scratch.truncate({("resid_post", 0): 2}, rows=3)


def test_a_disk_that_is_too_small_is_refused_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="GB of disk"):
        Scratch(tmp_path / "s").prepare({("mlp_post", layer): 10**6 for layer in range(100)}, rows=10**7)


def test_what_a_processor_computes_goes_to_disk(tmp_path: Path) -> None:
    scratch = scratch_for(tmp_path, torch.device("cpu"), 10)
    assert isinstance(scratch, Scratch) and scratch.survives
