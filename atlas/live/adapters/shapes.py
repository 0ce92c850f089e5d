"""The shapes that most MLPs have, as the fields of an Adapter: which matrix reads, which writes, and who sees them."""

from __future__ import annotations

from typing import Any

from atlas.live.adapters.base import Part, Tap, WeightPlace

GATE_FIRST = Part(0, 2), Part(1, 2)


def plain_mlp(family: str, block: str, reading: str, writing: str, *, mlp: str | None = "mlp") -> dict[str, Any]:
    """writing(act(reading(x))), in ordinary linear layers of these names within `block`.

    `mlp`: the module that gives what they write; None: none does, and the two matrices stand for it.
    """
    read, write = f"{block}.{reading}", f"{block}.{writing}"
    return {
        "family": family,
        "gated": False,
        "block": block,
        "mlp": read if mlp is None else f"{block}.{mlp}",
        "mlp_end": write if mlp is None else None,
        "sites": {
            "mlp_pre": Tap(read, "output"),
            "mlp_post": Tap(write, "input"),
            "resid_post": Tap(block, "output"),
        },
        "weights": {
            "up_proj": WeightPlace(f"{read}.weight", bias=f"{read}.bias"),
            "down_proj": WeightPlace(f"{write}.weight", neurons_last=True, bias=f"{write}.bias"),
        },
        "refusals": {
            "mlp_pre_linear": f"the MLP of {family} is not gated, so its activation is not multiplied with anything",
            "gate_proj": f"the MLP of {family} is not gated; its reading weight ({reading}) is called up_proj here",
        },
    }


def gated_mlp(block: str, mlp: str, gate: str, up: str, down: str) -> dict[str, Any]:
    """down(act(gate(x)) * up(x)), in ordinary linear layers of these names within the module `mlp` of `block`."""
    inside = f"{block}.{mlp}"
    return {
        "block": block,
        "mlp": inside,
        "sites": {
            "mlp_pre": Tap(f"{inside}.{gate}", "output"),
            "mlp_pre_linear": Tap(f"{inside}.{up}", "output"),
            "mlp_post": Tap(f"{inside}.{down}", "input"),
            "resid_post": Tap(block, "output"),
        },
        "weights": {
            "up_proj": WeightPlace(f"{inside}.{up}.weight", bias=f"{inside}.{up}.bias"),
            "gate_proj": WeightPlace(f"{inside}.{gate}.weight", bias=f"{inside}.{gate}.bias"),
            "down_proj": WeightPlace(f"{inside}.{down}.weight", neurons_last=True, bias=f"{inside}.{down}.bias"),
        },
    }


def fused_mlp(block: str, fused: str, writing: str) -> dict[str, Any]:
    """writing(act(gate) * up) with gate and up the halves of what one linear layer gives, gate first."""
    read, write = f"{block}.{fused}", f"{block}.{writing}"
    gate, up = GATE_FIRST
    return {
        "sites": {
            "mlp_pre": Tap(read, "output", gate),
            "mlp_pre_linear": Tap(read, "output", up),
            "mlp_post": Tap(write, "input"),
            "resid_post": Tap(block, "output"),
        },
        "weights": {
            "up_proj": WeightPlace(f"{read}.weight", part=up, bias=f"{read}.bias"),
            "gate_proj": WeightPlace(f"{read}.weight", part=gate, bias=f"{read}.bias"),
            "down_proj": WeightPlace(f"{write}.weight", neurons_last=True, bias=f"{write}.bias"),
        },
    }
