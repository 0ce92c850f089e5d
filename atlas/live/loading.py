"""Load a model so that nothing downstream has to ask what it is: resolved, checked, validated, identified."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from typing import TypeVar

import torch
from transformers import CONFIG_MAPPING, AutoModelForCausalLM, PretrainedConfig

from atlas.errors import AtlasError, ModelError, UsageError
from atlas.extras import require
from atlas.live.adapters.registry import find_adapter
from atlas.live.checkpoint import check_complete, check_config
from atlas.live.fingerprint import fingerprint
from atlas.live.model import LiveModel
from atlas.live.quiet import quiet
from atlas.live.sources import Source, resolve, suggestion
from atlas.live.tokenizer import load_tokenizer, prepends_bos
from atlas.live.validation import validate

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

T = TypeVar("T")


def load(model: str, *, device: str = "auto", dtype: str = "auto") -> LiveModel:
    """The model called `model`: packaged name, local folder, .gguf file or Hugging Face id.

    `device`: "auto" (CUDA if there is one), "cpu", "cuda", "cuda:1". `dtype`: "auto" (float32 on a CPU, the
    checkpoint's own on CUDA), "float32", "bfloat16", "float16". Weights come from safetensors or GGUF only
    and remote code is never run. The adapter is validated on the loaded weights before this returns.

    Raises ModelError (not found, refused, damaged, adapter does not fit), UsageError (device, dtype) and
    MissingExtraError (GGUF needs the extra `gguf`).
    """
    target, wanted_dtype = _device(device), _dtype(dtype)
    source = resolve(model)
    if source.gguf_file:
        for package in ("gguf", "accelerate"):
            require(package, extra="gguf", why="to read GGUF files")
    with quiet():
        live = _read(source, target, wanted_dtype)
        validate(live)
    live.fingerprint = fingerprint(live.model)
    return live


def _read(source: Source, device: torch.device, dtype: torch.dtype | None) -> LiveModel:
    """The model, its tokenizer and its adapter, not validated yet. `dtype` None means auto."""
    where = {"gguf_file": source.gguf_file} if source.gguf_file else {}
    where |= {"local_files_only": True} if source.is_local else {}
    raw, _ = _attempt(source, "config", lambda: PretrainedConfig.get_config_dict(source.location, **where))
    check_config(raw, source.model_id)
    adapter = _attempt(source, "config", lambda: find_adapter(raw))
    # The class registered for the type, whatever auto_map says; reading a GGUF header twice takes seconds.
    config = _attempt(source, "config", lambda: CONFIG_MAPPING[raw["model_type"]].from_dict(raw))
    tokenizer = _attempt(source, "tokenizer", lambda: load_tokenizer(source, **where))
    options = {
        "config": config,
        "dtype": dtype or ("auto" if device.type == "cuda" else torch.float32),
        "use_safetensors": True,
        "trust_remote_code": False,
        "output_loading_info": True,
        **where,
    }
    network, report = _attempt(
        source, "weights", lambda: AutoModelForCausalLM.from_pretrained(source.location, **options)
    )
    check_complete(report, source.model_id)
    network = _attempt(source, "weights", lambda: network.to(device).eval().requires_grad_(False))
    return LiveModel(network, tokenizer, adapter, source.model_id, add_bos=prepends_bos(tokenizer))


def _device(device: str) -> torch.device:
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not re.fullmatch(r"cpu|cuda(:\d+)?", device):
        raise UsageError(f"unknown device {device!r}", "Use auto, cpu, cuda or cuda:N.")
    target = torch.device(device)
    if target.type == "cuda" and (target.index or 0) >= torch.cuda.device_count():
        raise UsageError(f"there is no device {device}", f"This machine has {torch.cuda.device_count()} CUDA devices.")
    return target


def _dtype(dtype: str) -> torch.dtype | None:
    if dtype == "auto":
        return None
    if dtype not in DTYPES:
        raise UsageError(f"unknown dtype {dtype!r}", f"Use auto, {', '.join(DTYPES)}.")
    return DTYPES[dtype]


def _attempt(source: Source, what: str, step: Callable[[], T]) -> T:
    """Run a loading step of transformers; whatever it raises becomes one ModelError line."""
    try:
        return step()
    except AtlasError:
        raise
    except Exception as error:  # transformers, tokenizers, safetensors and gguf raise anything from here
        said = textwrap.shorten(str(error), 300, placeholder=" ...") or type(error).__name__
        said = f"unknown name {said}" if isinstance(error, KeyError) else said
        raise ModelError(f"cannot load the {what} of {source.model_id}: {said}", _hint(source)) from error


def _hint(source: Source) -> str:
    if source.is_local:
        return "The files may be damaged or incomplete."
    return suggestion(source.model_id) or "Check the id and the network, or give a local folder or .gguf file."
