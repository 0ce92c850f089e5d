"""Which tokens are pooled, against the characters that the pieces of a prompt spell."""

from __future__ import annotations

import random
from types import SimpleNamespace

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from atlas.errors import CorpusError, ModelError, UnknownNameError
from atlas.live.batching import batches, counted_mask, encode, encode_counted
from atlas.live.loading import load
from atlas.live.token_roles import special_ids
from tests.synthetic import make_model


def byte_level(*, add_bos: bool = False) -> SimpleNamespace:
    """A live model of nothing but a byte-level tokenizer, whose post-processing trims offsets as GPT-2's does."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=340, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(["a hot dog  and the dog's cat\n\nThe text: it is about"] * 5, trainer)
    tokenizer.add_special_tokens([AddedToken("<s>", normalized=False), AddedToken("<end>", normalized=False)])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="<end>")
    around = [fast.bos_token_id] if add_bos else []
    return SimpleNamespace(
        tokenizer=fast,
        add_bos=add_bos,
        surrounding=lambda: (around, []),
        max_positions=None,
        d_vocab=1000,
        model_id="made",
    )


def spelled(live, ids: list[int], before: str, text: str) -> list[bool]:
    """Whether each token holds a byte of the text, by counting bytes of pieces; special tokens do not."""
    sign = {s: b for b, s in enumerate_byte_signs()}
    first, last = len(before.encode()), len((before + text).encode())
    at, found = 0, []
    for number, token in enumerate(live.tokenizer.convert_ids_to_tokens(ids)):
        special = token in ("<s>", "<end>")
        added = live.add_bos and number == 0
        length = 0 if added else len(token.encode()) if special else sum(1 for c in token if c in sign)
        # A character whose bytes are several tokens belongs to each of them, and the seam is never within one.
        found.append(not special and at < last and at + length > first)
        at += length
    return found


def enumerate_byte_signs():
    plain = [b for b in range(256) if 0x21 <= b <= 0x7E or 0xA1 <= b <= 0xAC or b >= 0xAE]
    others = [b for b in range(256) if b not in plain]
    return [(b, chr(b)) for b in plain] + [(b, chr(256 + i)) for i, b in enumerate(others)]


@pytest.mark.parametrize("add_bos", [False, True])
def test_tokens_of_the_text_are_those_that_hold_a_byte_of_it(add_bos: bool) -> None:
    live = byte_level(add_bos=add_bos)
    draw = random.Random(4)
    pieces = ["a", " hot", " dog", "dog ", "\n", "\n\n", "  ", "é", "🙂", "北", "'s", "<end>", "<s>", "The", " "]
    templates = ["{text}", "Q:{text}\nit is about", "  {text}  ", "The {text}dog", "<s>{text}<end>", "hot{text}'s"]
    for _ in range(300):
        text = "".join(draw.choice(pieces) for _ in range(draw.randrange(1, 12))) + "x"
        template = draw.choice(templates)
        limit = draw.choice([40, 200])
        encoded, counted = encode_counted(live, [text], template, limit, "text")
        assert encoded == encode(live, [text], template, limit)
        before, _ = template.split("{text}")
        if encoded.n_cut == 0:
            assert counted == [spelled(live, encoded.input_ids[0], before, text)], (text, template)
        _, whole = encode_counted(live, [text], template, limit, "prompt")
        tokens = live.tokenizer.convert_ids_to_tokens(encoded.input_ids[0])
        assert whole == [[token not in ("<s>", "<end>") for token in tokens]]


def test_a_cut_text_ends_where_it_was_cut() -> None:
    live = byte_level()
    [ids], [counted] = (found[0] if isinstance(found, tuple) else found for found in
                        encode_counted(live, ["dog " * 50], "hot {text}: it is", 12, "text"))  # fmt: skip
    assert len(ids) == len(counted) <= 12
    alone = live.tokenizer("hot ", add_special_tokens=False)["input_ids"]
    tail = live.tokenizer(": it is", add_special_tokens=False)["input_ids"]
    assert not any(counted[-len(tail) + 1 :]) and counted[len(alone)]


def test_a_word_tokenizer(tmp_path) -> None:
    live = load(str(make_model("llama", tmp_path, add_bos=True)), device="cpu")
    prompts = ["The dog runs", "dog </s> zebra"]
    encoded, counted = encode_counted(live, prompts, "my {text} is about", 20, "text")
    tokens = [live.tokenizer.convert_ids_to_tokens(ids) for ids in encoded.input_ids]
    chosen = [[t for t, c in zip(row, keep, strict=True) if c] for row, keep in zip(tokens, counted, strict=True)]
    # An unknown word (here also the lone space after </s>) is part of the text; a special token written in it is not.
    assert chosen == [["▁The", "▁dog", "▁runs"], ["▁dog", "<unk>", "<unk>"]]
    _, whole = encode_counted(live, prompts, "my {text} is about", 20, "prompt")
    assert [row[0] for row in whole] == [False, False] and all(all(row[1:]) for row in whole[:1])
    [batch] = batches(encoded.input_ids, 100)
    mask = counted_mask(batch, counted)
    for row, index in enumerate(batch.indices):
        assert mask[row].tolist() == counted[index] + [False] * (mask.shape[1] - len(counted[index]))


def test_special_tokens_are_marks_and_not_the_unknown_word() -> None:
    live = byte_level()
    assert special_ids(live.tokenizer) == {live.tokenizer.bos_token_id, live.tokenizer.eos_token_id}
    gpt2 = PreTrainedTokenizerFast(
        tokenizer_object=live.tokenizer.backend_tokenizer, unk_token="<end>", bos_token="<end>", eos_token="<end>"
    )
    assert gpt2.unk_token_id in special_ids(gpt2)


def test_a_text_of_special_tokens_alone_is_refused() -> None:
    live = byte_level(add_bos=True)
    for template, pool in (("{text}", "prompt"), ("a hot {text}", "text")):
        with pytest.raises(CorpusError, match=r"text 1 \('<end><s>'\) has no token that counts"):
            encode_counted(live, ["dog", "<end><s>"], template, 20, pool)
    assert encode_counted(live, ["<end>"], "a hot {text}", 20, "prompt")[1][0].count(True) > 0


def test_what_cannot_be_told_is_refused() -> None:
    live = byte_level()
    with pytest.raises(UnknownNameError, match="pool"):
        encode_counted(live, ["dog"], "{text}", 20, "sentence")

    class WithoutParts:
        def __init__(self):
            self.added_tokens_decoder = {}

        def __call__(self, prompts, **options):
            return live.tokenizer(prompts, **options)

    bare = SimpleNamespace(**{**vars(live), "tokenizer": WithoutParts()})
    assert all(encode_counted(bare, ["dog"], "{text}", 20, "prompt")[1][0])
    with pytest.raises(ModelError, match="does not say which characters"):
        encode_counted(bare, ["dog"], "{text}", 20, "text")
