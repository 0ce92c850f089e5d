"""Atlases of CLIP's towers from build to answers, against transformers alone, in float64 and by plain hooks."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerFast

from atlas.errors import AtlasError
from atlas.store.reader import open_atlas
from atlas.store.verify import checks_of
from builders.build.inputs import load_model, prepare
from builders.build.pipeline import build
from builders.build.products import wanted
from builders.config import BuildConfig, ConceptSource
from builders.workers.held import Held
from builders.workers.task import Setup
from queries.exemplars import exemplars
from queries.info import info
from queries.neurons import neurons_for_token
from tests.towers import (
    GRID,
    IMAGE_WIDTH,
    TEXT_WIDTH,
    WORD_LIST,
    make_clip,
    plain_model,
    plain_pixels,
    write_image,
    write_words,
)

LAYER = 1


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """`clip`, `words.txt`, and images: `pets` by concept, `plain` at two depths."""
    folder = tmp_path_factory.mktemp("towers")
    make_clip(folder / "clip")
    write_words(folder / "words.txt")
    for number in range(16):
        write_image(folder / "pets" / ("dogs", "cats")[number % 2] / f"{number}.png", number, (30, 40))
    for number in range(6):
        write_image(folder / "plain" / "below" / f"{number}.png", 100 + number, (50, 24))
    write_image(folder / "plain" / "beside.jpg", 200)
    return folder


def config(folder: Path, tower: str, name: str, **options) -> BuildConfig:
    given = {"position": "cls" if tower == "image" else "last", "folds": 0, "neighbours": 4, "device": "cpu", **options}
    words = given.pop("word_list", str(folder / "words.txt"))
    return BuildConfig(str(folder / "clip"), folder / name, tower=tower, word_list=words, **given)


@pytest.fixture(scope="module")
def image_atlas(folder) -> Path:
    made = config(
        folder,
        "image",
        "image.duckdb",
        concepts=(ConceptSource(str(folder / "pets")),),
        images=(str(folder / "plain"),),
        sites=("mlp_post", "mlp_pre", "resid_post"),
    )
    return build(made).path


@pytest.fixture(scope="module")
def text_atlas(folder) -> Path:
    corpus = folder / "texts.jsonl"
    texts = [("The dog runs", "A cat wrote")[number % 2] + " very" * number for number in range(8)]
    rows = [{"concept": "ab"[number % 2], "text": text} for number, text in enumerate(texts)]
    corpus.write_text("\n".join(map(json.dumps, rows)))
    made = config(folder, "text", "text.duckdb", concepts=(ConceptSource(str(corpus)),), weight_facts=False)
    return build(made).path


def parts(model, tower: str):
    """(blocks, final norm, projection) of a tower, by transformers' own names."""
    if tower == "text":
        return model.text_model.encoder.layers, model.text_model.final_layer_norm, model.text_projection
    return model.vision_model.encoder.layers, model.vision_model.post_layernorm, model.visual_projection


def tokenizer_of(folder: Path):
    return PreTrainedTokenizerFast.from_pretrained(folder / "clip")


def word_vectors(folder: Path) -> torch.Tensor:
    """[words, space] float64 unit vectors, each word by itself."""
    model, tokenizer = plain_model(folder / "clip"), tokenizer_of(folder)
    with torch.no_grad():
        pooled = [
            model.text_model(input_ids=torch.tensor([tokenizer(word)["input_ids"]])).pooler_output[0]
            for word in WORD_LIST
        ]
        vectors = model.text_projection(torch.stack(pooled))
    return vectors / vectors.norm(dim=1, keepdim=True)


def all_images(folder: Path) -> list[Path]:
    return [*sorted((folder / "pets").rglob("*.png"), key=str), *sorted((folder / "plain").rglob("*.*"), key=str)]


def plain_mean_state(folder: Path, tower: str) -> torch.Tensor:
    """[D]: of the class token over all images of the build; of the last token over all ordinary tokens."""
    model, kept = plain_model(folder / "clip"), []
    blocks, _, _ = parts(model, tower)
    handle = blocks[-1].register_forward_hook(lambda module, args, out: kept.append(out))
    with torch.no_grad():
        if tower == "image":
            model.vision_model(plain_pixels(folder / "clip", all_images(folder)))
            states = kept[0][:, 0]
        else:
            tokenizer = tokenizer_of(folder)
            ordinary = sorted(set(tokenizer.get_vocab().values()) - set(tokenizer.all_special_ids))
            first, last = tokenizer.bos_token_id, tokenizer.eos_token_id
            model.text_model(input_ids=torch.tensor([[first, number, last] for number in ordinary]))
            states = kept[0][:, -1]
    handle.remove()
    return states.mean(0)


@pytest.mark.parametrize("tower", ["text", "image"])
def test_neurons_are_decoded_to_words_through_the_projection(tower, folder, request):
    path = request.getfixturevalue(f"{tower}_atlas")
    model = plain_model(folder / "clip")
    blocks, norm, projection = parts(model, tower)
    state_D = plain_mean_state(folder, tower)
    jacobian_ED = torch.autograd.functional.jacobian(lambda state: projection(norm(state)), state_D)
    logits_NC = blocks[LAYER].mlp.fc2.weight.T.detach() @ jacobian_ED.T @ word_vectors(folder).T
    width = {"text": TEXT_WIDTH, "image": IMAGE_WIDTH}[tower]
    with open_atlas(path) as atlas:
        manifest = atlas.manifest
        assert (manifest.tower, manifest.head, manifest.decoding_mode) == (tower, "words", "linearised")
        assert (manifest.d_model, manifest.top) == (width, len(WORD_LIST))
        assert atlas.query("SELECT token FROM vocab ORDER BY token_id")[1] == [(word,) for word in WORD_LIST]
        rows = atlas.query(
            "SELECT raised_token, raised_logit, lowered_token FROM _decoding WHERE weight = 'down_proj' AND layer = $l "
            "ORDER BY neuron",
            {"l": LAYER},
        )[1]
        best = neurons_for_token(atlas, "dog", exact=True, weight="down_proj", sign=1, layer=LAYER, limit=1).rows
        assert info(atlas).fields["tower"] == tower
        assert {check.result for check in checks_of(path)} == {"ok"}
    for (raised, logits, lowered), expected_C in zip(rows, logits_NC, strict=True):
        order = expected_C.argsort(descending=True).tolist()
        assert list(raised) == order and list(lowered) == order[::-1]
        assert np.allclose(logits, expected_C[order].numpy(), rtol=1e-3, atol=1e-5)
    norm_N = (blocks[LAYER].mlp.fc2.weight.T.detach() @ jacobian_ED.T).norm(dim=1)
    assert best[0][0] == f"L{LAYER}N{int((logits_NC[:, 0] / norm_N).square().argmax())}"


def plain_activations(folder: Path, files: list[Path]) -> dict[str, torch.Tensor]:
    """[images, tokens, width] float64 of the three sites of one layer."""
    model, seen = plain_model(folder / "clip"), {}
    block = model.vision_model.encoder.layers[LAYER]
    block.mlp.fc1.register_forward_hook(lambda m, a, out: seen.update(mlp_pre=out))
    block.mlp.fc2.register_forward_pre_hook(lambda m, a: seen.update(mlp_post=a[0]))
    block.register_forward_hook(lambda m, a, out: seen.update(resid_post=out))
    with torch.no_grad():
        model.vision_model(plain_pixels(folder / "clip", files))
    return seen


@pytest.mark.parametrize("site", ["mlp_post", "mlp_pre", "resid_post"])
def test_gaussians_of_images_are_of_the_class_token(site, folder, image_atlas):
    files = {name: sorted((folder / "pets" / name).iterdir(), key=str) for name in ("cats", "dogs")}
    with open_atlas(image_atlas) as atlas:
        _, rows = atlas.query(
            "SELECT concept, neuron, n, mean, std FROM concept_gaussian WHERE site = $s AND layer = $l ORDER BY ALL",
            {"s": site, "l": LAYER},
        )
    found = {(row[0], row[1]): row[2:] for row in rows}
    for concept, images in files.items():
        acts_BN = plain_activations(folder, images)[site][:, 0]
        assert {found[concept, n][0] for n in range(acts_BN.shape[1])} == {len(images)}
        got = np.array([found[concept, n][1:] for n in range(acts_BN.shape[1])])
        due = torch.stack([acts_BN.mean(0), acts_BN.std(0, correction=0)], 1).numpy()
        assert np.allclose(got, due, rtol=1e-4, atol=1e-5)


def test_exemplars_are_the_images_and_patches_where_neurons_are_largest(folder, image_atlas):
    files = sorted((folder / "plain").rglob("*.*"), key=str)
    names = [file.relative_to(folder / "plain").as_posix() for file in files]
    acts_BPN = plain_activations(folder, files)["mlp_post"][:, 1:]
    with open_atlas(image_atlas) as atlas:
        for neuron in (0, 7, 20):
            answer = exemplars(atlas, f"L{LAYER}N{neuron}", kind="top")
            best_B, patch_B = acts_BPN[:, :, neuron].max(1)
            order = best_B.argsort(descending=True).tolist()
            rows = answer.sections["exemplars"].dicts()
            assert [row["source"] for row in rows] == [names[index] for index in order]
            places = [divmod(int(patch_B[index]), GRID) for index in order]
            assert [(row["patch_row"], row["patch_column"]) for row in rows] == places
            assert np.allclose([row["value"] for row in rows], best_B[order].numpy(), rtol=1e-4, atol=1e-5)
            firing = answer.sections["firing"].dicts()[0]
            assert firing["n"] == len(files) * GRID**2
            assert firing["mean"] == pytest.approx(float(acts_BPN[:, :, neuron].mean()), rel=1e-4, abs=1e-5)


def test_pooled_patches_leave_the_class_token_out(folder):
    made = config(
        folder, "image", "mean.duckdb", decode=False, position="mean", concepts=(ConceptSource(str(folder / "pets")),)
    )
    files = sorted((folder / "pets" / "cats").iterdir(), key=str)
    due_N = plain_activations(folder, files)["mlp_post"][:, 1:].mean((0, 1)).numpy()
    with open_atlas(build(made).path) as atlas:
        rows = atlas.query(
            "SELECT mean FROM concept_gaussian WHERE concept = 'cats' AND layer = $l ORDER BY neuron", {"l": LAYER}
        )[1]
    assert np.allclose([mean for (mean,) in rows], due_N, rtol=1e-4, atol=1e-5)


def test_a_worker_reads_the_same_words_and_images(folder):
    made = config(folder, "image", "none.duckdb", images=(str(folder / "plain"),), top=5)
    products = wanted(made)
    plan = prepare(made, load_model(made, None, products), [], products)
    setup = Setup(pickle.dumps(replace(plan, live=None)), folder, "cpu", "float32", False, plan.live.fingerprint, None)
    live, numbers = Held(setup)._plan.live, torch.tensor([0, len(plan.image_files) - 1])
    assert len(plan.image_files) == 7 and live.labels == plan.live.labels
    assert torch.equal(live.images.pixels(numbers), plan.live.images.pixels(numbers))
    assert torch.equal(live.unembedding(), plan.live.unembedding())


REFUSED = {
    "an image tower of no words": ({"word_list": None}, "decoded to words"),
    "texts for an image tower": ({"texts": ("a.txt",)}, "reads no --texts"),
    "a position of texts": ({"position": "last"}, "is of texts"),
    "a template": ({"concepts": (ConceptSource("pets", template="a {text}"),)}, "are of texts"),
    "another tower": ({"tower": "sound"}, "sound"),
    "a mode without the projection": ({"mode": "raw"}, "leaves out the projection"),
    "gradients": ({"gradients": True}, "is about the next token"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_tower_cannot_have_is_refused_in_one_line(case, folder):
    options, said = REFUSED[case]
    options = {"concepts": (ConceptSource(str(folder / "pets")),), **options}
    with pytest.raises(AtlasError, match=said) as caught:
        build(config(folder, options.pop("tower", "image"), "none.duckdb", **options))
    assert "\n" not in str(caught.value) and not (folder / "none.duckdb").exists()


def test_an_atlas_keeps_its_tower_and_its_words(folder, image_atlas):
    other = write_words(folder / "other.txt", ("dog", "cat", "science", "The dog", "animal"))
    images = {"images": (str(folder / "plain"),), "decode": False}
    for options, said in (
        ({"word_list": str(other)}, "other words"),
        ({"tower": "text", "images": (), "texts": ("a.txt",)}, "is of the image tower"),
        ({"decode": True, "layers": (1,)}, "all at once"),
    ):
        tower = options.pop("tower", "image")
        with pytest.raises(AtlasError, match=said):
            build(config(folder, tower, image_atlas.name, **{**images, **options}), existing="add")


def test_a_text_tower_without_words_has_tokens_and_exemplars(folder):
    texts = folder / "running.txt"
    texts.write_text("The dog is happy. The cat wrote a new text about science. My dog won.\n" * 3)
    made = config(
        folder, "text", "running.duckdb", word_list=None, decode=False, weight_facts=False, texts=(str(texts),)
    )
    path = build(replace(made, context_length=12)).path
    with open_atlas(path) as atlas:
        assert (atlas.manifest.head, atlas.manifest.tower) == ("none", "text")
        rows = exemplars(atlas, "L1N3", kind="top").sections["exemplars"].dicts()
    assert rows and all(row["token"] and "«" in row["text"] for row in rows)
