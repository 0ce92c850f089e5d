"""The numbers that an atlas has of each neuron, by one name each: of its weights, of its firing, under a concept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from atlas.schema.measures import MEASURES
from atlas.schema.views import views
from atlas.schema.weight_measures import VECTOR, WEIGHT_MEASURES
from atlas.store.reader import Atlas
from queries.fits import all_fits
from queries.session.session import session_of
from queries.weight_run import weight_run

WEIGHTS, FIRING, CONCEPT = "weights", "firing", "concept"
RANGE_VIEW = "concept_range"
_FIRING = ("mean", "std", "min", "max", "share_positive", "share_beyond", "position_correlation")
# A measure is read from the first of these that has it: the later ones join more.
_OF_CONCEPTS = ("concept_gaussian", "concept_interval", RANGE_VIEW, "concept_attribution")
_YOUDEN = "held-out coverage − leakage"


class NeuronNumber(NamedTuple):
    """One number of every neuron. `name`: KIND.MEASURE or weights.WEIGHT.MEASURE, as an address line has it.

    `view` is the public view that has it and `sql` its expression there; `weight`: of which, where each has its own.
    """

    name: str
    meaning: str
    view: str
    sql: str
    weight: str | None = None

    @property
    def kind(self) -> str:
        """One of WEIGHTS, FIRING, CONCEPT."""
        return self.name.partition(".")[0]

    @property
    def short(self) -> str:
        """The name without its kind."""
        return self.name.partition(".")[2].replace(".", " ")


class NeuronNumbers(dict[str, NeuronNumber]):
    """Those that an atlas has, by name, in the order to show. `site`: where the firing was measured."""

    site: str | None = None

    @property
    def nbytes(self) -> int:
        """Bytes in memory, about."""
        return 400 * len(self)


def neuron_numbers(atlas: Atlas) -> NeuronNumbers:
    """Looked up once per open atlas. Those under a concept are there where any concept of MLP neurons has them."""

    def read() -> NeuronNumbers:
        _, sites = atlas.query("SELECT site FROM _firing GROUP BY site ORDER BY site = 'mlp_post' DESC, site")
        _, [(gradients,)] = atlas.query("SELECT count(*) FROM _gradient_fit")
        fits = all_fits(atlas).values()
        absent = set() if gradients else {"concept_attribution"}
        absent |= set() if any(fit.taus for fit in fits) else {RANGE_VIEW}
        absent |= set() if any(fit.folds is not None for fit in fits) else {"concept_interval"}
        listed = [*(_of_weights(atlas) if weight_run(atlas) else ()), *(_of_firing() if sites else ())]
        listed += [number for number in _of_concepts() if number.view not in absent] if fits else []
        found = NeuronNumbers((number.name, number) for number in listed)
        found.site = sites[0][0] if sites else None
        return found

    return session_of(atlas).read("neuron numbers", read)


def _of_weights(atlas: Atlas) -> Iterator[NeuronNumber]:
    _, weights = atlas.query("SELECT weight FROM _weight_fact GROUP BY weight ORDER BY weight::VARCHAR")
    for measure in WEIGHT_MEASURES.values():
        if measure.table != VECTOR:
            yield NeuronNumber(f"{WEIGHTS}.{measure.name}", measure.meaning, "neuron_fact", measure.name)
    for (weight,) in weights:
        for measure in WEIGHT_MEASURES.values():
            if measure.table == VECTOR:
                name = f"{WEIGHTS}.{weight}.{measure.name}"
                yield NeuronNumber(name, f"of {weight}: {measure.meaning}", "weight_fact", measure.name, weight)


def _of_firing() -> Iterator[NeuronNumber]:
    known = {column.name: column for column in views()["firing"].columns}
    for name in _FIRING:
        meaning = known[name].meaning or f"{name} of the activations"
        share = "share " if known[name].unit == "share" else ""
        yield NeuronNumber(f"{FIRING}.{name}", f"in running text: {share}{meaning}", "firing", name)


def _of_concepts() -> Iterator[NeuronNumber]:
    yield NeuronNumber(f"{CONCEPT}.youden_j", _YOUDEN, "concept_interval", "held_out_coverage - held_out_leakage")
    columns = {view: {column.name for column in views()[view].columns} for view in _OF_CONCEPTS}
    for measure in MEASURES.values():
        view = next((view for view in _OF_CONCEPTS if measure.name in columns[view]), None)
        if view is not None:
            yield NeuronNumber(f"{CONCEPT}.{measure.name}", measure.meaning, view, f'"{measure.name}"')
