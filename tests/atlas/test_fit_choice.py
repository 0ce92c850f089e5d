"""FitChoice: what it says, which fits have it, and what is no name."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, make_dataclass

import pytest

from atlas.errors import UsageError
from atlas.fit_choice import ANY_FIT, FIT_NAMES, FitChoice

Named = make_dataclass("Named", FIT_NAMES)
LAST = Named("topics", "mlp_post", "last", "{text}")


def test_nothing_said_is_any_fit():
    assert FitChoice() == ANY_FIT
    assert list(ANY_FIT.given()) == []
    assert ANY_FIT.fits(LAST)


@pytest.mark.parametrize("name", FIT_NAMES)
def test_every_name_that_is_said_counts(name):
    right, wrong = FitChoice(**{name: getattr(LAST, name)}), FitChoice(**{name: "another"})
    assert list(right.given()) == [(name, getattr(LAST, name))]
    assert right.fits(LAST) and not wrong.fits(LAST)
    rest = {other: getattr(LAST, other) for other in FIT_NAMES if other != name}
    assert FitChoice(**rest, **{name: getattr(LAST, name)}).fits(LAST)
    assert not FitChoice(**rest, **{name: ""}).fits(LAST)  # an empty name is a name


def test_it_is_a_key_and_never_changes():
    assert len({FitChoice(family="a"), FitChoice(family="a"), FitChoice(site="a")}) == 2
    with pytest.raises(FrozenInstanceError):
        ANY_FIT.family = "topics"
    with pytest.raises(TypeError):
        FitChoice("topics")


@pytest.mark.parametrize("value", [["topics"], {}, 3, 2.5, True])
def test_what_is_no_text_is_refused(value):
    with pytest.raises(UsageError, match="the template of a fit is a text"):
        FitChoice(template=value)
