"""Is a tokenizer.json safe to load and use? Its size and growth on paper, then a trial in a limited process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from atlas.errors import ModelError
from atlas.live import limited, tokenizer_probe
from atlas.live.damaged import Damaged, read_json_file

_MOST_BYTES = 256 << 20
_MOST_TOKENS = 2_000_000
_MOST_ADDED = 200_000
_MOST_PARTS = 100
_MOST_TEXT = 2_000
_MEMORY = 6 << 30
_SECONDS, _SECONDS_PER_MEGABYTE, _MOST_SECONDS = 5, 1, 60


def check_tokenizer(path: Path, model_id: str) -> None:
    """Raise ModelError for a tokenizer.json that is damaged, too large, or takes or makes too much of a text."""
    try:
        _check_on_paper(read_json_file(path, _MOST_BYTES))
    except Damaged as error:
        raise _refusal(model_id, str(error)) from None
    megabytes = path.stat().st_size >> 20
    seconds = min(_SECONDS + _SECONDS_PER_MEGABYTE * megabytes, _MOST_SECONDS)
    try:
        said = limited.call(tokenizer_probe.__name__, "fault", str(path), seconds, _MEMORY)
    except limited.Failed as error:
        raise _refusal(model_id, str(error)) from None
    if said:
        raise _refusal(model_id, said)


def _check_on_paper(value: Any) -> None:
    """What a trial with a few texts would not show. Raises Damaged."""
    if not isinstance(value, dict) or not isinstance(value.get("model"), dict):
        raise Damaged("tokenizer.json has no model")
    if value["model"].get("dropout"):
        raise Damaged("tokenizer.json leaves out merges at random (dropout), so that a text has no tokens of its own")
    for name, most in (("vocab", _MOST_TOKENS), ("merges", _MOST_TOKENS)):
        if len(value["model"].get(name) or ()) > most:
            raise Damaged(f"tokenizer.json has {len(value['model'][name])} {name}")
    if len(added := value.get("added_tokens") or ()) > _MOST_ADDED:
        raise Damaged(f"tokenizer.json adds {len(added)} tokens")
    for stage in ("normalizer", "pre_tokenizer", "post_processor", "decoder"):
        parts = _parts(value.get(stage))
        if len(parts) > _MOST_PARTS:
            raise Damaged(f"the {stage} of tokenizer.json has more than {_MOST_PARTS} parts")
        growth = 1.0
        for part in parts:
            growth *= _growth(part)
            if growth > tokenizer_probe.MOST_GROWTH:
                raise Damaged(f"the {stage} of tokenizer.json makes a text many times longer")


def _parts(stage: Any) -> list[dict[str, Any]]:
    """A stage and every object inside it."""
    found: list[dict[str, Any]] = []
    stack = [stage]
    while stack and len(found) <= _MOST_PARTS:
        value = stack.pop()
        if isinstance(value, dict):
            found += [value] if "type" in value else []
            stack += value.values()
        elif isinstance(value, list):
            stack += value
    return found


def _growth(part: dict[str, Any]) -> float:
    """How many times longer a part can make a text, at most. Raises Damaged for a text that is too long itself."""
    texts = [text for key in ("content", "prepend", "prefix", "replacement") if isinstance(text := part.get(key), str)]
    if any(len(text) > _MOST_TEXT for text in texts):
        raise Damaged(f"a part of tokenizer.json inserts more than {_MOST_TEXT} characters")
    if part.get("type") != "Replace":
        return 1.0
    pattern, content = part.get("pattern"), part.get("content")
    if not isinstance(pattern, dict) or not isinstance(content, str):
        raise Damaged("tokenizer.json replaces nothing that it names")
    # A regular expression can match one character, or none between any two.
    matched = len(pattern["String"]) if isinstance(pattern.get("String"), str) else 0
    return max(1.0, len(content) / matched if matched else 1.0 + len(content))


def _refusal(model_id: str, why: str) -> ModelError:
    return ModelError(
        f"cannot load the tokenizer of {model_id}: {why}",
        "Take tokenizer.json from the original checkpoint; save_pretrained writes it for older tokenizers.",
    )
