"""The fits of an atlas: which one a question is about, and at which tau. Refuses to choose between several."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from atlas.errors import QuestionError, UnknownNameError, UsageError
from atlas.fit_choice import ANY_FIT, FIT_NAMES, FitChoice
from atlas.sites import SITES
from atlas.sites import site as site_of
from atlas.store.reader import Atlas
from queries.session.session import session_of
from queries.sqlfile import load_sql

# The half-width of the NeuronLens paper (arXiv 2502.06809), taken where several were measured.
PAPER_TAU = 2.5


class Fit(NamedTuple):
    """One labelled corpus at one site and position.

    `n` values a neuron are in it, `width` neurons a layer. `taus` are the measured half-widths of ranges, in
    standard deviations. `concepts` maps concept_id to name and values per neuron. `folds`: over how many parts of
    the texts its intervals were held out; None where it has no intervals.
    """

    fit_id: int
    family: str
    site: str
    position: str
    template: str
    width: int
    n: int
    taus: list[float]
    concepts: dict[int, tuple[str, int]]
    folds: int | None = None

    @property
    def choice(self) -> FitChoice:
        """The choice that this fit alone answers to."""
        return FitChoice(**{name: getattr(self, name) for name in FIT_NAMES})

    def concept_id(self, concept: str) -> int | None:
        """The id of a concept by its name, which is its only one in a family; None where the fit has none."""
        return next((concept_id for concept_id, (name, _) in self.concepts.items() if name == concept), None)


class Fits(dict[int, Fit]):
    """Fits by id, in the order of the ids."""

    @property
    def nbytes(self) -> int:
        """Bytes in memory, about."""
        return sum(1000 + 300 * len(fit.concepts) for fit in self.values())


def all_fits(atlas: Atlas) -> Fits:
    """The fits of the atlas; read once per open atlas."""

    def read_fits() -> Fits:
        _, rows = atlas.query(load_sql("all_fits"))
        return Fits((row[0], Fit(*[*row[:8], _concepts(*row[8:11]), row[11]])) for row in rows)

    return session_of(atlas).read("all fits", read_fits)


def _concepts(ids: list[int] | None, names: list[str] | None, counts: list[int] | None) -> dict[int, tuple[str, int]]:
    return dict(zip(ids or (), zip(names or (), counts or (), strict=True), strict=True))


def fits_of_neurons(atlas: Atlas, choice: FitChoice) -> Fits:
    """The fits that agree with `choice`; those of MLP neurons, at any site, where it names none.

    No fit is no error, a name that the atlas has nowhere is: UnknownNameError.
    """
    fits = all_fits(atlas)
    for name, value in choice.given():
        known = {getattr(fit, name) for fit in fits.values()}
        if name == "site":
            site_of(value)  # a site that exists may well have no fit
        elif value not in known:
            raise UnknownNameError(name, value, known)
    sites = [site.name for site in SITES.values() if choice.site is not None or site.width == "d_mlp"]
    return Fits((fit_id, fit) for fit_id, fit in fits.items() if choice.fits(fit) and fit.site in sites)


def choose_fit(atlas: Atlas, concept: str, choice: FitChoice = ANY_FIT) -> Fit:
    """The one fit of `concept` that agrees with `choice`.

    Raises UnknownNameError for a concept, or a name, that no fit has; UsageError that lists the choices
    when several fits remain.
    """
    known = all_fits(atlas).values()
    fits = [fit for fit in known if fit.concept_id(concept) is not None]
    if not fits:
        raise UnknownNameError("concept", concept, {name for fit in known for name, _ in fit.concepts.values()})
    for name, value in choice.given():
        chosen = [fit for fit in fits if getattr(fit, name) == value]
        if not chosen:
            raise _no_fit(atlas, concept, fits, name, value)
        fits = chosen
    if len(fits) > 1:
        raise UsageError(f"the concept {concept!r} has {len(fits)} fits here", _choices(fits))
    return fits[0]


def _no_fit(atlas: Atlas, concept: str, fits: list[Fit], name: str, value: str) -> UnknownNameError:
    """The error for a `value` of `name` that none of the concept's `fits` has: is it no name at all, or not here?"""
    here = {getattr(fit, name) for fit in fits}
    if name != "family":
        return UnknownNameError(name, value, here, problem=f"the concept {concept!r} has no fit with {name} {value!r}")
    families = {fit.family for fit in all_fits(atlas).values()}
    if value not in families:
        return UnknownNameError(name, value, families)
    where = f"It is in {', '.join(sorted(here))}."
    return UnknownNameError(name, value, here, where, problem=f"the family {value!r} has no concept {concept!r}")


def _choices(fits: list[Fit]) -> str:
    """'Choose with --site mlp_post|resid_post.' for whatever tells the fits apart."""
    parts = []
    for name in FIT_NAMES:
        values = sorted({getattr(fit, name) for fit in fits})
        if len(values) > 1:
            shown = values if name != "template" else [repr(value) for value in values]
            parts.append(f"--{name} {'|'.join(shown)}")
    return f"Choose with {' or '.join(parts)}."


def choose_taus(fits: Iterable[Fit], tau: float | None) -> dict[int, float | None]:
    """The half-width at which to read each of `fits`, by fit_id: THE rule for every answer that shows measured ranges.

    A `tau` that is given is taken where it was measured. Without one it is the paper's 2.5 where that was measured,
    else the only one there is. None: no such range was measured in the fit.

    Raises UsageError, with a list of what was measured, for a `tau` that none of the fits has, and without one
    where a fit leaves a choice.
    """
    fits = list(fits)
    if tau is not None:
        if not any(tau in fit.taus for fit in fits):
            measured = _listed(fits) or "none"
            hint = f"Measured: {measured}. Ranges are measured while building: rebuild with --tau {tau:g}."
            raise UsageError(f"tau {tau:g} was not measured", hint)
        return {fit.fit_id: tau if tau in fit.taus else None for fit in fits}
    unclear = [fit for fit in fits if PAPER_TAU not in fit.taus and len(fit.taus) > 1]
    if unclear:
        raise UsageError("several half-widths were measured", f"Choose one with --tau: {_listed(unclear)}.")
    return {fit.fit_id: PAPER_TAU if PAPER_TAU in fit.taus else next(iter(fit.taus), None) for fit in fits}


def choose_tau(fit: Fit, tau: float | None) -> float:
    """The half-width for a question that is about one fit, by the same rule; QuestionError where none was measured."""
    chosen = choose_taus([fit], tau)[fit.fit_id]
    if chosen is None:
        raise QuestionError(f"no range was measured for {fit.family}", "Rebuild the atlas with --tau 2.5.")
    return chosen


def _listed(fits: Iterable[Fit]) -> str:
    return ", ".join(f"{tau:g}" for tau in sorted({tau for fit in fits for tau in fit.taus}))
