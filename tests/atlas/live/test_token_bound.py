"""Long texts, cut without being tokenised whole, against the same bisection over whole tokenisations."""

from __future__ import annotations

import random
import sys
import unicodedata
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from atlas.errors import CorpusError
from atlas.live import batching
from atlas.live.batching import encode
from atlas.live.token_bound import NO_BOUND, token_bound
from tests.synthetic import make_tokenizer

TRAINING = [
    "the dog's hot dog ran 12345 times, naïve café 北京 did not!",
    "  spaces   and\n\nlines\ttabs",
    "aaaaaaaa ab",
] * 3
BYTES = pre_tokenizers.ByteLevel.alphabet()
SIGNS = pre_tokenizers.ByteLevel(add_prefix_space=False)


def bpe(*, unk: bool = False, fuse: bool = False, fallback: bool = False, splitter=None, normalizer=None) -> Tokenizer:
    """A small BPE that is trained on TRAINING, with or without a sign for what it does not know."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>" if unk else None, fuse_unk=fuse, byte_fallback=fallback))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, splitter
    special = (["<unk>"] if unk else []) + ([f"<0x{byte:02X}>" for byte in range(256)] if fallback else [])
    alphabet = BYTES if isinstance(splitter, pre_tokenizers.ByteLevel) else []
    trainer = trainers.BpeTrainer(
        vocab_size=420 + len(special), special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(TRAINING, trainer)
    return tokenizer


def with_added(tokenizer: Tokenizer, *tokens: AddedToken) -> Tokenizer:
    tokenizer.add_special_tokens(list(tokens))
    return tokenizer


def word_piece() -> Tokenizer:
    pieces = ["[UNK]", "dog", "##s", "the", "hot", "a", "##a", "!", "1", "##2"]
    tokenizer = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def unigram() -> Tokenizer:
    pieces = [("<unk>", 0.0), ("▁", -2.0), ("▁the", -3.0), ("dog", -3.0), ("a", -4.0), ("aa", -5.0), ("t", -6.0)]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    return tokenizer


def lacking_bytes() -> Tokenizer:
    """As SmolLM2: some control characters have no token and vanish."""
    vocab = {sign: i for i, sign in enumerate(sign for sign in BYTES if sign not in ("Ą", "Ć"))}
    tokenizer = Tokenizer(models.BPE(vocab, []))
    tokenizer.pre_tokenizer = SIGNS
    return tokenizer


def lacking_a_letter(normalizer) -> Tokenizer:
    """No token for "k", which `normalizer` makes of other signs too."""
    tokenizer = Tokenizer(models.BPE({sign: i for i, sign in enumerate(sign for sign in BYTES if sign != "k")}, []))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, SIGNS
    return tokenizer


def bytes_and_then(normalizer) -> Tokenizer:
    """Continuation bytes as tokens, and a step after the one that writes bytes as signs."""
    tokenizer = Tokenizer(models.BPE({sign: i for i, sign in enumerate(sign for sign in BYTES if sign != "Ã")}, []))
    tokenizer.normalizer = normalizers.Sequence([normalizers.ByteLevel(), normalizer])
    return tokenizer


SENTENCEPIECE = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
KINDS: dict[str, tuple[Callable[[], Tokenizer], str]] = {
    "bytes": (lambda: bpe(splitter=SIGNS), "width"),
    "bytes, composed": (lambda: bpe(splitter=SIGNS, normalizer=normalizers.NFC()), "width"),
    "bytes, stripping": (
        lambda: with_added(bpe(splitter=SIGNS), AddedToken("<mask>", lstrip=True, rstrip=True, normalized=False)),
        "width",
    ),
    "bytes, some lacking": (lacking_bytes, "width"),
    "bytes, a letter lacking": (lambda: lacking_a_letter(None), "width"),
    "bytes, a letter lacking, lowered": (lambda: lacking_a_letter(normalizers.Lowercase()), "nothing"),
    "bytes, a letter lacking, composed": (lambda: lacking_a_letter(normalizers.NFC()), "nothing"),
    "bytes, changed afterwards": (lambda: bytes_and_then(normalizers.Lowercase()), "nothing"),
    "sentencepiece": (lambda: bpe(unk=True, fuse=True, fallback=True, normalizer=SENTENCEPIECE), "width"),
    "characters": (lambda: bpe(unk=True, splitter=pre_tokenizers.Metaspace()), "width"),
    "characters, compatible": (lambda: bpe(unk=True, normalizer=normalizers.NFKC()), "width"),
    "characters, fused": (lambda: bpe(unk=True, fuse=True, splitter=pre_tokenizers.Metaspace()), "words"),
    "characters, dropped": (lambda: bpe(), "nothing"),
    "characters, deleted": (lambda: bpe(unk=True, normalizer=normalizers.Replace("a", "")), "nothing"),
    "characters, rewritten": (lambda: bpe(unk=True, normalizer=normalizers.Replace(Regex("a+"), "a")), "nothing"),
    "characters, removed": (
        lambda: bpe(unk=True, splitter=pre_tokenizers.Split(Regex("[a-z ]+"), "removed")),
        "nothing",
    ),
    "words": (lambda: make_tokenizer().backend_tokenizer, "words"),
    "words with a space": (
        lambda: with_added(make_tokenizer().backend_tokenizer, AddedToken("dog the", normalized=False)),
        "nothing",
    ),
    "word pieces": (word_piece, "words"),
    "unigram": (unigram, "words"),
}

SPACES = [" ", "   ", "\n\n", "\t", " " * 40, "\u3000", "\u200f", "\x04", "\x06" * 9]
WORDS = ["the ", "dog", " hot dog", "aaaa", "a" * 50, "12345", "!?", "x y z ", "Dog's", "the dog the dog ", "x" * 130]
SIGNS_OF_ALL_SORTS = [
    *("é", "e\u0301", "\u1e9b\u0323", "\ufdfa", "北京", "🙂", "\u00a8", "ﬁ", "\u0301" * 12, "\ufffd"),
    *("<mask>", "<unk>", "<s>", "\u212a" * 40, "k" * 9, "í" * 40),
]
PIECES = SPACES + WORDS + SIGNS_OF_ALL_SORTS
TEMPLATES = ["{text}", "{text}\nthis is about", "A text: {text} the ", "<ma{text}sk>", " {text}dog"]


def nasty(draw: random.Random) -> str:
    few = draw.sample(PIECES, draw.choice([1, 2, 4, len(PIECES)]))
    return "".join(draw.choice(few) for _ in range(draw.randrange(5, 150)))


def live_with(backend: Tokenizer) -> SimpleNamespace:
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend)
    return SimpleNamespace(
        tokenizer=tokenizer,
        add_bos=False,
        surrounding=lambda: ([], []),
        max_positions=None,
        d_vocab=10**6,
        model_id="made for the test",
    )


def whole_way(tokenizer: PreTrainedTokenizerFast, text: str, template: str, limit: int) -> list[int]:
    """What cutting means: halve the characters of the text, tokenising all that is left each time."""

    def ids(part: str) -> list[int]:
        return tokenizer(template.replace("{text}", part), add_special_tokens=False)["input_ids"]

    whole = ids(text)
    if len(whole) <= limit:
        return whole
    fits, too_long, best = 0, len(text), ids("")
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        found = ids(text[:middle])
        if len(found) <= limit:
            fits, best = middle, found
        else:
            too_long = middle
    return best


@pytest.mark.parametrize("kind", KINDS)
def test_the_tokens_are_those_of_the_whole_text(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make, reason = KINDS[kind]
    live = live_with(make())
    bound = token_bound(live.tokenizer)
    assert (bound.width is not None, bound.words and bound.width is None) == (reason == "width", reason == "words")
    monkeypatch.setattr(batching, "SHORT", 0)
    draw = random.Random(kind)
    skipped = 0
    for _ in range(120):
        text, template, limit = nasty(draw), draw.choice(TEMPLATES), draw.randrange(1, 12)
        if len(whole_way(live.tokenizer, "", template, 10**9)) > limit:
            continue
        expected = whole_way(live.tokenizer, text, template, limit)
        if not expected:
            continue
        assert encode(live, [text], template, limit).input_ids == [expected], (text, template, limit)
        enough = bound.enough(text, limit)
        if enough is not None:
            skipped += 1
            for length in {enough, (enough + len(text)) // 2, len(text)}:
                assert len(whole_way(live.tokenizer, text[:length], template, 10**9)) > limit
    assert (skipped > 0) == (reason != "nothing")


def test_what_is_said_of_unicode_holds() -> None:
    """Composition, and the characters that are not white space, over every character there is."""
    signs = [chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000]
    assert all(map(str.lower, signs))
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        # In one text, between line feeds, which nothing composes with.
        found = unicodedata.normalize(form, "\n".join(signs)).split("\n")
        line_feed = signs.index("\n")
        found[line_feed : line_feed + 2] = ["\n"]
        assert len(found) == len(signs) and all(found)
        changed = [(sign, other) for sign, other in zip(signs, found, strict=True) if sign != other]
        assert len(changed) > 1000 and all(sign >= "\x80" for sign, _ in changed)
        assert not any(not sign.isspace() and other.isspace() for sign, other in changed)
        assert not any(sign < " " for _, other in changed for sign in other)
        assert form != "NFD" or max(len(other) for _, other in changed) <= 4


def test_only_the_beginning_of_a_long_text_is_tokenised(monkeypatch: pytest.MonkeyPatch) -> None:
    live = live_with(bpe(splitter=SIGNS))
    seen: list[int] = []

    class Counting:
        backend_tokenizer = live.tokenizer.backend_tokenizer

        def __call__(self, prompts: list[str], **options):
            seen.extend(map(len, prompts))
            return live.tokenizer(prompts, **options)

    text = "the dog's hot dog " * 10**6
    found = encode(SimpleNamespace(**{**vars(live), "tokenizer": Counting()}), [text, "dog"], "{text}: the", 32)
    assert found.n_cut == 1 and max(seen) < 10_000
    assert found.input_ids[0] == whole_way(live.tokenizer, text[:20_000], "{text}: the", 32)


def test_a_long_text_that_might_all_be_needed_is_refused() -> None:
    live = live_with(unigram())
    assert encode(live, ["x" * 50_000], "{text}", 32).n_cut == 0  # one sign for all of it
    with pytest.raises(CorpusError, match=r"text 1 \('xxxx.*has 4194305 characters, and this tokenizer may need"):
        encode(live, ["x", "x" * (batching.LONGEST + 1)], "{text}", 32)


def test_nothing_is_claimed_of_a_tokenizer_of_other_making() -> None:
    assert token_bound(SimpleNamespace()) == NO_BOUND
    assert NO_BOUND.enough("a " * 1000, 1) is None
