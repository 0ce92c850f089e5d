"""What a spec document asks for, read by docs/spec.md alone: the reference that the program's reader is held against.

Nothing here uses the program's shapes or its JSON: numbers are read as decimals, so nothing is rounded on the way.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

import numpy as np

SITES = {"mlp_pre": "d_mlp", "mlp_pre_linear": "d_mlp", "mlp_post": "d_mlp", "resid_post": "d_model"}
OPS = ("set", "scale", "add", "damp")


class NoSpec(Exception):
    """The document is not a valid spec."""


def meaning(content: str | bytes) -> dict[str, Any] | None:
    """The document with order, spelling and defaults taken out, so that equal means equal; None when it is no spec."""
    try:
        text = content.decode("utf-8") if isinstance(content, bytes) else content
        return _spec(json.loads(text, object_pairs_hook=_once, parse_float=Decimal, parse_constant=_refuse))
    except (NoSpec, ValueError, RecursionError):  # ValueError: no JSON, no UTF-8, an integer of 5,000 digits
        return None


def needs(true: Any) -> None:
    if not true:
        raise NoSpec


def _refuse(name: str) -> None:
    raise NoSpec


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    needs(len({name for name, _ in pairs}) == len(pairs))
    return dict(pairs)


def _fields(value: Any, required: str, optional: str = "") -> dict[str, Any]:
    needs(isinstance(value, dict))
    needs(set(required.split()) <= set(value) <= set(required.split()) | set(optional.split()))
    return value


def _integer(value: Any, least: int = 0) -> int:
    needs(type(value) is int and least <= value < 2**31)
    return value


def _boolean(value: Any) -> bool:
    needs(value is True or value is False)
    return value


def _number(value: Any) -> float:
    needs(type(value) in (int, Decimal) and abs(value) <= Decimal("3.4028235e38"))
    rounded = float(np.float32(float(value)))
    needs(rounded != 0 or value == 0)
    return rounded + 0.0


def _word(value: Any, *words: str) -> str:
    needs(isinstance(value, str) and value in words)
    return value


def _list(value: Any, most: int = 1_000_000) -> list[Any]:
    needs(isinstance(value, list) and 1 <= len(value) <= most)
    return value


def _spec(value: Any) -> dict[str, Any]:
    document = _fields(value, "format version model tokenization phase positions edits", "check source")
    _word(document["format"], "neuron-atlas/intervention")
    needs(type(document["version"]) is int and document["version"] == 1)
    model = _model(document["model"])
    tokenization = _fields(document["tokenization"], "add_bos chat_template")
    positions = document["positions"]
    if isinstance(positions, list):
        indices = [_integer(index) for index in _list(positions)]
        needs(len(set(indices)) == len(indices))
        positions = sorted(indices)
    else:
        _word(positions, "all", "last")
    edits = [_edit(edit, model) for edit in _list(document["edits"], 500_000)]
    needs(len({edit[:3] for edit in edits}) == len(edits))
    source = document.get("source", {})
    needs(isinstance(source, dict))
    return {
        "model": model,
        "tokenization": {name: _boolean(flag) for name, flag in tokenization.items()},
        "phase": _word(document["phase"], "all", "prompt", "generated"),
        "positions": positions,
        "edits": sorted(edits, key=repr),
        "check": _check(document["check"]) if "check" in document else None,
        "source": _free(source, 8, [10_000]),
    }


def _model(value: Any) -> dict[str, Any]:
    model = _fields(value, "id fingerprint n_layers d_model d_mlp gated")
    needs(isinstance(model["id"], str) and 1 <= len(model["id"]) <= 1000 and model["id"].isprintable())
    needs(isinstance(model["fingerprint"], str) and re.fullmatch("sha256:[0-9a-f]{64}", model["fingerprint"]))
    for name in ("n_layers", "d_model", "d_mlp"):
        _integer(model[name], 1)
    _boolean(model["gated"])
    return model


def _edit(value: Any, model: dict[str, Any]) -> tuple:
    edit = _fields(value, "site layer neuron op value", "when")
    site, op = _word(edit["site"], *SITES), _word(edit["op"], *OPS)
    needs(site != "mlp_pre_linear" or model["gated"])
    layer, neuron = _integer(edit["layer"]), _integer(edit["neuron"])
    needs(layer < model["n_layers"] and neuron < model[SITES[site]])
    when = None
    if "when" in edit:
        bounds = _fields(edit["when"], "lower upper")
        when = _number(bounds["lower"]), _number(bounds["upper"])
        needs(when[0] <= when[1])
    needs(op != "damp" or (when is not None and when[0] < when[1]))
    return site, layer, neuron, op, _number(edit["value"]), when


def _check(value: Any) -> dict[str, Any]:
    check = _fields(value, "prompt_ids tokens logprob_before logprob_after tolerance")
    found: dict[str, Any] = {name: [_integer(i) for i in _list(check[name])] for name in ("prompt_ids", "tokens")}
    for name in ("logprob_before", "logprob_after"):
        found[name] = [_number(number) for number in _list(check[name])]
        needs(max(found[name]) <= 0 and len(found[name]) == len(found["tokens"]))
    found["tolerance"] = _number(check["tolerance"])
    needs(found["tolerance"] > 0)
    return found


def _free(value: Any, depth: int, left: list[int]) -> Any:
    """`source`, of no effect: its numbers count as what a double makes of them, to 300 places."""
    left[0] -= 1
    needs(left[0] >= 0)
    if isinstance(value, dict | list):
        needs(depth > 0)
        if isinstance(value, dict):
            return {_text(name): _free(member, depth - 1, left) for name, member in value.items()}
        return [_free(item, depth - 1, left) for item in value]
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool) or value is None:
        return value
    # An integer that no 64 bits hold is refused, but one of 40 digits or more is taken for a double.
    needs(abs(value) < (2**63 if isinstance(value, int) and len(str(value)) < 40 else Decimal("1.79e308")))
    return round(float(value), 300) + 0.0


def _text(value: str) -> str:
    needs(not re.search("[\ud800-\udfff]", value))
    return value
