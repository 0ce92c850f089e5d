"""Pictures of histograms and Gaussians, with a range shaded: one neuron, or the best of a concept."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from atlas.answers.picture import new_figure, require_target, save
from atlas.errors import QuestionError, UsageError
from atlas.fit_choice import ANY_FIT, FitChoice
from atlas.sites import parse_neuron
from atlas.store.reader import Atlas
from queries.answering import question
from queries.fits import Fit, choose_fit, choose_tau, choose_taus
from queries.neurons import neurons_for_concept
from queries.plots import bumps as look
from queries.plots.bars import axis
from queries.plots.data import (
    GAUSSIAN,
    INTERVAL,
    Bump,
    Span,
    bumps_of,
    kind_of,
    measured_fits,
    rest_of,
    stored_of_neuron,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.patches import Patch

MOST_FITS = 3
_COLUMNS = 2
_RULES = {INTERVAL: "interval", GAUSSIAN: "auc"}


@question
def plot_neuron(
    atlas: Atlas,
    address: str,
    path: str | Path,
    *,
    fit: FitChoice = ANY_FIT,
    tau: float | None = None,
    range: str | None = None,
) -> None:
    """Draw one neuron under every concept, a row per concept, best separated first; a column per fit.

    `path` ends in .png, .svg or .pdf and is replaced in one step. `fit` chooses among the fits of the
    neuron (without a site: those of the MLP). The shaded band is that of the best concept of a column, drawn through
    all rows: what stands in it leaks. It is the interval, or for `range` "gaussian" the range at half-width `tau`
    (chosen as for neuron_concepts); without a name the interval unless a tau is given or the fit has no intervals.

    Raises UsageError for a path, address or tau that will not do, or more fits than fit in a picture;
    UnknownNameError, QuestionError when there is nothing to draw; MissingExtraError without matplotlib.
    """
    target = Path(path)
    require_target(target)
    with look.style():
        save(draw_neuron(atlas, address, fit=fit, tau=tau, range=range), target)


@question
def draw_neuron(
    atlas: Atlas, address: str, *, fit: FitChoice = ANY_FIT, tau: float | None = None, range: str | None = None
) -> Figure:
    """The figure of `plot_neuron`."""
    layer, neuron = parse_neuron(address)
    stored = stored_of_neuron(atlas, layer, neuron)
    fits = measured_fits(atlas, stored, fit)
    if len(fits) > MOST_FITS:
        raise UsageError(f"{address} has {len(fits)} fits here", "Choose some with --family, --site or --position.")
    kinds = {found.fit_id: kind_of(found, range, tau) for found in fits}
    # A tau that was not measured is refused; one is needed for Gaussian ranges alone.
    taus = choose_taus([found for found in fits if tau is not None or kinds[found.fit_id] == GAUSSIAN], tau)
    pictures = [bumps_of(stored, found, taus.get(found.fit_id), kinds[found.fit_id]) for found in fits]
    rows = max(len(bumps) for _, bumps in pictures)
    figure = new_figure(max(6.4, 5.0 * len(fits)), 1.6 + 0.62 * rows)
    figure.suptitle(f"{address} of {atlas.manifest.model_id}", fontweight="bold")
    parts = figure.subfigures(1, len(fits), squeeze=False)[0]
    for part, drawn, (edges, bumps) in zip(parts, fits, pictures, strict=True):
        kind = kinds[drawn.fit_id]
        _neuron_column(part, rows, edges, bumps, kind)
        title = _range_title(drawn, kind, taus.get(drawn.fit_id), bumps[0])
        part.axes[0].set_title(title, fontsize=9, loc="left")
        part.axes[-1].set_xlabel(look.activation_label(drawn.site, drawn.position))
    parts[0].supylabel("density, each row to its own scale", fontsize=8)
    return figure


def _neuron_column(part: SubFigure, rows: int, edges: list[float], bumps: list[Bump], kind: str) -> None:
    """One fit: a row per bump, the best first and in colour, `rows` rows high."""
    panels = part.subplots(rows, 1, squeeze=False)[:, 0]
    ends = _ends(edges, bumps, bumps[0], kind)
    for axes, bump in zip(panels, bumps, strict=False):
        best = bump is bumps[0]
        look.shade(axes, bumps[0].spans.get(kind), ends)
        look.draw_bump(axes, edges, bump, look.BLUE if best else look.GREY, kind)
        axes.set_ylabel(
            f"{bump.name}\nn {bump.n}, AUC {look.share(bump.auc)}",
            rotation=0,
            ha="right",
            va="center",
            fontsize=8,
            fontweight="bold" if best else "normal",
        )
        axes.set_yticks([])
        look.set_axis(axes, ends, edges, [bump])
        axes.tick_params(axis="x", labelbottom=bump is bumps[-1], length=3 if bump is bumps[-1] else 0)
    for axes in panels[len(bumps) :]:
        axes.remove()


def _ends(edges: list[float], bumps: list[Bump], best: Bump, kind: str) -> tuple[float, float]:
    """The ends of the axis: without outliers, but an interval is seen as a whole."""
    span = best.spans.get(kind)
    keep = [] if span is None or kind == GAUSSIAN else [span.lower, span.upper]
    return axis(edges, [bump.counts for bump in bumps], keep)


def _range_title(fit: Fit, kind: str, tau: float | None, best: Bump) -> str:
    span = best.spans.get(kind)
    if span is None:
        return f"{fit.family}: no such range was measured"
    shaded = f"{fit.family}: shaded is the {'interval' if kind == INTERVAL else 'range'} of {best.name}, "
    how = f"{_measured(fit, span)}: " if kind == INTERVAL else f"mean ± {tau:g} std; "
    return f"{shaded}{look.bounds(span)}\n({how}{look.shares(span, ', ')})"


def _measured(fit: Fit, span: Span | None) -> str:
    """Of which texts the shares of an interval are."""
    expected = span is not None and span.expected is not None
    return "to expect on new texts" if expected else f"held out over {fit.folds} folds"


@question
def plot_concept(
    atlas: Atlas,
    concept: str,
    path: str | Path,
    *,
    fit: FitChoice = ANY_FIT,
    tau: float | None = None,
    rule: str | None = None,
    range: str | None = None,
    limit: int = 6,
) -> None:
    """Draw the `limit` best neurons of a concept by `rule`: the concept against all other examples.

    Options as in `neurons_for_concept`, `range`, `path` and errors as in `plot_neuron`. `rule` is "interval" by default
    where intervals are shaded, else "auc".
    """
    target = Path(path)
    require_target(target)
    with look.style():
        save(draw_concept(atlas, concept, fit=fit, tau=tau, rule=rule, range=range, limit=limit), target)


@question
def draw_concept(
    atlas: Atlas,
    concept: str,
    *,
    fit: FitChoice = ANY_FIT,
    tau: float | None = None,
    rule: str | None = None,
    range: str | None = None,
    limit: int = 6,
) -> Figure:
    """The figure of `plot_concept`."""
    if not 1 <= limit <= 24:
        raise UsageError(f"{limit} neurons do not fit in a picture", "Choose from 1 to 24.")
    found = choose_fit(atlas, concept, fit)
    kind = kind_of(found, range, tau)
    rule = rule or _RULES[kind]
    tau = choose_tau(found, tau)
    best = neurons_for_concept(atlas, concept, fit=fit, tau=tau, rule=rule, limit=limit).dicts()
    if not best:
        raise QuestionError(f"no neuron was measured for {concept!r}", "`neuron-atlas info` lists what was.")
    across = min(_COLUMNS, len(best))
    down = -(-len(best) // across)
    figure = new_figure(max(6.4, 4.4 * across), 1.1 + 2.0 * down)
    head, body = figure.subfigures(2, 1, squeeze=False, height_ratios=[0.6, 0.5 + 2.0 * down])[:, 0]
    panels = body.subplots(down, across, squeeze=False).flatten()
    for axes, row in zip(panels, best, strict=False):
        edges, bumps = bumps_of(stored_of_neuron(atlas, row["layer"], row["neuron"]), found, tau, kind)
        (own,) = (bump for bump in bumps if bump.name == concept)
        rest = rest_of(bumps, concept)
        _against_rest(axes, edges, own, rest, kind)
        axes.set_title(_panel_title(row["address"], own, kind), fontsize=8.5, loc="left")
    for axes in panels[len(best) :]:
        axes.remove()
    body.supxlabel(look.activation_label(found.site, found.position), fontsize=9)
    body.supylabel("density", fontsize=9)
    title = f"{concept} ({found.family}): best neurons of {atlas.manifest.model_id} by {rule}"
    head.suptitle(title, fontweight="bold")
    shaded = f"range, mean ± {tau:g} std"
    if kind == INTERVAL:
        shaded = f"interval, its shares {_measured(found, own.spans.get(kind))}"
    handles = _legend_handles(own, rest, shaded)
    head.legend(handles=handles, loc="lower center", ncols=len(handles), frameon=False)
    return figure


def _against_rest(axes: Axes, edges: list[float], own: Bump, rest: Bump, kind: str) -> None:
    ends = _ends(edges, [own, rest], own, kind)
    look.shade(axes, own.spans.get(kind), ends)
    look.draw_bump(axes, edges, rest, look.GREY, kind)
    look.draw_bump(axes, edges, own, look.BLUE, kind)
    look.set_axis(axes, ends, edges, [own, rest])
    axes.locator_params(axis="y", nbins=3)


def _panel_title(address: str, own: Bump, kind: str) -> str:
    span = own.spans.get(kind)
    if kind == INTERVAL and span is not None:
        return f"{address}   {look.bounds(span)}   {look.shares(span)}"
    return f"{address}   AUC {look.share(own.auc)}   {look.shares(span)}"


def _legend_handles(own: Bump, rest: Bump, shaded: str) -> list[Patch]:
    from matplotlib.patches import Patch

    return [
        Patch(facecolor=look.BLUE, alpha=0.6, label=f"{own.name} (n {own.n})"),
        Patch(facecolor=look.GREY, alpha=0.6, label=f"{rest.name} (n {rest.n})"),
        Patch(facecolor=look.ORANGE, alpha=0.35, label=shaded),
    ]
