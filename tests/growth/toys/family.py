"""StableLM: Llama's block with LayerNorm."""

from dataclasses import replace

from atlas.live.adapters.base import FinalNorm
from atlas.live.adapters.llama import ADAPTER as LLAMA

ADAPTER = replace(
    LLAMA, family="stablelm", final_norm=FinalNorm("model.norm", "layer"), gguf_names={"stablelm": "stablelm"}
)
