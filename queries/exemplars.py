"""Where in running text a neuron is largest, smallest or between, and its activation over all tokens: as answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from atlas.answers.result import Document, Result
from atlas.errors import UnknownNameError, UsageError
from atlas.schema.exemplar_tables import KIND_NAMES, OCTAVES, PROBABILITIES, QUADRANTS
from atlas.sites import DEFAULT_SITE, format_neuron, parse_neuron
from atlas.sites import site as site_of
from atlas.store.reader import Atlas
from queries.answering import question
from queries.experts import expert_fields, expert_of
from queries.patches import COLUMNS as PATCH_COLUMNS
from queries.patches import of_images, patch_of
from queries.require import require_neuron
from queries.running_text import Exemplar, TextSet, has_texts, is_read, stored_exemplars, stored_firing, text_set
from queries.session.resident import present, token_texts

EXEMPLARS, FIRING, QUANTILES, QUADRANT_SHARES, HISTOGRAM = SECTIONS = (
    "exemplars",
    "firing",
    "quantiles",
    "quadrants",
    "histogram",
)
DEFAULT_WIDTH, MOST_WIDTH = 16, 10_000
"""Tokens of a text that are shown."""
ON_CARD = 5
"""Exemplars of each end on the card of a neuron."""
MARKS = "«»"
"""Around the token that an exemplar is at."""
COLUMNS = (
    "kind part rank value token text text_id position source document window_start activations error tokens".split()
)
_SHOWN = ["kind", "part", "rank", "value", "text"]
_SHARES = (
    *("n", "mean", "std", "min", "max", "share_positive", "share_beyond", "epsilon", "position_correlation"),
    *("correlated_group", "correlated_neurons"),
)


@question
def exemplars(
    atlas: Atlas, address: str, *, kind: str | None = None, site: str = DEFAULT_SITE, width: int = DEFAULT_WIDTH
) -> Document:
    """Where in the running text of the atlas a neuron is what it is: the SECTIONS.

    exemplars has a row for each, of one `kind` or of all: top (largest maximum of a text, one a text), bottom (smallest
    minimum), band (of texts drawn at random, from each quarter by their maximum, part 1 the lowest), quadrant (largest
    for each sign of gate and up, part 1 to 4 as in `quadrants`). `text` has `width` tokens around the one that it is
    at, which stands in « »; activations[i] is of token window_start + i of the text, off by `error` at most. firing,
    quantiles, quadrants and histogram are over all tokens of the running text; of a neuron of an expert, over those
    that were routed there, and activations of other tokens are None. Of an image tower a text is an image: `source` is
    its file, tokens are patches, and patch_row and patch_column say which one an exemplar is at.

        exemplars(atlas, "L29N808", kind="top")

    Raises QuestionError where there is no running text, at this site or at all, or no such neuron; UnknownNameError
    for another kind or site, UsageError for a malformed address or width.
    """
    if kind is not None and kind not in KIND_NAMES:
        raise UnknownNameError("kind", kind, KIND_NAMES)
    if not 1 <= width <= MOST_WIDTH:
        raise UsageError(f"a width of {width} tokens is out of range", f"Give a number from 1 to {MOST_WIDTH}.")
    read = text_set(atlas, site)
    layer, neuron = parse_neuron(address)
    width_name = site_of(site).width
    require_neuron(atlas, layer, neuron, getattr(atlas.manifest, width_name))
    expert = expert_fields(atlas, layer, neuron) if width_name == "d_mlp" else {}
    found = stored_exemplars(atlas, layer, neuron, site, None if kind is None else (kind,))
    fields = {
        "address": format_neuron(layer, neuron),
        "site": site,
        **expert,
        "model": atlas.manifest.model_id,
        "texts": read.texts,
        "tokens": read.tokens,
        "max_tokens": read.max_tokens,
    }
    sections = {EXEMPLARS: _rows(atlas, read, found, width), **_firing(atlas, read, layer, neuron, site)}
    return Document(
        fields, sections, shown=["address", "site", *expert, "texts", "tokens", EXEMPLARS, FIRING, QUADRANT_SHARES]
    )


def on_card(
    atlas: Atlas, layer: int, neuron: int, site: str | None, known: Document | None = None
) -> dict[str, Result]:
    """Sections of the card of a neuron: none where the atlas has no running text at the site (None: the default).

    `known`: the answer of `exemplars` for the neuron, where it was asked already, at the site or at another.
    """
    if not has_texts(atlas):
        return {}
    read = text_set(atlas)
    site = site or DEFAULT_SITE
    if site not in read.sites:
        return {}
    if known is None or known.fields["site"] != site:
        found = stored_exemplars(atlas, layer, neuron, site, ("top", "bottom"))
        rows = _rows(atlas, read, [each for each in found if each.rank <= ON_CARD], DEFAULT_WIDTH)
        sections = _firing(atlas, read, layer, neuron, site)
    else:
        sections, rows = known.sections, known.sections[EXEMPLARS]
        kind, rank = rows.columns.index("kind"), rows.columns.index("rank")
        kept = [row for row in rows.rows if row[kind] in ("top", "bottom") and row[rank] <= ON_CARD]
        rows = Result(rows.columns, kept, rows.notes, shown=rows.shown)
    return {EXEMPLARS: rows, **{name: sections[name] for name in (FIRING, QUADRANT_SHARES) if name in sections}}


def marked(found: Exemplar, words: Mapping[int, str], width: int) -> str | None:
    """`width` tokens of the text around an exemplar, whose own is marked; None where words are not stored."""
    part = _around(found, width)
    if part is None:
        return None
    said = [words[token] for token in part[0]]
    at = part[1]
    # The leading space of a token stands outside of the mark, where it can be seen as one.
    bare = said[at].lstrip(" ")
    said[at] = said[at][: len(said[at]) - len(bare)] + MARKS[0] + bare + MARKS[1]
    return "".join(said).strip(" ")


def words_of(atlas: Atlas, found: Iterable[Exemplar], width: int) -> dict[int, str]:
    """The text of every token that is shown of the exemplars' texts, `width` of them around each exemplar and those of
    its window; of one that the vocabulary lacks, a padding row say, its id."""
    ids: set[int] = set()
    for each in found:
        around = _around(each, width)
        ids.update(around[0] if around else (), _shown_tokens(each) or ())
    kept = present(atlas)
    texts = {token: text for token, (text, _) in token_texts(atlas, None, ids).items()} if ids and kept is None else {}
    texts = texts if kept is None else kept.tokens
    return {token: texts[token] if token in texts else f"<{token}>" for token in ids}


def _rows(atlas: Atlas, read: TextSet, found: list[Exemplar], width: int) -> Result:
    words = words_of(atlas, found, width)
    rows: list[tuple[Any, ...]] = []
    for each in found:
        text, tokens = each.text, _shown_tokens(each)
        rows.append(
            (
                each.kind,
                each.part,
                each.rank,
                each.value,
                None if text.tokens is None else words[text.tokens[each.position]],
                marked(each, words, width),
                text.text_id,
                each.position,
                text.source,
                text.document,
                each.window_start,
                each.activations,
                each.error,
                None if tokens is None else [words[token] for token in tokens],
            )
        )
    if of_images(atlas):
        patches = [patch_of(each.position, each.text.n_tokens) for each in found]
        return Result(
            [*COLUMNS, *PATCH_COLUMNS],
            [(*row, *patch) for row, patch in zip(rows, patches, strict=True)],
            ["source is an image's file; patches are counted from 0, from the top left"],
            shown=[*_SHOWN[:-1], "source", *PATCH_COLUMNS],
        )
    if read.words:
        return Result(COLUMNS, rows, shown=_SHOWN)
    notes = ["the words of the running text are not stored: a row says where they are"]
    return Result(COLUMNS, rows, notes, shown=[*_SHOWN[:-1], "source", "document", "text_id", "position"])


def _shown_tokens(found: Exemplar) -> list[int] | None:
    """The tokens that `activations` are of."""
    if found.text.tokens is None or found.window_start is None or found.activations is None:
        return None
    return found.text.tokens[found.window_start : found.window_start + len(found.activations)]


def _around(found: Exemplar, width: int) -> tuple[list[int], int] | None:
    """(tokens around an exemplar, which of them it is at)."""
    if found.text.tokens is None:
        return None
    start = max(0, min(found.position - width * 3 // 4, len(found.text.tokens) - width))
    return found.text.tokens[start : start + width], found.position - start


def _firing(atlas: Atlas, read: TextSet, layer: int, neuron: int, site: str) -> dict[str, Result]:
    found = stored_firing(atlas, layer, neuron, site)
    expert = expert_of(atlas, layer, neuron) if site_of(site).width == "d_mlp" else None
    routed = expert if expert is not None and expert.kind == "routed" else None
    if found is None and routed is not None and is_read(atlas, layer, site):
        note = f"none of the {read.tokens:,} tokens was routed to expert {routed.expert} of layer {layer}"
        return {FIRING: Result(list(_SHARES), [], [note])}
    if found is None:
        note = f"layer {layer} was not read; `build --add --texts` with --layers reads it"
        return {FIRING: Result(list(_SHARES), [], [note])}
    said: dict[str, Any] = {**found._asdict(), "epsilon": read.epsilon}
    sections = {
        FIRING: Result(list(_SHARES), [tuple(said[name] for name in _SHARES)], single=True),
        QUANTILES: Result(["probability", "value"], list(zip(PROBABILITIES, found.quantiles, strict=True))),
    }
    if routed is not None:
        share = f"{100 * found.n / read.tokens:.3g} % of the {read.tokens:,} tokens"
        sections[FIRING].notes.append(
            f"{share} were routed to expert {routed.expert} of layer {layer}: this is over them, as on other tokens "
            "the neuron has no activation"
        )
    if found.correlated_group is not None:
        note = (
            f"{found.correlated_neurons} neurons are active together with it or opposite to it: rank correlations of "
            f"{read.correlated_from:g} or more over {read.compared} tokens connect them"
        )
        sections[FIRING].notes.append(note)
    if found.quadrants is not None:
        rows = list(zip(range(1, 5), QUADRANTS, found.quadrants, strict=True))
        sections[QUADRANT_SHARES] = Result(["part", "quadrant", "share"], rows)
    sections[HISTOGRAM] = Result(
        ["side", "lower", "upper", "n"],
        [
            (side, 2.0 ** (found.octave - step) if step < OCTAVES - 1 else 0.0, 2.0 ** (found.octave + 1 - step), n)
            for index, side in enumerate(("above 0", "0 and below"))
            for step, n in enumerate(found.histogram[index * OCTAVES : (index + 1) * OCTAVES])
        ],
    )
    if found.sampled < found.n:
        note = f"quantiles and histogram are of {found.sampled:,} tokens of {found.n:,}, drawn by a hash"
        sections[QUANTILES].notes.append(note)
    return sections
