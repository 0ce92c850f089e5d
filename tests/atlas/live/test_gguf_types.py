"""Every type that GGUF files hold weights in: read as llama.cpp's own library dequantises it, or refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("gguf")
pytest.importorskip("accelerate")

import gguf

from atlas.errors import ModelError
from atlas.live.loading import load

WIDTH, MLP = 256, 32  # whole blocks of every type
READ = """F32 F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K Q4_K Q5_K Q6_K IQ1_S IQ1_M IQ2_XXS IQ2_XS IQ2_S IQ3_XXS IQ3_S
IQ4_NL IQ4_XS TQ1_0 TQ2_0 MXFP4 NVFP4""".split()


def blocks(kind: str, draw: np.random.Generator) -> np.ndarray:
    """[MLP, bytes] of a random matrix in a type: bytes below 60, so that no half-precision scale in them is large."""
    per_block, n_bytes = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[kind]]
    plain = {"F32": np.float32, "F16": np.float16}
    if kind in plain:
        return draw.normal(0, 0.3, (MLP, WIDTH)).astype(plain[kind])
    return draw.integers(0, 60, (MLP, WIDTH // per_block * n_bytes)).astype(np.uint8)


def write(path: Path, kinds: list[str]) -> dict[str, np.ndarray]:
    """A Llama whose up_proj of each layer is of another type; the matrices that they hold, float32."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    draw = np.random.default_rng(0)
    tokens = [*bytes_to_unicode().values(), "th", "<s>", "</s>"]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(len(kinds))
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(MLP)
    writer.add_head_count(4)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10_000.0)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_types([1] * (len(tokens) - 2) + [3, 3])
    writer.add_token_merges(["t h"])
    writer.add_bos_token_id(len(tokens) - 2)
    writer.add_eos_token_id(len(tokens) - 1)

    def plain(name: str, *shape: int) -> None:
        values = draw.normal(0, 0.06, shape) + (1 if name.endswith("norm") else 0)
        writer.add_tensor(f"{name}.weight", values.astype(np.float32))

    plain("token_embd", len(tokens), WIDTH)
    plain("output_norm", WIDTH)
    held = {}
    for layer, kind in enumerate(kinds):
        for name, rows in {"attn_q": WIDTH, "attn_k": WIDTH // 4, "attn_v": WIDTH // 4, "attn_output": WIDTH}.items():
            plain(f"blk.{layer}.{name}", rows, WIDTH)
        plain(f"blk.{layer}.attn_norm", WIDTH)
        plain(f"blk.{layer}.ffn_norm", WIDTH)
        plain(f"blk.{layer}.ffn_gate", MLP, WIDTH)
        plain(f"blk.{layer}.ffn_down", WIDTH, MLP)
        number, packed = gguf.GGMLQuantizationType[kind], blocks(kind, draw)
        writer.add_tensor(f"blk.{layer}.ffn_up.weight", packed, raw_dtype=number)
        held[kind] = gguf.quants.dequantize(packed, number).astype(np.float32)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return held


def test_types_that_are_read(tmp_path, monkeypatch):
    monkeypatch.setenv("NEURON_ATLAS_CACHE_GB", "0")
    held = write(tmp_path / "types.gguf", READ)
    live = load(str(tmp_path / "types.gguf"), device="cpu")
    for layer, kind in enumerate(READ):
        np.testing.assert_array_equal(live.weight("up_proj", layer).numpy(), held[kind], err_msg=kind)


def test_no_other_type_is_read():
    """A type that the library learns to dequantise shows here, and belongs into READ."""
    known = {"F32", "F16", *(kind.name for kind in gguf.quants._type_traits)}
    assert set(READ) == known & {kind.name for kind in gguf.GGMLQuantizationType}


def test_a_type_that_cannot_be_dequantised_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("NEURON_ATLAS_CACHE_GB", "0")
    monkeypatch.setattr(gguf.quants, "dequantize", lambda data, number: data.astype(np.float32))
    monkeypatch.setitem(gguf.GGML_QUANT_SIZES, gguf.GGMLQuantizationType.I8, (1, 1))
    write(tmp_path / "odd.gguf", ["I8"])
    monkeypatch.undo()
    monkeypatch.setenv("NEURON_ATLAS_CACHE_GB", "0")
    with pytest.raises(ModelError):
        load(str(tmp_path / "odd.gguf"), device="cpu")
