"""A session: one an atlas, asked like the atlas, bounded, and gone with it."""

from __future__ import annotations

import gc
import os
import weakref
from pathlib import Path

import pytest

from atlas.errors import QuestionError, UsageError
from atlas.store.reader import open_atlas
from queries.card import neuron_card
from queries.fits import choose_fit
from queries.info import info
from queries.layers import layer_tokens
from queries.neurons import neurons_for_concept, neurons_for_token
from queries.sandbox.sandbox import run_sql
from queries.session.session import Session, open_session, session_of
from queries.specs.make_spec import make_spec
from tests.atlas.store.test_connections import HANG_S, ended
from tests.atlas_factory import write_small_atlas


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_atlas(tmp_path_factory.mktemp("session") / "small.duckdb")


def test_an_atlas_has_one_session_and_questions_take_either(path: Path) -> None:
    with open_session(path) as session:
        atlas = session.atlas
        assert session_of(atlas) is session_of(session) is session
        assert neurons_for_token(session, "dog") == neurons_for_token(atlas, "dog")
        assert neurons_for_concept(session, "sports") == neurons_for_concept(atlas, "sports")
        assert neuron_card(session, "L1N7") == neuron_card(atlas, "L1N7")
        assert info(session) == info(atlas)
        assert make_spec(session, concept="sports", top=2) == make_spec(atlas, concept="sports", top=2)
        assert choose_fit(atlas, "sports").family == "topics"
    with open_atlas(path) as other:
        assert session_of(other) is session_of(other)
        assert session_of(other) is not session


def test_what_is_kept_is_named_and_counted(path: Path) -> None:
    with open_session(path) as session:
        assert (session.kept(), session.nbytes) == ([], 0)
        for _ in range(5):
            neurons_for_token(session, "dog")
            layer_tokens(session, 1)
        kept = {item.name: item for item in session.kept()}
        assert set(kept) == {"resident", "token counts 1 None 1", "layers _decoding"}
        assert session.nbytes == sum(item.nbytes for item in kept.values()) > 0
        assert (kept["token counts 1 None 1"].misses, kept["token counts 1 None 1"].hits) == (1, 4)
        assert all(item.seconds > 0 for item in kept.values())
        session.clear()
        assert (session.kept(), session.nbytes) == ([], 0)
        assert len(neurons_for_token(session, "dog")) > 0


@pytest.mark.parametrize("memory", [0, 1, 1000, 30_000])
def test_the_bound_holds_and_changes_no_answer(path: Path, memory: int) -> None:
    with open_atlas(path) as atlas, open_session(path, memory) as session:
        for i in range(40):
            layer, concept = i % 3, ("sports", "politics", "joy")[i % 3]
            assert layer_tokens(session, layer, sign=1 - i % 2 * 2) == layer_tokens(atlas, layer, sign=1 - i % 2 * 2)
            assert neurons_for_concept(session, concept) == neurons_for_concept(atlas, concept)
            assert neurons_for_token(session, "dog") == neurons_for_token(atlas, "dog")
            assert session.nbytes <= memory


def test_a_memory_below_zero(path: Path) -> None:
    with pytest.raises(UsageError, match="memory"), open_session(path, memory=-1):
        pass


def test_nothing_of_a_closed_atlas_stays(path: Path) -> None:
    atlas = open_atlas(path)
    for _ in range(4):
        neurons_for_token(atlas, "dog")
    session = session_of(atlas)
    resident = weakref.ref(session.get("resident").norm_R)
    assert resident() is not None
    atlas.close()
    gc.collect()
    assert resident() is None and session.nbytes == 0
    with pytest.raises(QuestionError, match="closed"):
        neurons_for_token(session, "dog")
    with pytest.raises(QuestionError, match="closed"):
        run_sql(session, "SELECT 1")
    session.close()


def test_a_session_of_an_atlas_that_was_closed_before_keeps_nothing(path: Path) -> None:
    atlas = open_atlas(path)
    atlas.close()
    with pytest.raises(QuestionError, match="closed"):
        layer_tokens(atlas, 1)
    session_of(atlas).put("a", session_of_bytes())
    assert session_of(atlas).nbytes == 0


def session_of_bytes() -> memoryview:
    """Something that has nbytes."""
    return memoryview(b"12345")


def test_an_atlas_that_nobody_holds_goes_with_its_session(path: Path) -> None:
    """Without the garbage collector: an atlas that a notebook opens again frees the memory of the one before."""
    gc.disable()
    try:
        atlas = open_atlas(path)
        session = weakref.ref(session_of(atlas))
        held = session_of(atlas)
        del atlas
        with pytest.raises(QuestionError, match="closed"):
            _ = held.atlas
        del held
        assert session() is None
    finally:
        gc.enable()


def test_closing_a_session_closes_its_atlas_and_one_of_an_atlas_leaves_it(path: Path) -> None:
    with open_session(path) as session:
        atlas = session.atlas
    with pytest.raises(QuestionError, match="closed"):
        atlas.query("SELECT 1")
    with open_atlas(path) as atlas:
        before, session = session_of(atlas), Session(atlas, 10**6)
        assert session_of(atlas) is session
        with pytest.raises(QuestionError, match="closed"):
            run_sql(before, "SELECT 1")
        session.close()
        assert atlas.query("SELECT 1")[1] == [(1,)]
        assert len(neurons_for_token(atlas, "dog")) > 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_is_refused_and_leaves_the_waiting_process_alone(path: Path) -> None:
    with open_session(path) as session:
        assert run_sql(session, "SELECT 1").rows == [(1,)]
        child = os.fork()
        if child == 0:
            code = 1
            try:
                run_sql(session, "SELECT 2")
            except QuestionError as error:
                code = 0 if "another process" in error.message else 2
            session.close()
            os._exit(code)
        assert ended(child, HANG_S) == 0
        assert run_sql(session, "SELECT 3").rows == [(3,)]
