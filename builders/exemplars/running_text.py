"""Running text as the model reads it: the tokens of all documents, cut into texts, in a file without a name.

Axes: X texts, E tokens of all of them.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from atlas.errors import CorpusError, UsageError
from builders.exemplars.documents import Piece, pieces
from builders.exemplars.draws import drawn_tokens

if TYPE_CHECKING:
    from atlas.live.model import LiveModel
    from builders.config import BuildConfig

_AT_ONCE = 1 << 20
"""Characters that are tokenised together."""
SHARD_TOKENS, MOST_SHARDS = 1 << 16, 256
"""A unit of work has so many tokens, or more where there would be too many units."""
LEAST_TOKENS, SHARDS = 1 << 13, 4
"""Of a short text it has fewer, but so many, so that there are units for workers to share. No more of them: each ends
with a batch that is not full, and four cost a twentieth more time than one."""
SAMPLED_TOKENS = 1 << 16
"""Tokens that quantiles and histograms are of, about; of fewer, all."""
COMPARED_TOKENS = 512
"""Tokens that correlations of neurons are of, about, a part of these."""


def shard_tokens(total: int) -> int:
    """How many tokens a unit of work has, to within a text, of a running text of so many."""
    some = min(SHARD_TOKENS, max(LEAST_TOKENS, -(-total // SHARDS)))
    return max(some, -(-total // MOST_SHARDS))


@dataclass(frozen=True, eq=False)
class RunningText:
    """`tokens_E`: int32, text after text; text x is from offsets_X[x] to offsets_X[x + 1]. Special tokens are in it.

    `documents_X`, `starts_X`: which document of its source a text is of, and how many tokens of it came before.
    `special_V`: which ids do not count.
    """

    tokens_E: np.ndarray
    offsets_X: np.ndarray
    sources: tuple[str, ...]
    source_X: np.ndarray
    documents_X: np.ndarray
    starts_X: np.ndarray
    special_V: np.ndarray
    max_tokens: int
    first_token: int
    seed: int
    sha256: str

    has_words = True
    """Whether its tokens stand for words."""

    def said(self, config: BuildConfig) -> dict[str, Any]:
        """What it is, among the parameters of a run."""
        return {"texts": list(self.sources)}

    def __len__(self) -> int:
        return len(self.documents_X)

    def tokens(self, text: int) -> np.ndarray:
        """The ids of one text."""
        return np.asarray(self.tokens_E[self.offsets_X[text] : self.offsets_X[text + 1]])

    def counted(self, text: int) -> np.ndarray:
        """Which of its tokens count: bool [T]."""
        return ~self.special_V[self.tokens(text)]

    @cached_property
    def n_counted(self) -> int:
        """Tokens that count."""
        return sum(int(np.count_nonzero(~self.special_V[part])) for part in self._parts())

    def drawn(self, text: int) -> np.ndarray:
        """Which of its tokens are among those that quantiles are of: bool [T]."""
        return self._drawn(text, SAMPLED_TOKENS)

    def compared(self, text: int) -> np.ndarray:
        """Which of its tokens are among those that correlations are of: bool [T]."""
        return self._drawn(text, COMPARED_TOKENS)

    @cached_property
    def n_drawn(self) -> int:
        """How many tokens quantiles are of."""
        if self.n_counted <= SAMPLED_TOKENS:
            return self.n_counted
        return sum(int(np.count_nonzero(self.drawn(text))) for text in range(len(self)))

    @cached_property
    def n_compared(self) -> int:
        """How many tokens correlations are of."""
        if self.n_counted <= COMPARED_TOKENS:
            return self.n_counted
        return sum(int(np.count_nonzero(self.compared(text))) for text in range(len(self)))

    def _drawn(self, text: int, tokens: int) -> np.ndarray:
        """About so many of all tokens that count; those of a smaller number are among those of a larger one."""
        counted_T = self.counted(text)
        share = min(1.0, tokens / self.n_counted)
        return counted_T & drawn_tokens(np.full(len(counted_T), text), np.arange(len(counted_T)), self.seed, share)

    def token_counts(self, d_vocab: int) -> np.ndarray:
        """How often each token stands in it, special ones never: int64 [V]."""
        counts_V = np.zeros(d_vocab, np.int64)
        for part in self._parts():
            counts_V += np.bincount(part, minlength=d_vocab)
        counts_V[: len(self.special_V)][self.special_V] = 0
        return counts_V

    @cached_property
    def shards(self) -> list[range]:
        """Contiguous texts: the units of work. They follow from the texts alone."""
        shard_X = self.offsets_X[:-1] // shard_tokens(len(self.tokens_E))
        starts = np.flatnonzero(np.diff(shard_X, prepend=-1)).tolist()
        return [range(start, end) for start, end in zip(starts, [*starts[1:], len(self)], strict=True)]

    def _parts(self) -> Iterator[np.ndarray]:
        for start in range(0, len(self.tokens_E), 1 << 20):
            yield np.asarray(self.tokens_E[start : start + (1 << 20)])


def read_running_text(config: BuildConfig, live: LiveModel) -> RunningText | None:
    """The running text of a build; None where it has none. Raises CorpusError, UsageError or ModelError."""
    if not config.texts:
        return None
    from atlas.live.token_roles import special_ids

    max_tokens = min(config.context_length, live.max_positions or config.context_length)
    if config.batch_tokens < max_tokens:
        raise UsageError(
            f"a text of {max_tokens} tokens does not fit into a batch of {config.batch_tokens}",
            "Raise --batch-tokens or lower --context-length.",
        )
    special_V = np.zeros(live.d_vocab, bool)
    special_V[[each for each in special_ids(live.tokenizer) if each < live.d_vocab]] = True
    first, last = live.surrounding()
    # Without a name: nothing of it stays, whatever happens.
    file = tempfile.TemporaryFile(dir=config.target.parent)
    digest, total = hashlib.sha256(), 0
    said: list[tuple[int, str, int, int]] = []
    for piece, start, ids in _texts(_tokenised(live, _pieces(config)), max_tokens - len(first) - len(last)):
        tokens = np.asarray([*first, *ids, *last], "<i4")
        if special_V[tokens].all():
            continue
        if config.max_tokens_total is not None and total + len(tokens) > config.max_tokens_total:
            break
        file.write(tokens.tobytes())
        digest.update(tokens.tobytes())
        total += len(tokens)
        said.append((len(tokens), piece.source, piece.number, start))
    if not said:
        raise CorpusError(f"{', '.join(config.texts)}: there is no text in it", "Or --max-tokens-total is too small.")
    if len(said) >= 2**31:
        raise CorpusError(f"more than {2**31 - 1} texts", "Lower --max-tokens-total.")
    file.flush()
    lengths, sources, documents, starts = zip(*said, strict=True)
    names = tuple(dict.fromkeys(sources))
    index = {name: place for place, name in enumerate(names)}
    return RunningText(
        np.memmap(file, "<i4", "r"),
        np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]),
        names,
        np.fromiter((index[name] for name in sources), np.int32, len(said)),
        np.asarray(documents, np.int64),
        np.asarray(starts, np.int64),
        special_V,
        max_tokens,
        len(first),
        config.seed,
        digest.hexdigest(),
    )


def _pieces(config: BuildConfig) -> Iterator[Piece]:
    """Those of all sources, whose names must differ: a text is found again by the name."""
    taken: dict[str, str] = {}
    options = config.corpus_options
    for source in config.texts:
        for piece in pieces(source, options.get("text_column", "text"), options.get("split")):
            if taken.setdefault(piece.source, source) != source:
                raise UsageError(f"two texts are called {piece.source}", "Rename one of the files.")
            yield piece


def _tokenised(live: LiveModel, found: Iterable[Piece]) -> Iterator[tuple[Piece, list[int]]]:
    """Each piece with its tokens, as many at a time as the tokenizer does well. CorpusError for an id without row."""
    from atlas.live.token_ids import token_ids

    held: list[Piece] = []
    size = 0

    def ids() -> Iterator[tuple[Piece, list[int]]]:
        for piece, tokens in zip(held, token_ids(live, [piece.text for piece in held]), strict=True):
            if tokens and max(tokens) >= live.d_vocab:
                raise CorpusError(
                    f"document {piece.number} of {piece.source} has token {max(tokens)}, which {live.model_id} has no "
                    "embedding for",
                    "Remove that special token from the text.",
                )
            yield piece, tokens

    for piece in found:
        held.append(piece)
        size += len(piece.text)
        if size >= _AT_ONCE:
            yield from ids()
            held, size = [], 0
    if held:
        yield from ids()


def _texts(found: Iterable[tuple[Piece, list[int]]], length: int) -> Iterator[tuple[Piece, int, list[int]]]:
    """(a piece of its document, tokens of it that came before, tokens): documents cut to at most `length` tokens."""
    if length < 1:
        raise UsageError("a text needs a token beside the first special one", "Raise --context-length.")
    last: Piece | None = None
    held: list[int] = []
    start = 0
    for piece, tokens in found:
        if last is not None and (piece.source, piece.number) != (last.source, last.number):
            if held:
                yield last, start, held
            held, start = [], 0
        last = piece
        held = held + tokens
        while len(held) > length:
            yield piece, start, held[:length]
            held, start = held[length:], start + length
    if last is not None and held:
        yield last, start, held
