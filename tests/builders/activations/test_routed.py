"""Pooling over the tokens that reach an expert, and the files that keep it, against brute force."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from atlas.errors import BuildError
from atlas.live.expert_pass import Routed
from atlas.live.pooling import pool_routed
from builders.activations.counts import ENOUGH, Texts, beside, of_every_text, routed_counts
from builders.activations.routed import RoutedScratch
from tests.hostile.counts import generator

POSITIONS = ("last", "mean", "max", "all")


def drawn(name: str, n_texts: int = 6, length: int = 7, width: int = 3) -> tuple[Routed, torch.Tensor]:
    random = generator(name)
    mask = torch.zeros(n_texts, length, dtype=torch.long)
    for row in mask:
        start = random.randrange(3)
        row[start : random.randrange(start + 1, length + 1)] = 1
    tokens = sorted(random.sample(range(n_texts * length), 17))
    acts = torch.tensor([[random.gauss(0, 1) for _ in range(width)] for _ in tokens])
    return Routed(2, torch.tensor(tokens), acts), mask


def brute(routed: Routed, mask: torch.Tensor, position: str) -> list[tuple[int, np.ndarray]]:
    """(text, value) in order, by a loop over texts and tokens."""
    found, pairs = [], zip(routed.tokens_R.tolist(), routed.acts_RN.double().numpy(), strict=True)
    at = dict(pairs)
    for text, row in enumerate(mask.tolist()):
        real = [place for place, is_real in enumerate(row) if is_real]
        there = [at[text * len(row) + place] for place in real if text * len(row) + place in at]
        if position == "last":
            there = [at[text * len(row) + real[-1]]] if text * len(row) + real[-1] in at else []
        elif there and position == "mean":
            there = [np.mean(there, axis=0)]
        elif there and position == "max":
            there = [np.max(there, axis=0)]
        found += [(text, value) for value in there]
    return found


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("case", range(5))
def test_pooling_is_over_routed_real_tokens(position: str, case: int) -> None:
    routed, mask = drawn(f"routed {case}")
    found, expected = pool_routed(routed, mask, position), brute(routed, mask, position)
    assert found.rows_V.tolist() == [text for text, _ in expected]
    for value, (_, wanted) in zip(found.values_VN, expected, strict=True):
        np.testing.assert_allclose(value.numpy(), wanted, rtol=1e-6)
    counts = [sum(text == each for text, _ in brute(routed, mask, "all")) for each in range(len(mask))]
    assert found.tokens_B.tolist() == counts


def filled(folder: Path, batches: range, scratch: RoutedScratch | None = None) -> RoutedScratch:
    scratch = scratch or RoutedScratch(folder)
    scratch.prepare(0)
    for batch in batches:
        texts = np.arange(6) + 6 * batch
        for expert in range(3):
            routed, mask = drawn(f"file {batch} {expert}")
            scratch.append("mlp_post", 1, batch, expert, texts, pool_routed(routed, mask, "all"))
    return scratch


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    scratch = filled(tmp_path / "a", range(4))
    log = scratch.log("mlp_post", 1)
    for expert in range(3):
        expected = []
        for batch in range(4):
            routed, mask = drawn(f"file {batch} {expert}")
            expected += [(text + 6 * batch, value) for text, value in brute(routed, mask, "all")]
        texts, acts = scratch.read("mlp_post", 1, 3, log, expert)
        assert texts.tolist() == [text for text, _ in expected]
        np.testing.assert_allclose(acts, [value for _, value in expected], rtol=1e-6)
    texts, acts = scratch.read("mlp_post", 1, 3, log, 7)
    assert len(texts) == 0 and acts.shape == (0, 3)


def test_a_killed_build_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    whole = filled(tmp_path / "whole", range(4))
    torn = filled(tmp_path / "torn", range(3))
    with open(tmp_path / "torn" / "mlp_post.L1.routed.f32", "ab") as file:
        file.write(b"\x00" * 5)  # half a value, as a kill leaves it
    torn.truncate("mlp_post", 1, 3, 2)
    filled(tmp_path / "torn", range(2, 4), torn)
    for name in ("mlp_post.L1.routed.f32", "mlp_post.L1.routed.i32"):
        assert (tmp_path / "torn" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert len(whole.log("mlp_post", 1))


def test_lost_files_are_told(tmp_path: Path) -> None:
    scratch = filled(tmp_path / "a", range(2))
    (tmp_path / "a" / "mlp_post.L1.routed.f32").unlink()
    with pytest.raises(BuildError, match="is gone"):
        scratch.truncate("mlp_post", 1, 3, 1)
    scratch.truncate("mlp_post", 1, 3, 0)
    assert len(scratch.log("mlp_post", 1)) == 0


def test_too_little_is_not_enough() -> None:
    labels = np.repeat([0, 1, 2], 20)
    texts = Texts(labels, labels.astype(np.uint64), *(np.full(3, 20 * each) for each in (1, 1, 5)))
    rows = []
    for expert, reach in enumerate([(ENOUGH, ENOUGH - 1, ENOUGH), (ENOUGH, 3, 3), (0, 0, 0)]):
        for concept, n in enumerate(reach):
            rows += [(0, expert, 20 * concept + i, 2, 1) for i in range(n)]
    counts = routed_counts(texts, np.array(rows, np.int32), 3)
    assert counts.fitted_XC.tolist() == [[True, False, True], [False] * 3, [False] * 3]
    assert counts.values_XC.tolist() == [[10, 9, 10], [10, 3, 3], [0, 0, 0]]
    assert counts.tokens_XC.tolist() == [[20, 18, 20], [20, 6, 6], [0, 0, 0]]
    both = beside(counts, of_every_text(texts, 1))
    assert both.values_XC[-1].tolist() == [20, 20, 20] and both.fitted_XC[-1].all()
