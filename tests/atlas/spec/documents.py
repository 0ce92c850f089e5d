"""A valid spec as a plain document, and a table of ways to spoil it, each with the message it must give."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Document = dict[str, Any]

VALID: Document = {
    "format": "neuron-atlas/intervention",
    "version": 1,
    "model": {
        "id": "some/model",
        "fingerprint": "sha256:" + "0123456789abcdef" * 4,
        "n_layers": 4,
        "d_model": 8,
        "d_mlp": 20,
        "gated": True,
    },
    "tokenization": {"add_bos": False, "chat_template": False},
    "phase": "all",
    "positions": "last",
    "edits": [
        {"site": "mlp_pre", "layer": 3, "neuron": 0, "op": "add", "value": 10.0},
        {"site": "mlp_post", "layer": 0, "neuron": 5, "op": "set", "value": 0.0},
        {
            "site": "mlp_post",
            "layer": 3,
            "neuron": 19,
            "op": "set",
            "value": 20.0,
            "when": {"lower": 0.4, "upper": 3.1},
        },
        {
            "site": "resid_post",
            "layer": 1,
            "neuron": 7,
            "op": "damp",
            "value": 0.125,
            "when": {"lower": -1.0, "upper": 1.0},
        },
    ],
    "check": {
        "prompt_ids": [5, 0, 7],
        "tokens": [1, 2],
        "logprob_before": [-0.5, -2.25],
        "logprob_after": [-1.0, 0.0],
        "tolerance": 0.0001,
    },
    "source": {"atlas_id": "a1", "concept": "Sport – fußball", "nested": [1, None, {"x": 2.5}]},
}


def valid() -> Document:
    """A fresh copy of VALID."""
    return copy.deepcopy(VALID)


@dataclass(frozen=True)
class Spoiled:
    """One way to break VALID; `schema` tells whether JSON Schema can see it."""

    change: Callable[[Document], Any]
    message: str
    schema: bool = True


def put(path: str, value: Any) -> Callable[[Document], None]:
    """A change that sets one place, as in 'edits.2.when.lower'."""

    def change(document: Document) -> None:
        *parents, last = [int(step) if step.isdigit() else step for step in path.split(".")]
        place: Any = document
        for step in parents:
            place = place[step]
        place[last] = value

    return change


def drop(path: str, name: str) -> Callable[[Document], None]:
    """A change that removes the field `name` of the object at `path` ('' for the document)."""

    def change(document: Document) -> None:
        place: Any = document
        for step in path.split(".") if path else []:
            place = place[int(step) if step.isdigit() else step]
        del place[name]

    return change


def nested(depth: int) -> Any:
    """A list in a list in a list."""
    value: Any = 0
    for _ in range(depth):
        value = [value]
    return value


SPOILED: dict[str, Spoiled] = {
    # header
    "no format": Spoiled(drop("", "format"), "not an intervention spec: missing field 'format'"),
    "other format": Spoiled(put("format", "pyvene"), "format: 'pyvene' is not 'neuron-atlas/intervention'"),
    "no version": Spoiled(drop("", "version"), "version: null is not 1"),
    "newer version": Spoiled(put("version", 2), "version: 2 is not 1"),
    "version is a float": Spoiled(put("version", 1.0), "version: 1.0 is not 1", schema=False),
    "version is true": Spoiled(put("version", True), "version: true is not 1"),
    "version is a text": Spoiled(put("version", "1"), "version: '1' is not 1"),
    # fields
    "unknown top field": Spoiled(put("edit", []), "unknown field 'edit'"),
    "missing top field": Spoiled(drop("", "phase"), "missing field 'phase'"),
    "unknown model field": Spoiled(put("model.layers", 3), "model: unknown field 'layers'"),
    "missing model field": Spoiled(drop("model", "gated"), "model: missing field 'gated'"),
    "unknown edit field": Spoiled(put("edits.1.if", 3), "edits[1]: unknown field 'if'"),
    "missing edit field": Spoiled(drop("edits.1", "op"), "edits[1]: missing field 'op'"),
    "empty edit": Spoiled(put("edits.1", {}), "edits[1]: missing fields 'site', 'layer', 'neuron', 'op', 'value'"),
    "unknown range field": Spoiled(put("edits.2.when.lo", 1), "edits[2].when: unknown field 'lo'"),
    "missing bound": Spoiled(drop("edits.2.when", "upper"), "edits[2].when: missing field 'upper'"),
    "unknown check field": Spoiled(put("check.prompt", "a"), "check: unknown field 'prompt'"),
    "missing check field": Spoiled(drop("check", "tokens"), "check: missing field 'tokens'"),
    "unknown tokenization field": Spoiled(put("tokenization.bos", 1), "tokenization: unknown field 'bos'"),
    # types
    "edits is an object": Spoiled(put("edits", {}), "edits: expected a list, got an object"),
    "edit is a list": Spoiled(put("edits.0", []), "edits[0]: expected an object, got a list"),
    "model is null": Spoiled(put("model", None), "model: expected an object, got null"),
    "layer is a text": Spoiled(put("edits.0.layer", "3"), "edits[0].layer: expected an integer, got '3'"),
    "layer is true": Spoiled(put("edits.0.layer", True), "edits[0].layer: expected an integer, got true"),
    "layer is a float": Spoiled(
        put("edits.0.layer", 3.0), "edits[0].layer: expected an integer, got 3.0", schema=False
    ),
    "neuron is null": Spoiled(put("edits.0.neuron", None), "edits[0].neuron: expected an integer, got null"),
    "value is a text": Spoiled(put("edits.1.value", "0"), "edits[1].value: expected a number, got '0'"),
    "value is true": Spoiled(put("edits.1.value", True), "edits[1].value: expected a number, got true"),
    "value is a list": Spoiled(put("edits.1.value", [0]), "edits[1].value: expected a number, got a list"),
    "gated is 1": Spoiled(put("model.gated", 1), "model.gated: expected true or false, got 1"),
    "add_bos is 0": Spoiled(put("tokenization.add_bos", 0), "tokenization.add_bos: expected true or false, got 0"),
    "when is null": Spoiled(put("edits.2.when", None), "edits[2].when: expected an object, got null"),
    "when is a list": Spoiled(put("edits.2.when", [0, 1]), "edits[2].when: expected an object, got a list"),
    "op is a number": Spoiled(put("edits.0.op", 0), "edits[0].op: expected one of set, scale, add, damp, got 0"),
    "source is a text": Spoiled(put("source", "me"), "source: expected an object, got 'me'"),
    "check is null": Spoiled(put("check", None), "check: expected an object, got null"),
    "source is null": Spoiled(put("source", None), "source: expected an object, got null"),
    "check is a list": Spoiled(put("check", []), "check: expected an object, got a list"),
    # names
    "unknown site": Spoiled(put("edits.0.site", "mlp_pots"), "edits[0].site: unknown site 'mlp_pots'"),
    "unknown op": Spoiled(put("edits.0.op", "ablate"), "edits[0].op: unknown op 'ablate'"),
    "unknown phase": Spoiled(put("phase", "promt"), "phase: unknown phase 'promt'"),
    "unknown positions": Spoiled(put("positions", "first"), "positions: unknown positions 'first'"),
    "positions is a number": Spoiled(put("positions", 3), "positions: expected all, last or a list, got 3"),
    # numbers
    "value beyond float32": Spoiled(put("edits.1.value", 1e39), "edits[1].value: 1e+39 is beyond float32"),
    "bound beyond float32": Spoiled(
        put("edits.2.when.lower", -3.5e38), "edits[2].when.lower: -3.5e+38 is beyond float32"
    ),
    "huge integer value": Spoiled(put("edits.1.value", 10**60), "edits[1].value: 1e+60 is beyond float32"),
    "value below float32": Spoiled(
        put("edits.1.value", 1e-60), "edits[1].value: 1e-60 is too small for float32", schema=False
    ),
    "negative layer": Spoiled(put("edits.0.layer", -1), "edits[0].layer: -1 is outside 0..2147483647"),
    "huge layer": Spoiled(put("edits.0.layer", 2**40), "edits[0].layer: 1099511627776 is outside 0..2147483647"),
    "no layers": Spoiled(put("model.n_layers", 0), "model.n_layers: 0 is outside 1..2147483647"),
    "lower > upper": Spoiled(
        put("edits.2.when", {"lower": 3.1, "upper": 0.4}),
        "edits[2].when: lower 3.1 > upper 0.4",
        schema=False,
    ),
    # the op and its range
    "damp without range": Spoiled(drop("edits.3", "when"), "edits[3]: damp needs a range, the field 'when' is missing"),
    "damp in a point": Spoiled(
        put("edits.3.when", {"lower": 0.5, "upper": 0.5}),
        "edits[3].when: damp needs a range with a width, not 0.5 to 0.5",
        schema=False,
    ),
    "damp in a point of float32": Spoiled(
        put("edits.3.when", {"lower": 0.5, "upper": 0.500000001}),
        "edits[3].when: damp needs a range with a width, not 0.5 to 0.5",
        schema=False,
    ),
    # the model
    "layer outside": Spoiled(put("edits.0.layer", 4), "edits[0].layer: 4 is outside 0..3", schema=False),
    "neuron outside": Spoiled(
        put("edits.1.neuron", 20), "edits[1].neuron: 20 is outside 0..19, the width of mlp_post", schema=False
    ),
    "neuron outside the stream": Spoiled(
        put("edits.3.neuron", 8), "edits[3].neuron: 8 is outside 0..7, the width of resid_post", schema=False
    ),
    "gated site, plain model": Spoiled(
        lambda document: (
            document["model"].update(gated=False),
            put("edits.0.site", "mlp_pre_linear")(document),
        ),
        "edits[0].site: mlp_pre_linear exists on gated models only, and this one is not gated",
    ),
    "duplicate edit": Spoiled(
        lambda document: document["edits"].append(dict(document["edits"][1], op="scale", value=2.0)),
        "edits[4]: L0N5 at mlp_post already has an edit, edits[1]",
        schema=False,
    ),
    "short fingerprint": Spoiled(
        put("model.fingerprint", "sha256:abc"),
        "model.fingerprint: 'sha256:abc' is not of the form sha256: and 64 digits 0-9a-f",
    ),
    "upper-case fingerprint": Spoiled(
        put("model.fingerprint", "sha256:" + "AB" * 32),
        f"model.fingerprint: 'sha256:{'AB' * 26}A…' is not of the form sha256: and 64 digits 0-9a-f",
    ),
    "empty id": Spoiled(put("model.id", ""), "model.id: a text of 1 to 1000 characters is needed, this has 0"),
    "id with an escape sequence": Spoiled(
        put("model.id", "\x1b[2J"),
        "model.id: '\\x1b[2J' holds a character that cannot be printed",
        schema=False,
    ),
    # lists
    "no edits": Spoiled(put("edits", []), "edits: at least 1 needed, the list has 0"),
    "no positions": Spoiled(put("positions", []), "positions: at least 1 needed, the list has 0"),
    "negative position": Spoiled(put("positions", [0, -1]), "positions[1]: -1 is outside 0..2147483647"),
    "position twice": Spoiled(put("positions", [4, 2, 4]), "positions: 4 stands twice in the list"),
    # check
    "uneven check": Spoiled(
        put("check.logprob_after", [-1.0]), "check.logprob_after: 1 numbers for 2 tokens", schema=False
    ),
    "positive logprob": Spoiled(put("check.logprob_before.1", 0.5), "check.logprob_before[1]: 0.5 is above 0"),
    "no tolerance": Spoiled(put("check.tolerance", 0), "check.tolerance: 0 is not above 0"),
    "empty check": Spoiled(put("check.prompt_ids", []), "check.prompt_ids: at least 1 needed, the list has 0"),
    # source
    "deep source": Spoiled(
        put("source", {"a": nested(9)}),
        "source.a[0][0][0][0][0][0][0]: nested deeper than 8",
        schema=False,
    ),
    "long source": Spoiled(put("source", {"a": [0] * 10_001}), "source.a[9998]: more than 10000 values", schema=False),
}
