"""A GGUF file as transformers reads it: alone in a folder, parsed once, and only if nothing of it would be lost."""

from __future__ import annotations

import contextlib
import functools
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn
from transformers import PretrainedConfig

from atlas.errors import ModelError
from atlas.live.gguf_fields import check_fields
from atlas.live.gguf_header import GgufHeader

_WEIGHTS_PER_BYTE = 8  # the densest quantisation has 5


@contextlib.contextmanager
def alone(path: Path) -> Iterator[tuple[str, str]]:
    """(folder, name) of a link to the file in a folder of its own: nothing that lies beside it is read."""
    with tempfile.TemporaryDirectory(prefix="neuron-atlas-") as folder:
        name = "model.gguf"
        (Path(folder) / name).symlink_to(path.resolve())
        yield folder, name


_parsing = threading.Lock()


@contextlib.contextmanager
def parsed_once() -> Iterator[None]:
    """transformers parses a GGUF file for its config, its tokenizer and its weights: here, one time for all three."""
    import gguf

    with _parsing:  # one file at a time, since the reader is replaced for everybody
        original = gguf.GGUFReader
        vars(gguf)["GGUFReader"] = functools.lru_cache(maxsize=1)(original)
        try:
            yield
        finally:
            vars(gguf)["GGUFReader"] = original


def check_file(model_class: type, config: PretrainedConfig, header: GgufHeader, model_id: str) -> None:
    """Refuse a file that the model made of it would not be, before its weights take memory.

    transformers passes over tensors that it has no place for and fields that it does not know, and would make another
    model. Raises ModelError for a config that asks for more than the file can hold, and for such tensors and fields.
    """
    with torch.device("meta"):
        model = model_class(config)
    wanted = sum(tensor.numel() for tensor in [*model.parameters(), *model.buffers()])
    if wanted > _WEIGHTS_PER_BYTE * header.n_bytes:
        raise ModelError(
            f"the config of {model_id} asks for {wanted:.3g} weights, and the file has {header.n_bytes} bytes",
            "The file may be damaged or incomplete.",
        )
    check_fields(header.fields, config, model_id)
    places = len(list(model.parameters()))
    if header.n_tensors < places:
        raise ModelError(
            f"the checkpoint {model_id} lacks tensors that its config asks for: "
            f"{header.n_tensors} of {places} are there",
            "It may be damaged or incomplete.",
        )
    if header.n_tensors > places:
        known = _gguf_names(model, config, header)
        left = [name for name in header.tensors if name not in known]
        raise ModelError(
            f"{model_id} has {header.n_tensors} tensors, and the model that is made of it {places}: "
            f"no place for {', '.join(left[:3] or ['some'])}",
            "transformers would pass over them and compute something else; use the checkpoint in safetensors.",
        )


def _gguf_names(model: nn.Module, config: PretrainedConfig, header: GgufHeader) -> set[str]:
    """What the parameters of `model` are called in GGUF files."""
    from gguf import MODEL_ARCH_NAMES, get_tensor_name_map

    own = header.fields.get("general.architecture")
    architecture = next((arch for arch, name in MODEL_ARCH_NAMES.items() if name == own), None)
    if architecture is None:
        return set()
    names = get_tensor_name_map(architecture, config.num_hidden_layers)
    split = [name.rpartition(".") for name, _ in model.named_parameters()]
    return {f"{names.get_name(module)}.{kind}" for module, _, kind in split}
