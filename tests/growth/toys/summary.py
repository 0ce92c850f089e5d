"""An export target: the file of `hooks`, with a list of the neurons in front."""

from atlas.sites import format_neuron
from builders.export.code import hooks
from builders.export.registry import EVERYTHING, Target

TARGET = Target(
    "summary", __name__, "code", "hooks, with a list of the neurons", EVERYTHING, ranges=True, some_tokens=True
)


def write(spec, places):
    """The file's text."""
    neurons = ", ".join(format_neuron(edit.layer, edit.neuron) for edit in spec.edits)
    return f"# edits {neurons}\n{hooks.write(spec, places)}"
