"""Load one tower of a checkpoint that reads texts and images: a model by itself, whose head compares with words.

The whole checkpoint is read, as words are embedded by its text tower whichever tower is wanted. A tower is then
transformers' own class of it with its projection, made around the modules that were loaded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import torch
from transformers import CONFIG_MAPPING, MODEL_MAPPING, PretrainedConfig, PreTrainedModel

from atlas.errors import ModelError, UnknownNameError, UsageError
from atlas.live.adapters.base import Adapter
from atlas.live.adapters.heads import Head
from atlas.live.adapters.registry import find_tower
from atlas.live.checkpoint import architecture_of, check_complete, check_config
from atlas.live.checkpoint_files import finder
from atlas.live.config_fields import clean_config
from atlas.live.damaged import read_json_file
from atlas.live.fingerprint import fingerprints
from atlas.live.images import Images, image_processor
from atlas.live.making import attempt, attention_of, pretrained
from atlas.live.model import LiveModel
from atlas.live.quantised import method_of
from atlas.live.shards import INDEX, SINGLE, Find, read_tensors
from atlas.live.shards import find_weights as weights_of
from atlas.live.sources import Source
from atlas.live.tokenizer import load_tokenizer, put_around
from atlas.live.tower_check import validate_tower
from atlas.live.weight_match import check_dtypes, check_fit, check_layers, check_parts
from atlas.live.words import embedded
from atlas.sites import TOWERS

if TYPE_CHECKING:
    from atlas.live.network import CausalModel

_CONFIG_BYTES = 1 << 20
_PART = {"text": "text_config", "image": "vision_config"}


def load_tower(
    source: Source, device: torch.device, dtype: torch.dtype | None, tower: str, words: Sequence[str]
) -> LiveModel:
    """The tower, validated, with `words` embedded by the checkpoint's text tower.

    Raises ModelError (not found, refused, damaged, adapter does not fit), UsageError for words that cannot be embedded
    and for an image tower without any, UnknownNameError for another tower, MissingExtraError without Pillow.
    """
    if tower not in TOWERS:
        raise UnknownNameError("tower", tower, TOWERS)
    if tower == "image" and not words:
        raise UsageError("an image tower has no vocabulary of its own", "Name a file of words: --words FILE.")
    folder, find = attempt(source, "config", lambda: finder(source))
    raw = attempt(source, "config", lambda: _config_of(find, source))
    adapters = attempt(source, "config", lambda: {name: find_tower(raw, name) for name in TOWERS})
    fields = attempt(source, "config", lambda: clean_config(raw, adapters["text"], source.model_id))
    side_and_patch = _square(fields, raw["model_type"], source) if tower == "image" else None
    processor = None
    if side_and_patch is not None:
        processor = attempt(
            source, "image processor", lambda: image_processor(find, adapters["image"], source.model_id)
        )
    network = _network(source, find, raw, fields, adapters["text"], device, dtype)
    token_fields = {**fields, "model_type": raw["model_type"]}
    tokenizer = attempt(source, "tokenizer", lambda: load_tokenizer(find, token_fields, source.model_id))
    around = attempt(source, "tokenizer", lambda: put_around(tokenizer))
    network.config._name_or_path = tokenizer.name_or_path = tokenizer.init_kwargs["name_or_path"] = source.location

    def live_of(name: str, head: Head, **more: Any) -> LiveModel:
        model = _cut_out(network, adapters[name], name)
        return LiveModel(
            model,
            tokenizer,
            adapters[name],
            source.model_id,
            add_bos=any(around),
            source=source,
            head=head,
            around=around,
            **more,
        )

    text = live_of("text", adapters["text"].heads[0])
    attempt(source, "model", lambda: validate_tower(text))
    found = attempt(source, "text tower", lambda: embedded(text, words)) if words else None
    if side_and_patch is not None:
        images = Images(processor, *side_and_patch)
        live = live_of("image", adapters["image"].heads[0], words=found, images=images)
        attempt(source, "model", lambda: validate_tower(live))
    else:
        live = live_of("text", adapters["text"].heads[0 if words else 1], words=found)
    if found is not None and len(found.names) > live.d_vocab:
        raise UsageError(
            f"{len(found.names)} words, and the text tower of {source.model_id} has {live.d_vocab} tokens",
            "Name fewer words.",
        )
    live.snapshot = folder.name
    live.fingerprint, live.weights_fingerprint = attempt(source, "config", lambda: fingerprints(live))
    return live


def _config_of(find: Find, source: Source) -> dict[str, Any]:
    """The raw config. Raises ModelError where it says two things of a tower: older ones may say its fields twice."""
    path = find("config.json")
    if path is None:
        raise ModelError(f"{source.model_id} has no config.json", "A checkpoint's folder has one.")
    raw: dict[str, Any] = read_json_file(path, _CONFIG_BYTES)
    check_config(raw, source.model_id)
    for name in _PART.values():
        once, again = raw.get(name) or {}, raw.get(f"{name}_dict") or {}
        if not isinstance(once, dict) or not isinstance(again, dict):
            raise ModelError(f"cannot load the config of {source.model_id}: {name} is no JSON object")
        for field, value in again.items():
            if field in once and once[field] != value:
                raise ModelError(
                    f"the config of {source.model_id} says {field} twice, as {str(once[field])[:40]} and "
                    f"{str(value)[:40]}",
                    f"Remove {name}_dict.",
                )
    return raw


def _square(fields: Mapping[str, Any], model_type: str, source: Source) -> tuple[int, int]:
    """(side of the image, side of a patch) in pixels. ModelError where images are no squares of whole patches."""
    whole: Any = CONFIG_MAPPING[model_type]
    config = whole.sub_configs[_PART["image"]](**(fields.get(_PART["image"]) or {}))
    side, patch = config.image_size, config.patch_size
    if type(side) is not int or type(patch) is not int or not 0 < patch <= side <= 4096 or side % patch:
        raise ModelError(
            f"{source.model_id} reads images of {str(side)[:40]} in patches of {str(patch)[:40]}",
            "Supported are squares of whole patches.",
        )
    return side, patch


def _network(
    source: Source,
    find: Find,
    raw: Mapping[str, Any],
    fields: dict[str, Any],
    adapter: Adapter,
    device: torch.device,
    dtype: torch.dtype | None,
) -> PreTrainedModel:
    """The whole checkpoint, of both towers. Raises ModelError for one that was saved as another class, or quantised."""
    name = source.model_id
    config_class = CONFIG_MAPPING[raw["model_type"]]
    model_class = cast("type[CausalModel]", MODEL_MAPPING[config_class])
    saved = architecture_of(raw)
    if saved not in ("", model_class.__name__):
        raise ModelError(
            f"{name} was saved as {saved}, which is not both towers with their projections",
            f"Use a checkpoint saved as {model_class.__name__}.",
        )
    if attempt(source, "config", lambda: method_of(raw, name)) is not None:
        raise ModelError(f"{name} is quantised, and towers are read as they are", "Use the unquantised checkpoint.")
    weights = attempt(source, "weights", lambda: weights_of(find))
    if weights is None:
        raise ModelError(f"{name} has no {SINGLE} and no {INDEX}", "Weights come as safetensors.")
    check_dtypes(weights, adapter, name)
    for part in _PART.values():
        check_layers(fields.get(part) or {}, {}, weights, adapter, name)
    check_parts(fields, weights, name)
    config: PretrainedConfig = attempt(source, "config", lambda: config_class.from_dict(fields))
    automatic = torch.bfloat16 if device.type == "cuda" else torch.float32
    attempt(
        source, "weights", lambda: check_fit(model_class, config, weights, adapter, name, saved, dtype or automatic)
    )
    options = {
        "state_dict": attempt(source, "weights", lambda: read_tensors(weights)),
        "config": config,
        "dtype": dtype or ("auto" if device.type == "cuda" else torch.float32),
        "attn_implementation": attention_of(model_class, config, adapter),
        "use_safetensors": True,
        "local_files_only": True,
    }
    network, report = attempt(source, "weights", lambda: pretrained(model_class, None, options))
    check_complete(report, adapter, name, saved)
    return attempt(source, "weights", lambda: network.to(device).eval().requires_grad_(False))


def _cut_out(network: PreTrainedModel, adapter: Adapter, tower: str) -> CausalModel:
    """transformers' class of one tower and its projection, around the modules of the whole."""
    config = getattr(network.config, _PART[tower])
    config.projection_dim = network.config.projection_dim
    tower_class = _class_of(adapter)
    with torch.device("meta"):
        made = tower_class(config)
    for name in (str(adapter.base), adapter.heads[0].dense):
        setattr(made, name, getattr(network, name))
    made.config._name_or_path = network.config._name_or_path
    made.config.architectures = [tower_class.__name__]
    return cast("CausalModel", made.eval().requires_grad_(False))


def _class_of(adapter: Adapter) -> type[PreTrainedModel]:
    import transformers

    return cast("type[PreTrainedModel]", getattr(transformers, adapter.heads[0].classes[0]))
