"""Embedders: a tiny sentence model against plain means, and an endpoint that a stub plays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel

from atlas.endpoint import EndpointError, EndpointName
from atlas.errors import ModelError, UnknownNameError, UsageError
from atlas.live.loading import load
from atlas.live.sentence_model import SentenceModel
from atlas.packaged import packaged_model
from builders.embeddings.embedder import AT_ONCE, Remote, check_embedder, embedder_named, name_of
from builders.embeddings.work import embedded_text
from tests.endpoint_stub import Asked, endpoint_stub

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "dog", "cat", "money", "bank"]


def write_sentence_model(folder: Path) -> Path:
    """A random encoder of two layers and 16 dimensions, with its tokenizer."""
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    BertModel(BertConfig(vocab_size=len(WORDS), max_position_embeddings=160, **sizes)).save_pretrained(folder)
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        "[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def test_a_text_is_the_mean_of_its_tokens_whatever_stands_beside_it(tmp_path: Path) -> None:
    folder = write_sentence_model(tmp_path / "m")
    texts = ["dog", "money bank bank cat", "", "dog " * 300, *["cat money"] * 70]
    found = SentenceModel(folder).embed(texts).numpy()
    plain = BertModel.from_pretrained(folder).double().eval()
    for text, vector in list(zip(texts, found, strict=True))[:5]:
        ids = [*[2, *(WORDS.index(word) for word in text.split())][:127], 3]
        with torch.no_grad():
            mean = plain(input_ids=torch.tensor([ids])).last_hidden_state[0].mean(0).numpy()
        np.testing.assert_allclose(vector, mean / np.linalg.norm(mean), atol=1e-5)
    assert found.dtype == np.float32


@pytest.mark.parametrize("lacking", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_folder_that_lacks_a_file(tmp_path: Path, lacking: str) -> None:
    folder = write_sentence_model(tmp_path / "m")
    (folder / lacking).unlink()
    with pytest.raises(ModelError, match=lacking):
        SentenceModel(folder)
    (folder / lacking).write_bytes(b"{}")
    with pytest.raises(ModelError, match="cannot be loaded"):
        SentenceModel(folder)


def of_length(asked: Asked) -> tuple[int, dict[str, str], bytes]:
    """Vectors that tell the length of the texts; in another order than asked."""
    rows = [{"index": i, "embedding": [len(text), 1]} for i, text in enumerate(asked.body["input"])]
    return 200, {}, json.dumps({"data": rows[::-1]}).encode()


def test_an_endpoint_embeds_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    texts = ["x" * (1 + i % 7) for i in range(AT_ONCE + 5)]
    with endpoint_stub(of_length) as stub:
        found = Remote(EndpointName(stub.url, "m")).embed(texts)
    due = np.array([[len(text), 1] for text in texts], float)
    np.testing.assert_allclose(found, due / np.linalg.norm(due, axis=1, keepdims=True), rtol=1e-6)
    assert [(asked.path, len(asked.body["input"])) for asked in stub.asked] == [
        ("/v1/embeddings", AT_ONCE),
        ("/v1/embeddings", 5),
    ]


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        [{"index": 0, "embedding": [1.0]}],
        [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": [1.0, 2.0]}],
        [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": ["a"]}],
        [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": [True]}],
        [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": [0.0]}],
        [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": [1e400]}],
        [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": []}],
        [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": "AAAA"}],
        [{"index": 0}, 5],
        [{"index": [], "embedding": [1.0]}],
    ],
)
def test_what_is_no_embedding_is_met_in_one_line(monkeypatch: pytest.MonkeyPatch, data: Any) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    body = json.dumps({"data": data}).replace("Infinity", "1e400").encode()
    with endpoint_stub(lambda asked: (200, {}, body)) as stub, pytest.raises(EndpointError):
        Remote(EndpointName(stub.url, "m")).embed(["a", "b"])


def test_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert name_of("local:minilm") == "local:minilm" and name_of("openai:https://a.b/v1#m") == "openai:m"
    for text in ("", "minilm", "local:", "openai:", "tokens"):
        with pytest.raises(UsageError):
            check_embedder(text)
    for text in ("local:smollm2-135m", "local:/etc"):  # no embedders that are packaged
        with pytest.raises(UnknownNameError):
            check_embedder(text)
    monkeypatch.setenv("NEURON_ATLAS_DATA", str(tmp_path))
    with pytest.raises(ModelError, match="not on this machine"):
        embedder_named("local:minilm")
    with pytest.raises(ModelError, match="not on this machine"):
        load("minilm")  # it is an encoder too, whose neurons an atlas may be of
    assert packaged_model("minilm").licence == "Apache-2.0"


def test_of_fixed_rules_the_named_words_are_embedded_of_others_the_sentence() -> None:
    assert embedded_text("tokens", 'Its weights read "dog", "cat"; tells topics/animals.') == "dog, cat"
    assert embedded_text("openai:m", 'Pets, as "dog".') == 'Pets, as "dog".'
