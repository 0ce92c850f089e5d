"""Towers are loaded, checked and refused; image files are read, or refused in one line."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from atlas.errors import AtlasError
from atlas.live.adapters.registry import find_tower
from atlas.live.images import Images, image_processor
from atlas.live.intervene import intervene
from atlas.live.loading import load
from atlas.spec.document import Edit, InterventionSpec, ModelReference, Tokenization
from builders.corpora.words import read_words
from tests.towers import D_VOCAB, GRID, PATCH, SIDE, WORD_LIST, make_clip, plain_model, plain_pixels, write_image


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip") / "clip")


def test_words_are_unit_vectors_of_the_text_tower(clip):
    live = load(str(clip), tower="image", words=WORD_LIST, device="cpu")
    model = plain_model(clip)
    for word, vector in zip(WORD_LIST, live.unembedding(), strict=True):
        with torch.no_grad():
            ids = torch.tensor([live.tokenizer(word)["input_ids"]])
            due = model.text_projection(model.text_model(input_ids=ids).pooler_output)[0]
        torch.testing.assert_close(vector.double(), due / due.norm(), rtol=1e-4, atol=1e-5)
    assert (live.tower, live.head_kind, live.d_vocab) == ("image", "words", len(WORD_LIST))


def test_a_text_ends_at_the_largest_token_in_older_checkpoints(tmp_path):
    folder = make_clip(tmp_path / "older", text={"eos_token_id": 2})
    live = load(str(folder), tower="text", words=["dog"], device="cpu")
    model = plain_model(folder)
    assert model.config.text_config.eos_token_id == 2
    with torch.no_grad():
        ids = torch.tensor([live.tokenizer("dog")["input_ids"]])
        states = model.text_model(input_ids=ids).last_hidden_state
        due = model.text_projection(states[0, int(ids[0].tolist().index(D_VOCAB - 1))])
    torch.testing.assert_close(live.unembedding()[0].double(), due / due.norm(), rtol=1e-4, atol=1e-5)


def test_both_towers_have_fingerprints_of_their_own(clip):
    text, image = (load(str(clip), tower=tower, words=["dog"], device="cpu") for tower in ("text", "image"))
    other = load(str(clip), tower="image", words=["cat", "dog"], device="cpu")
    assert text.fingerprint != image.fingerprint == other.fingerprint


@pytest.mark.parametrize("model_type", ["siglip", "siglip2", "clip_vision_model", "vit", "gpt2", "chinese_clip"])
def test_other_models_with_images_are_refused_by_name(model_type):
    with pytest.raises(AtlasError, match=model_type):
        find_tower({"model_type": model_type}, "image")


def changed(clip: Path, folder: Path, **fields) -> Path:
    """A copy of the checkpoint with other fields in its config."""
    folder.mkdir()
    for file in clip.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    config = json.loads((clip / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | fields))
    return folder


def test_checkpoints_that_are_no_two_towers_are_refused(clip, tmp_path):
    def said(folder: Path, tower: str | None = "image") -> str:
        with pytest.raises(AtlasError) as caught:
            load(str(folder), tower=tower, words=["dog"], device="cpu")
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "two towers" in said(clip, None)
    assert "sound" in said(clip, "sound")
    assert "CLIPForImageClassification" in said(
        changed(clip, tmp_path / "a", architectures=["CLIPForImageClassification"])
    )
    assert "num_attention_heads twice" in said(
        changed(clip, tmp_path / "b", vision_config_dict={"num_attention_heads": 2})
    )
    bare = changed(clip, tmp_path / "c")
    (bare / "preprocessor_config.json").unlink()
    assert "preprocessor_config.json" in said(bare)
    settings = json.loads((clip / "preprocessor_config.json").read_text())
    (bare / "preprocessor_config.json").write_text(json.dumps(settings | {"size": {"shortest_edge": 10**9}}))
    assert "size" in said(bare)
    (bare / "preprocessor_config.json").write_text(json.dumps(settings | {"crop_size": {"height": 8, "width": 8}}))
    assert "image processor makes" in said(bare)
    short = changed(clip, tmp_path / "d")
    tensors = load_file(clip / "model.safetensors")
    del tensors["visual_projection.weight"]
    save_file(tensors, short / "model.safetensors")
    assert "visual_projection.weight" in said(short)
    tensors = load_file(clip / "model.safetensors")
    tensors["vision_model.encoder.layers.0.mlp.fc1.weight"][0, 0] = torch.nan
    save_file(tensors, short / "model.safetensors")
    assert "non-finite" in said(short)


@pytest.fixture
def images(clip) -> Images:
    adapter = find_tower({"model_type": "clip"}, "image")
    found = image_processor(lambda name: clip / name if (clip / name).exists() else None, adapter, "clip")
    return Images(found, SIDE, PATCH)


def test_pixels_are_those_of_transformers_own_processor(clip, images, tmp_path):
    files = [write_image(tmp_path / name, n, (30 + 9 * n, 41)) for n, name in enumerate(("a.png", "b.webp", "c.jpg"))]
    numbers = torch.tensor(images.add(files))
    torch.testing.assert_close(images.pixels(numbers).double(), plain_pixels(clip, files), rtol=1e-6, atol=1e-6)
    assert images.row(2) == [2] * (1 + GRID**2)
    made_up = images.pixels(torch.tensor([-1, -2, -64]))
    assert made_up.shape == (3, 3, SIDE, SIDE) and len(made_up.flatten(1).unique(dim=0)) == 3


def test_a_picture_is_turned_as_its_camera_says(images, tmp_path):
    upright = Image.open(write_image(tmp_path / "up.png", 5))
    turned = upright.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    turned.save(tmp_path / "turned.png", exif=exif)
    one, other = images.pixels(torch.tensor(images.add([tmp_path / "up.png", tmp_path / "turned.png"])))
    assert torch.equal(one, other)


def bomb(path: Path) -> None:
    """A PNG of a few bytes that says that it is 100,000 pixels wide and high."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")))


def test_files_that_are_no_images_are_refused_in_one_line(images, tmp_path):
    whole = write_image(tmp_path / "whole.png", 1, (80, 80)).read_bytes()
    (tmp_path / "short.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "empty.png").write_bytes(b"")
    Image.new("RGB", (9, 9)).save(tmp_path / "really.gif")
    (tmp_path / "really.gif").rename(tmp_path / "gif.png")
    bomb(tmp_path / "bomb.png")
    (tmp_path / "folder.png").mkdir()
    wanted = {
        "short": "damaged",
        "text": "is no",
        "empty": "is no",
        "gif": "is no",
        "bomb": "pixels|larger than any",
        "folder": "no regular file",
        "absent": "cannot be read",
    }
    for name, said in wanted.items():
        with pytest.raises(AtlasError, match=said) as caught:
            images.pixels(torch.tensor(images.add([tmp_path / f"{name}.png"])))
        assert f"{name}.png" in str(caught.value) and "\n" not in str(caught.value)


def test_lists_of_words_are_read_or_refused(tmp_path, clip):
    file = tmp_path / "words.txt"
    file.write_text(" dog \n\nThe cat\n")
    assert read_words(str(file)) == ["dog", "The cat"]
    for content, said in (("dog\ndog\n", "line 2"), ("\n \n", "no words"), ("a\x07b\n", "line 1")):
        file.write_text(content)
        with pytest.raises(AtlasError, match=said):
            read_words(str(file))
    for words, said in ((["dog " * 30], "reads 18"), (["dog <end> cat"], "stands for no text")):
        with pytest.raises(AtlasError, match=said):
            load(str(clip), tower="text", words=words, device="cpu")


@pytest.mark.parametrize("tower", ["text", "image"])
def test_an_edit_of_one_token_is_that_of_plain_hooks(tower, clip):
    live = load(str(clip), tower=tower, words=["dog", "cat"], device="cpu")
    ids = live.tokenizer(["The dog", "A cat"], padding=True, return_tensors="pt")["input_ids"]
    pixels = torch.randn(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    inputs = {"input_ids": ids} if tower == "text" else {"pixel_values": pixels}
    spec = InterventionSpec(
        model=ModelReference(
            id="clip",
            fingerprint=live.fingerprint,
            **{name: getattr(live, name) for name in ("n_layers", "d_model", "d_mlp", "gated")},
        ),
        tokenization=Tokenization(True, False),
        edits=(Edit("mlp_post", 1, 3, "set", 4.0),),
        positions=(1,),
    )
    with intervene(live, spec), torch.no_grad():
        found = live.model(**inputs)[f"{tower}_embeds"]
    model = plain_model(clip)
    inside = model.text_model if tower == "text" else model.vision_model

    def put(module, args):
        args[0][:, 1, 3] = 4.0

    handle = inside.encoder.layers[1].mlp.fc2.register_forward_pre_hook(put)
    with torch.no_grad():
        wide = {name: value.double() if name == "pixel_values" else value for name, value in inputs.items()}
        due = (model.text_projection if tower == "text" else model.visual_projection)(inside(**wide).pooler_output)
    handle.remove()
    torch.testing.assert_close(found.double(), due, rtol=1e-4, atol=1e-5)
