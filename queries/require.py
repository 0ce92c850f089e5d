"""What several questions demand of what they are given: a layer, a neuron, a class and a limit that can be."""

from __future__ import annotations

from atlas.errors import QuestionError, UnknownNameError, UsageError
from atlas.sites import format_neuron
from atlas.store.reader import Atlas


def require_layer(atlas: Atlas, layer: int | None) -> None:
    """Raise QuestionError unless `layer` is None or a layer of the model."""
    if layer is not None and not 0 <= layer < atlas.manifest.n_layers:
        raise QuestionError(
            f"there is no layer {layer} in {atlas.manifest.model_id}",
            f"Layers run from 0 to {atlas.manifest.n_layers - 1}.",
        )


def require_neuron(atlas: Atlas, layer: int, neuron: int, width: int) -> None:
    """Raise QuestionError unless the model has this layer and `neuron` < `width`."""
    require_layer(atlas, layer)
    if not 0 <= neuron < width:
        raise QuestionError(
            f"there is no {format_neuron(layer, neuron)} in {atlas.manifest.model_id}",
            f"Neurons run from 0 to {width - 1}.",
        )


def require_io_class(io_class: str | None) -> None:
    """Raise UnknownNameError unless `io_class` is None or one of IO_CLASSES."""
    if io_class is not None:
        from atlas.schema.weight_rules import IO_CLASSES  # it takes time that few look-ups need

        if io_class not in IO_CLASSES:
            raise UnknownNameError("IO class", io_class, IO_CLASSES)


def require_limit(limit: int) -> None:
    """Raise UsageError for a number of rows that no answer can have."""
    if not 1 <= limit < 2**31:
        raise UsageError(f"the limit {limit} is out of range", f"Give a number from 1 to {2**31 - 1}.")
