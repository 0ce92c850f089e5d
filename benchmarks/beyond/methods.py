"""The methods that benchmarks/beyond/main.py compares: each a list of settings, each setting options of make_spec
and the site of its fit.

Edits stand at position `last`. In the last layer that is no restriction for a classification, because nothing
else of that layer reaches the answer; while text is written it means every token.
"""

from __future__ import annotations

import itertools
import random

from atlas.fit_choice import FitChoice
from atlas.sites import SITES, format_neuron
from atlas.spec.document import InterventionSpec
from atlas.store.reader import Atlas
from queries.specs.make_spec import make_spec

Setting = dict

_LAST = {"site": "resid_post", "layers": "29"}
_MIDDLE = {"site": "resid_post", "layers": "24"}
_MLP = {"site": "mlp_post", "layers": "20-29"}


def _grid(common: Setting, **lists: list) -> list[Setting]:
    return [common | dict(zip(lists, values, strict=True)) for values in itertools.product(*lists.values())]


_MOVED = ["set=rest-mean", "set=contrast:2"]
_PAPER = _LAST | {"rule": "mean_abs", "op": "set=0"}

METHODS: dict[str, list[Setting]] = {
    # The released code: mean |activation|, 30 % of one layer's residual stream, zero; other shares as ablated there.
    "paper": _grid(_PAPER, top=["30%"], tau=[1.0, 2.0, 2.5, 3.0]) + _grid(_PAPER | {"tau": 2.5}, top=["10%", "50%"]),
    "paper, whole neuron": _grid(_PAPER | {"use_range": False}, top=["30%"]),
    "paper's rule on mlp_post": _grid(_PAPER | {"site": "mlp_post", "layers": "12-29"}, top=["30%"], tau=[1.0, 2.5]),
    "contrast": _grid(_LAST | {"rule": "auc", "bounds": "contrast"}, top=[60, 100, 200], op=_MOVED),
    "contrast, layer 24": _grid(_MIDDLE | {"rule": "auc", "bounds": "contrast"}, top=[100, 200], op=_MOVED),
    "contrast on mlp_post": _grid(
        _MLP | {"rule": "auc", "bounds": "contrast"}, top=[2000], op=["set=contrast:2", "set=contrast:4"]
    ),
    # What makes the difference? One thing changed at a time.
    "contrast, gaussian bounds": _grid(_LAST | {"rule": "auc", "tau": 2.5}, top=[60, 100, 200], op=_MOVED),
    "contrast, whole neuron": _grid(_LAST | {"rule": "auc", "use_range": False}, top=[100], op=_MOVED),
    "contrast, set to 0": _grid(_LAST | {"rule": "auc", "bounds": "contrast", "op": "set=0"}, top=[100, 200]),
    "contrast, damped": _grid(_LAST | {"rule": "auc", "tau": 2.5, "op": "damp=0.125"}, top=[100, 200]),
    "mean_abs neurons": _grid(_LAST | {"rule": "mean_abs", "bounds": "contrast"}, top=[100, 200], op=_MOVED),
    "random neurons": _grid(_LAST | {"rule": "random", "bounds": "contrast"}, top=[100, 200], op=_MOVED),
    "dprime neurons": _grid(_LAST | {"rule": "dprime", "bounds": "contrast"}, top=[100], op=_MOVED),
    "low_leakage neurons": _grid(_LAST | {"rule": "low_leakage", "tau": 2.5}, top=[100], op=_MOVED),
}


def specs_of(atlas: Atlas, setting: Setting, concept: str) -> InterventionSpec:
    """The spec of one setting and class. The rule `random` draws neurons of the layer, the same for every class."""
    site = setting["site"]
    options = setting | {"concept": concept, "positions": "last", "fit": FitChoice(site=site)}
    del options["site"]
    if options["rule"] == "random":
        layer, width = int(options.pop("layers")), getattr(atlas.manifest, SITES[site].width)
        drawn = random.Random(0).sample(range(width), options.pop("top"))
        options |= {"rule": None, "neurons": [format_neuron(layer, neuron) for neuron in drawn]}
    return make_spec(atlas, **options)


def described(setting: Setting) -> str:
    """A setting in a few words."""
    if not setting.get("use_range", True):
        bounds = "whole neuron"
    elif setting.get("bounds") == "contrast":
        bounds = "contrast bounds"
    else:
        bounds = f"tau {setting['tau']:g}"
    return f"{setting['site']} {setting['layers']}, {setting['rule']}, top {setting['top']}, {bounds}, {setting['op']}"
