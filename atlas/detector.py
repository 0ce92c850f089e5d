"""A rule that tells whether a text has a concept, complete with all that a reader of other texts needs."""

from __future__ import annotations

from dataclasses import dataclass

from atlas.sites import format_neuron


@dataclass(frozen=True)
class DetectorNeuron:
    """One neuron of a rule. Of the form interval it has bounds, of the form linear `mean` and `std`; else None."""

    layer: int
    neuron: int
    weight: float
    lower: float | None
    upper: float | None
    mean: float | None
    std: float | None

    @property
    def address(self) -> str:
        """Such as L27N34."""
        return format_neuron(self.layer, self.neuron)

    def inside(self, activation: float) -> bool:
        """Whether an activation (a float32) is in the closed interval; False of the form linear, which has none."""
        return self.lower is not None and self.upper is not None and self.lower <= activation <= self.upper

    def adds(self, activation: float) -> float:
        """What it adds to the score at this activation."""
        if self.mean is not None and self.std is not None:
            return self.weight * ((activation - self.mean) / self.std)
        return self.weight if self.inside(activation) else 0.0

    def words(self) -> str:
        """'inside [0.41, inf): +2.1', or '+1.3 per 0.52 above 0.04'."""
        if self.lower is None or self.upper is None:
            return f"{self.weight:+.3g} per {self.std:.3g} above {self.mean:.3g}"
        low = "(-inf" if self.lower == float("-inf") else f"[{self.lower:.3g}"
        high = "inf)" if self.upper == float("inf") else f"{self.upper:.3g}]"
        return f"inside {low}, {high}: {self.weight:+.3g}"


@dataclass(frozen=True)
class Reading:
    """How the texts were read that a rule was made from."""

    family: str
    site: str
    position: str
    template: str
    pool: str
    """Of a position that is not last."""
    max_tokens: int
    dtype: str


@dataclass(frozen=True)
class Detector:
    """A text has the concept where its score, `bias` and what each neuron adds, is at least `threshold`."""

    concept: str
    form: str
    neurons: tuple[DetectorNeuron, ...]
    bias: float
    threshold: float
    reading: Reading

    def score(self, activations: list[float]) -> float:
        """From the activation (float32) of each neuron, in order."""
        total = self.bias
        for neuron, activation in zip(self.neurons, activations, strict=True):
            total += neuron.adds(activation)
        return total
