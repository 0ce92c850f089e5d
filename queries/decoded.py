"""Which layers an atlas is of, where a build was of some (`build --layers`), and what to say of the others."""

from __future__ import annotations

from collections.abc import Iterable

from atlas.store.reader import Atlas
from queries.experts import all_experts
from queries.session.session import session_of

DECODINGS, VECTORS, FACTS, STATISTICS = "_decoding", "neuron_vector", "_neuron_fact", "_background"
_WHAT = {DECODINGS: "decodings", VECTORS: "vectors", FACTS: "facts of the weights", STATISTICS: "statistics"}
_OF_WEIGHTS = (DECODINGS, VECTORS)
_HOW = {VECTORS: " --vectors", FACTS: " --no-decode --weight-facts", STATISTICS: " --no-decode"}


class Layers(dict[str, list[int]]):
    """By weight, ascending: those that have rows."""

    @property
    def nbytes(self) -> int:
        """Bytes in memory, about."""
        return 100 + 40 * sum(map(len, self.values()))


def layers_with(atlas: Atlas, table: str) -> Layers:
    """The layers with rows in one of these tables; of FACTS and STATISTICS, which are of no weight, under ''."""

    def read() -> Layers:
        found = Layers()
        if table not in atlas.lacking.tables:
            weight = "weight::VARCHAR" if table in _OF_WEIGHTS else "''"
            for name, layer in atlas.query(f"SELECT DISTINCT {weight}, layer FROM {table} ORDER BY ALL")[1]:
                found.setdefault(name, []).append(layer)
        return found

    return session_of(atlas).read(("layers", table), read)


def decoded_neurons(atlas: Atlas) -> int:
    """How many neurons have a decoding of any weight."""
    held = {layer for layers in layers_with(atlas, DECODINGS).values() for layer in layers}
    experts = all_experts(atlas)
    widths = (sum(expert.neurons for expert in experts[layer]) if layer in experts else 0 for layer in held)
    return sum(width or atlas.manifest.d_mlp for width in widths)


def notes_on_layers(
    atlas: Atlas, table: str = DECODINGS, *, weight: str | None = None, layer: int | None = None
) -> list[str]:
    """That an answer is about some layers only, or why it has nothing of `layer`; none where all layers are there.

    None either where there are no rows of any layer: that is no matter of layers.
    """
    by_weight = layers_with(atlas, table)
    one = bool(weight) and weight in by_weight
    lists = [layers for name, layers in by_weight.items() if not one or name == weight]
    held = sorted({each for layers in lists for each in layers})
    if all(len(layers) == atlas.manifest.n_layers for layers in lists):
        return []
    what = _WHAT[table] + (f" of {weight}" if one else "")
    which = f"layer{'s' if len(held) > 1 else ''} {as_text(held)}"
    if layer is None:
        return [f"this atlas has {what} of {which} only, of {atlas.manifest.n_layers}"]
    if layer in held:
        return []
    return [
        f"this atlas has no {what} of layer {layer}, but of {which}: "
        f"`neuron-atlas build --add{_HOW.get(table, '')} --layers {layer}` adds them"
    ]


def notes_on_all(atlas: Atlas) -> list[str]:
    """Of which layers what the atlas has is, where these are not all; weight by weight where weights differ."""
    notes = []
    for table in (DECODINGS, FACTS, STATISTICS):
        by_weight = layers_with(atlas, table)
        alike = len({tuple(layers) for layers in by_weight.values()}) < 2
        for weight in [None] if alike else by_weight:
            notes += notes_on_layers(atlas, table, weight=weight)
    return notes


def as_text(layers: Iterable[int]) -> str:
    """Ascending layers as `--layers` takes them: 0-3,7."""
    runs: list[list[int]] = []
    for layer in layers:
        if runs and layer == runs[-1][1] + 1:
            runs[-1][1] = layer
        else:
            runs.append([layer, layer])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
