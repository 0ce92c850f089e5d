"""A second model of the same weights: passes of the two at once do not meet."""

from __future__ import annotations

import threading

import pytest
import torch

from atlas.live.capture import capture
from atlas.live.loading import load
from atlas.live.model import LiveModel
from atlas.live.twins import twin
from tests import synthetic
from tests.amount import some
from tests.dense_families import DENSE
from tests.encoders import ENCODERS, make_encoder

TEXTS = [[14, 21, 49, 4, 26], [30, 22, 9], [7, 7, 12, 40], [5, 33]]


MODELS = [*synthetic.FAMILIES, *DENSE, *ENCODERS]


@pytest.fixture(scope="module", params=some(MODELS, ["gpt2", "gemma3", "falcon_alibi", "qwen3_next", "modernbert"]))
def live(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LiveModel:
    folder = tmp_path_factory.mktemp("twins") / request.param
    if request.param in ENCODERS:
        return load(str(make_encoder(request.param, "mlm", folder)), device="cpu")
    return load(str(synthetic.make_model(request.param, folder)), device="cpu")


def activations(live: LiveModel, ids: list[int]) -> dict[tuple[str, int], torch.Tensor]:
    found: dict[tuple[str, int], torch.Tensor] = {}
    ids_1T = torch.tensor([ids])
    keep = lambda site, layer, acts: found.update({(site, layer): acts.clone()})  # noqa: E731
    capture(live, ids_1T, torch.ones_like(ids_1T), live.sites(), range(live.n_layers), keep)
    return found


def test_it_has_the_same_tensors_and_what_listens_to_it_hears_its_own_passes_alone(live: LiveModel) -> None:
    other = twin(live)
    for mine, its in zip(live.model.named_parameters(), other.model.named_parameters(), strict=True):
        assert mine[0] == its[0] and mine[1] is its[1]
    for mine, its in zip(live.model.named_buffers(), other.model.named_buffers(), strict=True):
        assert mine[0] == its[0] and mine[1] is its[1]
    heard = []
    handles = [module.register_forward_hook(lambda *_: heard.append(1)) for module in live.model.modules()]
    alone = activations(other, TEXTS[0])
    for handle in handles:
        handle.remove()
    assert heard == []
    expected = activations(live, TEXTS[0])
    assert set(alone) == set(expected)
    assert all(torch.equal(alone[place], expected[place]) for place in expected)


def test_passes_at_once_are_each_as_if_alone(live: LiveModel) -> None:
    expected = [activations(live, ids) for ids in TEXTS]
    found: dict[int, dict[tuple[str, int], torch.Tensor]] = {}
    begun = threading.Barrier(2)

    def work(first: int, own: LiveModel) -> None:
        begun.wait()
        for index in (first, first + 1):
            found[index] = activations(own, TEXTS[index])

    threads = [threading.Thread(target=work, args=each) for each in ((0, live), (2, twin(live)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [0, 1, 2, 3]
    for index, rows in enumerate(expected):
        assert all(torch.equal(found[index][place], rows[place]) for place in rows)
