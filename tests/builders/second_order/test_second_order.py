"""Effects through later heads against ablations by transformers' own modules, in float64 and image by image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from atlas.errors import AtlasError
from atlas.live.later_heads import coefficients, directions, image_rows
from atlas.live.loading import load
from atlas.store.reader import open_atlas
from atlas.store.verify import checks_of
from builders.build.pipeline import build
from builders.config import BuildConfig
from builders.second_order.summary import near_words, summary
from queries.card import neuron_card
from tests.towers import LAYERS, WORD_LIST, make_clip, plain_model, plain_pixels, write_image, write_words

N_IMAGES = 7


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("second-order")
    make_clip(folder / "clip", seed=3)
    write_words(folder / "words.txt")
    for number in range(N_IMAGES):
        write_image(folder / "images" / f"{number}.png", number)
    return folder


@pytest.fixture(scope="module")
def ablated(folder):
    """`ablated(layer)`: [images, neurons, space] float64, what each neuron adds to the vectors through later heads.

    Each neuron is set to 0 at every token; attention patterns and what the norms divide by stay as they were; every
    later attention layer is run again by itself, and what changes at the class token goes to the projection.
    """
    model = plain_model(folder / "clip")
    vision, seen = model.vision_model, {}
    for number, block in enumerate(vision.encoder.layers):
        block.layer_norm1.register_forward_hook(lambda m, a, out, n=number: seen.update({("read", n): a[0]}))
        block.self_attn.register_forward_hook(lambda m, a, out, n=number: seen.update({("wrote", n): out[0]}))
        block.mlp.fc2.register_forward_pre_hook(lambda m, a, n=number: seen.update({("acts", n): a[0]}))
    vision.post_layernorm.register_forward_hook(lambda m, a, out: seen.update(final=a[0]))
    files = [folder / "images" / f"{number}.png" for number in range(N_IMAGES)]
    with torch.no_grad():
        vision(plain_pixels(folder / "clip", files))

    def frozen(norm, x, of):
        scale = torch.sqrt(((of - of.mean(-1, keepdim=True)) ** 2).mean(-1, keepdim=True) + norm.eps)
        return (x - x.mean(-1, keepdim=True)) / scale * norm.weight + norm.bias

    def attention(number, x):
        """The layer run again on `x`, with the pattern that it had; in float64, as the model's own code is not."""
        block, of = vision.encoder.layers[number], seen["read", number]
        inside, normed = block.self_attn, block.layer_norm1(of)

        def split(y):
            return y.unflatten(-1, (inside.num_heads, -1)).transpose(1, 2)

        pattern = split(inside.q_proj(normed)) @ split(inside.k_proj(normed)).transpose(2, 3)
        pattern = (pattern / inside.head_dim**0.5).softmax(-1)
        values = split(inside.v_proj(frozen(block.layer_norm1, x, of)))
        return inside.out_proj((pattern @ values).transpose(1, 2).flatten(2))

    with torch.no_grad():  # the pattern is the model's, and nothing changed gives what it wrote
        for number in range(1, LAYERS):
            torch.testing.assert_close(attention(number, seen["read", number]), seen["wrote", number])

    @torch.no_grad()
    def of_layer(layer):
        acts, written = seen["acts", layer], vision.encoder.layers[layer].mlp.fc2.weight
        found = []
        for neuron in range(acts.shape[-1]):
            without = acts[..., neuron, None] * written[:, neuron]
            change = sum(
                (attention(number, seen["read", number]) - attention(number, seen["read", number] - without))[:, 0]
                for number in range(layer + 1, LAYERS)
            )
            ends = [frozen(vision.post_layernorm, seen["final"] - each, seen["final"]) for each in (0, change)]
            found.append(model.visual_projection(ends[0] - ends[1]))
        return torch.stack(found, 1)

    return of_layer


@pytest.mark.parametrize("layer", [0, 1])
def test_effects_are_those_of_ablations_with_patterns_and_norms_held(layer, folder, ablated):
    live = load(str(folder / "clip"), tower="image", words=WORD_LIST, device="cpu")
    live.model.double()
    numbers = live.images.add([folder / "images" / f"{number}.png" for number in range(N_IMAGES)])
    due = ablated(layer)
    for part in (slice(0, 28), slice(5, 9)):
        found = torch.einsum(
            "bkn,kne->bne",
            coefficients(live, layer, image_rows(live, numbers), part),
            directions(live, layer, part, torch.float64),
        )
        # Pixels are float32 either way; all else is float64.
        torch.testing.assert_close(found, due[:, part], rtol=1e-8, atol=1e-9)


def test_the_direction_is_the_first_singular_vector_of_the_largest_effects():
    generator = torch.Generator().manual_seed(0)
    weights_BK, directions_KE = (torch.randn(*size, generator=generator) for size in ((150, 6), (6, 9)))
    effects = weights_BK.double().numpy() @ directions_KE.double().numpy()
    effects -= effects.mean(0)
    norms = np.linalg.norm(effects, axis=1)
    largest = effects[np.argsort(-norms)[:100]]
    _, singular, right = np.linalg.svd(largest)
    direction = right[0] * (1 if ((largest @ right[0]) > 0).sum() > 50 else -1)
    found = summary(weights_BK, directions_KE)
    assert found.used == 100 and found.explained == pytest.approx(singular[0] ** 2 / (singular**2).sum())
    assert (found.mean_norm, found.largest_norm) == pytest.approx((norms.mean(), norms.max()))
    assert np.allclose(found.direction_E.numpy(), direction)
    vectors = torch.nn.functional.normalize(torch.randn(12, 9, generator=generator), dim=1)
    raised, lowered = near_words(found.direction_E, vectors, 4)
    cosines = vectors.double().numpy() @ direction
    assert raised.words == np.argsort(-cosines)[:4].tolist() and lowered.words == np.argsort(cosines)[:4].tolist()
    assert np.allclose(raised.cosines, np.sort(cosines)[::-1][:4])


def test_a_neuron_that_does_the_same_on_all_images_has_no_direction():
    found = summary(torch.full((5, 3), 0.1), torch.randn(3, 4))
    assert (found.mean_norm, found.largest_norm, found.explained, found.direction_E) == (0, 0, None, None)


@pytest.fixture(scope="module")
def atlas_file(folder) -> Path:
    return build(config(folder, "atlas.duckdb", decode=True, weight_facts=False)).path


def config(folder: Path, name: str, **options) -> BuildConfig:
    given = {"tower": "image", "position": "cls", "word_list": str(folder / "words.txt"), "device": "cpu"}
    given |= {"images": (str(folder / "images"),), "second_order": (1,), "decode": False, **options}
    return BuildConfig(str(folder / "clip"), folder / name, **given)


def test_a_build_stores_them_and_the_card_shows_them(folder, atlas_file, ablated):
    effects = ablated(1).numpy()
    effects -= effects.mean(0)
    norms = np.linalg.norm(effects, axis=-1)
    words = load(str(folder / "clip"), tower="image", words=WORD_LIST, device="cpu").unembedding().double().numpy()
    with open_atlas(atlas_file) as atlas:
        rows = atlas.query(
            "SELECT neuron, images, mean_norm, largest_norm, used, explained, raised_token, raised_cosine "
            "FROM second_order ORDER BY neuron"
        )[1]
        card = neuron_card(atlas, "L1N4").sections["second_order"].dicts()
        none = neuron_card(atlas, "L0N4").sections
    assert [row[0] for row in rows] == list(range(effects.shape[1]))
    for neuron, images, mean, largest, used, explained, raised, cosines in rows:
        assert (images, used) == (N_IMAGES, N_IMAGES)
        assert (mean, largest) == pytest.approx((norms[:, neuron].mean(), norms[:, neuron].max()), rel=1e-4)
        _, singular, right = np.linalg.svd(effects[:, neuron])
        assert explained == pytest.approx(singular[0] ** 2 / (singular**2).sum(), rel=1e-4)
        votes = np.sign(effects[:, neuron] @ right[0]).sum()  # of an odd number of images
        due = words @ (right[0] * np.sign(votes))
        assert raised == np.argsort(-due).tolist()
        assert np.allclose(cosines, np.sort(due)[::-1], atol=1e-4)
    assert [row["sign"] for row in card] == [1, -1]
    assert card[0]["words"] == [WORD_LIST[index] for index in rows[4][6]]
    assert "second_order" not in none
    assert {check.result for check in checks_of(atlas_file)} == {"ok"}


def test_neurons_in_parts_have_the_same_rows(folder, atlas_file, monkeypatch):
    from builders.second_order import work

    monkeypatch.setattr(work, "later_heads", lambda live, layer: 10**6)  # so that ten neurons fill the memory
    made = config(folder, "parts.duckdb", weight_facts=False, batch_tokens=20)
    with open_atlas(build(made).path) as parts, open_atlas(atlas_file) as whole:
        ask = "SELECT neuron, mean_norm, largest_norm, explained FROM second_order ORDER BY neuron"
        assert np.allclose(parts.query(ask)[1], whole.query(ask)[1], rtol=1e-4)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"second_order": (2,)}, "no attention heads come after layer 2"),
        ({"images": ()}, "measured over images"),
        ({"tower": None, "images": (), "word_list": None}, "is of a model's tower"),
    ],
)
def test_what_cannot_be_measured_is_refused(options, said, folder):
    with pytest.raises(AtlasError, match=said):
        build(config(folder, "none.duckdb", **options))
    assert not (folder / "none.duckdb").exists()
