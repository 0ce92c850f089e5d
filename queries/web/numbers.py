"""Numbers as the pages write them."""

from __future__ import annotations

from atlas.answers.cells import number


def figure(value: float | int | None, digits: int = 3) -> str:
    """A number in so many digits, a whole one with its thousands parted, None as a dash."""
    if value is None:
        return "–"
    if isinstance(value, int):
        return f"{value:,}"
    return number(value, digits).replace("-", "−")


def percent(share: float | None) -> str:
    """0.876 -> '88 %', None -> '–'."""
    return "–" if share is None else f"{share * 100:.0f} %"


def p_value(value: float | None) -> str:
    """A p or q: exact to two digits, and never a bare 0."""
    if value is None:
        return "–"
    return f"{value:.2g}" if value > 1e-12 else "< 1e−12"


def bounds(lower: float | None, upper: float | None) -> str:
    """An interval in words: '≤ 0.652', '−1.2 to 3.4', 'all values'; '–' where there is none."""
    if lower is None or upper is None:
        return "–"
    open_below, open_above = lower == float("-inf"), upper == float("inf")
    if open_below and open_above:
        return "all values"
    if open_above:
        return f"≥ {figure(lower)}"
    return f"≤ {figure(upper)}" if open_below else f"{figure(lower)} to {figure(upper)}"
