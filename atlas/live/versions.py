"""What a pass ran with: what a model computes, and how its passes look, depends on the libraries too."""

from __future__ import annotations

from atlas.manifest import versions

LIBRARIES = ("torch", "transformers")


def live_versions(*more: str) -> dict[str, str]:
    """Versions of this software, Python, the libraries that compute a pass, and the packages `more`."""
    return versions(*LIBRARIES, *more)


def ran_with(*more: str) -> str:
    """The same as text for an error: 'neuron-atlas 0.1.0, python 3.11.9, torch 2.13.0, transformers 5.23.0'."""
    found = live_versions(*more)
    return ", ".join([found.pop("software"), *(f"{name} {version}" for name, version in found.items())])
