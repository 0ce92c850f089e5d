"""What a checkpoint must be, beyond what transformers insists on: it would warn, or not even that."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from transformers import __version__ as TRANSFORMERS

from atlas.errors import ModelError
from atlas.live.adapters.base import Adapter
from atlas.live.damaged import Damaged, read_json_file
from atlas.live.shards import Find

# What classifiers of tokens or texts have in the LM head's place.
_OTHER_HEADS = re.compile(
    r"(score|classifier|classification_head|qa_outputs|regressor|v_head|multiple_choice_head)\b.*\.(weight|bias)"
)


def check_config(raw: Any, model_id: str) -> None:
    """Refuse a config.json (parsed: `raw`) that is no object, or that the installed transformers would misread.

    Version 4 overlooks the rotary base where only version 5 writes it, and then computes another model.
    """
    if not isinstance(raw, dict):
        raise ModelError(f"the config of {model_id} is no JSON object", "The file may be damaged.")
    if TRANSFORMERS.startswith("4.") and "rope_parameters" in raw and "rope_theta" not in raw:
        raise ModelError(
            f"the config of {model_id} is written for transformers 5, and this is {TRANSFORMERS}",
            "Run: pip install 'transformers>=5', or add rope_theta to the config.",
        )


def is_recomputed(name: str, adapter: Adapter) -> bool:
    """Whether a tensor is a buffer that old checkpoints carry although the code computes it itself."""
    return f".{name}".endswith(tuple(f".{end}" for end in ("position_ids", *adapter.recomputed)))


def check_complete(
    report: Mapping[str, Iterable[str]], adapter: Adapter, model_id: str, architecture: str = ""
) -> None:
    """Refuse a checkpoint that does not fill the model exactly; `report` has missing_keys and unexpected_keys.

    A missing tensor is left random. One without a place (a bias that the config denies, a layer beyond its
    count) means that the model computes something else than the checkpoint's. A whole checkpoint of another
    kind (`architecture`, as its config calls it) is no damage, and is called what it is.
    """
    missing = sorted(report["missing_keys"])
    unplaced = sorted(name for name in report["unexpected_keys"] if not is_recomputed(name, adapter))
    is_called = f" ({architecture})" if architecture else ""
    without_head = set(missing) <= set(adapter.lm_heads)
    if without_head and unplaced and all(_OTHER_HEADS.fullmatch(name) for name in unplaced):
        raise ModelError(
            f"{model_id} is a classifier{is_called}: its head {unplaced[0]} gives labels, and neurons are decoded into "
            "tokens",
            "Use the language model that it was made from.",
        )
    if without_head and missing and not unplaced:
        raise ModelError(
            f"{model_id} is a model without its LM head{is_called}: it has no {missing[0]}, and its config does not "
            "tie that to the embedding",
            "Use the whole language model, saved as ...ForCausalLM or ...LMHeadModel.",
        )
    for problem, names in (
        ("lacks tensors that its config asks for", missing),
        ("holds tensors that its config leaves no place for", unplaced),
    ):
        if names:
            first, rest = [name[:120] for name in names[:3]], len(names) - 3
            shown = ", ".join(first) + (f" and {rest} more" if rest > 0 else "")
            raise ModelError(f"the checkpoint {model_id} {problem}: {shown}", "It may be damaged or incomplete.")


def check_shapes(report: Mapping[str, Iterable[tuple[str, Iterable[int], Iterable[int]]]], model_id: str) -> None:
    """Refuse weights that have not the config's shapes; `report` has mismatched_keys as transformers gives them."""
    for name, found, wanted in sorted(report["mismatched_keys"]):
        raise misshapen(model_id, name, found, wanted)


def misshapen(model_id: str, name: str, found: Iterable[int], wanted: Iterable[int]) -> ModelError:
    """The error for a tensor of another shape than the config asks for."""
    return ModelError(
        f"cannot load the weights of {model_id}: {name} has shape {list(found)}, "
        f"and the config asks for {list(wanted)}",
        "Config and weights are of different models, or one of them was changed.",
    )


def architecture_of(raw: Mapping[str, Any]) -> str:
    """The class that a config says was saved, or "" where it says none."""
    names = raw.get("architectures")
    name = names[0] if isinstance(names, list) and names else ""
    return name if isinstance(name, str) and name.isidentifier() and len(name) <= 80 else ""


def end_tokens(find: Find) -> list[int]:
    """The ids that end a text by generation_config.json; nothing else of that file is used. [] where it names none.

    Raises Damaged for a file that is damaged or names no tokens.
    """
    path = find("generation_config.json")
    value = {} if path is None else read_json_file(path, 1 << 20)
    if not isinstance(value, dict):
        raise Damaged("generation_config.json is no JSON object")
    given = value.get("eos_token_id")
    ids = [] if given is None else given if isinstance(given, list) else [given]
    if len(ids) > 1000 or any(type(number) is not int or not -1 <= number < 2**31 for number in ids):
        raise Damaged("eos_token_id of generation_config.json is no token id")
    return [number for number in ids if number >= 0]
