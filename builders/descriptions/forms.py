"""Tokens by the word that they are a form of, and the names that a sentence gives to tokens."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Collection, Iterable
from functools import lru_cache

from queries.wordforms import word_forms

_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_WORD = re.compile(r"[^\W\d_]{3,}")
# Words of any sentence about neurons: they name no token.
_COMMON = frozenset(
    "the and are was were been being has have had its this that these those for from with when where which who what "
    "how into onto than then them they their there here such very more most other others also but not nor can may will "
    "would could should about after before between within each any all some both neuron neurons activates activation "
    "active fires responds response promotes promoted predicts predicted token tokens word words text texts likely "
    "likelier next context contexts related relating phrases phrase terms term including includes especially often "
    "mostly usually appears appearing used using specific various".split()
)


def form_of(token: str) -> str:
    """The token without its spaces and capitals; of white space alone, the token itself."""
    return token.strip().lower() or token


@lru_cache(maxsize=2**16)
def forms_of(form: str) -> frozenset[str]:
    """The form, its plurals and singulars."""
    return frozenset(word_forms(form)) if form.strip() else frozenset({form})


def same_word(form: str, other: str) -> bool:
    """Whether one is a form of the other."""
    return form == other or form in forms_of(other) or other in forms_of(form)


def grouped(weighted: Iterable[tuple[str, float]]) -> list[str]:
    """The words of tokens, each with a weight, by the sum over their forms; equal ones in the order given.

    A word goes by its form with the largest weight. Characters that are no whole one (bytes of some) are left out.
    """
    total: dict[str, float] = {}
    best: dict[str, tuple[float, str]] = {}
    for token, weight in weighted:
        form = form_of(token)
        if "\ufffd" in form or not form:
            continue
        key = next((known for known in total if same_word(form, known)), form)
        total[key] = total.get(key, 0.0) + weight
        best[key] = max(best.get(key, (0.0, form)), (weight, form), key=lambda pair: pair[0])
    order = sorted(total, key=lambda key: -total[key])
    return [best[key][1] for key in order]


def quoted(form: str) -> str:
    """The form as a sentence names it: in double quotes, controls and whatever turns a line as escapes."""
    text = json.dumps(form, ensure_ascii=False)
    return "".join(one if one.isprintable() else json.dumps(one)[1:-1] for one in text)


def named_in(text: str) -> list[str]:
    """The forms that a sentence names: what stands in double quotes; without any, every word but common ones."""
    found = []
    for part in _QUOTED.findall(text):
        try:
            found.append(form_of(json.loads(part)))
        except ValueError:  # no escape of JSON: as it stands
            found.append(form_of(part[1:-1]))
    if not found:
        found = [word for word in map(str.lower, _WORD.findall(text)) if word not in _COMMON]
    return list(dict.fromkeys(filter(None, found)))


def names_of(forms: Collection[str]) -> frozenset[str]:
    """All forms of the words: a token is named where its own is among them."""
    return frozenset().union(*map(forms_of, forms))


def kind_of(tokens: Collection[str]) -> str:
    """What at least three quarters of the tokens have in common beside a word; '' for nothing worth a remark."""
    scripts = [_script(token) for token in tokens]
    common = max(sorted(set(scripts)), key=scripts.count, default="")
    kinds = {name: sum(map(is_one, tokens)) for name, is_one in _KINDS.items()}
    if common not in ("", "LATIN"):
        kinds = {f"{common.capitalize()} letters": scripts.count(common)} | kinds
    return next((name for name, count in kinds.items() if len(tokens) >= 4 and 4 * count >= 3 * len(tokens)), "")


def _script(token: str) -> str:
    letters = [one for one in token if one.isalpha()]
    return unicodedata.name(letters[0], "").split(" ")[0] if letters else ""


_KINDS = {
    "white space": lambda token: not token.strip(),
    "numbers": lambda token: token.strip().isnumeric(),
    "punctuation": lambda token: bool(token.strip()) and not any(map(str.isalnum, token)),
    "capitalised words": lambda token: token[:1] == " " and token[1:2].isupper(),
    "parts of words": lambda token: token[:1].isalpha() and token.islower(),
}
