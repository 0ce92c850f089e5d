"""How the texts of spec options are read: ops, counts and shares, index lists."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from atlas.errors import UnknownNameError, UsageError
from atlas.ops import OPS
from atlas.spec.shapes import Number, ShapeError

# Values of `set` that are looked up per neuron instead of given.
MEANS = {
    "mean": "mean over all examples of the family",
    "concept-mean": "mean over the examples of the concept",
    "rest-mean": "mean over the examples of the other concepts",
}
# set=contrast:S is the concept's mean moved S times the way to the mean of the rest: 0 is concept-mean,
# 1 rest-mean, 2 as far beyond the rest as the concept is on this side of it.
CONTRAST = "contrast:"
MAX_CONTRAST = 100.0
_COUNT = re.compile(r"[0-9]{1,9}")
_SHARE = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,9})?)%")


@dataclass(frozen=True)
class OpRequest:
    """An op with its number, or with the name of the number that each neuron brings.

    `value` is that number, a key of MEANS, or "contrast", whose S is `strength`.
    """

    op: str
    value: float | str
    strength: float = 1.0

    @property
    def needs_concept(self) -> bool:
        """Whether the number depends on a concept."""
        return isinstance(self.value, str) and self.value != "mean"


def parse_op(text: str) -> OpRequest:
    """'set=mean' -> OpRequest('set', 'mean'). UnknownNameError or UsageError for anything else."""
    name, _, value = text.partition("=")
    if name not in OPS:
        raise UnknownNameError("op", name, OPS)
    if name == "set" and value in MEANS:
        return OpRequest(name, value)
    if name == "set" and value.startswith(CONTRAST):
        return OpRequest(name, "contrast", _strength(value.removeprefix(CONTRAST)))
    means = "".join(f" or {name}={mean}" for mean in MEANS if name == "set")
    try:
        return OpRequest(name, Number().check(float(value)))
    except ValueError:
        raise UsageError(f"{text!r} has no number after '='", f"Write {name}=0.5{means}.") from None
    except ShapeError as error:
        raise UsageError(f"{text!r}: {error.problem}", error.hint) from None


def _strength(text: str) -> float:
    try:
        strength = float(text)
    except ValueError:
        strength = math.nan
    if not abs(strength) <= MAX_CONTRAST:
        raise UsageError(
            f"set=contrast:{text[:40]} has no number up to {MAX_CONTRAST:g}",
            "Write set=contrast:2; 1 is set=rest-mean.",
        )
    return strength


def parse_top(text: int | str, of: int | None) -> int:
    """How many neurons '2000' or '30%' means, a share of `of` neurons rounded down.

    UsageError for anything else, for none at all, and for a share where `of` is None.
    """
    text = str(text).strip()
    share = _SHARE.fullmatch(text)
    if share and of is None:
        raise UsageError(f"--top {text} is a share of nothing here", "Give a count.")
    if not share and not _COUNT.fullmatch(text):
        raise UsageError(f"--top {text[:40]!r} is neither a count nor a share", "Write 2000 or 30%.")
    if share and Fraction(share[1]) > 100:
        raise UsageError(f"--top {text} is more than all", "At most 100%.")
    count = int(Fraction(share[1]) * (of or 0) / 100) if share else int(text)
    if count < 1:
        raise UsageError(f"--top {text} is no neuron at all", f"It is a share of {of}." if share else "")
    return count


def parse_indices(text: str | Sequence[int], what: str, count: int) -> tuple[int, ...]:
    """'12-29,3' -> (3, 12, ..., 29), each from 0 to `count` - 1. UsageError, naming `what`, for others."""
    if not isinstance(text, str):
        text = ",".join(str(index) for index in text)
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise UsageError(f"{part.strip()!r} in {what} is neither an index nor a span", "Write 12-29,3.")
        low, high = int(first[:12]), int((last or first)[:12])
        if low > high:
            raise UsageError(f"the span {low}-{high} in {what} runs backwards", f"Write {high}-{low}.")
        if high >= count:
            raise UsageError(f"{what} has {high}, but indices run from 0 to {count - 1}")
        found.update(range(low, high + 1))
    return tuple(sorted(found))
