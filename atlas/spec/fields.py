"""The parts of an intervention spec: a dataclass for each and, beside it, the table of its fields.

Reading, validation and the JSON Schema all follow these tables. docs/spec.md has the semantics.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING

from atlas.ops import OPS
from atlas.sites import SITES
from atlas.spec.records import AnyObject, Field, Items, Record, WordOrItems
from atlas.spec.shapes import Boolean, Choice, Integer, Number, ShapeError, Text

if TYPE_CHECKING:
    from typing import Protocol

    class Described(Protocol):
        """The manifest of an atlas, or a loaded model."""

        @property
        def model_id(self) -> str: ...
        @property
        def fingerprint(self) -> str: ...
        @property
        def n_layers(self) -> int: ...
        @property
        def d_model(self) -> int: ...
        @property
        def d_mlp(self) -> int: ...
        @property
        def gated(self) -> bool: ...


# More than any one site of an 8-billion-parameter model has (32 x 14336); bounds time and memory.
MAX_EDITS = 500_000

PHASES = {
    "prompt": "only while the prompt is read",
    "generated": "only on generated tokens",
    "all": "both",
}
POSITION_WORDS = {
    "all": "every token",
    "last": "the tokens a next token is predicted from: the last of the prompt and every generated one",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelReference:
    """The model a spec was made for; a runtime refuses another. `fingerprint` is over the weights."""

    id: str
    fingerprint: str
    n_layers: int
    d_model: int
    d_mlp: int
    gated: bool


def reference_to(described: Described) -> ModelReference:
    """The model that an atlas or a loaded model says it is."""
    return ModelReference(
        id=described.model_id,
        fingerprint=described.fingerprint,
        n_layers=described.n_layers,
        d_model=described.d_model,
        d_mlp=described.d_mlp,
        gated=described.gated,
    )


@dataclass(frozen=True, slots=True)
class Tokenization:
    """How the prompt becomes tokens: what the positions count in and the statistics were taken with."""

    add_bos: bool
    chat_template: bool


@dataclass(frozen=True, slots=True)
class Range:
    """The closed interval [lower, upper] of a neuron's value as it arrives at its site, in float32."""

    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Edit:
    """One neuron's change. `op` is a name of atlas.ops.OPS; without `when` it applies to every value."""

    site: str
    layer: int
    neuron: int
    op: str
    value: float
    when: Range | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What a consumer must see: log-probabilities of `tokens` as the token that follows `prompt_ids`."""

    prompt_ids: tuple[int, ...]
    tokens: tuple[int, ...]
    logprob_before: tuple[float, ...]
    logprob_after: tuple[float, ...]
    tolerance: float = 1e-4


def _ordered(bounds: Range) -> None:
    if bounds.lower > bounds.upper:
        raise ShapeError(f"lower {bounds.lower} > upper {bounds.upper}")


def _range_of_op(edit: Edit) -> None:
    if not OPS[edit.op].needs_range:
        return
    if edit.when is None:
        raise ShapeError(f"{edit.op} needs a range, the field 'when' is missing")
    bounds = edit.when
    if not bounds.lower < bounds.upper:
        raise ShapeError(f"{edit.op} needs a range with a width, not {bounds.lower} to {bounds.upper}").under("when")


def _equally_long(check: Check) -> None:
    for name in ("logprob_before", "logprob_after"):
        found = len(getattr(check, name))
        if found != len(check.tokens):
            raise ShapeError(f"{found} numbers for {len(check.tokens)} tokens").under(name)


_FINGERPRINT = Text(pattern="sha256(v2)?:[0-9a-f]{64}", example="sha256: and 64 digits 0-9a-f")
_LOGPROBS = Items(Number(at_most=0.0))
_OPS_WITH_RANGE = [name for name, op in OPS.items() if op.needs_range]
_GATED_SITES = [name for name, site in SITES.items() if site.gated_only]

MODEL = Record(
    ModelReference,
    (
        Field("id", Text(), "Where the model comes from: a Hugging Face id, a packaged name or a file name"),
        Field("fingerprint", _FINGERPRINT, "SHA-256 over the weights (sha256v2: with their layers and the config)"),
        Field("n_layers", Integer(1), "Number of blocks"),
        Field("d_model", Integer(1), "Width of the residual stream"),
        Field("d_mlp", Integer(1), "Neurons per MLP"),
        Field("gated", Boolean(), "Whether the MLP multiplies two branches"),
    ),
)
TOKENIZATION = Record(
    Tokenization,
    (
        Field("add_bos", Boolean(), "Whether a beginning-of-sequence token comes first"),
        Field("chat_template", Boolean(), "Whether the prompt is wrapped in the model's chat template"),
    ),
)
RANGE = Record(
    Range,
    (
        Field("lower", Number(), "Lower bound, included"),
        Field("upper", Number(), "Upper bound, included"),
    ),
    rule=_ordered,
)
EDIT = Record(
    Edit,
    (
        Field("site", Choice("site", tuple(SITES)), "The tensor at every layer where the neuron is"),
        Field("layer", Integer(), "0-based block index"),
        Field("neuron", Integer(), "0-based index on the last axis of the site"),
        Field("op", Choice("op", tuple(OPS)), "; ".join(f"{op.name}: {op.formula}" for op in OPS.values())),
        Field(
            "value",
            Number(),
            "The number of the op: " + ", ".join(f"{o.letter} of {o.name}" for o in OPS.values()),
        ),
        Field("when", RANGE, "Edit only values that arrive at the site inside this range", optional=True),
    ),
    rule=_range_of_op,
    extra={"if": {"properties": {"op": {"enum": _OPS_WITH_RANGE}}}, "then": {"required": ["when"]}},
)
CHECK = Record(
    Check,
    (
        Field("prompt_ids", Items(Integer()), "Token ids of the prompt"),
        Field("tokens", Items(Integer()), "Ids of the tokens looked at right after the prompt"),
        Field("logprob_before", _LOGPROBS, "Their log-probabilities without the edits"),
        Field("logprob_after", _LOGPROBS, "Their log-probabilities with the edits"),
        Field("tolerance", Number(above=0.0), "Largest absolute difference that counts as equal"),
    ),
    rule=_equally_long,
)
SPEC = Record(
    SimpleNamespace,
    (
        Field("model", MODEL, "The model the spec was made for"),
        Field("tokenization", TOKENIZATION, "How the prompt becomes tokens"),
        Field("phase", Choice("phase", tuple(PHASES)), "; ".join(f"{k}: {v}" for k, v in PHASES.items())),
        Field(
            "positions",
            WordOrItems(Choice("positions", tuple(POSITION_WORDS)), Items(Integer(), distinct=True)),
            "; ".join(f"{k}: {v}" for k, v in POSITION_WORDS.items())
            + "; or 0-based token indices, padding not counted, generated tokens counted on",
        ),
        Field("edits", Items(EDIT, at_most=MAX_EDITS), "What to do, at most one edit per site, layer and neuron"),
        Field("check", CHECK, "How to verify that the spec does what it did where it was made", optional=True),
        Field("source", AnyObject(), "Where the edits come from; of no effect", optional=True),
    ),
    extra={
        "if": {"properties": {"model": {"properties": {"gated": {"const": False}}}}},
        "then": {"properties": {"edits": {"items": {"properties": {"site": {"not": {"enum": _GATED_SITES}}}}}}},
    },
)
