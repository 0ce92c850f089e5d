from __future__ import annotations

import pytest

from atlas.errors import QuestionError, UnknownNameError, UsageError
from atlas.store.reader import open_atlas
from queries.layers import layer_tokens
from queries.session.resident import read_resident
from queries.session.session import session_of


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("weight", [None, "gate_proj"])
@pytest.mark.parametrize("layer", [0, 2])
def test_counts_are_those_of_the_public_view(small, layer, weight, sign):
    _, expected = small.query(
        "SELECT token_id, token, count(*) AS places FROM token_decoding "
        "WHERE layer = $layer AND sign = $sign AND ($weight IS NULL OR weight = $weight) "
        "GROUP BY ALL ORDER BY places DESC, token_id",
        {"layer": layer, "sign": sign, "weight": weight},
    )
    found = layer_tokens(small, layer, weight=weight, sign=sign, limit=1000)
    assert found.keep(["token_id", "token", "places"]).rows == expected
    lists = small.manifest.d_mlp * (3 if weight is None else 1)
    assert [row["share"] for row in found] == [places / lists for *_, places in expected]
    assert found.truncated_by is None
    with open_atlas(small.path) as atlas:
        session_of(atlas).put("resident", read_resident(atlas))
        assert layer_tokens(atlas, layer, weight=weight, sign=sign, limit=1000) == found


def test_a_limit_says_that_it_cuts(small):
    found = layer_tokens(small, 1, limit=3)
    assert len(found) == 3 and found.truncated_by == "--limit"
    assert found.rows == layer_tokens(small, 1, limit=1000).rows[:3]


def test_refusals(small):
    with pytest.raises(QuestionError):
        layer_tokens(small, 3)
    with pytest.raises(UnknownNameError):
        layer_tokens(small, 1, weight="gate")
    with pytest.raises(UsageError):
        layer_tokens(small, 1, sign=0)
    with pytest.raises(UsageError):
        layer_tokens(small, 1, limit=0)
