"""Many threads at one atlas: each answer is the one that a single thread gets from an atlas of its own."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from atlas.store.reader import Atlas, open_atlas
from queries.card import neuron_card
from queries.layers import layer_tokens
from queries.neurons import neurons_for_concept, neurons_for_token
from tests.atlas_factory import D_MLP, N_LAYERS, write_small_atlas
from tests.hostile.counts import count, generator

THREADS = 8
_HANG_S = 600.0


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_atlas(tmp_path_factory.mktemp("threads") / "small.duckdb")


def ask(atlas: Atlas, numbers: random.Random) -> object:
    """The answer to one of five kinds of questions."""
    kind = numbers.randrange(5)
    if kind == 0:
        return neuron_card(atlas, f"L{numbers.randrange(N_LAYERS)}N{numbers.randrange(D_MLP)}")
    if kind == 1:
        return neurons_for_token(atlas, numbers.choice(["dog", "cat", "science", "law"]), limit=numbers.choice([3, 20]))
    if kind == 2:
        concept = numbers.choice(["sports", "politics", "animals", "joy"])
        return neurons_for_concept(atlas, concept, limit=numbers.choice([2, 10]))
    if kind == 3:
        return layer_tokens(atlas, numbers.randrange(N_LAYERS))
    return atlas.query("SELECT $n + count(*) FROM vocab", {"n": numbers.randrange(1000)})


def in_threads(work: Callable[[int], None]) -> list[BaseException]:
    """Run work(0) ... work(THREADS - 1) at once; what they raised."""
    raised: list[BaseException] = []
    start = threading.Barrier(THREADS)

    def run(number: int) -> None:
        try:
            start.wait()
            work(number)
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(_HANG_S)
        assert not thread.is_alive(), "a question hangs"
    return raised


def test_every_thread_gets_its_own_answers(path: Path) -> None:
    each = count(60, 500)
    seeds = [[generator(f"threads/{thread}/{i}").random() for i in range(each)] for thread in range(THREADS)]
    with open_atlas(path) as atlas:
        expected = [[ask(atlas, random.Random(seed)) for seed in row] for row in seeds]
    wrong = []
    with open_atlas(path) as atlas:

        def work(number: int) -> None:
            for i, seed in enumerate(seeds[number]):
                if ask(atlas, random.Random(seed)) != expected[number][i]:
                    wrong.append((number, i))

        assert in_threads(work) == []
        assert wrong == []
        # Nor is anything left behind that a single thread would meet.
        assert [ask(atlas, random.Random(seed)) for seed in seeds[0]] == expected[0]


def test_an_atlas_is_opened_by_many_threads_at_once(path: Path) -> None:
    def work(number: int) -> None:
        for _ in range(count(10, 100)):
            with open_atlas(path) as atlas:
                assert atlas.query("SELECT count(*) FROM atlas")[1] == [(1,)]

    assert in_threads(work) == []


def test_a_second_opening_finds_what_was_published_meanwhile(tmp_path: Path) -> None:
    path = write_small_atlas(tmp_path / "a.duckdb", seed=1)
    asked = "SELECT atlas_id FROM atlas"
    with open_atlas(path) as old:
        write_small_atlas(path, seed=2)
        with open_atlas(path) as new:
            assert new.query(asked)[1] == [(new.manifest.atlas_id,)] != old.query(asked)[1]
        assert old.query(asked)[1] == [(old.manifest.atlas_id,)]
