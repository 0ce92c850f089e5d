"""A spec as JSON: reading text from anywhere without harm, writing it for people and for a hash."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from atlas.errors import SpecError
from atlas.json_text import CHECKED, JsonError, read_json
from atlas.printable import json_text
from atlas.spec.document import InterventionSpec
from atlas.spec.fields import MAX_EDITS, SPEC
from atlas.spec.records import RepeatedFields
from atlas.spec.shapes import ShapeError, expected, shown
from atlas.whole_file import write_whole

FORMAT = "neuron-atlas/intervention"
VERSION = 1

# Room for MAX_EDITS edits with long numbers.
MAX_BYTES = 96 * 2**20
# Two objects per edit (itself and its range), and some for the rest: what the reader lets json build.
_MAX_CONTAINERS = 2 * MAX_EDITS + 20_000


def read_spec(path: str | Path) -> InterventionSpec:
    """The spec in a file. SpecError, beginning with the file's name, if it can't be read or is malformed."""
    try:
        with open(path, "rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise SpecError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    try:
        return loads(content)
    except SpecError as error:
        raise SpecError(f"{path}: {error.message}", error.hint) from None


def loads(content: str | bytes) -> InterventionSpec:
    """The spec in a JSON text (bytes: UTF-8). SpecError with the path of the first fault."""
    document = _parse(_decoded(content))
    try:
        return InterventionSpec(**_body(document))
    except ShapeError as error:
        raise error.spec_error() from None


def dumps(spec: InterventionSpec) -> str:
    """The spec as JSON for people and diffs: one field a line, one edit a line, a newline at the end."""
    lines = []
    for name, value in to_document(spec).items():
        if name == "edits":
            edits = ",\n".join(f"  {json_text(edit)}" for edit in value)
            lines.append(f' "edits": [\n{edits}\n ]')
        else:
            lines.append(f" {json_text(name)}: {json_text(value)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def write_spec(spec: InterventionSpec, path: str | Path) -> None:
    """Write `dumps(spec)` as a whole (atlas.whole_file). UsageError when the place cannot be written."""
    write_whole(dumps(spec).encode(), Path(path))


def spec_hash(spec: InterventionSpec) -> str:
    """'sha256:' and 64 hex digits over what the spec does: its canonical JSON without `check` and `source`.

    Canonical: UTF-8, keys sorted, no spaces, edits in execution order, every number of an edit written
    as a float (20 as 20.0) in its shortest decimal for float32. So two specs have one hash exactly when
    they ask for the same edits of the same model.
    """
    document = to_document(spec)
    document.pop("check", None)
    document.pop("source", None)
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return "sha256:" + hashlib.sha256(canonical.encode("utf-8")).hexdigest()


def to_document(spec: InterventionSpec) -> dict[str, Any]:
    """The spec as the JSON value that is written: dicts, lists, numbers and texts, in reading order."""
    body = {field.name: _plain(getattr(spec, field.name)) for field in SPEC.fields}
    return {"format": FORMAT, "version": VERSION, **{k: v for k, v in body.items() if v not in (None, {})}}


def json_schema() -> dict[str, Any]:
    """The format as JSON Schema (draft 2020-12), as far as that can say it."""
    schema = SPEC.schema()
    header = {"format": {"const": FORMAT}, "version": {"const": VERSION}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Neuron atlas intervention spec",
        "description": "Edits of single neurons of one language model. docs/spec.md has the semantics and "
        "what a schema cannot say: dims, order of bounds, duplicate edits.",
        **schema,
        "properties": {**header, **schema["properties"]},
        "required": [*header, *schema["required"]],
    }


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        named = ((field.name, getattr(value, field.name)) for field in fields(value))
        return {name: _plain(member) for name, member in named if member is not None}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _decoded(content: str | bytes) -> str:
    if len(content) > MAX_BYTES:
        raise SpecError(
            f"larger than {MAX_BYTES // 2**20} MiB, which is room for {MAX_EDITS} edits",
            "Split it into several specs.",
        )
    if isinstance(content, str):
        text = content
    else:
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise SpecError(f"not UTF-8 at byte {error.start}", "Save it as UTF-8.") from None
    if text.startswith("\ufeff"):
        raise SpecError("begins with a byte order mark", "Save it as UTF-8 without a byte order mark.")
    if text.count("{") + text.count("[") > _MAX_CONTAINERS:
        raise SpecError(
            f"more than {_MAX_CONTAINERS} lists and objects; at most {MAX_EDITS} edits are allowed",
            "Split it into several specs.",
        )
    return text


def _parse(text: str) -> Any:
    try:
        return read_json(text, numbers=CHECKED, repeated=RepeatedFields)
    except JsonError as error:
        raise SpecError(str(error)) from None


def _body(document: Any) -> dict[str, Any]:
    """The members below format and version, after a look at these two and at all names."""
    if not isinstance(document, dict):
        raise ShapeError(f"expected a JSON object, got {shown(document)}")
    if isinstance(document, RepeatedFields):
        raise document.error()
    if "format" not in document:
        raise ShapeError("not an intervention spec: missing field 'format'", f'It should say "{FORMAT}".')
    if document["format"] != FORMAT:
        raise ShapeError(f"{shown(document['format'])} is not {FORMAT!r}").under("format")
    version = document.get("version")
    if type(version) is not int or version != VERSION:
        raise ShapeError(
            f"{shown(version)} is not {VERSION}", "Another version of neuron-atlas wrote this; use that one."
        ).under("version")
    body = {name: value for name, value in document.items() if name not in ("format", "version")}
    if "check" in body and body["check"] is None:  # which is how Python, not JSON, says that there is none
        raise expected("an object", None).under("check")
    return dict(SPEC.members(body))
