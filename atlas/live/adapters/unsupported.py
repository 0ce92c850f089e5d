"""Model types that no adapter can describe as adapters are now, and what is in the way: a reason instead of a guess."""

from __future__ import annotations

RECURRENT = (
    "some layers keep a state in place of keys and values, and passes that begin at a cache are not proven for these"
)
STREAM = "every block normalises or rescales the stream itself, so what a neuron adds does not stay what it was"
SUB_NORM = "a norm over all neurons stands between their activations and the writing matrix"
STREAMS = "its blocks read and write several streams side by side"
AGAIN = "its blocks run several times in one pass, so a neuron has no one activation"
HEAD = "its LM head transforms the stream before it is decoded"
ENCODER = "it is one half of a model that translates or describes, and reads what the other half made"

_BY_REASON: dict[str, str] = {
    RECURRENT: """bailing_hybrid bamba falcon_h1 falcon_mamba granitemoehybrid jamba kimi_linear lara_mini lfm2 lfm2_moe
        lfm3 mamba mamba2 nemotron_h olmo_hybrid qwen3_5 qwen3_5_text qwen3_next recurrent_gemma rwkv xlstm zamba
        zamba2""",
    STREAM: "beam doge gemma4 gemma4_text gemma4_unified gemma4_unified_text openai-gpt",
    SUB_NORM: "bitnet dory",
    STREAMS: "gemma3n gemma3n_text",
    AGAIN: "hrm_text reformer",
    HEAD: "modernbert-decoder",
    ENCODER: """bart bigbird_pegasus blenderbot blenderbot-small git marian mbart mllama musicgen musicgen_melody mvp
        pegasus plbart prophetnet trocr whisper""",
}

# model type -> reason
UNSUPPORTED: dict[str, str] = {name: reason for reason, names in _BY_REASON.items() for name in names.split()}
