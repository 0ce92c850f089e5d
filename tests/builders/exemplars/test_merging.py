"""Lists and sums of one place against brute force over all tokens, under any batches, shards and order of them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
import torch

from atlas.errors import BuildError
from atlas.schema.exemplar_tables import KINDS
from builders.exemplars.chosen import exemplar_rows
from builders.exemplars.draws import drawn_tokens, hashes_of_neurons, hashes_of_texts
from builders.exemplars.kinds import BAND_WINDOW, EXTREME_WINDOW
from builders.exemplars.place import EPSILON, PlaceState
from builders.exemplars.rows import firing_rows, noted_firing, noted_lists
from builders.exemplars.seen import Batch, Seen
from tests.exemplar_reference import Read, drawn, firing_of, lists_of, mixed, windows_of

WIDTH, LAYER, SEED = 11, 2, 5
RELATIVE = 1 / 8
"""How far a stored quantile may be from the true one: as wide as a fine bin."""


def read_of(rng: np.random.Generator, n_tokens: int) -> Read:
    """A text of that many tokens, of which the first does not count; its numbers repeat, so that there are ties."""
    gate, up = (rng.normal(0.0, 1.0, (n_tokens, WIDTH)).astype(np.float32).round(1) for _ in range(2))
    acts = (gate * np.float32(1.5) if n_tokens % 2 else np.where(gate > 0, gate, gate / 8)) * up
    acts[:, 3] += 1000  # a large mean takes nothing from the spread
    acts[:, 4] = 0
    gate[:, 3] = up[:, 3] = 1
    counted = np.ones(n_tokens, bool)
    counted[0] = False
    if n_tokens > 9:
        counted[5] = False
    acts[~counted] = 7e4
    return Read(acts.astype(np.float32), counted, gate, up)


@pytest.fixture(scope="module")
def reads() -> list[Read]:
    rng = np.random.default_rng(1)
    found = [read_of(rng, int(n)) for n in rng.integers(2, 24, 90)]
    return found + found[:15]  # the same texts again


def batch_of(reads: list[Read], texts: list[int], shard: range | None = None) -> tuple[Seen, Batch]:
    """Those texts side by side, padded; `shard`: all that are read with them, where that is told."""
    longest = max(len(reads[text].counted_T) for text in texts)
    acts, gate, up = (np.full((len(texts), longest, WIDTH), 9e4, np.float32) for _ in range(3))
    for row, text in enumerate(texts):
        for whole, part in ((acts, reads[text].acts_TN), (gate, reads[text].gate_TN), (up, reads[text].up_TN)):
            whole[row, : len(part)] = part
    ids = np.asarray(texts, np.int32)
    places = [np.flatnonzero(reads[text].counted_T) for text in texts]
    sampled = [np.ones(len(each), bool) for each in places]
    compared = [at % 3 == 0 for at in places]
    lengths = [len(reads[text].counted_T) for text in texts]
    shard_X = None if shard is None else hashes_of_texts(SEED, np.asarray(shard, np.int32))
    batch = Batch(ids, hashes_of_texts(SEED, ids), lengths, places, sampled, compared, 1, shard_X)
    negative = tuple(torch.from_numpy(np.signbit(each)) for each in (gate, up))
    return Seen(batch, torch.from_numpy(acts), negative), batch


def built(reads: list[Read], n_shards: int, batch: int, order: int) -> tuple[pa.Table, pa.Table]:
    """(rows of _exemplar, rows of _firing), after reading shards in some order, perhaps by two processes."""
    bounds = [len(reads) * index // n_shards for index in range(n_shards + 1)]
    shards = list(enumerate(range(*pair) for pair in pairwise(bounds)))
    np.random.default_rng(order).shuffle(shards) if order else None
    workers = [PlaceState(LAYER, WIDTH, gated=True) for _ in range(2 if order else 1)]
    lists, sums = [], []
    for turn, (shard, texts) in enumerate(shards):
        state = workers[turn % len(workers)]
        state.begin()
        by_length = sorted(texts, key=lambda text: -len(reads[text].counted_T))
        for start in range(0, len(by_length), batch):
            state.take(batch_of(reads, by_length[start : start + batch], texts if n_shards > 1 else None)[0])
        lists.append(noted_lists(state, 0, shard, texts))
        sums.append(noted_firing(state.tally, 0, shard))
    rows, used = exemplar_rows(pa.concat_tables(lists), "mlp_post", LAYER)
    assert set(used) == {text for texts in rows["text_id"].to_pylist() for text in texts}
    return rows, firing_rows(pa.concat_tables(sums), "mlp_post", LAYER, gated=True)


SPLITS = [(1, 200, 0), (1, 1, 0), (2, 7, 0), (5, 3, 1), (105, 1, 2)]


@pytest.fixture(scope="module")
def every(reads):
    return [built(reads, *split) for split in SPLITS]


def test_lists_and_windows_are_those_of_brute_force(reads, every):
    rows = {(row["neuron"], row["kind"]): row for row in every[0][0].to_pylist()}
    for neuron in range(WIDTH):
        expected = lists_of(reads, LAYER, neuron, SEED)
        assert {code for at, code in rows if at == neuron} == set(expected)
        for kind in KINDS:
            if kind.code not in expected:
                continue
            row = rows[neuron, kind.code]
            got = list(zip(row["text_id"], row["position"], row["value"], strict=True))
            assert got == expected[kind.code]
            if kind.windowed:
                width = BAND_WINDOW if kind.kind == "band" else EXTREME_WINDOW
                scale, codes = windows_of(reads, neuron, got, width, 1)
                assert row["scale"] == pytest.approx(scale, rel=1e-6)
                # Quantised twice: a code may be next to the one of the plain way.
                away = np.abs(np.frombuffer(row["windows"], np.uint8).astype(int) - np.frombuffer(codes, np.uint8))
                assert away.max() <= 1 and np.array_equal(
                    np.frombuffer(row["windows"], np.uint8) == 0, np.frombuffer(codes, np.uint8) == 0
                )


def test_lists_are_the_same_under_every_split(every):
    for rows, _ in every[1:]:
        assert rows.equals(every[0][0])


def test_firing_is_that_of_brute_force(reads, every):
    for row in every[2][1].to_pylist():
        expected = firing_of(reads, row["neuron"], EPSILON)
        for name in ("mean", "std"):
            assert row[name] == pytest.approx(expected[name], rel=2e-5, abs=1e-6)
        correlation = expected["position_correlation"]
        assert (row["position_correlation"] is None) == (correlation is None)
        if correlation is not None:
            assert row["position_correlation"] == pytest.approx(correlation, abs=1e-4)
        for name in ("positive", "beyond", "octave", "histogram", "quadrants"):
            assert row[name] == expected[name], (name, row["neuron"])
        assert (row["quantiles"][0], row["quantiles"][-1]) == (expected["quantiles"][0], expected["quantiles"][-1])
        for stored, true in zip(row["quantiles"], expected["quantiles"], strict=True):
            assert stored == pytest.approx(true, rel=RELATIVE, abs=2.0**-28)


def test_firing_is_the_same_under_every_split(every):
    for _, rows in every[1:]:
        for name in rows.column_names:
            ours, theirs = (np.asarray(each[name].to_pylist(), dtype=object) for each in (rows, every[0][1]))
            if name in ("mean", "std", "position_correlation"):
                for one, other in zip(ours, theirs, strict=True):
                    assert one == (None if other is None else pytest.approx(other, rel=4e-6, abs=4e-6))
            else:
                assert np.array_equal(ours, theirs), name


def test_activations_that_are_no_numbers_are_refused(reads):
    seen, batch = batch_of(reads, [0, 1])
    seen.acts_BTN[1, int(batch.places[1][0]), 4] = float("nan")
    with pytest.raises(BuildError, match="not finite"):
        PlaceState(LAYER, WIDTH, gated=True).take(seen)


def test_hashes_are_those_that_are_written_down():
    texts = np.array([0, 1, 7, 2**31 - 1], np.int32)
    found = hashes_of_neurons(hashes_of_texts(SEED, texts), LAYER, WIDTH)
    assert found.tolist() == [[drawn(SEED, int(text), LAYER, neuron) for neuron in range(WIDTH)] for text in texts]
    positions = np.arange(4)
    below = [
        mixed(mixed(mixed(SEED) ^ int(text)) ^ mixed(int(at))) < 2**62
        for text, at in zip(texts, positions, strict=True)
    ]
    assert drawn_tokens(texts, positions, SEED, 0.25).tolist() == below
    many = drawn_tokens(np.repeat(np.arange(200), 100), np.tile(np.arange(100), 200), SEED, 0.25)
    assert abs(many.mean() - 0.25) < 0.015
