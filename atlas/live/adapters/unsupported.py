"""Model types that no adapter can describe as adapters are now, and what is in the way: a reason instead of a guess."""

from __future__ import annotations

NO_MLP = "its blocks, or most of them, have no MLP and so no neurons"
NO_LENGTH = "its cache does not tell how many tokens it holds, which edits of generated tokens need"
CONVERTED = "on loading its tensors are split in a way that is not read here"
UNPROVEN = "it has recurrent layers whose passes are not proven here"
GATED_AGAIN = "what its MLP writes is multiplied by a gate of the tokens before"
SHARED_MLP = "one MLP is run after several of its layers, so a neuron has no one activation"
STREAM = "every block normalises or rescales the stream itself, so what a neuron adds does not stay what it was"
SUB_NORM = "a norm over all neurons stands between their activations and the writing matrix"
STREAMS = "its blocks read and write several streams side by side"
AGAIN = "its blocks run several times in one pass, so a neuron has no one activation"
HEAD = "its LM head transforms the stream before it is decoded"
IMAGES = "transformers runs it with images only; its language model alone, llama4_text, has an adapter"
ENCODER = "it is one half of a model that translates or describes, and reads what the other half made"
ONE_TOWER = "it is one tower of CLIP alone, and words are embedded by the other: use the whole checkpoint, type clip"
OTHER_TOWERS = "of models with towers of texts and images CLIP alone has an adapter"
SEES_ONLY = "it sees images and has no space that words are in"

_BY_REASON: dict[str, str] = {
    NO_MLP: "falcon_mamba mamba mamba2 nemotron_h xlstm",
    NO_LENGTH: "recurrent_gemma",
    CONVERTED: "lara_mini",
    UNPROVEN: "bailing_hybrid kimi_linear",
    GATED_AGAIN: "rwkv",
    SHARED_MLP: "zamba zamba2",
    STREAM: "beam doge gemma4 gemma4_text gemma4_unified gemma4_unified_text openai-gpt",
    SUB_NORM: "bitnet dory",
    STREAMS: "gemma3n gemma3n_text",
    AGAIN: "hrm_text reformer",
    HEAD: "modernbert-decoder",
    IMAGES: "llama4",
    ONE_TOWER: "clip_text_model clip_vision_model",
    OTHER_TOWERS: """align altclip blip blip-2 bridgetower chinese_clip clipseg clvp flava groupvit metaclip_2
        mobileclip owlv2 owlvit siglip siglip2 siglip_text_model siglip_vision_model vision-text-dual-encoder xclip""",
    SEES_ONLY: "beit convnext convnextv2 deit dinov2 dinov3_convnext dinov3_vit ijepa resnet swin vit vit_mae vit_msn",
    ENCODER: """bart bigbird_pegasus blenderbot blenderbot-small git marian mbart mllama musicgen musicgen_melody mvp
        pegasus plbart prophetnet trocr whisper""",
}

# model type -> reason
UNSUPPORTED: dict[str, str] = {name: reason for reason, names in _BY_REASON.items() for name in names.split()}
