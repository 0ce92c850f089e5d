"""Everything about one neuron."""

from __future__ import annotations

from itertools import groupby

from atlas.answers.result import Document, Result
from atlas.errors import UnknownNameError, UsageError
from atlas.sites import SITES, parse_neuron
from atlas.sites import site as site_of
from atlas.store.reader import Atlas
from queries.answering import question
from queries.card_rows import (
    BACKGROUND_COLUMNS,
    CONCEPT_COLUMNS,
    TOKEN_COLUMNS,
    FitOfAtlas,
    all_fits,
    background_rows,
    concept_rows,
    read,
    token_rows,
)
from queries.measured import table_names
from queries.neurons import require_neuron

DEFAULT_TOP = 8


@question
def neuron_card(
    atlas: Atlas,
    address: str,
    *,
    family: str | None = None,
    site: str | None = None,
    position: str | None = None,
    template: str | None = None,
    tau: float | None = None,
    top: int | None = None,
) -> Document:
    """The card of one neuron: sections `tokens`, `concepts` and `background`.

    Without `site` the card is about the neuron of the MLP, at every site that its activation passes. With
    site "resid_post" the address is a coordinate of the residual stream, which has no tokens. Raises
    UsageError for a malformed address, QuestionError for one outside the model.
    """
    decoded = _width(site) == "d_mlp"
    top = _top(atlas, top) if decoded else 0
    _require_tau(atlas, tau)
    fit = {"family": family, "site": site, "position": position, "template": template}
    layer, neuron, fits = _place(atlas, address, **fit)
    fields = {
        "address": address,
        "layer": layer,
        "neuron": neuron,
        "model": atlas.manifest.model_id,
        "decoding_mode": atlas.manifest.decoding_mode,
    }
    # The longest two first: they are read at the same time.
    first, *others = table_names("card")
    found = read(atlas, layer, neuron, first, *["neuron_tokens"] * decoded, *others, "neuron_background")
    sections = {"tokens": _tokens(atlas, found["neuron_tokens"], top)} if decoded else {}
    sections["concepts"] = _concepts(found, fits, tau)
    sections["background"] = _background(found["neuron_background"], fits)
    return Document(fields, sections)


@question
def neuron_tokens(atlas: Atlas, address: str, *, top: int | None = None) -> Result:
    """The `top` tokens that each weight of a neuron raises (sign 1) and lowers (sign -1); one row a token.

    The default is 8 or all that the atlas keeps; more than it keeps raises UsageError.
    """
    top = _top(atlas, top)
    layer, neuron = _inside(atlas, address, "d_mlp")
    return _tokens(atlas, read(atlas, layer, neuron, "neuron_tokens")["neuron_tokens"], top)


@question
def neuron_concepts(atlas: Atlas, address: str, *, tau: float | None = None, **fit: str | None) -> Result:
    """A neuron's Gaussian and range under every concept of every fit, best separated (by AUC) first.

    `fit` narrows the fits by family, site, position and template. `tau` must have been measured in some fit
    (a fit without it has no range here); the default is the paper's 2.5, or what the fit has. Ranges and
    coverage as in neurons_for_concept.
    """
    _require_tau(atlas, tau)
    layer, neuron, fits = _place(atlas, address, **fit)
    found = read(atlas, layer, neuron, *table_names("card"))
    return _concepts(found, fits, tau)


@question
def neuron_background(atlas: Atlas, address: str, **fit: str | None) -> Result:
    """A neuron's moments over all examples of each fit; `fit` as in neuron_concepts."""
    layer, neuron, fits = _place(atlas, address, **fit)
    return _background(read(atlas, layer, neuron, "neuron_background")["neuron_background"], fits)


def compact_tokens(tokens: Result) -> Result:
    """Rows of `neuron_tokens` -> columns weight, sign, cosine (of the first token), tokens."""
    rows = []
    for (weight, sign), group in groupby(tokens, key=lambda row: (row["weight"], row["sign"])):
        listed = list(group)
        rows.append((weight, sign, listed[0]["cosine"], [row["token"] for row in listed]))
    return Result(["weight", "sign", "cosine", "tokens"], rows, tokens.notes, tokens.truncated_by)


def _tokens(atlas: Atlas, lists: list[tuple], top: int) -> Result:
    return Result(TOKEN_COLUMNS, token_rows(atlas, lists, top))


def _concepts(found: dict[str, list[tuple]], fits: dict[int, FitOfAtlas], tau: float | None) -> Result:
    rows = concept_rows({table: found[table] for table in table_names("card")}, fits, tau)
    shown = "family concept site mean std lower upper coverage leakage auc dprime".split()
    if len({row[CONCEPT_COLUMNS.index("position")] for row in rows}) > 1:
        shown.insert(3, "position")
    return Result(CONCEPT_COLUMNS, rows, shown=shown)


def _background(found: list[tuple], fits: dict[int, FitOfAtlas]) -> Result:
    shown = "family site position n mean std min max skewness kurtosis".split()
    return Result(BACKGROUND_COLUMNS, background_rows(found, fits), shown=shown)


def _top(atlas: Atlas, top: int | None) -> int:
    """How many tokens of a list to show."""
    top = min(DEFAULT_TOP, atlas.manifest.top) if top is None else top
    if not 1 <= top <= atlas.manifest.top:
        raise UsageError(f"top {top} is out of range", f"The atlas keeps {atlas.manifest.top} tokens a list.")
    return top


def _place(
    atlas: Atlas,
    address: str,
    *,
    family: str | None = None,
    site: str | None = None,
    position: str | None = None,
    template: str | None = None,
) -> tuple[int, int, dict[int, FitOfAtlas]]:
    """Layer, neuron and the fits that both questions are about. UnknownNameError for a name that no fit has."""
    layer, neuron = _inside(atlas, address, _width(site))
    sites, fits = _sites(site), all_fits(atlas)
    wanted = {"family": family, "position": position, "template": template}
    for name, value in wanted.items():
        known = {getattr(fit, name) for fit in fits.values()}
        if value is not None and value not in known:
            raise UnknownNameError(name, value, sorted(known))
    return (
        layer,
        neuron,
        {
            fit_id: fit
            for fit_id, fit in fits.items()
            if fit.site in sites and all(value in (None, getattr(fit, name)) for name, value in wanted.items())
        },
    )


def _width(site: str | None) -> str:
    return "d_mlp" if site is None else site_of(site).width


def _sites(site: str | None) -> list[str]:
    """The sites whose coordinate `neuron` is the same thing as the neuron asked for."""
    return [site] if site else [row.name for row in SITES.values() if row.width == "d_mlp"]


def _inside(atlas: Atlas, address: str, width: str) -> tuple[int, int]:
    layer, neuron = parse_neuron(address)
    require_neuron(atlas, layer, neuron, getattr(atlas.manifest, width))
    return layer, neuron


def _require_tau(atlas: Atlas, tau: float | None) -> None:
    if tau is None:
        return
    taus = sorted({value for fit in all_fits(atlas).values() for value in fit.taus})
    if tau not in taus:
        measured = ", ".join(f"{value:g}" for value in taus) or "none"
        hint = f"Measured: {measured}. Rebuild with --tau {tau:g}."
        raise UsageError(f"tau {tau:g} was not measured", hint)
