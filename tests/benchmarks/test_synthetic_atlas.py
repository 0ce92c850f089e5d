"""The synthetic atlas has the shape that it says: popularity, sorted lists, and the checks of a real publish."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from atlas.store.reader import open_atlas
from benchmarks.common.make_atlas import write_atlas
from benchmarks.common.synthetic_atlas import CONCEPTS, SCALES, TOP, Scale, lists, popularity, token_pool, token_texts
from queries.neurons import neurons_for_concept, neurons_for_token

TINY = Scale("tiny", 2, 96, 16, 4096)


def test_popularity_follows_the_measured_curve():
    share_V = np.sort(popularity(SCALES["small"]))[::-1]
    up_to = np.cumsum(share_V)
    assert abs(share_V[0] * TOP - 0.074) < 1e-9
    for rank, share in ((10, 0.016), (100, 0.085), (1000, 0.31), (10_000, 0.77)):
        assert abs(up_to[rank - 1] - share) < 1e-9
    assert abs(up_to[-1] - 1) < 1e-9


def test_lists_are_distinct_and_descending():
    tokens_NK, logits_NK = lists(TINY, token_pool(TINY), [0, 1])
    assert all(len(set(row)) == TOP for row in tokens_NK.tolist())
    assert (np.diff(logits_NK, axis=1) <= 0).all() and logits_NK.dtype == np.float32


def test_texts_are_distinct_and_come_in_forms():
    texts = token_texts(TINY)
    assert len(set(texts)) == TINY.d_vocab
    assert len({text.strip().lower() for text in texts}) < 0.8 * len(texts)


def test_it_is_published_and_answers(tmp_path: Path):
    with open_atlas(write_atlas(TINY, tmp_path / "tiny.duckdb", with_vectors=True)) as atlas:
        assert len(neurons_for_concept(atlas, CONCEPTS[0])) == 20
        (text,) = atlas.query("SELECT token FROM token_decoding WHERE layer = 1 LIMIT 1")[1][0]
        assert len(neurons_for_token(atlas, text, exact=True)) > 0
