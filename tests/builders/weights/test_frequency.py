"""Which source tells how common tokens are, and what it says."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from builders.weights.frequency import counts_in_texts, token_frequency
from tests.synthetic import SPECIAL, make_tokenizer


def plan(tokenizer, ids) -> SimpleNamespace:
    return SimpleNamespace(live=SimpleNamespace(tokenizer=tokenizer), tokens=[(i, f"t{i}") for i in ids])


def trained() -> PreTrainedTokenizerFast:
    """Byte pairs of a text in which `aa` is the most frequent pair, then `aab`; with a special token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.train_from_iterator(["aab " * 50 + "aa " * 40 + "cd " * 10], trainers.BpeTrainer(special_tokens=["<s>"]))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>")


def test_counts_of_texts_come_first():
    found = token_frequency(plan(trained(), [0, 1, 2, 4]), {4: 100, 1: 1, 2: 0, 3: 50})
    assert found.source == "texts"
    assert found.token_S.tolist() == [1, 3]  # places among the tokens 0, 1, 2, 4; what was never seen has no frequency
    np.testing.assert_allclose(found.log_S, np.log([1, 100]))


def test_the_order_of_merges_ranks_what_they_make():
    tokenizer = trained()
    vocabulary = tokenizer.get_vocab()
    ids = sorted(vocabulary.values())
    found = token_frequency(plan(tokenizer, ids))
    assert found.source == "merges"
    said = dict(zip(found.token_S.tolist(), found.log_S.tolist(), strict=True))
    assert {vocabulary["aa"], vocabulary["aab"], vocabulary["cd"]} == said.keys()  # no letter, no special token
    assert said[vocabulary["aa"]] == 0 > said[vocabulary["aab"]] == -np.log(2) > said[vocabulary["cd"]] == -np.log(3)


def test_without_merges_ids_do_special_ones_left_out():
    tokenizer = make_tokenizer()
    ids = [2, 5, 6, 9]
    found = token_frequency(plan(tokenizer, ids))
    assert found.source == "token ids" and tokenizer.convert_ids_to_tokens(2) in SPECIAL
    assert found.token_S.tolist() == [1, 2, 3]
    np.testing.assert_allclose(found.log_S, -np.log([1, 2, 3]))


def test_a_tokenizer_of_no_library():
    slow = SimpleNamespace(all_special_ids=[1])
    assert token_frequency(plan(slow, [0, 1, 2])).token_S.tolist() == [0, 2]


class Texts:
    """Ten tokens for each of a vocabulary of 4, or fewer."""

    has_words = True

    def __init__(self, counts: list[int]) -> None:
        self._counts_V = np.array(counts)
        self.n_counted = sum(counts)

    def token_counts(self, d_vocab: int) -> np.ndarray:
        return np.pad(self._counts_V, (0, d_vocab - len(self._counts_V)))


def building(texts: Texts | None, words: bool = True) -> SimpleNamespace:
    return SimpleNamespace(running_text=texts, live=SimpleNamespace(d_vocab=4), config=SimpleNamespace(words=words))


def test_running_text_counts_if_there_is_enough_and_it_is_not_private():
    assert counts_in_texts(building(Texts([30, 0, 9, 1]))) == {0: 30, 2: 9, 3: 1}
    assert counts_in_texts(building(Texts([30, 0, 9, 0]))) is None
    assert counts_in_texts(building(Texts([30, 0, 9, 1]), words=False)) is None
    assert counts_in_texts(building(None)) is None
