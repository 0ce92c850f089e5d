"""What a corpus is, and the rules that hold for every input format.

A format module has one function `read(source, columns, split)` that yields Rows; everything else (what
counts as a usable example, the hash, the notes) is here, so that no format can be laxer than another.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from atlas.errors import CorpusError
from builders.corpora.limits import MAX_CONCEPTS, MAX_EXAMPLES, MAX_TEXT, MAX_TOTAL
from builders.corpora.names import listed, quoted, unfit
from builders.corpora.text_hash import is_held_out


class Columns(NamedTuple):
    """Which column holds the text and which the concept."""

    text: str
    concept: str

    def check(self, where: str, present: Iterable[str], hint: str = "") -> None:
        """CorpusError if `present` lacks one of the two, with `hint` as a further one, or has it twice."""
        present = list(present)
        for option, name in (("text", self.text), ("concept", self.concept)):
            if present.count(name) > 1:
                raise CorpusError(f"{where}: two columns are named {name!r}")
            if name not in present:
                raise CorpusError(
                    f"{where}: there is no column {name!r} for the {option}",
                    f"The columns are: {listed(present)}. {hint}",
                )


class Row(NamedTuple):
    """One example as read: `where` is the place to name in an error, such as "topics.jsonl line 3"."""

    where: str
    text: object
    concept: object


@dataclass(frozen=True)
class Corpus:
    """Labelled examples of one family of concepts."""

    family: str
    concepts: list[str]
    """In the order in which they are first seen."""
    texts: list[str]
    """Exactly as in the source: a trailing space can change the last token."""
    labels: list[int]
    """labels[i] is the index in `concepts` of texts[i]."""
    sha256: str
    """Of the examples in order, whatever the format they came in."""
    notes: list[str] = field(default_factory=list)
    """What the user should know but what is no error: duplicates, a limit that was applied."""


def assemble(
    source: str,
    family: str,
    rows: Iterable[Row],
    limit_per_concept: int | None = None,
    seed: int = 0,
    holdout: float = 0.0,
) -> Corpus:
    """Check every row and make the corpus.

    `holdout` leaves out that share of the texts (builders/corpora/text_hash.py); of the rest
    limit_per_concept keeps that many examples of each concept, drawn with `seed`, in their original order.
    Raises CorpusError for a bad row (naming it), no rows, a single concept, or one with a single example.
    """
    examples = list(_bounded(rows))
    if not examples:
        raise CorpusError(f"{source}: there are no examples in it")
    notes = []
    if holdout:
        kept = [example for example in examples if not is_held_out(example[0], holdout)]
        notes.append(f"{len(examples) - len(kept)} of {len(examples)} examples of {family} held out for evaluation")
        if not kept:
            raise CorpusError(f"{source}: nothing is left beside the held-out examples", "Lower --holdout.")
        examples = kept
    if limit_per_concept is not None:
        kept = _draw(examples, limit_per_concept, seed)
        notes.append(
            f"{len(kept)} of {len(examples)} examples used: at most {limit_per_concept} per concept, seed {seed}"
        )
        examples = kept
    sizes = Counter(concept for _, concept in examples)
    if len(sizes) < 2:
        raise CorpusError(
            f"{source}: all examples have the concept {next(iter(sizes))!r}",
            "A range is judged against other concepts, so at least 2 are needed.",
        )
    lone = [concept for concept, size in sizes.items() if size < 2]
    if lone:
        raise CorpusError(
            f"{source}: the concept {lone[0]!r} has a single example",
            "Each concept needs at least 2."
            if len(lone) == 1
            else f"So have {len(lone) - 1} more; each needs 2 at least.",
        )
    concepts = list(sizes)
    index = {concept: i for i, concept in enumerate(concepts)}
    return Corpus(
        family=family,
        concepts=concepts,
        texts=[text for text, _ in examples],
        labels=[index[concept] for _, concept in examples],
        sha256=_digest(examples),
        notes=notes + _oddities(examples),
    )


def _bounded(rows: Iterable[Row]) -> Iterator[tuple[str, str]]:
    """(text, concept) of each row, every one checked, up to what a corpus may hold (limits.py)."""
    total = 0
    concepts: dict[str, str] = {}
    for number, row in enumerate(rows, start=1):
        text = text_of(row)
        total += len(text)
        if number > MAX_EXAMPLES or total > MAX_TOTAL:
            what = f"{MAX_EXAMPLES} examples" if number > MAX_EXAMPLES else f"{MAX_TOTAL} characters of text"
            raise CorpusError(f"{row.where}: more than {what}", "Divide the corpus, or draw fewer examples from it.")
        concept = _concept(row)
        if concept not in concepts:
            if len(concepts) == MAX_CONCEPTS:
                raise CorpusError(f"{row.where}: more than {MAX_CONCEPTS} concepts", "Is this the column of labels?")
            if (why := unfit(concept)) is not None:
                raise CorpusError(f"{row.where}: the concept {quoted(concept)!r} {why}", "Give it a printable name.")
        # One string object for all examples of a concept.
        yield text, concepts.setdefault(concept, concept)


def text_of(row: Row) -> str:
    """The text of a row. Raises CorpusError for one that no model is given: empty, too long, or no text."""
    text = row.text
    if not isinstance(text, str) or not text.strip():
        what = "empty" if text is None or isinstance(text, str) else f"of type {type(text).__name__}"
        raise CorpusError(f"{row.where}: the text is {what}")
    if len(text) > MAX_TEXT:
        raise CorpusError(f"{row.where}: a text of {len(text)} characters; {MAX_TEXT} are taken", "Cut that text.")
    if "\0" in text:
        raise CorpusError(f"{row.where}: a NUL character in the text", "Is the file binary, or UTF-16?")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise CorpusError(f"{row.where}: a lone surrogate is not text") from error
    return text


def _concept(row: Row) -> str:
    """Whole numbers are accepted as names of concepts."""
    concept = str(row.concept) if type(row.concept) is int else row.concept
    if not isinstance(concept, str) or not concept.strip():
        what = "empty" if concept is None or isinstance(concept, str) else f"of type {type(concept).__name__}"
        raise CorpusError(f"{row.where}: the concept is {what}")
    return concept.strip()


def _draw(examples: list[tuple[str, str]], limit: int, seed: int) -> list[tuple[str, str]]:
    rows_of: dict[str, list[int]] = {}
    for i, (_, concept) in enumerate(examples):
        rows_of.setdefault(concept, []).append(i)
    kept: list[int] = []
    for concept, rows in rows_of.items():
        # A generator per concept: adding a concept does not change what is drawn of the others.
        draw = random.Random(f"{seed}/{concept}")
        kept += draw.sample(rows, limit) if len(rows) > limit else rows
    return [examples[i] for i in sorted(kept)]


def _digest(examples: list[tuple[str, str]]) -> str:
    digest = hashlib.sha256()
    for text, concept in examples:
        digest.update(json.dumps([concept, text], ensure_ascii=False).encode() + b"\n")
    return digest.hexdigest()


def _oddities(examples: list[tuple[str, str]]) -> list[str]:
    """Duplicates are counted, not dropped: the statistics are of the corpus as given."""
    notes = []
    repeats = len(examples) - len(set(examples))
    if repeats:
        notes.append(f"examples that repeat an earlier one (same text and concept): {repeats}")
    conflicts = sum(n > 1 for n in Counter(text for text, _ in set(examples)).values())
    if conflicts:
        notes.append(f"texts that stand under more than one concept: {conflicts}")
    padded = sum(text != text.rstrip() for text, _ in examples)
    if padded:
        notes.append(f"texts that end in white space, which can be their last token: {padded}")
    return notes
