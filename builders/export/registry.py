"""THE table of export targets: what each can express exactly. A new target is one row and one module."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from atlas.errors import UnknownNameError
from atlas.ops import OPS
from atlas.sites import SITES

EVERYTHING: Mapping[str, tuple[str, ...]] = {site: tuple(OPS) for site in SITES}


@dataclass(frozen=True)
class Target:
    """One form of a spec.

    `module`: has `write`. `output`: "code" is one Python file that checks itself, "folder" and "file" are
    what the live side writes. `ops`: at each site the ops that come out exact; "set 0" is that number alone.
    `ranges`, `some_tokens`: whether edits may depend on the value, and on position or phase. `why`: the
    reason for what it can't. `experts`: whether it can edit neurons of experts. `extra`: the extra of this
    project that brings `package`, which is needed to use the result.
    """

    name: str
    module: str
    output: Literal["code", "folder", "file"]
    summary: str
    ops: Mapping[str, tuple[str, ...]]
    ranges: bool
    some_tokens: bool
    why: str = ""
    limits: str = "none"
    extra: str = ""
    package: str = ""
    experts: bool = False


TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Target(
            "hooks",
            "builders.export.code.hooks",
            "code",
            "one Python file for torch and transformers, without this project",
            EVERYTHING,
            ranges=True,
            some_tokens=True,
            experts=True,
        ),
        Target(
            "transformer-lens",
            "builders.export.code.transformer_lens",
            "code",
            "a Python file with hooks for TransformerLens 4 (TransformerBridge)",
            EVERYTHING,
            ranges=True,
            some_tokens=True,
            extra="transformer-lens",
            package="transformer_lens",
        ),
        Target(
            "nnsight",
            "builders.export.code.nnsight",
            "code",
            "a Python file with an edited model for nnsight 0.8",
            EVERYTHING,
            ranges=True,
            some_tokens=True,
            extra="nnsight",
            package="nnsight",
            experts=True,
        ),
        Target(
            "pyvene",
            "builders.export.code.pyvene",
            "code",
            "a Python module with interventions for pyvene 0.1.8",
            EVERYTHING,
            ranges=True,
            some_tokens=True,
            extra="pyvene",
            package="pyvene",
        ),
        Target(
            "weights",
            "builders.export.weights.weights",
            "folder",
            "a checkpoint with the edits in its weights, for any server",
            {
                "mlp_pre": ("set", "scale", "add"),
                "mlp_pre_linear": ("set", "scale", "add"),
                "mlp_post": ("set", "scale", "add"),
                "resid_post": ("add",),
            },
            ranges=False,
            some_tokens=False,
            why="weights are the same for every value and every token, and the residual stream has none of its own",
            limits="only set 0 and scale where the MLP can have no bias",
        ),
        Target(
            "lora",
            "builders.export.weights.lora",
            "folder",
            "a LoRA adapter for peft, of one rank a neuron, that can be switched on and off",
            {"mlp_post": ("set 0", "scale")},
            ranges=False,
            some_tokens=False,
            why="a LoRA adapter changes what neurons write by a factor, for every value and every token",
            limits="set only to 0",
            extra="peft",
            package="peft",
        ),
        Target(
            "control-vector",
            "builders.export.weights.control_vector",
            "file",
            "a GGUF file for llama.cpp: one vector a layer, added to the residual stream",
            {"mlp_post": ("add",), "resid_post": ("add",)},
            ranges=False,
            some_tokens=False,
            why="a control vector is a constant that is added after a layer, at every token",
            limits="no layer 0; only resid_post where a norm follows the MLP",
            extra="gguf",
            package="gguf",
        ),
    )
}


def target(name: str) -> Target:
    """The row of the table, or UnknownNameError with suggestions."""
    if name not in TARGETS:
        raise UnknownNameError("export target", name, TARGETS)
    return TARGETS[name]
