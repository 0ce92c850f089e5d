"""Which tokens of the vocabulary are forms of a word."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from atlas.answers.result import Result
from atlas.errors import UnknownNameError, UsageError
from atlas.store.reader import Atlas
from queries.answering import question
from queries.session.resident import present
from queries.sqlfile import load_sql
from queries.wordforms import word_forms

_MOST_PARTS = 8
_NO_TOKEN = "The vocabulary has no single token for it; rare and long words are made of several tokens."


@question
def token_forms(atlas: Atlas, words: str | Sequence[str], *, exact: bool = False) -> Result:
    """The tokens that are forms of `words`: columns word, token_id, token; each token once.

    Forms are case variants, a leading space, and singular or plural (queries/wordforms.py). `exact` takes
    each word as the literal text of one token instead. A word without a token raises UnknownNameError
    with its parts that have one ('hot dog': hot, dog), or else words that are spelled alike; no word at all raises
    UsageError.
    """
    asked = list(dict.fromkeys([words] if isinstance(words, str) else words))
    if not asked or (not exact and not all(word.strip() for word in asked)):
        raise UsageError("no word given", "Name at least one word, as in: token dog.")
    rows: dict[int, tuple[Any, ...]] = {}
    for word in asked:
        found = _tokens_of(atlas, word, exact)
        if not found:
            if parts := _parts(atlas, word, exact):
                raise UnknownNameError("token", word, (), parts)
            raise UnknownNameError("token", word, _near(atlas, word), _NO_TOKEN)
        for token_id, token in found:
            rows.setdefault(token_id, (word, token_id, token))
    return Result(["word", "token_id", "token"], list(rows.values()))


@question
def token_ids(atlas: Atlas, words: str | Sequence[str], *, exact: bool = False) -> list[int]:
    """The ids of `token_forms`."""
    return token_forms(atlas, words, exact=exact).column("token_id")


def _tokens_of(atlas: Atlas, word: str, exact: bool) -> list[tuple[int, str]]:
    kept = present(atlas)
    if kept is not None:
        index = kept.by_text if exact else kept.by_form
        found = [token_id for form in ([word] if exact else word_forms(word)) for token_id in index.get(form, ())]
        return [(token_id, kept.tokens[token_id]) for token_id in found]
    if exact:
        _, rows = atlas.query(load_sql("exact_tokens"), {"text": word})
        return [(token_id, token) for _, token_id, token in rows]
    forms = word_forms(word)
    _, rows = atlas.query(load_sql("token_forms"), {"forms": forms})
    # In the order of the forms: the word as it was written comes first.
    return [(token_id, token) for form in forms for found, token_id, token in rows if found == form]


def _parts(atlas: Atlas, word: str, exact: bool) -> str:
    """The hint for several words that were asked as one; empty where they are not, or no part has a token.

    Told apart by what stands between words. How the model cuts a single word only its tokenizer could say.
    """
    import shlex

    found = re.findall(r"\s*\S+", word) if exact else re.split(r"[\s/_-]+", word.strip())
    parts = list(dict.fromkeys(filter(None, found)))[:_MOST_PARTS]
    if len(parts) < 2:
        return ""
    present = [shlex.quote(part) for part in parts if _tokens_of(atlas, part, exact)]
    if not present:
        return ""
    which = "its parts together" if len(present) == len(parts) else "those of its parts that have tokens"
    return f"No single token holds it all; ask for {which}: token {'--exact ' if exact else ''}{' '.join(present)}"


def _near(atlas: Atlas, word: str) -> list[str]:
    _, rows = atlas.query(load_sql("near_forms"), {"word": word.strip()})
    return [form for (form,) in rows]
