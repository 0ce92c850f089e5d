"""What a pass ran with: what a model computes, and how its passes look, depends on the libraries too."""

from __future__ import annotations

from atlas.manifest import versions

LIBRARIES = ("torch", "transformers")


def live_versions() -> dict[str, str]:
    """Versions of this software, Python and the libraries that compute a pass."""
    return versions(*LIBRARIES)


def ran_with() -> str:
    """The same as text for an error: 'neuron-atlas 0.1.0, python 3.11.9, torch 2.13.0, transformers 5.23.0'."""
    found = live_versions()
    return ", ".join([found.pop("software"), *(f"{name} {version}" for name, version in found.items())])
