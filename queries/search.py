"""Neurons by what a few words mean: by embedded descriptions where there are any, else by the words' own tokens."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from atlas.answers.kinds import Prose
from atlas.answers.result import Result
from atlas.errors import QuestionError, UnknownNameError, UsageError
from atlas.schema.description_tables import SIDES
from atlas.sites import format_neuron, row_number
from atlas.store.reader import Atlas
from queries.answering import question
from queries.decoded import decoded_neurons, notes_on_layers
from queries.require import require_limit
from queries.session.resident import HEAD, resident, token_texts
from queries.sqlfile import load_sql
from queries.tokens import token_ids

if TYPE_CHECKING:
    from queries.session.vectors import Vectors

COLUMNS = "address layer neuron side sign score words tokens description".split()
DEFAULT_LIMIT = 20
Embed = Callable[[str], Sequence[float]]
"""A text -> its vector, as the embedder of the atlas makes it; of any length but 0."""
_MOST_CHARACTERS, _MOST_WORDS = 1000, 32
# They say nothing about what is asked for, and stand in the lists of neurons that are about something else.
_EMPTY = frozenset(
    "a an and are as at be by for from has have in is it its of on or that the their this to was were with".split()
)


class _Found(NamedTuple):
    """A neuron that was found, and where."""

    layer: int
    neuron: int
    side: str
    sign: int
    score: float | None
    words: list[str] | None


@question
def search(
    atlas: Atlas, text: str, *, side: str | None = None, limit: int = DEFAULT_LIMIT, embed: Embed | None = None
) -> Result:
    """Neurons that are about `text`, best first; one row a neuron.

    With `embed`, which embeds the text as the descriptions of the atlas were embedded (`build --embed`), score is the
    cosine to the nearest of a neuron's descriptions: exact, over all of them. Without, neurons are found by the tokens
    of the words: score is the sum, over every place that a form of a word has in a neuron's lists, of the squared
    cosine times ln(neurons / neurons that have the word), and `words` are those that it has.

    `side`: "input" for what neurons respond to, "output" for what they promote; None: both, and the better one of a
    neuron is shown, with its `sign`: of the activation for a description, of the list for tokens.

        search(atlas, "money and banks", side="output", limit=10)

    Raises UsageError for no words, too many, or an unknown side; UnknownNameError where no word has a token;
    QuestionError where `embed` is given and nothing is embedded.
    """
    require_limit(limit)
    if side not in (None, *SIDES):
        raise UsageError(f"the side {str(side)[:40]!r} is none of {', '.join(SIDES)}")
    if not text.strip() or len(text) > _MOST_CHARACTERS:
        raise UsageError("a search takes from 1 to 1,000 characters", "Write a few words.")
    found, notes = (
        _by_words(atlas, text, side, limit + 1) if embed is None else _near(atlas, text, side, limit + 1, embed)
    )
    result = Result(COLUMNS, _rows(atlas, found), notes).cut(limit)
    has_text = any(row["description"] for row in result)
    by_words = embed is None
    hidden = {"layer", "neuron", *({"words"} if not by_words else set()), *({"description"} if not has_text else set())}
    result.shown = [name for name in COLUMNS if name not in hidden]
    return result


def _by_words(atlas: Atlas, text: str, side: str | None, limit: int) -> tuple[list[_Found], list[str]]:
    words = list(dict.fromkeys(re.findall(r"[^\W_]+(?:['’-][^\W_]+)*", text.lower())))
    if not words or len(words) > _MOST_WORDS:
        raise UsageError(f"there are {len(words)} words in this search", f"Write 1 to {_MOST_WORDS}.")
    full = [word for word in words if word not in _EMPTY] or words
    ids: list[int] = []
    of_words: list[str] = []
    unknown: list[str] = []
    for word in full:
        try:
            tokens = token_ids(atlas, word)
        except UnknownNameError:
            unknown.append(word)
            continue
        ids += tokens
        of_words += [word] * len(tokens)
    if not ids:
        raise UnknownNameError("token", full[0], (), "None of these words is a single token here; try shorter ones.")
    asked = {"ids": ids, "words": of_words, "side": side, "limit": limit}
    _, rows = atlas.query(load_sql("search_tokens"), asked | {"neurons": decoded_neurons(atlas)})
    found = [_Found(*row[:6]) for row in rows]
    found.sort(key=lambda each: (each.score is None, -(each.score or 0.0), each.layer, each.neuron))
    known = list(dict.fromkeys(of_words))
    notes = [f"searched by the tokens of {', '.join(known)}, not by meaning"]
    notes += [f"no single token for {', '.join(unknown)}"] if unknown else []
    notes += notes_on_layers(atlas)
    return found, notes


def _near(atlas: Atlas, text: str, side: str | None, limit: int, embed: Embed) -> tuple[list[_Found], list[str]]:
    from queries.session.vectors import nearest, vectors_of

    kept: Vectors | None = vectors_of(atlas)
    if kept is None:
        raise QuestionError(
            "nothing is embedded in this atlas",
            "`neuron-atlas build --add --no-decode --no-concepts --embed` does, after --describe.",
        )
    found = [_Found(*place, None) for place in nearest(kept, embed(text), side, limit)]
    return found, [f"by cosine to {len(kept.unit_RD):,} descriptions, embedded by {kept.embedder}"]


def _rows(atlas: Atlas, found: Sequence[_Found]) -> list[tuple[Any, ...]]:
    """COLUMNS of what was found: with the first tokens of the weight that it was found by, and its description."""
    described = _descriptions(atlas, found)
    heads = _heads(atlas, found)
    rows = []
    for each, tokens in zip(found, heads, strict=True):
        text = described.get((each.layer, each.neuron, each.side, each.sign))
        place = (format_neuron(each.layer, each.neuron), each.layer, each.neuron, each.side, each.sign)
        rows.append((*place, each.score, each.words, tokens, None if text is None else Prose(text)))
    return rows


def _descriptions(atlas: Atlas, found: Sequence[_Found]) -> dict[tuple[Any, ...], str]:
    if "description" in atlas.lacking.tables:
        return {}
    places = {"layers": [each.layer for each in found], "neurons": [each.neuron for each in found]}
    _, rows = atlas.query(load_sql("search_descriptions"), places)
    return {row[:4]: row[4] for row in rows}


def _heads(atlas: Atlas, found: Sequence[_Found]) -> list[list[str] | None]:
    """The first tokens that the weight of each place raises (sign 1) or lowers; None where it is not decoded."""
    manifest = atlas.manifest
    reading = "gate_proj" if manifest.gated else "up_proj"
    nids = []
    for each in found:
        weight = "down_proj" if each.side == "output" else reading
        nids.append(row_number(weight, each.layer, each.neuron, manifest.n_layers, manifest.d_mlp))
    # What opens a gate are its raised tokens, whatever the sign of the activation.
    signs = [each.sign if each.side == "output" or not manifest.gated else 1 for each in found]
    asked = {"nids": nids, "signs": signs, "context": min(HEAD, manifest.top)}
    tops = dict(atlas.query(load_sql("search_context"), asked)[1])
    texts = token_texts(atlas, resident(atlas), {token for top in tops.values() for token in top})
    return [[texts[token][0] for token in tops[nid]] if nid in tops else None for nid in nids]
