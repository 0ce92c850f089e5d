"""Which fit of a concept, and which tau, a question is about. Refuses to choose between several."""

from __future__ import annotations

from dataclasses import dataclass

from atlas.errors import QuestionError, UnknownNameError, UsageError
from atlas.store.reader import Atlas
from queries.sqlfile import load_sql

# The half-width of the NeuronLens paper (arXiv 2502.06809), taken where several were measured.
PAPER_TAU = 2.5


@dataclass(frozen=True)
class Fit:
    """One concept in one fit. `taus` are the measured half-widths, in standard deviations."""

    fit_id: int
    concept_id: int
    family: str
    concept: str
    site: str
    position: str
    template: str
    width: int
    taus: list[float]


class Fits(list[Fit]):
    """The fits of one concept."""

    @property
    def nbytes(self) -> int:
        """Bytes in memory, about."""
        return 1000 * (1 + len(self))


def choose_fit(
    atlas: Atlas,
    concept: str,
    *,
    family: str | None = None,
    site: str | None = None,
    position: str | None = None,
    template: str | None = None,
) -> Fit:
    """The one fit of `concept` that agrees with the given names.

    Raises UnknownNameError for a concept, or a name, that no fit has; UsageError that lists the choices
    when several fits remain.
    """
    fits = list(atlas.kept.get(("fits", concept)) or _read_fits(atlas, concept))
    if not fits:
        _, known = atlas.query("SELECT DISTINCT concept FROM concept JOIN fit_concept USING (concept_id)")
        raise UnknownNameError("concept", concept, [name for (name,) in known])
    wanted = {"family": family, "site": site, "position": position, "template": template}
    for name, value in wanted.items():
        if value is not None:
            known_values = {getattr(fit, name) for fit in fits}
            if value not in known_values:
                raise UnknownNameError(f"{name} of concept {concept!r}", value, known_values)
            fits = [fit for fit in fits if getattr(fit, name) == value]
    if len(fits) > 1:
        raise UsageError(f"the concept {concept!r} has {len(fits)} fits here", _choices(fits))
    return fits[0]


def _read_fits(atlas: Atlas, concept: str) -> Fits:
    fits = Fits(Fit(*row) for row in atlas.query(load_sql("fits_of_concept"), {"concept": concept})[1])
    if fits:  # names that are none have no end
        atlas.kept.put(("fits", concept), fits)
    return fits


def choose_tau(fit: Fit, tau: float | None) -> float:
    """`tau` if it was measured; without one the paper's 2.5, or the only one. UsageError otherwise."""
    measured = ", ".join(f"{value:g}" for value in fit.taus)
    if tau is not None:
        if tau in fit.taus:
            return tau
        raise UsageError(
            f"tau {tau:g} was not measured for {fit.concept!r}",
            f"Measured: {measured}. Ranges are measured while building: rebuild with --tau {tau:g}.",
        )
    if PAPER_TAU in fit.taus:
        return PAPER_TAU
    if len(fit.taus) == 1:
        return fit.taus[0]
    if not fit.taus:
        raise QuestionError(f"no range was measured for {fit.concept!r}", "Rebuild the atlas with --tau 2.5.")
    raise UsageError("several half-widths were measured", f"Choose one with --tau: {measured}.")


def _choices(fits: list[Fit]) -> str:
    """'Choose with --site mlp_post|resid_post.' for whatever tells the fits apart."""
    parts = []
    for name in ("family", "site", "position", "template"):
        values = sorted({getattr(fit, name) for fit in fits})
        if len(values) > 1:
            shown = values if name != "template" else [repr(value) for value in values]
            parts.append(f"--{name} {'|'.join(shown)}")
    return f"Choose with {' or '.join(parts)}."
