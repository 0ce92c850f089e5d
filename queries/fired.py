"""What the atlas knows of neurons that fire on somebody's text: concepts, distribution, tokens that they promote."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from atlas.errors import QuestionError, UsageError
from atlas.fit_choice import FitChoice
from atlas.sites import DEFAULT_SITE, SITES, format_neuron, row_number
from atlas.store.reader import Atlas
from queries.distributions import Distributions
from queries.fits import Fit, all_fits, choose_fit, fits_of_neurons
from queries.session.resident import HEAD, present, token_texts
from queries.sqlfile import load_sql

if TYPE_CHECKING:
    import numpy as np

COLUMNS = (
    *"text position token_id token rank address site layer neuron value percentile beyond mean std n sampled".split(),
    *"concepts concept_youden_j writes".split(),
)
SHOWN = "token address value percentile mean std concepts writes".split()
DEFAULT_LEAST = 0.3
"""Coverage - leakage, held out, of the intervals that are named: others hold many values that mean nothing."""
_MOST_CONCEPTS = 5

Place = tuple[str, int]


class Interval(NamedTuple):
    """Where a concept is told by a neuron, and by how much: coverage - leakage on texts that it was not found on."""

    family: str
    concept: str
    lower: float
    upper: float
    youden_j: float


def telling_fit(atlas: Atlas, concept: str, fit: FitChoice) -> Fit:
    """The fit whose intervals of `concept` are meant. Raises as `choose_fit`, QuestionError where it has none."""
    chosen = choose_fit(atlas, concept, fit)
    if chosen.folds is None:
        raise QuestionError(
            f"there are no intervals of {chosen.family} at {chosen.site} here",
            "`neuron-atlas build --add` with the same corpus finds them, unless --folds is 0.",
        )
    return chosen


def bounds_of(atlas: Atlas, concept: str, fit: Fit, least: float) -> dict[Place, tuple[np.ndarray, np.ndarray]]:
    """Lower and upper bounds of the concept's intervals, [N] each, by site and layer; a neuron without one has
    bounds that hold nothing: from inf to -inf. Raises QuestionError where no neuron has one.
    """
    import numpy as np

    parameters = {"fit_id": fit.fit_id, "concept_id": fit.concept_id(concept), "least": least}
    found = atlas.arrays(load_sql("concept_bounds"), parameters)
    if not len(found["layer"]):
        raise QuestionError(
            f"no interval tells {concept} by coverage − leakage of {least:g} or more", "Lower --min-youden."
        )
    bounds: dict[Place, tuple[np.ndarray, np.ndarray]] = {}
    for layer in range(atlas.manifest.n_layers):
        lower_N, upper_N = (np.full(fit.width, value, np.float32) for value in (np.inf, -np.inf))
        here = found["layer"] == layer
        at = found["neuron"][here]
        lower_N[at], upper_N[at] = found["lower"][here], found["upper"][here]
        bounds[fit.site, layer] = lower_N, upper_N
    return bounds


def intervals_of(
    atlas: Atlas, neurons: Collection[tuple[int, int]], fits: Collection[int], least: float
) -> dict[tuple[str, int, int], list[Interval]]:
    """By site, layer and neuron, the best first."""
    layers, numbers = zip(*neurons, strict=True) if neurons else ((), ())
    parameters = {"layers": list(layers), "neurons": list(numbers), "fits": list(fits), "least": least}
    _, rows = atlas.query(load_sql("intervals_of_neurons"), parameters)
    found: dict[tuple[str, int, int], list[Interval]] = {}
    for site, layer, neuron, *rest in rows:
        found.setdefault((site, layer, neuron), []).append(Interval(*rest))
    return found


def written_tokens(atlas: Atlas, neurons: Collection[tuple[int, int]]) -> dict[tuple[int, int], tuple[list[str], ...]]:
    """The first tokens that the neurons' w_out raises, and those that it lowers; none where it is not decoded."""
    manifest = atlas.manifest
    nids = {
        row_number("down_proj", layer, neuron, manifest.n_layers, manifest.d_mlp): (layer, neuron)
        for layer, neuron in neurons
    }
    _, rows = atlas.query(load_sql("written_tokens"), {"nids": list(nids), "length": HEAD})
    texts = token_texts(atlas, present(atlas), {token for row in rows for side in row[1:] for token in side})
    return {nids[nid]: tuple([texts[token][0] for token in side] for side in sides) for nid, *sides in rows}


def described(
    atlas: Atlas, fired: Sequence[tuple[Any, ...]], stored: Distributions, fit: FitChoice, least: float
) -> list[tuple[Any, ...]]:
    """Rows of COLUMNS. `fired`: text, position, token_id, rank, site, layer, neuron, value, percentile, beyond.

    What a neuron promotes: at the site mlp_post the tokens that its w_out raises times the sign of the activation, at
    other sites of the MLP those that w_out raises.
    """
    if not -1 <= least <= 1:
        raise UsageError(f"--min-youden {least:g} is outside -1 to 1")
    neurons = sorted({(row[5], row[6]) for row in fired})
    of_mlp = sorted({(row[5], row[6]) for row in fired if SITES[row[4]].width == "d_mlp"})
    fits = [each.fit_id for each in telling_fits(atlas, fit, stored)]
    intervals = intervals_of(atlas, neurons, fits, least)
    writes = written_tokens(atlas, of_mlp)
    texts = token_texts(atlas, present(atlas), {row[2] for row in fired})
    rows = []
    for text, position, token_id, rank, site, layer, neuron, value, percentile, beyond in fired:
        best: dict[str, float] = {}
        for each in intervals.get((site, layer, neuron), ()):  # the best first, where a family has several fits
            if each.lower <= value <= each.upper and len(best) < _MOST_CONCEPTS:
                best.setdefault(f"{each.family}/{each.concept}", each.youden_j)
        promoted = writes.get((layer, neuron)) if SITES[site].width == "d_mlp" else None
        of = stored.of[site, layer]
        rows.append(
            (
                *(text, position, token_id, texts[token_id][0] if token_id in texts else None, rank),
                *(format_neuron(layer, neuron), site, layer, neuron, value, percentile, beyond),
                *(float(of.mean_N[neuron]), float(of.std_N[neuron]), int(of.n_N[neuron]), int(of.sampled_N[neuron])),
                list(best),
                list(best.values()),
                None if promoted is None else promoted[int(site == DEFAULT_SITE and value < 0)],
            )
        )
    return rows


def telling_fits(atlas: Atlas, fit: FitChoice, stored: Distributions) -> list[Fit]:
    """Those with intervals at the sites that are looked at. UnknownNameError for a name that the atlas has nowhere."""
    fits_of_neurons(atlas, fit)
    sites = {site for site, _ in stored.of}
    return [
        each for each in all_fits(atlas).values() if each.folds is not None and fit.fits(each) and each.site in sites
    ]
