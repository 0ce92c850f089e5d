"""The forms under which an English word may stand in a vocabulary: singular and plural, in lower case.

Case and a leading space need no rule: the atlas files every token under its trimmed lower-case text.
"""

from __future__ import annotations

# Words that end like a plural of another word and are none.
_NO_PLURAL = frozenset(
    "always as does gas has his is its james jesus lens news plus series species this thus us was yes".split()
)
_SIBILANTS = ("s", "x", "z", "ch", "sh")
_VOWELS = "aeiou"


def word_forms(word: str) -> list[str]:
    """The word in lower case, then its plurals and singulars: 'City' -> ['city', 'cities'].

    A form that is no word does no harm: no token is filed under it. A few real words must not be taken for
    a plural ('news' of 'new'), and words of fewer than three letters have no other forms.
    """
    base = word.strip().lower()
    forms = [base]
    if len(base) >= 3 and base.isalpha():
        forms += [form for form in (*_plurals(base), *_singulars(base)) if form not in _NO_PLURAL]
    return list(dict.fromkeys(forms))


def _plurals(word: str) -> list[str]:
    if word in _NO_PLURAL:
        return []
    plurals = [word + "es" if word.endswith(_SIBILANTS) else word + "s"]
    if word.endswith("y") and word[-2] not in _VOWELS:
        plurals = [word[:-1] + "ies"]
    if word.endswith("o"):
        plurals.append(word + "es")
    return plurals


def _singulars(word: str) -> list[str]:
    if not word.endswith("s") or word in _NO_PLURAL or word.endswith(("ss", "us", "is", "ics")) or len(word) < 4:
        return []
    singulars = [word[:-1]]
    if word.endswith("ies") and len(word) > 4:
        singulars.append(word[:-3] + "y")
    if word.endswith("es") and word[:-2].endswith((*_SIBILANTS, "o")):
        singulars.append(word[:-2])
    return singulars
