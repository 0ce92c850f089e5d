"""GGUF files that say too much, or something that the model made of them would not heed: refused before parsing."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("gguf")
pytest.importorskip("accelerate")

import gguf
from transformers import CONFIG_MAPPING

from atlas.errors import ModelError
from atlas.live import gguf_header
from atlas.live.damaged import Damaged
from atlas.live.gguf_fields import check_fields
from atlas.live.gguf_header import read_gguf_header
from atlas.live.loading import load
from tests.gguf_model import LAYERS, WIDTH, write_gguf


@pytest.fixture(autouse=True)
def _no_copies(monkeypatch):
    monkeypatch.setenv("NEURON_ATLAS_CACHE_GB", "0")


def changed(path: Path, monkeypatch: pytest.MonkeyPatch, change) -> Path:
    """The tiny model with `change(writer)` called before it is written."""
    original = gguf.GGUFWriter.write_header_to_file

    def write(writer: gguf.GGUFWriter, *args, **kwargs) -> None:
        change(writer)
        original(writer, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(gguf.GGUFWriter, "write_header_to_file", write)
        return write_gguf(path)


def test_the_header_is_what_the_library_reads(tmp_path):
    path = write_gguf(tmp_path / "tiny.gguf")
    header, reader = read_gguf_header(path), gguf.GGUFReader(path)
    assert header.tensors == [tensor.name for tensor in reader.tensors]
    assert set(header.fields) == {name for name in reader.fields if not name.startswith("GGUF.")}
    for name, value in header.fields.items():
        assert value is None or value == reader.get_field(name).contents()
    assert {name for name, value in header.fields.items() if value is None} == {
        "tokenizer.ggml.tokens", "tokenizer.ggml.token_type", "tokenizer.ggml.merges",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("blk.0.attn_q.bias", WIDTH),
        ("rope_freqs.weight", 2),
        (f"blk.{LAYERS}.attn_norm.weight", WIDTH),
        ("x.weight", 9),
    ],
)
def test_a_tensor_without_a_place_is_not_passed_over(tmp_path, monkeypatch, name, shape):
    path = changed(tmp_path / "a.gguf", monkeypatch, lambda w: w.add_tensor(name, np.full(shape, 3, np.float32)))
    with pytest.raises(ModelError, match=f"has 21 tensors.* 20: no place for {name}"):
        load(str(path))


def test_tensors_that_are_lacking_are_noticed_before_the_weights_are_read(tmp_path, monkeypatch):
    path = write_gguf(tmp_path / "a.gguf")
    data = path.read_bytes()
    at = data.index(b"llama.block_count") + len("llama.block_count") + 4
    path.write_bytes(data[:at] + struct.pack("<I", LAYERS + 3) + data[at + 4 :])
    monkeypatch.setattr(gguf, "dequantize", lambda *args: pytest.fail("read"))
    with pytest.raises(ModelError, match="lacks tensors that its config asks for: 20 of 47 are there"):
        load(str(path))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rope.scaling.type", "linear"),
        ("rope.scaling.factor", 8.0),
        ("attention.sliding_window", 8),
        ("attn_logit_softcapping", 50.0),
        ("expert_count", 4),
        ("logit_scale", 0.5),
    ],
)
def test_a_field_that_the_model_does_not_heed(tmp_path, monkeypatch, field, value):
    def add(writer):
        kind = {str: writer.add_string, float: writer.add_float32, int: writer.add_uint32}[type(value)]
        kind(f"llama.{field}", value)

    with pytest.raises(ModelError, match=rf"says llama\.{field} = {value}"):
        load(str(changed(tmp_path / "a.gguf", monkeypatch, add)))


def test_fields_that_say_what_the_model_does_anyway(tmp_path, monkeypatch):
    def add(writer):
        writer.add_rope_dimension_count(4)
        writer.add_rope_scaling_type(gguf.RopeScalingType.NONE)
        writer.add_key_length(4)
        writer.add_causal_attention(True)
        writer.add_array("general.languages", ["en"])
        writer.add_string("other.rope.scaling.type", "linear")

    plain = load(str(write_gguf(tmp_path / "plain.gguf")))
    assert load(str(changed(tmp_path / "a.gguf", monkeypatch, add))).fingerprint == plain.fingerprint


def with_array(path: Path, monkeypatch: pytest.MonkeyPatch, name: str, inner: int, length: int, content: bytes) -> Path:
    """The tiny model with an array whose header and bytes are as given."""
    changed(path, monkeypatch, lambda writer: writer.add_array(name, [0]))
    data = path.read_bytes()
    at = data.index(name.encode()) + len(name)
    assert data[at : at + 16] == struct.pack("<IIQ", 9, 5, 1)
    path.write_bytes(data[: at + 4] + struct.pack("<IQ", inner, length) + content + data[at + 20 :])
    return path


@pytest.mark.parametrize(
    ("name", "inner", "length", "content", "reason"),
    [
        ("general.evil", 0, 3_000_000, bytes(3_000_000), "has 3000000 values"),
        ("tokenizer.ggml.evil", 0, 3_000_000, bytes(3_000_000), "has 3000000 values"),
        ("tokenizer.ggml.evil", 0, 2**63, b"", "has 9223372036854775808 values"),
        ("tokenizer.ggml.evil", 8, 1, struct.pack("<Q", 100_000) + b"ab" * 50_000, "a text of 100000 bytes"),
        ("tokenizer.ggml.evil", 9, 1, struct.pack("<IQ", 9, 1) * 9000, "an array 'tokenizer.ggml.evil' of type 9"),
        ("general.evil", 77, 1, b"", "of type 77"),
        ("general.evil", 8, 1, struct.pack("<Q", 2**63), "a text of 9223372036854775808 bytes"),
    ],
)
def test_what_would_take_minutes_to_parse(tmp_path, monkeypatch, name, inner, length, content, reason):
    path = with_array(tmp_path / "a.gguf", monkeypatch, name, inner, length, content)
    monkeypatch.setattr(gguf, "GGUFReader", lambda *args: pytest.fail("parsed"))
    with pytest.raises(ModelError, match=reason):
        load(str(path))


def test_pieces_whose_merges_would_be_sought_for_minutes(tmp_path, monkeypatch):
    monkeypatch.setattr(gguf_header, "_MOST_SQUARES", 1000)
    with pytest.raises(Damaged, match="longer than any tokenizer's"):
        read_gguf_header(
            changed(tmp_path / "a.gguf", monkeypatch, lambda w: w.add_array("tokenizer.ggml.x", ["y" * 32]))
        )


def test_tensors_lie_in_the_file_and_beside_each_other(tmp_path):
    path = write_gguf(tmp_path / "a.gguf")
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    with pytest.raises(Damaged, match=r"is cut off: .* would end 1 bytes behind it"):
        read_gguf_header(path)
    at = data.index(b"output_norm.weight") + len("output_norm.weight") + 4 + 8 + 4
    path.write_bytes(data[:at] + struct.pack("<Q", 0) + data[at + 8 :])
    with pytest.raises(Damaged, match="where another tensor is"):
        read_gguf_header(path)


@pytest.mark.parametrize(
    ("model_type", "architecture", "fields"),
    [
        ("gemma2", "gemma2", {"attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0,
                              "attention.sliding_window": 4096}),
        ("gemma3_text", "gemma3", {"attention.sliding_window": 4096, "attention.sliding_window_pattern": 6,
                                   "rope.freq_base": 1e6, "rope.freq_base_swa": 10_000.0, "attention.key_length": 256}),
        ("gemma3_text", "gemma3", {"attention.sliding_window_pattern": [layer % 6 < 5 for layer in range(26)]}),
        ("phi3", "phi3", {"rope.dimension_count": 96, "rope.scaling.original_context_length": 4096}),
        ("qwen3", "qwen3", {"attention.key_length": 128, "rope.freq_base": 1e6}),
        ("llama", "llama", {"rope.dimension_count": 128, "vocab_size": 32_000, "rope.scaling.factor": 1.0}),
    ],
)  # fmt: skip
def test_what_files_of_the_families_say(model_type, architecture, fields):
    """Against the defaults of transformers, which are those of the original models."""
    check_fields(
        {"general.architecture": architecture} | {f"{architecture}.{name}": value for name, value in fields.items()},
        CONFIG_MAPPING[model_type](),
        "a model",
    )
