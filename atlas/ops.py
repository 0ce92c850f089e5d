"""THE table of ops: what an edit makes of a neuron's value x. Applying them is the runtime's business.

`damp` is the adaptive dampening of the NeuronLens code (arXiv 2502.06809, released code, models/lama.py):
the closer x is to the centre of the range, the more of it is taken away.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Op:
    """One op. `letter` stands for the edit's number in `formula`; centre = (lower + upper) / 2."""

    name: str
    letter: str
    formula: str
    meaning: str
    needs_range: bool = False


OPS: dict[str, Op] = {
    op.name: op
    for op in (
        Op("set", "v", "x -> v", "replace the value; set 0 ablates"),
        Op("scale", "f", "x -> f * x", "multiply the value"),
        Op("add", "d", "x -> x + d", "shift the value"),
        Op(
            "damp",
            "f",
            "x -> x * f * |x - centre| / half_width",
            "fade the value toward 0 at the centre of the range",
            needs_range=True,
        ),
    )
}
