"""Which neurons a build describes, and by whom: the options `--describe` and `--describer`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from atlas.errors import QuestionError, UsageError
from atlas.sites import parse_neuron

Neuron = tuple[int, int]
"""(layer, neuron)."""
TOKENS, LOCAL, ENDPOINT = "tokens", "local", "openai"
_LAYER = "layer:"
_HINT = "Write addresses as in L29N808,L29N44, or layer:29, or all."


class Side(NamedTuple):
    """What a description is of. `side`: input or output; `sign`: of the activation."""

    side: str
    sign: int


SIDES = (Side("input", 1), Side("input", -1), Side("output", 1), Side("output", -1))


@dataclass(frozen=True)
class Describer:
    """Who writes. `kind`: tokens, local or openai; `model`: its name; `url`: of an endpoint."""

    kind: str
    model: str = ""
    url: str = ""

    @property
    def author(self) -> str:
        """As descriptions say it; the address of an endpoint is nobody's business."""
        return f"{self.kind}:{self.model}" if self.model else self.kind


def parse_describer(text: str) -> Describer:
    """'tokens', 'local:MODEL' or 'openai:URL#MODEL'. Raises UsageError, also for an address that is none."""
    if text == TOKENS:
        return Describer(TOKENS)
    kind, _, rest = text.partition(":")
    if kind == LOCAL and rest:
        return Describer(LOCAL, _named(rest))
    if kind == ENDPOINT and rest:
        from atlas.endpoint import parse_endpoint

        found = parse_endpoint(rest)
        return Describer(ENDPOINT, _named(found.model), found.url)
    raise UsageError(
        f"{text[:60]!r} is no describer", "Write tokens, local:MODEL, or openai:URL#MODEL with the URL of an endpoint."
    )


def _named(model: str) -> str:
    if len(model) > 150 or not model.isprintable():
        raise UsageError(f"{model[:60]!r} cannot name the author of a description", "Give a shorter, printable name.")
    return model


def check_neurons(text: str) -> None:
    """Raise UsageError for what is no choice of neurons in any model."""
    if text == "all":
        return
    if text.startswith(_LAYER):
        number = text.removeprefix(_LAYER)
        if not (number.isascii() and number.isdecimal() and len(number) < 7):
            raise UsageError(f"{text[:60]!r} is no layer", _HINT)
        return
    addresses = text.split(",")
    for address in addresses:
        parse_neuron(address)
    if len(set(addresses)) < len(addresses):
        raise UsageError("--describe names a neuron twice")


def chosen_neurons(text: str, n_layers: int, d_mlp: int) -> list[Neuron]:
    """The neurons that `text` names, in the order of naming. QuestionError for one that the model does not have."""
    layers: Iterable[int]
    if text == "all" or text.startswith(_LAYER):
        layers = range(n_layers) if text == "all" else [int(text.removeprefix(_LAYER))]
        found = [(layer, neuron) for layer in layers for neuron in range(d_mlp)]
    else:
        found = [parse_neuron(address) for address in text.split(",")]
    for layer, neuron in found:
        if layer >= n_layers or neuron >= d_mlp:
            raise QuestionError(
                f"there is no neuron L{layer}N{neuron}",
                f"The model has layers 0 to {n_layers - 1} with neurons 0 to {d_mlp - 1}.",
            )
    return found
