"""THE table of sites and weights: what each name means. Where it is on a model is the adapters' business.

Names are TransformerLens-aligned. Conventions: `layer` is the 0-based block index, `neuron` the 0-based
index on the last axis of the site, written together as L29N808.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from atlas.errors import UnknownNameError, UsageError


class Site(NamedTuple):
    """A named tensor at every layer, where activations are read and edited. `width` names a dim."""

    name: str
    width: str  # "d_mlp" or "d_model"
    gated_only: bool
    transformer_lens: str
    meaning: str


class Weight(NamedTuple):
    """A matrix whose rows (or columns) are per-neuron vectors in the residual space."""

    name: str
    role: str  # "reads" or "writes"
    gated_only: bool
    meaning: str


# Order is execution order inside a block; specs and exporters rely on it.
SITES: dict[str, Site] = {
    site.name: site
    for site in (
        Site("mlp_pre", "d_mlp", False, "mlp.hook_pre", "input of the activation function"),
        Site("mlp_pre_linear", "d_mlp", True, "mlp.hook_pre_linear", "the multiplied branch of a gated MLP"),
        Site("mlp_post", "d_mlp", False, "mlp.hook_post", "the neuron activation: what down_proj reads"),
        Site("resid_post", "d_model", False, "hook_resid_post", "the residual stream after the block"),
    )
}
DEFAULT_SITE = "mlp_post"

WEIGHTS: dict[str, Weight] = {
    weight.name: weight
    for weight in (
        Weight("up_proj", "reads", False, "what the neuron reads (the only reading weight when not gated)"),
        Weight("gate_proj", "reads", True, "what opens the gate of the neuron"),
        Weight("down_proj", "writes", False, "what the neuron writes"),
    )
}

POSITIONS = ("last", "mean", "max", "all", "cls", "mask")
ONE_TOKEN = ("last", "cls", "mask")
"""Positions of one token of each text. `cls` and `mask` are of encoders: the first token, and the one to fill in."""
POOLS = ("prompt", "text")
"""What `mean`, `max` and `all` are over: the whole prompt or its text alone; special tokens are in neither."""
DECODING_MODES = ("raw", "folded", "linearised")
HEADS = ("lm", "mlm", "classifier", "words", "none")
"""What a model has behind its last block: an LM head, a masked LM's, a classifier's, a projection that words are
compared with, or nothing."""
TOWERS = ("text", "image")
"""Of a checkpoint that reads texts and images: the part that reads one of them."""


_ADDRESS = re.compile(r"L(0|[1-9][0-9]{0,5})N(0|[1-9][0-9]{0,8})")


def default_mode(head: str | None) -> str:
    """How neurons are decoded where nobody says: through an LM head directly, through others as if they were linear.

    `head`: of HEADS; None: of an atlas from before there was a choice.
    """
    return "raw" if head in (None, "lm") else "linearised"


def site(name: str) -> Site:
    """The row of the site table, or UnknownNameError with suggestions."""
    if name not in SITES:
        raise UnknownNameError("site", name, SITES)
    return SITES[name]


def weight(name: str) -> Weight:
    """The row of the weight table, or UnknownNameError with suggestions."""
    if name not in WEIGHTS:
        raise UnknownNameError("weight", name, WEIGHTS)
    return WEIGHTS[name]


def row_number(weight: str, layer: int, neuron: int, n_layers: int, d_mlp: int) -> int:
    """`nid`, the row of a neuron's weight among all of a model: the macro nid_of of the file, in Python."""
    return (list(WEIGHTS).index(weight) * n_layers + layer) * d_mlp + neuron


def format_neuron(layer: int, neuron: int) -> str:
    """(29, 808) -> 'L29N808'."""
    return f"L{layer}N{neuron}"


def parse_neuron(address: str) -> tuple[int, int]:
    """'L29N808' -> (29, 808). Strict: no spaces, leading zeros or lower case, so that it round-trips."""
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise UsageError(f"{address!r} is not a neuron address", "Write layer and index as in L29N808.")
    return int(match[1]), int(match[2])
