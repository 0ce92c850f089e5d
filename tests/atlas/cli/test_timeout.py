"""`--timeout` of every question reaches the connection that answers it."""

from __future__ import annotations

import pytest

from atlas.store import evaluations, reader
from atlas.store.evaluations import append_evaluations, sidecar_of
from tests.builders.evaluation.test_sidecar import rows

QUESTIONS = (
    ("info",),
    ("concepts",),
    ("token", "dog"),
    ("concept", "sports"),
    ("neuron", "L1N7"),
    ("layer", "1"),
    ("nearest", "L1N7"),
    ("spec", "--concept", "sports"),
    ("evaluations",),
)


@pytest.fixture
def limits(monkeypatch):
    """The time limits of the connections that are made."""
    found = []
    for module in (reader, evaluations):

        def attach(path, timeout_s=None, memory=None, attach=module.attach):
            found.append(timeout_s)
            return attach(path, timeout_s, memory)

        monkeypatch.setattr(module, "attach", attach)
    return found


@pytest.fixture(scope="module")
def asked(small_path):
    """The small atlas with evaluations beside it."""
    append_evaluations(sidecar_of(small_path), rows("one"))
    yield small_path
    sidecar_of(small_path).unlink()


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question[0])
def test_the_limit_is_the_one_given(run, asked, limits, question):
    for given, limit in (("12.5", 12.5), ("0", None)):
        limits.clear()
        run(*question, "-a", asked, "--timeout", given)
        assert set(limits) == {limit}
    refused = run(*question, "-a", asked, "--timeout", "-3")
    assert refused.code == 2
    assert "-3.0 is no number of seconds" in refused.stderr


def test_both_atlases_of_a_comparison_have_it(run, small_path, limits):
    assert run("compare", small_path, small_path, "--timeout", "7").code == 0
    assert limits == [7.0, 7.0]
