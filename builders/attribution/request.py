"""What `explain` is asked: all options in one place, with the contradictions between them. Nothing here loads torch."""

from __future__ import annotations

from dataclasses import dataclass

from atlas.errors import UnknownNameError, UsageError
from atlas.ops import OPS
from atlas.spec.shapes import Number, ShapeError
from builders.config import require_within

COMPUTED = {
    "gradient": "activation times d logit / d activation",
    "direct": "activation times what its w_out adds to the logit through the final norm, past later blocks",
    "relp": "activation times the coefficient of layer-wise relevance propagation (RelP)",
}
"""The attributions: all are computed for every neuron."""
RULES = {
    "joint": "the set whose neurons together, set to 0, move the logit most, of all sets tried",
    "measured": "the neurons that by themselves, set to 0, move it most, among the first of each computed rule",
    **COMPUTED,
}
"""By what neurons are named."""
DEFAULT_RULE = "joint"
POSITIONS = ("last", "all")
SIGNS = {"raised": 1, "lowered": -1}
"""Neurons that hold the logit up, or down."""
OF_SPEC = tuple(name for name, op in OPS.items() if not op.needs_range)


@dataclass(frozen=True)
class Prompt:
    """A text, the next token that is asked about (None: the likeliest), and another that it is compared with."""

    text: str
    token: str | None = None
    against: str | None = None


@dataclass(frozen=True)
class ExplainRequest:
    """How many neurons are named, by what, and how many of them are measured one by one."""

    top: int = 20
    verify: int = 20
    """How many of the named neurons are set to 0 one by one; with the rule `measured`, how many of each other rule."""
    rule: str = DEFAULT_RULE
    position: str = "last"
    """Where activations are read and edited: at the last token of the prompt, or at all of its tokens, summed."""
    sign: int = 1
    """1: neurons that hold the logit up; -1: down."""

    def __post_init__(self) -> None:
        require_within("--top", self.top, 1, 10**5)
        require_within("--verify", self.verify, 0, 10**5)
        for kind, name, known in (("rule", self.rule, RULES), ("position", self.position, POSITIONS)):
            if name not in known:
                raise UnknownNameError(kind, name, known)
        if self.sign not in SIGNS.values():
            raise UsageError(f"sign {self.sign} is neither 1 nor -1")
        if self.rule == "measured" and not self.verify:
            raise UsageError("--rule measured ranks by what is measured, and --verify 0 measures nothing")


def parse_op(text: str) -> tuple[str, float]:
    """'set=0' -> ('set', 0.0), of the ops that need no range. UnknownNameError or UsageError for anything else."""
    name, _, number = text.partition("=")
    if name not in OF_SPEC:
        raise UnknownNameError("op", name, OF_SPEC)
    try:
        return name, Number().check(float(number))
    except ValueError:
        raise UsageError(f"{text[:60]!r} has no number after '='", f"Write {name or 'set'}=0.") from None
    except ShapeError as error:
        raise UsageError(f"{text[:60]!r}: {error.problem}", error.hint) from None
