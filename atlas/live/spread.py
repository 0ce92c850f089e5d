"""A model over several devices, and the rest of it in its files: by accelerate, which moves tensors between them.

Blocks are given to the devices in their order, as much as each has room for; what fits nowhere stays in the
checkpoint's safetensors, and is read anew in every pass. Sites are read and edited on one device, wherever they are
computed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import torch
from transformers import PretrainedConfig

from atlas.errors import UsageError
from atlas.extras import require
from atlas.live.stored import Stored
from atlas.silence import silence

if TYPE_CHECKING:
    from atlas.live.network import CausalModel

AUTO = "auto"
_UNITS = {"MB": 10**6, "GB": 10**9}
_ROOM = re.compile(r"(cpu|cuda:(\d{1,3}))=(\d{1,9}(?:\.\d{1,6})?)(MB|GB)", re.ASCII)
Place = int | str
"""As accelerate calls a device: the number of a GPU, "cpu" or "disk"."""


def parse_device_map(text: str) -> dict[Place, int] | None:
    """None for `auto`; else the bytes that each device may hold of the model: "cuda:0=20GB,cpu=60GB".

    Raises UsageError for anything else, and for a device that is not there.
    """
    if text == AUTO:
        return None
    room: dict[Place, int] = {}
    for part in text.split(","):
        found = _ROOM.fullmatch(part.strip())
        if found is None:
            raise UsageError(
                f"{text[:100]!r} is no device map", "Use auto, or how much each device may hold: cuda:0=20GB,cpu=60GB."
            )
        place: Place = "cpu" if found[2] is None else int(found[2])
        if place in room:
            raise UsageError(f"the device map has {found[1]} twice")
        if isinstance(place, int) and place >= torch.cuda.device_count():
            raise UsageError(f"there is no device {found[1]}", f"This machine has {torch.cuda.device_count()} of CUDA.")
        room[place] = int(float(found[3]) * _UNITS[found[4]])
    return room


def home_of(room: Mapping[Place, int] | None) -> torch.device:
    """Where a spread model takes and gives tensors, and works on what is in memory or a file elsewhere."""
    first = next(iter(room)) if room else 0 if torch.cuda.is_available() else "cpu"
    return torch.device("cpu") if first == "cpu" else torch.device("cuda", cast("int", first))


def spread(
    model_class: type[CausalModel],
    config: PretrainedConfig,
    stored: Stored,
    room: Mapping[Place, int] | None,
    attention: str,
) -> CausalModel:
    """The model of `stored`, whose device is `home_of(room)`. Raises MissingExtraError without accelerate."""
    accelerate = require("accelerate", extra="device-map", why="for --device-map")
    with accelerate.init_empty_weights(include_buffers=False):
        network = model_class._from_config(config, dtype=stored.dtype, attn_implementation=attention)
    network.tie_weights()
    places = _placed(accelerate, network, room)
    held: dict[tuple[str, Place], torch.nn.Parameter] = {}
    for name in stored.names:
        place = _place_of(name, places)
        if place == "disk":
            continue
        owner, _, attribute = name.rpartition(".")
        key = stored.names[name], place  # tied ones are one
        if key not in held:
            values = stored.values(name).to(torch.device("cpu" if place == "cpu" else f"cuda:{place}"))
            held[key] = torch.nn.Parameter(values, requires_grad=False)
        network.get_submodule(owner).register_parameter(attribute, held[key])
    index = {
        name: {
            "safetensors_file": str(stored.weights.files[stored.names[name]]),
            "weight_name": stored.names[name],
            "dtype": str(stored.dtype).removeprefix("torch."),
        }
        for name in stored.names
        if _place_of(name, places) == "disk"
    }
    main = stored.device.type if stored.device.type == "cpu" else stored.device.index
    with silence("accelerate.big_modeling"):  # it warns of what was asked for
        accelerate.dispatch_model(
            network, places, main_device=main, offload_index=index, skip_keys=network._skip_keys_device_placement
        )
    return network


def _placed(accelerate: Any, network: CausalModel, room: Mapping[Place, int] | None) -> dict[str, Place]:
    """Module path -> device."""
    whole = list(network._no_split_modules or [])
    most = dict(room) if room else accelerate.utils.get_balanced_memory(network, no_split_module_classes=whole)
    return dict(accelerate.infer_auto_device_map(network, max_memory=most, no_split_module_classes=whole))


def _place_of(name: str, places: Mapping[str, Place]) -> Place:
    inside = [path for path in places if not path or f"{name}.".startswith(f"{path}.")]
    return places[max(inside, key=len)]
