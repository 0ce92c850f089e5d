"""CLIP: two pre-norm towers, of texts and of images, whose states are projected into one space.

A checkpoint has both; an atlas is of one. The text tower reads what a token and those before it say, and the state of
the last token is projected; the image tower's is that of the class token, which stands before the patches.
"""

from __future__ import annotations

from atlas.live.adapters.base import Adapter, Attention, FinalNorm
from atlas.live.adapters.heads import Head
from atlas.live.adapters.shapes import plain_mlp

TEXT, IMAGE = "text_model.encoder.layers.{layer}", "vision_model.encoder.layers.{layer}"


def _attention(block: str) -> Attention:
    inside = f"{block}.self_attn"
    return Attention(
        norm=f"{block}.layer_norm1",
        query=f"{inside}.q_proj",
        key=f"{inside}.k_proj",
        value=f"{inside}.v_proj",
        output=f"{inside}.out_proj",
        heads_field="num_attention_heads",
    )


TOWERS = {
    "text": Adapter(
        **plain_mlp("clip", TEXT, "mlp.fc1", "mlp.fc2"),
        tower="text",
        base="text_model",
        activation_field="hidden_act",
        final_norm=FinalNorm("text_model.final_layer_norm", "layer"),
        attention=_attention(TEXT),
        gguf_names={},
        tokenizers=("CLIPTokenizer",),
        lm_heads=(),
        heads=(
            Head(
                "words",
                ("CLIPTextModelWithProjection",),
                dense="text_projection",
                activation="linear",
                output="text_embeds",
                reads="last",
            ),
            Head("none", ("CLIPTextModel",), output="last_hidden_state"),
        ),
    ),
    "image": Adapter(
        **plain_mlp("clip", IMAGE, "mlp.fc1", "mlp.fc2"),
        tower="image",
        base="vision_model",
        activation_field="hidden_act",
        final_norm=FinalNorm("vision_model.post_layernorm", "layer"),
        attention=_attention(IMAGE),
        gguf_names={},
        tokenizers=("CLIPTokenizer",),
        lm_heads=(),
        image_processors=("CLIPImageProcessorPil", "CLIPImageProcessor"),
        heads=(
            Head(
                "words",
                ("CLIPVisionModelWithProjection",),
                dense="visual_projection",
                activation="linear",
                output="image_embeds",
            ),
        ),
    ),
}
