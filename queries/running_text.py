"""What an atlas keeps of running text about one neuron: exemplars and firing, as plain values for other questions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from atlas.errors import QuestionError
from atlas.schema.exemplar_tables import KINDS, MIDDLE, NOT_COUNTED, STEPS
from atlas.sites import site as site_of
from atlas.store.ahead import Statement
from atlas.store.reader import Atlas
from queries.session.filled import has_rows
from queries.session.session import session_of
from queries.sqlfile import load_sql

if TYPE_CHECKING:
    import numpy as np

_TEXT_SET = "_text_set"
_BY_CODE = {kind.code: kind for kind in KINDS}
_PATIENCE = 2
_TEXT_BYTES = 500  # of Python's objects for a text without its tokens
_SHARE = 8
"""Texts are kept where so many times their bytes leave room in a session."""


class TextSet(NamedTuple):
    """How the running text was read; the columns of the table _text_set. `sites`: where activations were kept."""

    texts: int
    tokens: int
    max_tokens: int
    sampled: int
    compared: int
    correlated_from: float
    seed: int
    words: bool
    epsilon: float
    extreme_window: int
    band_window: int
    first_token: int
    sites: list[str]

    @property
    def nbytes(self) -> int:
        """Bytes in memory, about."""
        return 1000


class Text(NamedTuple):
    """A text that exemplars are of. `tokens`: the ids; None where words are not stored."""

    text_id: int
    source: str
    document: int
    start: int
    n_tokens: int
    tokens: list[int] | None


class Exemplar(NamedTuple):
    """One place of the running text. `kind`, `part`: as in schema/exemplar_tables.py; `rank`: from 1.

    `activations`: of each token from `window_start` on, None where a token does not count (special tokens) or was
    routed to other experts; None as a whole where no window is stored. Off by at most `error`.
    """

    kind: str
    part: int
    rank: int
    text: Text
    position: int
    value: float
    window_start: int | None
    activations: list[float | None] | None
    error: float | None


class Firing(NamedTuple):
    """The activation of a neuron over all tokens, or those that were routed to its expert; the view firing."""

    n: int
    sampled: int
    mean: float
    std: float
    min: float
    max: float
    share_positive: float
    share_beyond: float
    position_correlation: float | None
    quantiles: list[float]
    octave: int
    histogram: list[int]
    quadrants: list[float] | None
    correlated_group: int | None
    correlated_neurons: int | None


def text_set(atlas: Atlas, site: str | None = None) -> TextSet:
    """How the running text of the atlas was read.

    Raises QuestionError where there is none, or none at `site`; UnknownNameError for a site that there is not.
    """

    def read() -> TextSet:
        if not has_rows(atlas, _TEXT_SET):
            images = atlas.manifest.tower == "image"
            what, option = ("are no images", "--images FOLDER") if images else ("is no running text", "--texts FILE")
            raise QuestionError(
                f"there {what} in this atlas",
                f"`neuron-atlas build --add --no-decode --no-concepts {option}` reads some.",
            )
        _, rows = atlas.query(load_sql("text_set"))
        folder = None if atlas.far is None else atlas.far.tables
        if folder is not None:  # its manifest says it
            sites = folder.held_by("_firing")
        else:
            sites = [name for (name,) in atlas.query(load_sql("text_sites"))[1]]
        return TextSet(*(*rows[0], sites))

    if site is not None:
        site_of(site)
    found = session_of(atlas).read(_TEXT_SET, read)
    if site is not None and site not in found.sites:
        raise QuestionError(
            f"the running text of this atlas was not read at {site}",
            f"It was read at {', '.join(found.sites)}; `build --add --texts` with --sites reads it anew.",
        )
    return found


def has_texts(atlas: Atlas) -> bool:
    """Whether the atlas has running text."""
    return has_rows(atlas, _TEXT_SET)


def stored_exemplars(
    atlas: Atlas, layer: int, neuron: int, site: str, kinds: Iterable[str] | None = None
) -> list[Exemplar]:
    """The exemplars of one neuron, of some kinds or of all: in the order of KINDS, then by rank.

    Raises as `text_set`. A neuron that no text is long enough for has none.
    """
    read = text_set(atlas, site)
    (rows,) = atlas.rows([load_sql("exemplars")], site=site, layer=layer, neuron=neuron)
    rows = [row for row in sorted(rows, key=lambda row: row[0]) if kinds is None or _BY_CODE[row[0]].kind in kinds]
    texts = texts_of(atlas, {text_id for row in rows for text_id in row[1]})
    found = []
    for code, text_ids, positions, values, scale, windows in rows:
        kind = _BY_CODE[code]
        width = read.band_window if kind.kind == "band" else read.extreme_window
        for index, (text_id, position, value) in enumerate(zip(text_ids, positions, values, strict=True)):
            text, start, activations = texts[text_id], None, None
            if windows is not None:
                start = window_start(position, width, text.n_tokens, read.first_token)
                codes = windows[index * width : (index + 1) * width][: text.n_tokens - start]
                activations = [None if code == NOT_COUNTED else (code - MIDDLE) * scale / STEPS for code in codes]
            error = None if windows is None else scale / (2 * STEPS - 1)  # rounded twice (docs/methods.md)
            found.append(Exemplar(kind.kind, kind.part, index + 1, text, position, value, start, activations, error))
    return found


def window_start(position: int, width: int, n_tokens: int, first_token: int) -> int:
    """The token that the window of an exemplar begins with, as the macro of that name says."""
    return max(first_token, min(position - width * 3 // 4, n_tokens - width))


class _Texts(NamedTuple):
    """All texts by their ids, their tokens as (place in `tokens_T`, how many), None where no words are stored."""

    told: dict[int, tuple[str, int, int, int, tuple[int, int] | None]]
    tokens_T: np.ndarray

    @property
    def nbytes(self) -> int:
        """Bytes in memory, about."""
        return _TEXT_BYTES * len(self.told) + self.tokens_T.nbytes

    def text(self, text_id: int) -> Text:
        """One of them."""
        source, document, start, n_tokens, stored = self.told[text_id]
        tokens = None if stored is None else self.tokens_T[stored[0] : sum(stored)].tolist()
        return Text(text_id, source, document, start, n_tokens, tokens)


def texts_of(atlas: Atlas, text_ids: Iterable[int]) -> dict[int, Text]:
    """Texts by their ids: from the file, or from memory once a session has asked often enough and there is room."""
    read, session = text_set(atlas), session_of(atlas)
    kept = None
    if session.has_room(_SHARE * (4 * read.tokens + _TEXT_BYTES * read.texts)):
        kept = session.read_if_often("texts", lambda: _all_texts(atlas), _PATIENCE)
    if kept is not None:
        return {text_id: kept.text(text_id) for text_id in text_ids}
    (rows,) = atlas.rows([load_sql("exemplar_texts")], texts=sorted(text_ids))
    return {row[0]: Text(*row) for row in rows}


def _all_texts(atlas: Atlas) -> _Texts:
    import numpy as np

    read = atlas.arrow(load_sql("all_texts"))
    *columns, tokens = (column.combine_chunks() for column in read.columns)
    told, place = {}, 0
    for text_id, *said, length in zip(
        *(column.to_pylist() for column in columns), tokens.value_lengths().to_pylist(), strict=True
    ):
        told[text_id] = (*said, None if length is None else (place, length))
        place += length or 0
    return _Texts(told, np.asarray(tokens.flatten(), np.int32))


def exemplar_statements(atlas: Atlas, layer: int, neuron: int, site: str) -> list[Statement]:
    """What `stored_exemplars` and `stored_firing` ask of one neuron, to be read ahead; nothing without running text."""
    if not has_texts(atlas) or site not in text_set(atlas).sites:
        return []
    names = ["exemplars", "firing", *["correlated_group"] * has_rows(atlas, "_correlated")]
    return [(load_sql(name), {"site": site, "layer": layer, "neuron": neuron}) for name in names]


def stored_firing(atlas: Atlas, layer: int, neuron: int, site: str) -> Firing | None:
    """The activation of a neuron over all tokens that it has one on.

    None for a layer that was not read, and for a neuron of an expert that no token was routed to. Raises as `text_set`.
    """
    read = text_set(atlas, site)
    grouped = [load_sql("correlated_group")] if has_rows(atlas, "_correlated") else []
    rows, *groups = atlas.rows([load_sql("firing"), *grouped], site=site, layer=layer, neuron=neuron)
    group = groups[0][0] if groups and groups[0] else (None, None)
    if not rows:
        return None
    routed, routed_sampled, mean, std, positive, beyond, by_place, quantiles, octave, histogram, quadrants = rows[0]
    n, sampled = (read.tokens, read.sampled) if routed is None else (routed, routed_sampled)
    ends = quantiles[0], quantiles[-1]
    shares = None if quadrants is None else [tokens / n for tokens in quadrants]
    told = (n, sampled, mean, std, *ends, positive / n, beyond / n, by_place, quantiles, octave, histogram, shares)
    return Firing(*told, *group)


def is_read(atlas: Atlas, layer: int, site: str) -> bool:
    """Whether the running text was read at a layer."""
    _, rows = atlas.query(load_sql("firing_of_layer"), {"site": site, "layer": layer})
    return bool(rows)


def all_quantiles(atlas: Atlas, site: str) -> dict[str, np.ndarray]:
    """Arrays over the neurons of a site, by layer and neuron.

    layer, neuron, mean, std, and over how many tokens and sampled ones, n and sampled: [R]; quantiles [R, 21]. Raises
    as `text_set`.
    """
    import numpy as np

    text_set(atlas, site)
    found = atlas.arrays(load_sql("firing_quantiles"), {"site": site})
    quantiles = found["quantiles"]
    return {**found, "quantiles": np.asarray(list(quantiles) if quantiles.dtype == object else quantiles, np.float32)}
