"""The spec builder: neurons, what is done to them, and the file that grows beside the form."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from atlas.answers.result import Result
from atlas.errors import AtlasError, UsageError
from atlas.ops import OPS
from atlas.sites import parse_neuron
from atlas.spec.fields import PHASES
from atlas.spec.text import loads, spec_hash
from queries.fits import Fit, all_fits
from queries.head_tokens import head_tokens
from queries.neurons import neurons_for_concept
from queries.rules import RULES
from queries.specs.make_spec import Made
from queries.specs.remarks import remarks
from queries.specs.request import BOUNDS
from queries.specs.text import MEANS
from queries.web.asked import Asked
from queries.web.live import LONGEST_TEXT
from queries.web.page import Page
from queries.web.spec_form import FIELDS, SpecForm, file_text, read_form, shown_text

LISTED = 12
"""Neurons of a concept that can be ticked."""


def spec_page(asked: Asked) -> Page:
    """The form as its address says, and the spec that it makes, or what is wrong with it."""
    form = read_form(asked)
    made, wrong = form.made(asked.atlas)
    context: dict[str, Any] = {
        "form": form,
        "fields": FIELDS,
        "wrong": wrong,
        "made": None if made is None else _shown(made),
        "command": "" if made is None else form.command(asked.atlas, output=form.file_name),
        "picked": _picked(asked, form),
        "listed": _listed(asked, form),
        "families": _families(asked),
        "fits": _fit_names(asked),
        "ops": OPS,
        "means": MEANS,
        "bounds": BOUNDS,
        "phases": PHASES,
        "rules": RULES,
        "prompt": asked.text("prompt", LONGEST_TEXT) or "",
        "longest": LONGEST_TEXT,
    }
    return Page(
        "Spec",
        "spec.html",
        context,
        file=None if made is None else (form.file_name, file_text(made)),
        address=asked.links.page("spec", **form.query(prompt=context["prompt"])),
        problem=UsageError(next(iter(wrong.values()))) if wrong else None,
    )


def _shown(made: Made) -> dict[str, Any]:
    """The text of the file, what was chosen, and its hash; read back as whoever gets the file reads it."""
    text = file_text(made)
    read = loads(text)
    return {
        "parts": shown_text(text, len(read.edits)),
        "edits": len(read.edits),
        "bytes": len(text.encode()),
        "hash": spec_hash(read),
        "remarks": list(remarks(read)),
        "notes": made.notes,
    }


def _picked(asked: Asked, form: SpecForm) -> list[tuple[str, list[str]]]:
    """(address, tokens that it writes) of the neurons that are ticked; of one that the model lacks, no tokens."""
    manifest = asked.atlas.manifest
    places = [parse_neuron(address) for address in form.neurons]
    there = [(layer, neuron) for layer, neuron in places if layer < manifest.n_layers and neuron < manifest.d_mlp]
    found = dict(zip(there, head_tokens(asked.atlas, "down_proj", there), strict=True)) if there else {}
    return [(address, found.get(place) or []) for address, place in zip(form.neurons, places, strict=True)]


def _listed(asked: Asked, form: SpecForm) -> Result | None:
    """The best neurons of the concept, to tick; None without one, or where it cannot be ranked."""
    concept = form.given.get("concept")
    if concept is None:
        return None
    try:
        return neurons_for_concept(asked.atlas, concept, fit=form.options()["fit"], limit=LISTED)
    except AtlasError:  # the form says beside the field what is wrong
        return None


def _families(asked: Asked) -> list[tuple[str, list[str]]]:
    """(family, its concepts), each concept once."""

    def family(fit: Fit) -> str:
        return fit.family

    fits = sorted(all_fits(asked.atlas).values(), key=family)
    return [
        (name, sorted({concept for fit in own for concept, _ in fit.concepts.values()}))
        for name, own in groupby(fits, key=family)
    ]


def _fit_names(asked: Asked) -> dict[str, list[str]]:
    """Of each part of a fit that the atlas has several of, which."""
    fits = all_fits(asked.atlas).values()
    found = {name: sorted({getattr(fit, name) for fit in fits}) for name in ("family", "position", "template")}
    return {name: values for name, values in found.items() if len(values) > 1}
