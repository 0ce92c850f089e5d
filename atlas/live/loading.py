"""Load a model so that nothing downstream has to ask what it is: resolved, checked, validated, identified."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar, cast

import torch
from transformers import (
    CONFIG_MAPPING,
    PretrainedConfig,
)

from atlas.errors import AtlasError, ModelError
from atlas.extras import require_gguf
from atlas.live.adapters.registry import find_adapter
from atlas.live.checkpoint import architecture_of, check_complete, check_config, check_shapes, end_tokens
from atlas.live.checkpoint_files import finder
from atlas.live.config_fields import clean_config, language_fields
from atlas.live.damaged import read_json_file
from atlas.live.devices import DEVICE_MAP, dtype_called, one_device
from atlas.live.encoder_check import validate_encoder
from atlas.live.fingerprint import fingerprints
from atlas.live.gguf_copies import copy_of
from atlas.live.gguf_file import alone, check_file, parsed_once
from atlas.live.gguf_header import read_gguf_header
from atlas.live.head_choice import choose_head, labels_of, without_spare
from atlas.live.instance import small_instance
from atlas.live.making import attempt, attention_of, finished, model_class_of, pretrained
from atlas.live.model import LiveModel
from atlas.live.quantised import check_linear, method_of, recorded, unpacked
from atlas.live.quiet import quiet
from atlas.live.shards import INDEX, SINGLE, find_weights, read_tensors
from atlas.live.sources import Source, resolve
from atlas.live.spread import Place, home_of, parse_device_map, spread
from atlas.live.stored import stored_in
from atlas.live.tokenizer import load_gguf_tokenizer, load_tokenizer
from atlas.live.towers import load_tower
from atlas.live.validation import validate
from atlas.live.variants import check_variant
from atlas.live.weight_match import (
    check_dtypes,
    check_fit,
    check_layer_count,
    check_layers,
    check_memory,
    check_parts,
)

if TYPE_CHECKING:
    from atlas.live.network import CausalModel

_CONFIG_BYTES = 1 << 20

T = TypeVar("T")


def load(
    model: str | Source,
    *,
    device: str = "auto",
    dtype: str = "auto",
    weights_only: bool = False,
    tower: str | None = None,
    words: Sequence[str] = (),
) -> LiveModel:
    """The model called `model`: packaged name, local folder, .gguf file or Hugging Face id; or found already.

    `device`: "auto" (CUDA if there is one), "cpu", "cuda", "cuda:1". `dtype`: "auto" (float32 on a CPU, the
    checkpoint's own on CUDA), "float32", "bfloat16", "float16". Weights come from safetensors or GGUF only
    and remote code is never run. What a GGUF file was turned into is kept in the user's cache
    (gguf_copies.py). The adapter is validated on the loaded weights before this returns.

    `device` may also be DEVICE_MAP and a device map (spread.py), for a model that no device has room for.

    `weights_only`: nobody will run the model. Then its weights stay in their safetensors files, each read when it is
    asked for (stored.py), where that gives the same values; and the adapter is validated on a small instance.

    `tower`: of a checkpoint that reads texts and images, the part to load: "text" or "image" (towers.py). `words`: what
    its neurons are decoded to, as the text tower embeds them; without any a text tower has no head.

    Raises ModelError (not found, refused, damaged, adapter does not fit), UsageError (device, dtype, words) and
    MissingExtraError (GGUF needs the extra `gguf`).
    """
    mapped = device.startswith(DEVICE_MAP)
    room = parse_device_map(device.removeprefix(DEVICE_MAP)) if mapped else None
    target, wanted_dtype = home_of(room) if mapped else one_device(device), dtype_called(dtype)
    source = model if isinstance(model, Source) else resolve(model)
    if source.gguf_file:
        require_gguf()
    with quiet():
        if tower is not None:
            if mapped or source.gguf_file:
                raise ModelError(
                    f"a tower of {source.model_id} is loaded from safetensors onto one device", "Use --device."
                )
            return load_tower(source, target, wanted_dtype, tower, words)
        if source.gguf_file:
            if mapped:
                raise ModelError(
                    f"{source.model_id} is a GGUF file, which is loaded onto one device", "--device names one."
                )
            return _from_gguf(source, target, wanted_dtype)
        return _checked(source, target, wanted_dtype, _Use(weights_only, mapped and not weights_only, room))


class _Use(NamedTuple):
    """How a model will be used: only to read its weights, or `spread` over devices with `room`; else on one device."""

    weights_only: bool = False
    spread: bool = False
    room: Mapping[Place, int] | None = None


def _from_gguf(source: Source, device: torch.device, dtype: torch.dtype | None) -> LiveModel:
    """The model in a GGUF file, from the copy that an earlier call kept if that is the same, else from the file."""
    copy = copy_of(source, str(dtype or _automatic(device)))
    kept = copy.source(source) if copy else None
    if copy and kept:
        try:
            live = _checked(kept, device, dtype, _Use())
        except AtlasError:  # whatever happened to the copy, the file decides
            live = None
        if live is not None and copy.is_of(live.fingerprint):
            live.source = source
            return live
        copy.remove()
    live = _checked(source, device, dtype, _Use())
    if copy:
        copy.write(live)
    return live


def _checked(source: Source, device: torch.device, dtype: torch.dtype | None, use: _Use) -> LiveModel:
    live = _read(source, device, dtype, use)
    digests = None
    if (stored := live.stored) is not None:
        digests = attempt(source, "weights", lambda: stored.digests(live.model_id))
    if live.validated == "model":
        # A config can hold values that are noticed in a pass only.
        attempt(source, "model", lambda: validate(live) if live.head is None else validate_encoder(live))
    live.fingerprint, live.weights_fingerprint = attempt(source, "config", lambda: fingerprints(live, digests))
    return live


def _automatic(device: torch.device) -> torch.dtype | str:
    """What dtype None means: float32 on a CPU, elsewhere the checkpoint's own."""
    return "auto" if device.type == "cuda" else torch.float32


def _read(source: Source, device: torch.device, dtype: torch.dtype | None, use: _Use) -> LiveModel:
    """The model, its tokenizer and its adapter. `dtype` None means auto. Not validated yet, if it can run."""
    name = source.model_id
    if source.gguf_file:
        return _read_gguf(source, source.gguf_file, device, dtype)
    folder, find = attempt(source, "config", lambda: finder(source))
    raw = attempt(source, "config", lambda: read_json_file(_present(find("config.json"), source), _CONFIG_BYTES))
    check_config(raw, name)
    adapter = attempt(source, "config", lambda: find_adapter(raw))
    fields = attempt(source, "config", lambda: clean_config(raw, adapter, name))
    # The class registered for the type, whatever auto_map says.
    config_class = CONFIG_MAPPING[raw["model_type"]]
    held_in_files = attempt(source, "weights", lambda: find_weights(find))
    if held_in_files is None:
        raise ModelError(f"{name} has no {SINGLE} and no {INDEX}", "Weights come as safetensors, or as a .gguf file.")
    quantised = attempt(source, "config", lambda: method_of(raw, name))
    weights = attempt(source, "weights", lambda: unpacked(held_in_files, quantised))
    saved = architecture_of(raw)
    head = choose_head(adapter, saved, weights, name)
    if head is not None and head.kind == "classifier":
        fields["id2label"] = dict(enumerate(labels_of(raw, name)))
    weights = without_spare(weights, adapter, head)
    check_dtypes(weights, adapter, name)
    check_layers(language_fields(fields), config_class.attribute_map, weights, adapter, name)
    check_parts(fields, weights, name)
    config = attempt(source, "config", lambda: config_class.from_dict(fields))
    check_variant(config, adapter, name)
    model_class = model_class_of(config_class, head)
    computing = dtype or (torch.bfloat16 if device.type == "cuda" else torch.float32)
    # Experts and some others are joined on loading, and an encoder's decoding runs it: all are loaded whole. So are
    # models with recurrent blocks, of which two blocks need not be one of each kind.
    joined = adapter.experts is not None or adapter.joined
    in_files = (use.weights_only or use.spread) and not joined and head is None
    in_files = in_files and not (use.weights_only and adapter.recurrent)
    held = None if in_files else computing
    fit = attempt(source, "weights", lambda: check_fit(model_class, config, weights, adapter, name, saved, held))
    check_linear(fit.model, weights, name)
    token_fields = {**fields, "model_type": raw["model_type"]}
    tokenizer = attempt(source, "tokenizer", lambda: load_tokenizer(find, token_fields, name))
    attention = attention_of(model_class, config, adapter)
    stored = None
    if in_files and not (use.spread and weights.packed):  # accelerate reads plain tensors alone
        wanted = dtype or _automatic(device)
        stored = attempt(source, "weights", lambda: stored_in(fit, weights, config, device, wanted))
    if stored is not None and use.weights_only:
        small = attempt(source, "config", lambda: small_instance(model_class, config, adapter, name, attention))
        attempt(source, "model", lambda: validate(small))
        network = cast("CausalModel", fit.model.to(stored.dtype))  # so it says what it computes in
        live = finished(source, network, tokenizer, adapter, stored)
        live.validated = "instance"
        live.quantised, live.snapshot = recorded(quantised), folder.name
        return live
    if stored is not None:
        over = stored
        network = attempt(source, "weights", lambda: spread(model_class, config, over, use.room, attention))
    elif use.spread:
        raise ModelError(
            f"{name} cannot be spread over devices: loading makes other values of its weights than its files hold",
            "Use --device.",
        )
    else:
        if in_files:
            check_memory(fit.model, weights, name, computing)
        options = {
            # Tensors by name: transformers has no folder in which to prefer other files to the checked ones.
            "state_dict": attempt(source, "weights", lambda: read_tensors(weights)),
            "config": config,
            "dtype": dtype or _automatic(device),
            "attn_implementation": attention,
            "use_safetensors": True,
            "local_files_only": True,
        }
        network, report = attempt(source, "weights", lambda: pretrained(model_class, None, options))
        check_complete(report, adapter, name, saved)
        network = attempt(source, "weights", lambda: network.to(device))
    if head is None and (ends := attempt(source, "generation config", lambda: end_tokens(find))):
        network.generation_config.eos_token_id = ends
    live = finished(source, network, tokenizer, adapter, stored, head)
    live.quantised, live.snapshot = recorded(quantised), folder.name
    return live


def _read_gguf(source: Source, gguf_file: str, device: torch.device, dtype: torch.dtype | None) -> LiveModel:
    name = source.model_id
    header = attempt(source, "weights", lambda: read_gguf_header(Path(source.location) / gguf_file))
    with alone(Path(source.location) / gguf_file) as (folder, file), parsed_once():
        where = {"gguf_file": file, "local_files_only": True}
        raw, _ = attempt(source, "config", lambda: PretrainedConfig.get_config_dict(folder, **where))
        check_config(raw, name)
        adapter = attempt(source, "config", lambda: find_adapter(raw))
        if adapter.experts is not None:
            raise ModelError(f"{name} is a mixture of experts in GGUF, which is not read", "Use its safetensors.")
        if adapter.heads:
            raise ModelError(f"{name} is an encoder in a GGUF file, which says nothing of its head", "Use safetensors.")
        fields = attempt(source, "config", lambda: clean_config(raw, adapter, name))
        config_class = CONFIG_MAPPING[raw["model_type"]]
        check_layer_count(fields, config_class.attribute_map, header.n_tensors, name)
        config = attempt(source, "config", lambda: config_class.from_dict(fields))
        check_variant(config, adapter, name)
        model_class = model_class_of(config_class)
        attempt(source, "weights", lambda: check_file(model_class, config, header, name))
        tokenizer = attempt(source, "tokenizer", lambda: load_gguf_tokenizer(folder, where, name))
        options = {
            "config": config,
            "dtype": dtype or _automatic(device),
            "attn_implementation": attention_of(model_class, config, adapter),
            "ignore_mismatched_sizes": True,  # check_shapes names them, where transformers points at a report
            **where,
        }
        network, report = attempt(source, "weights", lambda: pretrained(model_class, folder, options))
    check_shapes(report, name)
    check_complete(report, adapter, name)
    network = attempt(source, "weights", lambda: network.to(device))
    return finished(source, network, tokenizer, adapter)


def _present(config: Path | None, source: Source) -> Path:
    if config is None:
        raise ModelError(f"{source.model_id} has no config.json", "A checkpoint's folder has one.")
    return config
