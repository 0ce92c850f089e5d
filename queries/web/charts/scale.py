"""An axis: values -> places of the picture, and the round numbers to write below it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from atlas.answers.cells import number


@dataclass(frozen=True)
class Scale:
    """Values from `low` to `high` on a line from `start` to `end` pixels; values beyond are held at its ends."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The pixel of a value, to a hundredth."""
        if not self.high > self.low:
            return round((self.start + self.end) / 2, 2)
        share = (value - self.low) / (self.high - self.low)
        share = 0.0 if share < 0 else 1.0 if share > 1 else share
        return round(self.start + share * (self.end - self.start), 2)

    def places(self, values: Iterable[float]) -> list[float]:
        """The pixels of many values: a page has some thousand, and calls take most of their time."""
        if not self.high > self.low:
            return [self(value) for value in values]
        low, span, start, length = self.low, self.high - self.low, self.start, self.end - self.start
        shares = [(value - low) / span for value in values]
        return [round(start + (0.0 if share < 0 else 1.0 if share > 1 else share) * length, 2) for share in shares]

    def ticks(self, most: int = 5) -> list[tuple[float, str]]:
        """(pixel, label) of round values within the axis, at most `most` or so."""
        span = self.high - self.low
        if not span > 0 or not math.isfinite(span):
            return [(self(self.low), label(self.low))]
        rough = span / most
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(times * power for times in (1, 2, 2.5, 5, 10) if times * power >= rough)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [(self(index * step), label(index * step)) for index in range(first, last + 1)]


def label(value: float) -> str:
    """A round number with no more digits than it needs."""
    text = number(value, 3)
    if "." in text and "e" not in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "0") else text.replace("-", "−")
