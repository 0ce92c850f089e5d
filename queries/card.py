"""Everything about one neuron."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from atlas.answers.result import Document, Result
from atlas.errors import UsageError
from atlas.fit_choice import ANY_FIT, FitChoice
from atlas.schema.weight_measures import NEURON_FACT, VECTOR, names_of
from atlas.sites import WEIGHTS, parse_neuron
from atlas.sites import site as site_of
from atlas.store.ahead import Statement
from atlas.store.reader import Atlas
from queries.answering import question
from queries.card_rows import (
    BACKGROUND_COLUMNS,
    CONCEPT_COLUMNS,
    TOKEN_COLUMNS,
    Read,
    background_rows,
    concept_rows,
    read,
    read_statements,
    token_rows,
)
from queries.decoded import DECODINGS, FACTS, STATISTICS, notes_on_layers
from queries.descriptions import DESCRIPTIONS
from queries.descriptions import on_card as descriptions_on_card
from queries.exemplars import EXEMPLARS, FIRING, QUADRANT_SHARES, on_card
from queries.experts import expert_fields, expert_of
from queries.fits import Fit, choose_taus, fits_of_neurons
from queries.gradients import STATEMENT, attribution_rows
from queries.measured import absent, notes_on_absent, table_names
from queries.require import require_neuron
from queries.second_order import SECOND_ORDER, second_order_on_card
from queries.significance import all_significance
from queries.sqlfile import load_sql
from queries.weight_run import remarks

DEFAULT_TOP = 8
_BACKGROUND = ("neuron_background", "neuron_length")
_OF_WEIGHTS = ("neuron_weights", "neuron_facts", "redundant_group")
TOKENS, VECTORS, IO, CONCEPTS, BACKGROUND, ATTRIBUTION, *_ = SECTIONS = (
    *("tokens", "weights", "io", "concepts", "background", "attribution"),
    *(EXEMPLARS, FIRING, QUADRANT_SHARES, DESCRIPTIONS, SECOND_ORDER),
)


@question
def neuron_card(
    atlas: Atlas,
    address: str,
    *,
    fit: FitChoice = ANY_FIT,
    tau: float | None = None,
    top: int | None = None,
    texts: Document | None = None,
    found: Read | None = None,
) -> Document:
    """The card of one neuron: its SECTIONS; attribution is empty, with a note, where the atlas has no gradients, and
    those of running text and descriptions stand there where it has some.

    `fit` narrows the fits that are listed. Without a site in it the card is about the neuron of the MLP, at every
    site that its activation passes; at site "resid_post" the address is a coordinate of the residual stream, which
    has no tokens and no weights. `tau` as in neuron_concepts, `top` as in neuron_tokens. `texts`: the answer of
    `exemplars` for the neuron, and `found`: its `card_reading`, where they were asked already, so that nothing is
    read twice:

        neuron_card(atlas, "L29N808", fit=FitChoice(family="topics"), tau=2.5, top=5)

    Raises UsageError for a malformed address, QuestionError for one outside the model.
    """
    decoded = _width(fit) == "d_mlp"
    top = _top(atlas, top) if decoded else 0
    layer, neuron = _inside(atlas, address, _width(fit))
    fits = fits_of_neurons(atlas, fit)
    taus = choose_taus(fits.values(), tau)
    fields = {
        "address": address,
        "layer": layer,
        "neuron": neuron,
        **(expert_fields(atlas, layer, neuron) if decoded else {}),
        "model": atlas.manifest.model_id,
        "decoding_mode": atlas.manifest.decoding_mode,
    }
    found = found or card_reading(atlas, layer, neuron, decoded=decoded)
    tokens = found.get("neuron_tokens", [])
    sections = {TOKENS: _tokens(atlas, tokens, top, layer), **_weights(atlas, found, layer)} if decoded else {}
    sections[CONCEPTS] = _concepts(atlas, found, fits, taus, layer)
    if fields.get("kind") == "routed" and fits and not sections[CONCEPTS].rows:
        sections[CONCEPTS].notes.append(
            f"too few texts of two concepts reach expert {fields['expert']} of layer {layer}: `neuron-atlas experts` "
            "says how many"
        )
    sections[BACKGROUND] = _background(found, fits)
    if decoded or found[STATEMENT]:
        sections[ATTRIBUTION] = attribution_rows(atlas, found[STATEMENT], fits)
    sections |= on_card(atlas, layer, neuron, fit.site, texts)
    if decoded:
        sections |= descriptions_on_card(atlas, layer, neuron)
        sections |= second_order_on_card(atlas, layer, neuron)
    return Document(fields, sections)


def card_reading(atlas: Atlas, layer: int, neuron: int, *more: str, decoded: bool = True) -> Read:
    """What the card of a neuron is made of, and the statements `more` of queries/sql, in one reading.

    `decoded`: whether it is a neuron of the MLP, which has tokens and weights. The caller has checked the place.
    """
    return read(atlas, layer, neuron, *_read_by_card(decoded), *more)


def card_statements(atlas: Atlas, layer: int, neuron: int, *more: str) -> list[Statement]:
    """What `card_reading` asks of a neuron of the MLP, to be read ahead."""
    return read_statements(atlas, layer, neuron, *_read_by_card(True), *more)


def _read_by_card(decoded: bool) -> list[str]:
    # The longest two first: they are read at the same time.
    first, *others = table_names("card")
    return [first, *["neuron_tokens"] * decoded, *others, *_BACKGROUND, *_OF_WEIGHTS * decoded, STATEMENT]


@question
def neuron_tokens(atlas: Atlas, address: str, *, top: int | None = None) -> Result:
    """The `top` tokens that each weight of a neuron raises (sign 1) and lowers (sign -1); one row a token.

    The default is 8 or all that the atlas keeps; more than it keeps raises UsageError.
    """
    top = _top(atlas, top)
    layer, neuron = _inside(atlas, address, "d_mlp")
    return _tokens(atlas, read(atlas, layer, neuron, "neuron_tokens")["neuron_tokens"], top, layer)


@question
def neuron_concepts(atlas: Atlas, address: str, *, fit: FitChoice = ANY_FIT, tau: float | None = None) -> Result:
    """A neuron's Gaussian, range and interval under every concept of every fit that `fit` allows, best separated first.

    `tau` must have been measured in one of these fits (a fit without it has no range here); the default is the paper's
    2.5, or the only one that a fit has. UsageError where a fit has several others. Ranges, intervals and their shares
    as in neurons_for_concept; interval_p is of the best neuron that the fit has for the concept.
    """
    layer, neuron = _inside(atlas, address, _width(fit))
    fits = fits_of_neurons(atlas, fit)
    taus = choose_taus(fits.values(), tau)
    found = read(atlas, layer, neuron, *table_names("card"))
    return _concepts(atlas, found, fits, taus, layer)


@question
def neuron_background(atlas: Atlas, address: str, *, fit: FitChoice = ANY_FIT) -> Result:
    """A neuron's moments over all examples of each fit that `fit` allows, and how it goes with the length of texts."""
    layer, neuron = _inside(atlas, address, _width(fit))
    fits = fits_of_neurons(atlas, fit)
    return _background(read(atlas, layer, neuron, *_BACKGROUND), fits)


@question
def neuron_attribution(atlas: Atlas, address: str, *, fit: FitChoice = ANY_FIT) -> Result:
    """What a neuron does for the logit of each concept's token, in every fit that `fit` allows; largest first.

    attribution: mean over the concept's texts of activation * gradient, in logits, with its standard deviation;
    gradient: that of d logit / d activation. Both are computed; a note says how far edits agree. No rows, and a note
    on how to make them, in an atlas without gradients.
    """
    layer, neuron = _inside(atlas, address, _width(fit))
    return attribution_rows(atlas, read(atlas, layer, neuron, STATEMENT)[STATEMENT], fits_of_neurons(atlas, fit))


def compact_tokens(tokens: Result) -> Result:
    """Rows of `neuron_tokens` -> columns weight, sign, cosine (of the first token), tokens."""
    rows = []
    for (weight, sign), group in groupby(tokens, key=lambda row: (row["weight"], row["sign"])):
        listed = list(group)
        rows.append((weight, sign, listed[0]["cosine"], [row["token"] for row in listed]))
    return Result(["weight", "sign", "cosine", "tokens"], rows, tokens.notes, tokens.truncated_by)


def _tokens(atlas: Atlas, lists: list[tuple[Any, ...]], top: int, layer: int) -> Result:
    notes = [] if lists else notes_on_layers(atlas, DECODINGS, layer=layer)
    return Result(TOKEN_COLUMNS, token_rows(atlas, lists, top), notes)


def _weights(atlas: Atlas, found: Read, layer: int) -> dict[str, Result]:
    """The sections about the weights alone; without rows, and with a note, where the atlas has no facts of them."""
    vectors, facts, groups = (found[name] for name in _OF_WEIGHTS)
    group: tuple[int | None, int | None] = (None, None)
    for (group_id,) in groups:
        group = group_id, atlas.query(load_sql("redundant_neurons"), {"group_id": group_id})[1][0][0]
    by_weight = sorted(vectors, key=lambda row: list(WEIGHTS).index(row[0]))
    columns = ["io_class", *names_of(NEURON_FACT), "redundant_group", "redundant_neurons"]
    notes = [] if facts else notes_on_layers(atlas, FACTS, layer=layer)
    notes = notes or remarks(atlas)
    return {
        VECTORS: Result(["weight", *names_of(VECTOR)], by_weight, [] if by_weight else notes),
        IO: Result(columns, [(*row, *group) for row in facts], notes),
    }


def _concepts(
    atlas: Atlas,
    found: Read,
    fits: dict[int, Fit],
    taus: dict[int, float | None],
    layer: int,
) -> Result:
    luck = {place: known.interval_p for place, known in all_significance(atlas).items()}
    rows = concept_rows({table: found[table] for table in table_names("card")}, fits, taus, luck)
    shown = "family concept site mean std lower upper coverage leakage auc dprime".split()
    if len({row[CONCEPT_COLUMNS.index("position")] for row in rows}) > 1:
        shown.insert(3, "position")
    notes = notes_on_absent(absent("card", CONCEPT_COLUMNS, rows))
    if not rows and fits:
        notes += notes_on_layers(atlas, STATISTICS, layer=layer)
    return Result(CONCEPT_COLUMNS, rows, notes, shown=shown)


def _background(found: Read, fits: dict[int, Fit]) -> Result:
    moments, lengths = (found[name] for name in _BACKGROUND)
    rows = background_rows(moments, lengths, fits)
    by_length = any(row[-1] is not None for row in rows)
    shown = ["family", "site", "position", "n", "mean", "std", "min", "max"]
    shown += ["length_correlation"] if by_length else ["skewness", "kurtosis"]
    return Result(BACKGROUND_COLUMNS, rows, shown=shown)


def _top(atlas: Atlas, top: int | None) -> int:
    """How many tokens of a list to show."""
    top = min(DEFAULT_TOP, atlas.manifest.top) if top is None else top
    if not 1 <= top <= atlas.manifest.top:
        raise UsageError(f"top {top} is out of range", f"The atlas keeps {atlas.manifest.top} tokens a list.")
    return top


def _width(fit: FitChoice) -> str:
    """The dim that the address counts in."""
    return "d_mlp" if fit.site is None else site_of(fit.site).width


def _inside(atlas: Atlas, address: str, width: str) -> tuple[int, int]:
    layer, neuron = parse_neuron(address)
    if width == "d_mlp":
        expert_of(atlas, layer, neuron)
    else:
        require_neuron(atlas, layer, neuron, getattr(atlas.manifest, width))
    return layer, neuron
