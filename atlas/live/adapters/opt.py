"""OPT: the two matrices of a plain MLP lie in the block itself, and see the tokens of all texts on one axis."""

from __future__ import annotations

from atlas.live.adapters.base import Adapter, FinalNorm, Requirement
from atlas.live.adapters.shapes import plain_mlp

ADAPTER = Adapter(
    **plain_mlp("opt", "model.decoder.layers.{layer}", "fc1", "fc2", mlp=None),
    base="model.decoder",
    flat=True,
    activation_field="activation_function",
    final_norm=FinalNorm("model.decoder.final_layer_norm", "layer"),
    gguf_names={},
    tokenizers=("GPT2Tokenizer",),
    requires=(
        Requirement("do_layer_norm_before", (True,), "every block normalises the stream itself"),
        Requirement("word_embed_proj_dim", (), "a matrix stands between stream and LM head", same_as="hidden_size"),
        Requirement("layer_norm_elementwise_affine", (True,), "its norms have no weights"),
        Requirement("_remove_final_layer_norm", (False,), "no norm stands before the LM head"),
    ),
)
