"""A model that embeds texts: the mean of its last hidden states over the tokens of a text, as a unit vector.

Axes: B texts of a batch, T tokens, D dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor
from transformers import AutoModel

from atlas.errors import ModelError
from atlas.live.quiet import quiet

MOST_TOKENS = 128
"""Of a text; what is longer is cut."""
_AT_ONCE = 64
_FILES = ("config.json", "model.safetensors", "tokenizer.json")


class SentenceModel:
    """The encoder in a folder with config.json, model.safetensors and tokenizer.json.

    Raises ModelError for a folder that lacks them or holds no encoder that transformers knows by itself.
    """

    def __init__(self, folder: Path) -> None:
        lacking = [name for name in _FILES if not (folder / name).is_file()]
        if lacking:
            raise ModelError(f"{folder} has no {lacking[0]}", "Fetch the model anew.")
        try:
            with quiet():
                self._model = AutoModel.from_pretrained(
                    folder, local_files_only=True, use_safetensors=True, trust_remote_code=False, dtype=torch.float32
                ).eval()
            self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception as error:  # of the libraries that read the files, each with its own
            raise ModelError(f"{folder} cannot be loaded: {type(error).__name__}", "Fetch the model anew.") from error
        self._tokenizer.enable_truncation(MOST_TOKENS)
        self._tokenizer.enable_padding()

    def embed(self, texts: Sequence[str]) -> Tensor:
        """Unit vectors [texts, D], float32."""
        parts = []
        for start in range(0, len(texts), _AT_ONCE):
            encoded = self._tokenizer.encode_batch(list(texts[start : start + _AT_ONCE]))
            mask_BT = torch.tensor([each.attention_mask for each in encoded])
            ids_BT = torch.tensor([each.ids for each in encoded])
            with torch.inference_mode():
                hidden_BTD = self._model(input_ids=ids_BT, attention_mask=mask_BT).last_hidden_state
            mean_BD = (hidden_BTD * mask_BT[..., None]).sum(1) / mask_BT.sum(1, keepdim=True).clamp(min=1)
            parts.append(torch.nn.functional.normalize(mean_BD, dim=1))
        return torch.cat(parts)
