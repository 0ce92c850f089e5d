"""Load a model so that nothing downstream has to ask what it is: resolved, checked, validated, identified."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

import torch
from transformers import (
    CONFIG_MAPPING,
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
    PretrainedConfig,
)

from atlas.errors import AtlasError, ModelError
from atlas.extras import require_gguf
from atlas.live.adapters.base import Adapter
from atlas.live.adapters.heads import Head
from atlas.live.adapters.registry import find_adapter
from atlas.live.checkpoint import architecture_of, check_complete, check_config, check_shapes, end_tokens
from atlas.live.checkpoint_files import finder
from atlas.live.config_fields import clean_config, language_fields
from atlas.live.damaged import read_json_file
from atlas.live.devices import DEVICE_MAP, dtype_called, one_device
from atlas.live.encoder_check import validate_encoder
from atlas.live.expert_pass import NAME as EXPERTS
from atlas.live.expert_pass import register
from atlas.live.fingerprint import fingerprints
from atlas.live.gguf_copies import copy_of
from atlas.live.gguf_file import alone, check_file, parsed_once
from atlas.live.gguf_header import read_gguf_header
from atlas.live.head_choice import choose_head, class_of, labels_of, without_spare
from atlas.live.instance import small_instance
from atlas.live.model import LiveModel
from atlas.live.quantised import check_linear, method_of, recorded, unpacked
from atlas.live.quiet import quiet
from atlas.live.shards import INDEX, SINGLE, find_weights, read_tensors
from atlas.live.sources import Source, resolve, suggestion
from atlas.live.spread import Place, home_of, parse_device_map, spread
from atlas.live.stored import Stored, stored_in
from atlas.live.tokenizer import load_gguf_tokenizer, load_tokenizer, prepends_bos, put_around
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
from atlas.whole_file import no_room

if TYPE_CHECKING:
    from atlas.live.model import CausalModel

_CONFIG_BYTES = 1 << 20

T = TypeVar("T")


def load(model: str | Source, *, device: str = "auto", dtype: str = "auto", weights_only: bool = False) -> LiveModel:
    """The model called `model`: packaged name, local folder, .gguf file or Hugging Face id; or found already.

    `device`: "auto" (CUDA if there is one), "cpu", "cuda", "cuda:1". `dtype`: "auto" (float32 on a CPU, the
    checkpoint's own on CUDA), "float32", "bfloat16", "float16". Weights come from safetensors or GGUF only
    and remote code is never run. What a GGUF file was turned into is kept in the user's cache
    (gguf_copies.py). The adapter is validated on the loaded weights before this returns.

    `device` may also be DEVICE_MAP and a device map (spread.py), for a model that no device has room for.

    `weights_only`: nobody will run the model. Then its weights stay in their safetensors files, each read when it is
    asked for (stored.py), where that gives the same values; and the adapter is validated on a small instance.

    Raises ModelError (not found, refused, damaged, adapter does not fit), UsageError (device, dtype) and
    MissingExtraError (GGUF needs the extra `gguf`).
    """
    mapped = device.startswith(DEVICE_MAP)
    room = parse_device_map(device.removeprefix(DEVICE_MAP)) if mapped else None
    target, wanted_dtype = home_of(room) if mapped else one_device(device), dtype_called(dtype)
    source = model if isinstance(model, Source) else resolve(model)
    if source.gguf_file:
        require_gguf()
    with quiet():
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
        digests = _attempt(source, "weights", lambda: stored.digests(live.model_id))
    if live.validated == "model":
        # A config can hold values that are noticed in a pass only.
        _attempt(source, "model", lambda: validate(live) if live.head is None else validate_encoder(live))
    live.fingerprint, live.weights_fingerprint = _attempt(source, "config", lambda: fingerprints(live, digests))
    return live


def _automatic(device: torch.device) -> torch.dtype | str:
    """What dtype None means: float32 on a CPU, elsewhere the checkpoint's own."""
    return "auto" if device.type == "cuda" else torch.float32


def _read(source: Source, device: torch.device, dtype: torch.dtype | None, use: _Use) -> LiveModel:
    """The model, its tokenizer and its adapter. `dtype` None means auto. Not validated yet, if it can run."""
    name = source.model_id
    if source.gguf_file:
        return _read_gguf(source, source.gguf_file, device, dtype)
    find = _attempt(source, "config", lambda: finder(source))
    raw = _attempt(source, "config", lambda: read_json_file(_present(find("config.json"), source), _CONFIG_BYTES))
    check_config(raw, name)
    adapter = _attempt(source, "config", lambda: find_adapter(raw))
    fields = _attempt(source, "config", lambda: clean_config(raw, adapter, name))
    # The class registered for the type, whatever auto_map says.
    config_class = CONFIG_MAPPING[raw["model_type"]]
    held_in_files = _attempt(source, "weights", lambda: find_weights(find))
    if held_in_files is None:
        raise ModelError(f"{name} has no {SINGLE} and no {INDEX}", "Weights come as safetensors, or as a .gguf file.")
    quantised = _attempt(source, "config", lambda: method_of(raw, name))
    weights = _attempt(source, "weights", lambda: unpacked(held_in_files, quantised))
    saved = architecture_of(raw)
    head = choose_head(adapter, saved, weights, name)
    if head is not None and head.kind == "classifier":
        fields["id2label"] = dict(enumerate(labels_of(raw, name)))
    weights = without_spare(weights, adapter, head)
    check_dtypes(weights, adapter, name)
    check_layers(language_fields(fields), config_class.attribute_map, weights, adapter, name)
    check_parts(fields, weights, name)
    config = _attempt(source, "config", lambda: config_class.from_dict(fields))
    check_variant(config, adapter, name)
    model_class = _model_class(config_class, head)
    computing = dtype or (torch.bfloat16 if device.type == "cuda" else torch.float32)
    # Experts are joined on loading, and an encoder's decoding runs it: both are loaded whole.
    in_files = (use.weights_only or use.spread) and adapter.experts is None and head is None
    held = None if in_files else computing
    fit = _attempt(source, "weights", lambda: check_fit(model_class, config, weights, adapter, name, saved, held))
    check_linear(fit.model, weights, name)
    token_fields = {**fields, "model_type": raw["model_type"]}
    tokenizer = _attempt(source, "tokenizer", lambda: load_tokenizer(find, token_fields, name))
    attention = _attention(model_class, config, adapter)
    stored = None
    if in_files and not (use.spread and weights.packed):  # accelerate reads plain tensors alone
        wanted = dtype or _automatic(device)
        stored = _attempt(source, "weights", lambda: stored_in(fit, weights, config, device, wanted))
    if stored is not None and use.weights_only:
        small = _attempt(source, "config", lambda: small_instance(model_class, config, adapter, name, attention))
        _attempt(source, "model", lambda: validate(small))
        network = cast("CausalModel", fit.model.to(stored.dtype))  # so it says what it computes in
        live = _finished(source, network, tokenizer, adapter, stored)
        live.validated = "instance"
        live.quantised = recorded(quantised)
        return live
    if stored is not None:
        over = stored
        network = _attempt(source, "weights", lambda: spread(model_class, config, over, use.room, attention))
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
            "state_dict": _attempt(source, "weights", lambda: read_tensors(weights)),
            "config": config,
            "dtype": dtype or _automatic(device),
            "attn_implementation": attention,
            "use_safetensors": True,
            "local_files_only": True,
        }
        network, report = _attempt(source, "weights", lambda: _pretrained(model_class, None, options))
        check_complete(report, adapter, name, saved)
        network = _attempt(source, "weights", lambda: network.to(device))
    if head is None and (ends := _attempt(source, "generation config", lambda: end_tokens(find))):
        network.generation_config.eos_token_id = ends
    live = _finished(source, network, tokenizer, adapter, stored, head)
    live.quantised = recorded(quantised)
    return live


def _read_gguf(source: Source, gguf_file: str, device: torch.device, dtype: torch.dtype | None) -> LiveModel:
    name = source.model_id
    header = _attempt(source, "weights", lambda: read_gguf_header(Path(source.location) / gguf_file))
    with alone(Path(source.location) / gguf_file) as (folder, file), parsed_once():
        where = {"gguf_file": file, "local_files_only": True}
        raw, _ = _attempt(source, "config", lambda: PretrainedConfig.get_config_dict(folder, **where))
        check_config(raw, name)
        adapter = _attempt(source, "config", lambda: find_adapter(raw))
        if adapter.experts is not None:
            raise ModelError(f"{name} is a mixture of experts in GGUF, which is not read", "Use its safetensors.")
        if adapter.heads:
            raise ModelError(f"{name} is an encoder in a GGUF file, which says nothing of its head", "Use safetensors.")
        fields = _attempt(source, "config", lambda: clean_config(raw, adapter, name))
        config_class = CONFIG_MAPPING[raw["model_type"]]
        check_layer_count(fields, config_class.attribute_map, header.n_tensors, name)
        config = _attempt(source, "config", lambda: config_class.from_dict(fields))
        check_variant(config, adapter, name)
        model_class = _model_class(config_class)
        _attempt(source, "weights", lambda: check_file(model_class, config, header, name))
        tokenizer = _attempt(source, "tokenizer", lambda: load_gguf_tokenizer(folder, where, name))
        options = {
            "config": config,
            "dtype": dtype or _automatic(device),
            "attn_implementation": _attention(model_class, config, adapter),
            "ignore_mismatched_sizes": True,  # check_shapes names them, where transformers points at a report
            **where,
        }
        network, report = _attempt(source, "weights", lambda: _pretrained(model_class, folder, options))
    check_shapes(report, name)
    check_complete(report, adapter, name)
    network = _attempt(source, "weights", lambda: network.to(device))
    return _finished(source, network, tokenizer, adapter)


def _model_class(config_class: type[PretrainedConfig], head: Head | None = None) -> type[CausalModel]:
    # The table says that it holds tuples; one of causal models holds classes.
    if head is not None:
        return cast("type[CausalModel]", class_of(head, config_class))
    for mapping in (MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING):
        if config_class in mapping:
            return cast("type[CausalModel]", mapping[config_class])
    raise ModelError(f"transformers has no language model for model type {config_class.model_type!r}")


def _pretrained(
    model_class: type[CausalModel], folder: str | None, options: dict[str, Any]
) -> tuple[CausalModel, dict[str, Any]]:
    """The model, and what transformers says of the tensors that it looked for and found."""
    made = model_class.from_pretrained(folder, output_loading_info=True, **options)
    return cast("tuple[CausalModel, dict[str, Any]]", made)  # a pair by `output_loading_info`, whatever it says


def _attention(model_class: type[CausalModel], config: PretrainedConfig, adapter: Adapter) -> str:
    """Named, so that nobody is asked for another kernel. Older versions of transformers let sdpa drop a softcap."""
    field = adapter.attention_softcap_field
    softcap = None if field is None else getattr(config.get_text_config(), field, None)
    return "sdpa" if model_class._supports_sdpa and softcap is None else "eager"


def _finished(
    source: Source,
    network: CausalModel,
    tokenizer: Any,
    adapter: Adapter,
    stored: Stored | None = None,
    head: Head | None = None,
) -> LiveModel:
    network = network.eval().requires_grad_(False)
    if adapter.experts is not None:
        register()
        network.set_experts_implementation(EXPERTS)
    add_bos = _attempt(source, "tokenizer", lambda: prepends_bos(tokenizer))
    # Both were read from checked copies; other libraries that are given them look for the rest by these.
    network.config._name_or_path = tokenizer.name_or_path = tokenizer.init_kwargs["name_or_path"] = source.location
    network.config.architectures = [type(network).__name__]
    around: tuple[list[int], list[int]] = ([], [])
    if head is not None:
        around = _attempt(source, "tokenizer", lambda: put_around(tokenizer))
        add_bos = any(around)
    return LiveModel(
        network,
        tokenizer,
        adapter,
        source.model_id,
        add_bos=add_bos,
        source=source,
        stored=stored,
        head=head,
        around=around,
    )


def _present(config: Path | None, source: Source) -> Path:
    if config is None:
        raise ModelError(f"{source.model_id} has no config.json", "A checkpoint's folder has one.")
    return config


def _attempt(source: Source, what: str, step: Callable[[], T]) -> T:
    """Run a loading step of transformers; whatever it raises becomes one ModelError line."""
    try:
        return step()
    except AtlasError:
        raise
    except Exception as error:  # transformers, tokenizers, safetensors and gguf raise anything from here
        said = textwrap.shorten(str(error), 300, placeholder=" ...") or type(error).__name__
        said = f"unknown name {said}" if isinstance(error, KeyError) else said
        if no_room(error) is not None:  # parts of a model are copied into the folder for temporary files
            raise ModelError(f"cannot load the {what} of {source.model_id}: {said}", "Make room.") from error
        raise ModelError(f"cannot load the {what} of {source.model_id}: {said}", _hint(source)) from error


def _hint(source: Source) -> str:
    if source.is_local:
        return "The files may be damaged or incomplete."
    return suggestion(source.model_id) or "Check the id and the network, or give a local folder or .gguf file."
