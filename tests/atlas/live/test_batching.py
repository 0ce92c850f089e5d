"""Templates, truncation that keeps the template's end, and batches of bounded size."""

from __future__ import annotations

import pytest

from atlas.errors import CorpusError, UsageError
from atlas.live.batching import batches, encode
from atlas.live.loading import load
from tests.synthetic import make_model

TEMPLATE = "{text} is about"
LONG = "The dog runs and the cat was sad in Paris"


@pytest.fixture
def live(live_of):
    return live_of("llama")


def words(live, ids):
    return "".join(live.tokenizer.convert_ids_to_tokens(ids)).replace("▁", " ")


def test_the_template_surrounds_the_text(live):
    encoded = encode(live, ["The dog", "science"], TEMPLATE, 20)
    assert [words(live, ids) for ids in encoded.input_ids] == ["The dog is about", "science is about"]
    assert encoded.n_cut == 0
    assert encode(live, [], TEMPLATE, 20) == ([], 0)


def test_braces_elsewhere_in_template_and_text_are_plain_characters(live):
    [ids] = encode(live, ["The dog {0}"], "{} {text}.", 20).input_ids
    assert words(live, ids).endswith(".")


def test_cutting_takes_the_end_of_the_text_and_keeps_the_template(live):
    encoded = encode(live, [LONG, "The dog"], TEMPLATE, 6)
    assert words(live, encoded.input_ids[0]) == "The dog runs and is about"
    assert words(live, encoded.input_ids[1]) == "The dog is about"
    assert encoded.n_cut == 1
    assert max(map(len, encoded.input_ids)) <= 6


def test_what_remains_is_the_longest_start_that_fits(live):
    for limit in range(3, 13):
        [ids] = encode(live, [LONG], TEMPLATE, limit).input_ids
        assert len(ids) == min(limit, 12)


def test_the_models_own_limit_holds(live):
    [ids] = encode(live, ["dog " * 200], TEMPLATE, 1000).input_ids
    assert len(ids) == live.max_positions == 64


def test_the_beginning_of_sequence_token_comes_where_the_tokenizer_puts_it(live, tmp_path):
    with_bos = load(str(make_model("llama", tmp_path, add_bos=True)), device="cpu")
    assert (live.add_bos, with_bos.add_bos) == (False, True)
    [ids] = encode(with_bos, ["The dog"], TEMPLATE, 20).input_ids
    assert ids == with_bos.tokenizer("The dog is about")["input_ids"]
    assert ids[0] == with_bos.tokenizer.bos_token_id
    [ids] = encode(with_bos, [LONG], TEMPLATE, 5).input_ids
    assert words(with_bos, ids) == "<s>The dog is about"


def test_templates_and_texts_that_cannot_work(live):
    for template in ("no place", "{text} and {text}"):
        with pytest.raises(UsageError, match="exactly once"):
            encode(live, ["a"], template, 20)
    with pytest.raises(UsageError, match="template alone is longer than 1 tokens"):
        encode(live, ["a"], TEMPLATE, 1)
    with pytest.raises(CorpusError, match="text 1 has no tokens"):
        encode(live, ["a", ""], "{text}", 20)


def test_a_token_without_an_embedding_is_refused_before_the_model_runs(tmp_path):
    live = load(str(make_model("gpt2", tmp_path)), device="cpu")
    live.tokenizer.add_tokens([f"<extra{i}>" for i in range(60)])
    with pytest.raises(CorpusError, match="no embedding"):
        encode(live, ["The <extra59>"], "{text}", 20)


def test_batches_cover_everything_once_within_the_bound():
    encoded = [[9] * length for length in (3, 7, 1, 7, 2, 5, 3, 1, 1, 4)]
    seen = []
    lengths = []
    for batch in batches(encoded, 8):
        assert batch.input_ids.shape == batch.attention_mask.shape
        assert batch.input_ids.numel() <= 8
        for index, ids, mask in zip(batch.indices, batch.input_ids, batch.attention_mask, strict=True):
            assert ids[mask.bool()].tolist() == encoded[index]
            assert mask.tolist() == sorted(mask.tolist(), reverse=True)
            lengths.append(len(encoded[index]))
        seen += batch.indices
    assert sorted(seen) == list(range(10))
    assert lengths == sorted(lengths, reverse=True)
    assert seen == [1, 3, 5, 9, 0, 6, 4, 2, 7, 8]


def test_batches_are_the_same_each_time_and_refuse_what_cannot_fit():
    encoded = [[1] * (1 + i % 5) for i in range(50)]
    assert [b.indices for b in batches(encoded, 16)] == [b.indices for b in batches(encoded, 16)]
    assert list(batches([], 16)) == []
    with pytest.raises(UsageError, match="5 tokens does not fit into a batch of 4"):
        list(batches(encoded, 4))
