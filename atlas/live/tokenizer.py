"""The tokenizer exactly as the checkpoint ships it, from checked copies of its files."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, PreTrainedTokenizerFast

from atlas.errors import ModelError
from atlas.live import limited
from atlas.live.adapters.registry import tokenizer_classes
from atlas.live.damaged import Damaged, read_json_file
from atlas.live.shards import Find
from atlas.live.tokenizer_limits import check_tokenizer

_DATA = ("tokenizer.json", "tokenizer.model", "vocab.json", "merges.txt")
_JSON = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
_TEMPLATE = "chat_template.jinja"
_DATA_BYTES, _JSON_BYTES, _TEMPLATE_BYTES = 256 << 20, 32 << 20, 1 << 20
_MOST_ADDED = 50_000

# The fields of tokenizer_config.json that say how text becomes tokens; others name classes, code and files to load.
_FIELDS = {
    "add_bos_token", "add_eos_token", "add_prefix_space", "added_tokens_decoder", "additional_special_tokens",
    "bos_token", "chat_template", "clean_up_tokenization_spaces", "cls_token", "eos_token", "errors",
    "extra_special_tokens", "fix_mistral_regex", "legacy", "mask_token", "model_max_length", "pad_token",
    "padding_side", "sep_token", "spaces_between_special_tokens", "split_special_tokens", "truncation_side",
    "unk_token", "use_default_system_prompt",
}  # fmt: skip
_TOKENS = {name for name in _FIELDS if name.endswith("_token") and not name.startswith("add_")}


def load_tokenizer(find: Find, config: Mapping[str, Any], model_id: str) -> Any:
    """The tokenizer whose files `find` finds; `config`: the model's cleaned config with its model_type.

    A `tokenizer.json` is taken as it stands: AutoTokenizer may instead build the class registered for the
    model type, whose own splitting rules give other tokens for a checkpoint that differs from its family.

    Raises ModelError for a tokenizer that is not there, damaged, or takes too much; else what transformers raises.
    """
    with tempfile.TemporaryDirectory(prefix="neuron-atlas-") as name:
        folder = Path(name)
        try:
            _copy(find, folder)
        except Damaged as error:
            raise ModelError(
                f"cannot load the tokenizer of {model_id}: {error}", "The files may be damaged or incomplete."
            ) from None
        (folder / "config.json").write_text(json.dumps(dict(config)), encoding="utf-8")
        whole = folder / "tokenizer.json"
        if whole.exists():
            check_tokenizer(whole, model_id)
            return PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
        if not any((folder / name).exists() for name in _DATA):
            raise ModelError(f"{model_id} has no tokenizer", "Put tokenizer.json beside config.json.")
        _check_older(folder, model_id)
        older = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        if getattr(older, "is_fast", False):
            older.backend_tokenizer.save(str(whole))
            check_tokenizer(whole, model_id)
        return older


def convert(folder: str) -> None:
    """Make the tokenizer of older files, inside a limited process: finding the merges of its pieces can take hours."""
    AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)


def _check_older(folder: Path, model_id: str) -> None:
    """Raise ModelError for older files of which no tokenizer can be made in reasonable time."""
    megabytes = sum(path.stat().st_size for path in folder.iterdir()) >> 20
    try:
        limited.call(__name__, "convert", str(folder), min(5 + 2 * megabytes, 60))
    except limited.Failed as error:
        raise ModelError(
            f"cannot load the tokenizer of {model_id}: {error}",
            "Take tokenizer.json from the original checkpoint; save_pretrained writes it for older tokenizers.",
        ) from error


def load_gguf_tokenizer(folder: str, where: Mapping[str, Any], model_id: str) -> Any:
    """The tokenizer inside a GGUF file; `where` holds transformers' keywords for finding it. Raises as above."""
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, **where)
    with tempfile.TemporaryDirectory(prefix="neuron-atlas-") as name:
        whole = Path(name) / "tokenizer.json"
        tokenizer.backend_tokenizer.save(str(whole))
        check_tokenizer(whole, model_id)
    return tokenizer


def prepends_bos(tokenizer: Any) -> bool:
    """Whether the tokenizer puts its beginning-of-sequence token first by default (measured)."""
    by_default = tokenizer("a")["input_ids"]
    bare = tokenizer("a", add_special_tokens=False)["input_ids"]
    return tokenizer.bos_token_id is not None and by_default[:1] == [tokenizer.bos_token_id] != bare[:1]


def put_around(tokenizer: Any) -> tuple[list[int], list[int]]:
    """The special tokens that the tokenizer puts before and after a text by default (measured), as an encoder reads it.

    Raises ModelError where they are not around it.
    """
    by_default = list(tokenizer("a")["input_ids"])
    bare = list(tokenizer("a", add_special_tokens=False)["input_ids"])
    for before in range(len(by_default) - len(bare) + 1):
        after = before + len(bare)
        if by_default[before:after] == bare:
            return by_default[:before], by_default[after:]
    raise ModelError("the tokenizer does not put its special tokens around a text", "Take tokenizer.json anew.")


def _copy(find: Find, folder: Path) -> None:
    for name, most in (*((name, _DATA_BYTES) for name in _DATA), (_TEMPLATE, _TEMPLATE_BYTES)):
        found = find(name)
        if found is not None:
            if found.stat().st_size > most:
                raise Damaged(f"{name} is larger than {most >> 20} MiB")
            shutil.copyfile(found, folder / name)
    for name in _JSON:
        found = find(name)
        if found is not None:
            value = read_json_file(found, _JSON_BYTES)
            if not isinstance(value, dict):
                raise Damaged(f"{name} is no JSON object")
            (folder / name).write_text(json.dumps(_cleaned(name, value)), encoding="utf-8")


def _cleaned(name: str, value: dict[str, Any]) -> dict[str, Any]:
    """What of the JSON file `name` is passed on. Raises Damaged for values that cannot be meant."""
    if name == "added_tokens.json":
        kept = value
        if any(type(number) is not int or not 0 <= number < 2**31 for number in kept.values()):
            raise Damaged(f"{name} gives a token no number")
    else:
        kept = {key: value[key] for key in value if key in _FIELDS}
        wanted = value.get("tokenizer_class")
        if name == "tokenizer_config.json" and isinstance(wanted, str):
            # It builds a tokenizer from older files, where there is no tokenizer.json.
            if wanted.removesuffix("Fast") in tokenizer_classes():
                kept["tokenizer_class"] = wanted
    for key in _TOKENS & kept.keys():
        content = kept[key].get("content") if isinstance(kept[key], dict) else kept[key]
        if content is not None and not (isinstance(content, str) and len(content) < 1000):
            raise Damaged(f"{name} has a {key} that is no token")
    for key, most in (("added_tokens_decoder", _MOST_ADDED), ("additional_special_tokens", _MOST_ADDED)):
        if len(kept.get(key) or ()) > most:
            raise Damaged(f"{name} adds {len(kept[key])} tokens")
    if len(kept) > _MOST_ADDED or len(json.dumps(kept.get("chat_template") or "")) > _TEMPLATE_BYTES:
        raise Damaged(f"{name} is larger than any tokenizer's")
    return kept
