"""A model of a real shape with random weights, and a tokenizer and a corpus made of the project's own sentences.

Nothing is downloaded: what a build costs depends on shapes, on the lengths of texts and on nothing else.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

import torch

from atlas.live.quiet import quiet

DATA = Path(__file__).parents[2] / "data" / "concepts"
SHAPES = {
    "llama-3.1-8b": {
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "vocab_size": 128256,
    },
    "tiny": {
        "hidden_size": 64,
        "intermediate_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": 4096,
    },
}
TOKENS = 4000
"""Of the tokenizer: sentences come out about as long as in a large one's tokens, or a little longer."""


def write_model(shape: str | dict[str, int], folder: Path, device: str, dtype: torch.dtype = torch.bfloat16) -> Path:
    """Write a checkpoint of a random Llama, of SHAPES or another; drawn on `device`: faster than on a processor."""
    from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedTokenizerFast

    torch.manual_seed(0)
    config = LlamaConfig(
        **(SHAPES[shape] if isinstance(shape, str) else shape), max_position_embeddings=8192, tie_word_embeddings=False
    )
    with quiet():
        with torch.device(device):
            model = AutoModelForCausalLM.from_config(config, dtype=dtype)
        model.save_pretrained(folder)
        del model
        PreTrainedTokenizerFast(
            tokenizer_object=_tokenizer(), unk_token="<unk>", pad_token="<pad>", bos_token="<s>", eos_token="</s>"
        ).save_pretrained(folder)
    if device.startswith("cuda"):
        torch.cuda.empty_cache()
    return folder


def write_corpus(path: Path, n_concepts: int, per_concept: int) -> Path:
    """Sentences drawn from words of the project's own, a concept's of its words, as long as its sentences are."""
    draw = random.Random(0)
    by_concept: dict[str, list[list[str]]] = {}
    for text, concept in sentences():
        by_concept.setdefault(concept, []).append(text.split())
    with path.open("w", encoding="utf-8") as file:
        for concept, own in list(by_concept.items())[:n_concepts]:
            words = [word for sentence in own for word in sentence]
            for _ in range(per_concept):
                text = " ".join(draw.choices(words, k=len(draw.choice(own))))
                file.write(json.dumps({"text": text, "concept": concept}) + "\n")
    return path


def write_texts(path: Path, n_words: int) -> Path:
    """Running text: the sentences in an order drawn again and again, a hundred to a document."""
    draw = random.Random(1)
    texts = [text for text, _ in sentences()]
    with path.open("w", encoding="utf-8") as file:
        written = 0
        while written < n_words:
            document = " ".join(draw.choices(texts, k=100))
            file.write(json.dumps({"text": document}) + "\n")
            written += len(document.split())
    return path


def sentences() -> list[tuple[str, str]]:
    rows = []
    for name in ("topics", "emotions"):
        lines = (DATA / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        rows += [(row["text"], row["concept"]) for row in map(json.loads, lines)]
    return rows


def _tokenizer():
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<unk>", "<pad>", "<s>", "</s>"]
    trainer = trainers.BpeTrainer(
        vocab_size=TOKENS,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((text for text, _ in sentences()), trainer)
    return tokenizer
