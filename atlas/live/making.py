"""Making a network of a config and weights, and a LiveModel of it; whatever transformers raises is one line."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING, PretrainedConfig

from atlas.errors import AtlasError, ModelError
from atlas.live.adapters.base import Adapter
from atlas.live.adapters.heads import Head
from atlas.live.adapters.multimodal import MULTIMODAL
from atlas.live.expert_pass import NAME as EXPERTS
from atlas.live.expert_pass import register
from atlas.live.head_choice import class_of
from atlas.live.model import LiveModel
from atlas.live.sources import Source, suggestion
from atlas.live.stored import Stored
from atlas.live.tokenizer import prepends_bos, put_around
from atlas.whole_file import no_room

if TYPE_CHECKING:
    from atlas.live.network import CausalModel

T = TypeVar("T")


def model_class_of(config_class: type[PretrainedConfig], head: Head | None = None) -> type[CausalModel]:
    """The class of transformers. Raises ModelError where it has none."""
    # The table says that it holds tuples; one of causal models holds classes.
    if head is not None:
        return cast("type[CausalModel]", class_of(head, config_class))
    # Of some checkpoints that also see images the first table has the language model alone.
    sees = config_class.model_type in MULTIMODAL
    mapping = MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING if sees else MODEL_FOR_CAUSAL_LM_MAPPING
    if config_class in mapping:
        return cast("type[CausalModel]", mapping[config_class])
    raise ModelError(f"transformers has no language model for model type {config_class.model_type!r}")


def pretrained(
    model_class: type[CausalModel], folder: str | None, options: dict[str, Any]
) -> tuple[CausalModel, dict[str, Any]]:
    """The model, and what transformers says of the tensors that it looked for and found."""
    made = model_class.from_pretrained(folder, output_loading_info=True, **options)
    return cast("tuple[CausalModel, dict[str, Any]]", made)  # a pair by `output_loading_info`, whatever it says


def attention_of(model_class: type[CausalModel], config: PretrainedConfig, adapter: Adapter) -> str:
    """Named, so that nobody is asked for another kernel. Older versions of transformers let sdpa drop a softcap."""
    field = adapter.attention_softcap_field
    softcap = None if field is None else getattr(config.get_text_config(), field, None)
    return "sdpa" if model_class._supports_sdpa and softcap is None else "eager"


def finished(
    source: Source,
    network: CausalModel,
    tokenizer: Any,
    adapter: Adapter,
    stored: Stored | None = None,
    head: Head | None = None,
) -> LiveModel:
    """The model in eval mode with its names; not validated yet. Raises ModelError for a tokenizer that fails."""
    network = network.eval().requires_grad_(False)
    if adapter.experts is not None and not adapter.experts.scales_input:
        register()
        network.set_experts_implementation(EXPERTS)
    add_bos = attempt(source, "tokenizer", lambda: prepends_bos(tokenizer))
    # Both were read from checked copies; other libraries that are given them look for the rest by these.
    network.config._name_or_path = tokenizer.name_or_path = tokenizer.init_kwargs["name_or_path"] = source.location
    network.config.architectures = [type(network).__name__]
    around: tuple[list[int], list[int]] = ([], [])
    if head is not None:
        around = attempt(source, "tokenizer", lambda: put_around(tokenizer))
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


def attempt(source: Source, what: str, step: Callable[[], T]) -> T:
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
