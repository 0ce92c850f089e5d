"""The words that neurons of a tower are decoded to: a file of the user's, one word or phrase a line."""

from __future__ import annotations

from pathlib import Path

from atlas.errors import CorpusError
from builders.corpora.lines import lines
from builders.corpora.names import quoted, unfit

MOST = 100_000


def read_words(file: str) -> list[str]:
    """The words in their order, white space around them removed; empty lines are left out.

    Raises CorpusError for a file that cannot be read or has no words, and for a word that is there twice, cannot be
    shown, or is one too many.
    """
    path = Path(file)
    seen: dict[str, int] = {}
    for number, line in enumerate(lines(path, "\n"), start=1):
        word = line.strip()
        if not word:
            continue
        if word in seen:
            raise CorpusError(f"{file} line {number}: {quoted(word)!r} stands in line {seen[word]} too", "Remove one.")
        if (why := unfit(word)) is not None:
            raise CorpusError(f"{file} line {number}: the word {quoted(word)!r} {why}", "Remove it.")
        if len(seen) == MOST:
            raise CorpusError(f"{file} line {number}: more than {MOST} words", "Name fewer.")
        seen[word] = number
    if not seen:
        raise CorpusError(f"{file}: there are no words in it", "Write one a line.")
    return list(seen)
