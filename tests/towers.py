"""A tiny random CLIP checkpoint with its tokenizer and image processor, and folders of generated images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import CLIPConfig, CLIPModel, PreTrainedTokenizerFast
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from atlas.live.quiet import quiet
from tests.synthetic import BARE, PUNCTUATION, WORDS, randomise

D_VOCAB = 112
WORD_LIST = ("dog", "cat", "science", "The dog", "text")
LAYERS, TEXT_WIDTH, IMAGE_WIDTH, SPACE = 3, 16, 20, 12
SIDE, PATCH = 24, 8
GRID = SIDE // PATCH

_TEXT = {
    "vocab_size": D_VOCAB,
    "hidden_size": TEXT_WIDTH,
    "intermediate_size": 24,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "max_position_embeddings": 20,
    "hidden_act": "quick_gelu",
    "bos_token_id": 1,
    "eos_token_id": D_VOCAB - 1,
    "pad_token_id": 0,
}
_IMAGE = {
    "hidden_size": IMAGE_WIDTH,
    "intermediate_size": 28,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 5,
    "image_size": SIDE,
    "patch_size": PATCH,
    "hidden_act": "quick_gelu",
}


def make_clip(folder: str | Path, *, seed: int = 0, text: dict[str, Any] | None = None) -> Path:
    """Write a random checkpoint of both towers into `folder`; returns it."""
    config = CLIPConfig(text_config={**_TEXT, **(text or {})}, vision_config=dict(_IMAGE), projection_dim=SPACE)
    model = CLIPModel(config)
    randomise(model, seed)
    folder = Path(folder)
    with quiet():
        model.save_pretrained(folder)
        make_tokenizer().save_pretrained(folder)
        sizes = {"size": {"shortest_edge": SIDE}, "crop_size": {"height": SIDE, "width": SIDE}}
        CLIPImageProcessorPil(**sizes).save_pretrained(folder)
    return folder


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Whole words between <start> and <end>, whose number is the largest of all, as in CLIP's own."""
    pieces = ["[PAD]", "<start>", "[UNK]", *PUNCTUATION, *BARE, *("▁" + word for word in dict.fromkeys(WORDS))]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    assert len(vocabulary) == len(pieces) < D_VOCAB
    vocabulary["<end>"] = D_VOCAB - 1
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(prepend_scheme="never"), pre_tokenizers.Punctuation()]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        "<start> $A <end>", special_tokens=[("<start>", 1), ("<end>", D_VOCAB - 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]", bos_token="<start>", eos_token="<end>"
    )


def write_words(path: Path, words: tuple[str, ...] = WORD_LIST) -> Path:
    """A file of words, one a line."""
    path.write_text("".join(f"{word}\n" for word in words), encoding="utf-8")
    return path


def write_image(path: Path, seed: int, size: tuple[int, int] = (SIDE, SIDE)) -> Path:
    """An image of random pixels (PNG, or whatever the suffix says)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels, "RGB").save(path)
    return path


def plain_model(folder: Path) -> CLIPModel:
    """The checkpoint by transformers alone, in float64."""
    with quiet():
        return CLIPModel.from_pretrained(folder).double().eval()


def plain_pixels(folder: Path, files: list[Path]) -> torch.Tensor:
    """[images, 3, side, side] float64, by transformers' own image processor."""
    processor = CLIPImageProcessorPil.from_pretrained(folder)
    images = [Image.open(file).convert("RGB") for file in files]
    return processor(images, return_tensors="pt")["pixel_values"].double()
