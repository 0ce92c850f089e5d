"""The form of the spec builder: what an address asks for, as options of make_spec, and what of it is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from atlas.errors import AtlasError, AtlasFileError, UnknownNameError, UsageError
from atlas.fit_choice import FIT_NAMES
from atlas.ops import OPS
from atlas.sites import SITES, WEIGHTS, format_neuron, parse_neuron
from atlas.spec.fields import PHASES
from atlas.spec.text import dumps
from atlas.store.reader import Atlas
from queries.rules import RULES
from queries.specs.make_spec import Made, spec_and_notes
from queries.specs.request import BOUNDS
from queries.specs.text import parse_top
from queries.web.asked import Asked
from queries.web.commands import command

WHOLE = "none"
"""Among the bounds: the edits are of the whole neuron."""
SIGNS = {"both": 0, "raised": 1, "lowered": -1}
MOST_EDITS = 20_000
"""Of a spec that is made in a page; the command line makes larger ones."""
CONCEPT, NEURONS, TOKEN = WAYS = ("concept", "neurons", "token")
"""What chooses the neurons: the best of a concept, a list, or a word."""


class Field(NamedTuple):
    """A value of the form. `label`: what it is called there. `flag`: of `neuron-atlas spec`, where that differs."""

    label: str
    allowed: tuple[str, ...] = ()
    ways: tuple[str, ...] = WAYS
    default: str = ""
    flag: str = ""


FIELDS: dict[str, Field] = {
    "neuron": Field("Neurons", ways=(NEURONS,), flag="neurons"),
    "concept": Field("Concept"),
    "token": Field("Word", ways=(TOKEN,)),
    "top": Field("How many", ways=(CONCEPT, TOKEN)),
    "rule": Field("Ranked by", tuple(RULES), (CONCEPT,)),
    "layers": Field("Layers", ways=(CONCEPT, TOKEN)),
    "max_leakage": Field("Leakage at most", ways=(CONCEPT,)),
    "min_coverage": Field("Coverage at least", ways=(CONCEPT,)),
    "weight": Field("In the weight", tuple(WEIGHTS), (TOKEN,)),
    "sign": Field("Side", tuple(SIGNS), (TOKEN,), "both"),
    "exact": Field("This token alone", ways=(TOKEN,)),
    "op": Field("Do", tuple(OPS), default="set"),
    "value": Field("Number", default="0"),
    "bounds": Field("Only inside", (*BOUNDS, WHOLE)),
    "tau": Field("Tau"),
    "positions": Field("Tokens", default="all"),
    "phase": Field("While", tuple(PHASES), default="all"),
    "family": Field("Family"),
    "site": Field("Site", tuple(SITES)),
    "position": Field("Position"),
    "template": Field("Template"),
}
_NUMBERS = ("max_leakage", "min_coverage", "tau")
_BY_FLAG = {each.flag or name.replace("_", "-"): name for name, each in FIELDS.items()}
_BY_FLAG |= {"whole-neuron": "bounds", "range": "bounds"}


@dataclass(frozen=True)
class SpecForm:
    """`given`: texts of the fields that count under `way`; defaults are left out. `wrong`: field -> what is wrong.

    `neurons` stay ticked under every way, and count under one.
    """

    way: str
    neurons: tuple[str, ...]
    given: Mapping[str, str]
    wrong: Mapping[str, str]

    def value(self, name: str) -> str:
        """What stands in a field."""
        return self.given.get(name, FIELDS[name].default)

    @property
    def empty(self) -> bool:
        """Whether nothing chooses neurons yet."""
        return not (self.neurons if self.way == NEURONS else self.given.get(self.way))

    def query(self, **more: Any) -> dict[str, Any]:
        """The values of the address that asks for this, and `more`."""
        first = {"by": self.way, "neuron": list(self.neurons) or None}
        return {**first, **self.given, **more}

    def options(self) -> dict[str, Any]:
        """Those of make_spec: the same that the command line makes of its flags."""
        from atlas.fit_choice import FitChoice

        bounds = self.given.get("bounds")
        return {
            "concept": self.given.get("concept"),
            "neurons": ",".join(self.neurons) if self.way == NEURONS else None,
            "token": [self.given["token"]] if "token" in self.given else None,
            "top": self.given.get("top"),
            "rule": self.given.get("rule"),
            "layers": self.given.get("layers"),
            **{name: float(self.given[name]) if name in self.given else None for name in _NUMBERS},
            "weight": self.given.get("weight"),
            "sign": SIGNS[self.value("sign")],
            "exact": "exact" in self.given,
            "op": f"{self.value('op')}={self.value('value')}",
            "bounds": None if bounds == WHOLE else bounds,
            "use_range": False if bounds == WHOLE else None,
            "positions": self.value("positions"),
            "phase": self.value("phase"),
            "fit": FitChoice(**{name: self.given[name] for name in FIT_NAMES if name in self.given}),
        }

    def made(self, atlas: Atlas) -> tuple[Made | None, dict[str, str]]:
        """The spec, and what is wrong where there is none: field -> a line; '' for what is of no field alone.

        Raises AtlasFileError for a damaged atlas.
        """
        if self.wrong or self.empty:
            return None, dict(self.wrong)
        try:
            self._require_few(atlas)
            return spec_and_notes(atlas, **self.options()), {}
        except AtlasFileError:
            raise
        except AtlasError as error:
            return None, {self._field_of(error): self._said(error)}

    def spec(self, atlas: Atlas) -> Made:
        """The spec. UsageError where there is none, with the first thing that is wrong."""
        made, wrong = self.made(atlas)
        if made is None:
            raise UsageError(next(iter(wrong.values()), "nothing chooses the neurons"), "The spec builder says more.")
        return made

    def command(self, atlas: Atlas, name: str = "spec", **more: Any) -> str:
        """The command line that writes the same file."""
        options = self.options()
        named = {"fit": options.pop("fit"), "sign": self.given.get("sign")}
        whole = options.pop("use_range") is False
        defaults = {"op": "set=0", "positions": "all", "phase": "all", "sign": 0}
        given = {key: value for key, value in options.items() if value != defaults.get(key)}
        return command(atlas, name, **{**given, **named}, whole_neuron=whole, **more)

    @property
    def file_name(self) -> str:
        """What the file is called."""
        about = self.given.get("concept") or self.given.get("token") or "-".join(self.neurons[:1])
        return (re.sub(r"[^A-Za-z0-9]+", "-", about).strip("-")[:60] or "neurons") + ".spec.json"

    def _require_few(self, atlas: Atlas) -> None:
        """Before any work: UsageError for more edits than a page makes."""
        if self.way == NEURONS or "top" not in self.given:
            return
        all_neurons = atlas.manifest.n_layers * max(atlas.manifest.d_mlp, atlas.manifest.d_model)
        if parse_top(self.given["top"], None if self.way == TOKEN else all_neurons) > MOST_EDITS:
            raise UsageError(f"--top {self.given['top']} is more than {MOST_EDITS:,}", "The command line makes it.")

    def _field_of(self, error: AtlasError) -> str:
        """The field that an error is about: of a name that is unknown, of an address, or that has the first flag."""
        if isinstance(error, UnknownNameError) and error.kind in FIELDS:
            return error.kind
        if self.way == NEURONS and any(
            address in error.message or f"no layer {parse_neuron(address)[0]} " in error.message
            for address in self.neurons
        ):
            return "neuron"
        if self.options()["op"] in error.message or error.message.startswith(f"{self.value('op')} "):
            return "value"
        flags = re.findall(r"--([a-z-]+)", error.message)
        return next((_BY_FLAG[flag] for flag in flags if flag in _BY_FLAG), "")

    def _said(self, error: AtlasError) -> str:
        """An error in the words of the form."""
        return in_words(f"{error.message}. {error.hint}" if error.hint else error.message)


def in_words(text: str) -> str:
    """A line that names flags of `neuron-atlas spec`, with the labels of the form in their place."""

    def label(found: re.Match[str]) -> str:
        name = _BY_FLAG.get(found[1])
        if found[1] == "whole-neuron":
            return "Only inside: all values"
        return f"“{FIELDS[name].label}”" if name else found[0]

    return re.sub(r"--([a-z-]+)", label, text)


def read_form(asked: Asked) -> SpecForm:
    """What an address asks for. Nothing raises: a value that cannot be is said to be wrong, beside its field."""
    wrong: dict[str, str] = {}
    neurons = _neurons(asked, wrong)
    usual = NEURONS if neurons or "neuron" in wrong else TOKEN if asked.texts("token") else CONCEPT
    way = _tried(wrong, "", lambda: asked.choice("by", WAYS, usual)) or usual
    given: dict[str, str] = {}
    for name, field in FIELDS.items():
        if name == "neuron" or way not in field.ways:
            continue
        value = _tried(wrong, name, partial(_value, asked, name, field))
        if value is not None and value != field.default:
            given[name] = value
    if way != NEURONS:
        wrong.pop("neuron", None)
    if asked.texts("op") and not asked.texts("value") and "op" not in wrong:
        wrong["value"] = f"{given.get('op', FIELDS['op'].default)} needs a number"
    return SpecForm(way, tuple(neurons), given, wrong)


def _value(asked: Asked, name: str, field: Field) -> str | None:
    value = asked.text(name, 500)
    if value is None:
        return None
    if field.allowed:
        return asked.choice(name, field.allowed, field.default)
    if name in _NUMBERS:
        asked.number(name)
    return value


def _tried(wrong: dict[str, str], name: str, read: Callable[[], str | None]) -> str | None:
    try:
        return read()
    except UsageError as error:
        wrong[name] = f"{error.message}. {error.hint}" if error.hint else error.message
        return None


def _neurons(asked: Asked, wrong: dict[str, str]) -> list[str]:
    """Addresses, each once: those that are ticked, and those that were typed into the box."""
    typed = re.split(r"[\s,;]+", asked.text("add", 1000) or "")
    found: dict[str, None] = {}
    for text in (*asked.texts("neuron"), *filter(None, typed)):
        try:
            found[format_neuron(*parse_neuron(text.strip().upper()))] = None
        except UsageError as error:
            wrong["neuron"] = f"{error.message}. {error.hint}" if error.hint else error.message
    return list(found)


def file_text(made: Made) -> str:
    """What `neuron-atlas spec -o FILE` writes."""
    return dumps(made.spec)


def shown_text(text: str, edits: int) -> Sequence[tuple[str, int]]:
    """The lines of the file for a reader, in parts (lines, how many edits are left out after them)."""
    if edits <= 2 * MOST_SHOWN:
        return [(text, 0)]
    lines = text.splitlines(keepends=True)
    first = next(number for number, line in enumerate(lines) if line.startswith(' "edits"')) + 1
    head, rest = lines[: first + MOST_SHOWN], lines[first + edits :]
    return [("".join(head), edits - MOST_SHOWN), ("".join(rest), 0)]


MOST_SHOWN = 100
"""Edits that a page shows of a file."""
