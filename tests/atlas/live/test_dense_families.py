"""Every dense family and switch of it, from one tiny random model: what is read, decoded and edited, by plain hooks.

What the nine families of tests/synthetic.py go through test by test, these go through in four.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from atlas.live.adapters.multimodal import MULTIMODAL
from atlas.live.adapters.registry import FAMILIES, find_adapter
from atlas.live.capture import capture
from atlas.live.intervene import intervene
from atlas.live.loading import load
from atlas.live.model import LiveModel
from atlas.spec.document import Edit
from builders.decoding.topk.top import top_tokens
from builders.decoding.topk.vocabulary import Vocabulary
from tests import synthetic
from tests.atlas.live import plain_dense as plain
from tests.atlas.live.plain_edits import a_spec
from tests.dense_families import DENSE

LONG, SHORT = [14, 21, 49, 4, 26], [30, 22, 9]
PAD, EOS, N_NEW = 1, 3, 2
LAYER, NEURON, VALUE = 1, 5, 2.5


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], LiveModel]:
    """`dense(variant)`: the loaded model; validation has passed. Do not change it."""
    loaded: dict[str, LiveModel] = {}

    def get(variant: str) -> LiveModel:
        if variant not in loaded:
            folder = synthetic.make_model(variant, tmp_path_factory.mktemp("dense") / variant)
            loaded[variant] = load(str(folder), device="cpu")
        return loaded[variant]

    return get


@pytest.fixture(params=DENSE)
def live(request: pytest.FixtureRequest, dense: Callable[[str], LiveModel]) -> LiveModel:
    return dense(request.param)


def padded(*texts: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """(ids, mask) of texts with padding in them already."""
    ids = torch.tensor(texts)
    return ids, (ids != PAD).long()


def close(found: torch.Tensor, expected: torch.Tensor, what: object = "") -> None:
    """Equal as sums in float32 are: near 0 a value is off by a share of the largest, being a difference of such."""
    atol = 2e-5 * max(1.0, expected.abs().max().item())
    torch.testing.assert_close(found, expected, rtol=2e-4, atol=atol, msg=lambda said: f"{what}: {said}")


def test_every_model_type_is_here():
    model_types = {model_type for model_type, _ in (synthetic.FAMILIES | DENSE).values()}
    adapters = {model_type: find_adapter({"model_type": model_type}) for model_type in FAMILIES}
    others = {model_type for model_type, each in adapters.items() if each.heads or each.experts is not None}
    seeing = {model_type for model_type in MULTIMODAL if find_adapter({"model_type": model_type}).experts is None}
    assert model_types >= (FAMILIES.keys() - others) | seeing and len(others) < len(FAMILIES) / 2


def test_weights_and_gain(live):
    blocks, norm = plain.trunk(live)
    assert live.n_layers == len(blocks) == 3
    for layer, block in enumerate(blocks):
        expected = plain.mlp_of(block).weights
        assert set(live.weights()) == set(expected)
        for name, weight_ND in expected.items():
            assert torch.equal(live.weight(name, layer), weight_ND), name
    # What the norm does to +x and -x differs by twice its gain times the normalised x, whatever its bias is.
    x_D = torch.linspace(-30, 50, 16)
    centred_D = x_D - x_D.mean() if "LayerNorm" in type(norm).__name__ else x_D
    normalised_D = centred_D / centred_D.square().mean().sqrt()
    with torch.no_grad():
        gain_D = (norm(x_D[None]) - norm(-x_D[None]))[0] / (2 * normalised_D)
    close(live.final_norm_gain(), gain_D, "gain")


def test_sites_of_a_padded_batch_are_those_of_its_texts_alone(live):
    padding = [PAD] * (len(LONG) - len(SHORT))
    ids, mask = padded(LONG, [*padding, *SHORT], [*SHORT, *padding])
    found: dict[tuple[str, int], torch.Tensor] = {}
    capture(live, ids, mask, live.sites(), range(3), lambda site, layer, acts: found.update({(site, layer): acts * 1}))
    long, short = (plain.activations(live, torch.tensor([text])) for text in (LONG, SHORT))
    assert set(found) == set(long)
    for row, expected in enumerate((long, short, short)):
        for place, acts_1TN in expected.items():
            close(found[place][row][mask[row].bool()], acts_1TN[0], (*place, row))


def test_decodings(live):
    """The first neurons' vectors through the LM head in float64: the same tokens, the same logits."""
    u_VD = live.model.get_output_embeddings().weight
    for name, weight_ND in plain.mlp_of(plain.trunk(live)[0][LAYER]).weights.items():
        found = top_tokens(live.weight(name, LAYER)[:3].float(), Vocabulary(u_VD.float()), 4, 1 << 24)
        logits_NV = weight_ND[:3].double().numpy() @ u_VD.double().numpy().T
        order_NV = np.argsort(-logits_NV, axis=1, kind="stable")
        assert found.raised_token_NK.tolist() == order_NV[:, :4].tolist()
        np.testing.assert_allclose(found.raised_logit_NK, -np.sort(-logits_NV, axis=1)[:, :4], rtol=1e-5, atol=1e-6)


def test_an_edit_is_that_of_a_plain_hook_in_passes_and_generation(live):
    spec = a_spec(live, Edit("mlp_post", LAYER, NEURON, "set", VALUE))
    expected = [plain_generation(live, text) for text in (LONG, SHORT)]
    ids, mask = padded(LONG, [*[PAD] * (len(LONG) - len(SHORT)), *SHORT])
    with torch.no_grad(), intervene(live, spec):
        alone = live.model(input_ids=torch.tensor([LONG]), use_cache=False).logits[0]
        out = live.model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=N_NEW,
            min_new_tokens=N_NEW,
            do_sample=False,
            return_dict_in_generate=True,
            output_logits=True,
            pad_token_id=PAD,
            eos_token_id=EOS,
        )
    close(alone[-1], expected[0][1][0], "a pass alone")
    for row, (new, logits) in enumerate(expected):
        assert out.sequences[row, -N_NEW:].tolist() == new
        close(torch.stack([step[row] for step in out.logits]), logits, f"generation of row {row}")
    with torch.no_grad():
        unedited = live.model(input_ids=torch.tensor([LONG]), use_cache=False).logits[0]
    assert not torch.allclose(alone, unedited, atol=1e-3)


def plain_generation(live: LiveModel, text: list[int]) -> tuple[list[int], torch.Tensor]:
    """(new tokens, their logits) of one text, read anew for every token, with the neuron held."""
    ids, logits = list(text), []
    with torch.no_grad(), plain.neuron_set(live, LAYER, NEURON, VALUE):
        for _ in range(N_NEW):
            logits.append(live.model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].float())
            allowed = logits[-1].clone()
            allowed[EOS] = -torch.inf
            ids.append(int(allowed.argmax()))
    return ids[len(text) :], torch.stack(logits)
