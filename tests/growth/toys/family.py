"""DiffLlama: Llama's block with another attention."""

from dataclasses import replace

from atlas.live.adapters.llama import ADAPTER as LLAMA

ADAPTER = replace(LLAMA, family="diffllama", gguf_names={})
