"""Token texts of the three kinds of tokenizers: words, SentencePiece with byte fallback, byte-level."""

from __future__ import annotations

from types import SimpleNamespace

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from atlas.live.vocabulary import both_ways, vocabulary, vocabulary_of
from tests.synthetic import D_VOCAB, make_tokenizer


def test_padding_rows_never_appear():
    tokenizer = make_tokenizer()
    words = vocabulary(tokenizer, D_VOCAB)
    assert len(words) == len(tokenizer) < D_VOCAB
    assert [token_id for token_id, _ in words] == list(range(len(tokenizer)))
    assert vocabulary(tokenizer, 10) == words[:10]  # nor tokens without a row


def test_a_leading_space_is_part_of_the_text():
    words = {text: token_id for token_id, text in vocabulary(make_tokenizer(), D_VOCAB)}
    assert words[" dog"] != words["dog"]
    assert {" science", "science", ".", "<pad>"} <= words.keys()
    assert "▁dog" not in words


def test_sentencepiece_with_byte_fallback():
    pieces = ["<unk>", "<0x0A>", "<0xE2>", "▁dog", "dog", "▁", "▁▁", "é", "a▁b"]
    tokenizer = Tokenizer(models.BPE({piece: i for i, piece in enumerate(pieces)}, [], byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.add_special_tokens([AddedToken("<begin▁of▁text>", special=True)])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")
    assert fast.decode([3]) == "dog"  # what a plain decode loses
    assert [text for _, text in vocabulary(fast, 99)] == [
        "<unk>",
        "\n",
        "<0xE2>",
        " dog",
        "dog",
        " ",
        "  ",
        "é",
        "a b",
        "<begin▁of▁text>",
    ]


def test_byte_level():
    pieces = ["<|end|>", "Ġdog", "dog", "Ċ", "Ã©", "â", "ĠâĢ", "âĸģ", "Ġ", "."]
    tokenizer = Tokenizer(models.BPE({piece: i for i, piece in enumerate(pieces)}, []))
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>")
    assert [text for _, text in vocabulary(fast, 99)] == [
        "<|end|>",
        " dog",
        "dog",
        "\n",
        "é",
        "â",
        "ĠâĢ",
        "▁",
        " ",
        ".",
    ]


def test_a_model_is_read_once():
    live, another = (SimpleNamespace(model=Model(), tokenizer=make_tokenizer(), d_vocab=D_VOCAB) for _ in range(2))
    found = vocabulary_of(live)
    assert list(found.texts.items()) == vocabulary(live.tokenizer, D_VOCAB)
    assert {token_id: text for text, ids in found.ids.items() for token_id in ids} == found.texts
    assert vocabulary_of(live) is found
    another.d_vocab = 10
    assert list(vocabulary_of(another).texts) == list(range(10))
    live.tokenizer = make_tokenizer(add_bos=True)  # the same model with other words
    assert vocabulary_of(live) is not found


def test_a_text_of_several_tokens():
    assert both_ways([(3, "dog"), (5, "cat"), (7, "dog")]).ids == {"dog": [3, 7], "cat": [5]}


class Model:
    """Stands for a model: what a vocabulary is kept by."""
