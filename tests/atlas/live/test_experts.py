"""Layers with experts: what is read, where it is, and what an edit does, against plain loops over experts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from atlas.errors import ModelError, SpecError
from atlas.live.adapters.multimodal import MULTIMODAL
from atlas.live.adapters.registry import FAMILIES, find_adapter
from atlas.live.capture import ROUTER, capture
from atlas.live.expert_pass import Routed
from atlas.live.intervene import intervene, intervene_rows
from atlas.live.loading import load
from atlas.live.model import LiveModel
from atlas.live.passes import run_pass
from atlas.live.validation import validate
from atlas.spec.document import Edit, InterventionSpec, ModelReference, Range, Tokenization
from tests.atlas.live.plain_experts import (
    activation,
    block_of,
    branches_of,
    has_experts,
    inputs_of,
    mlp_of,
    plain_layer,
    route,
    scales_input,
    shared_of,
)
from tests.synthetic import FURTHER_MIXTURES, MIXTURES, make_model

IDS = torch.tensor([[12, 30, 41, 55, 33], [70, 22, 14, 9, 61]])
SITES = ("mlp_pre", "mlp_pre_linear", "mlp_post")


@pytest.fixture(scope="module")
def mixture_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], LiveModel]:
    loaded: dict[str, LiveModel] = {}

    def get(family: str) -> LiveModel:
        if family not in loaded:
            folder = make_model(family, tmp_path_factory.mktemp(family) / family)
            loaded[family] = load(str(folder), device="cpu", dtype="float32")
        return loaded[family]

    return get


@pytest.fixture(params=MIXTURES)
def live(request: pytest.FixtureRequest, mixture_of: Callable[[str], LiveModel]) -> LiveModel:
    return mixture_of(request.param)


def layers_with(live: LiveModel) -> list[int]:
    return [layer for layer in range(live.n_layers) if has_experts(live, layer)]


def heard_in(live: LiveModel, ids: Tensor, sites: tuple[str, ...] = SITES) -> tuple[dict, dict]:
    """(site, layer) -> expert -> Routed, and (site, layer) -> tensor."""
    routed: dict[tuple[str, int], dict[int, Routed]] = {}
    dense: dict[tuple[str, int], Tensor] = {}

    def keep(site: str, layer: int, found: Routed) -> None:
        seen = routed.setdefault((site, layer), {})
        assert found.expert not in seen
        seen[found.expert] = found._replace(acts_RN=found.acts_RN.clone())

    mask = torch.ones_like(ids)
    keep_dense = lambda site, layer, acts: dense.update({(site, layer): acts.clone()})  # noqa: E731
    capture(live, ids, mask, [*sites, ROUTER], range(live.n_layers), keep_dense, keep)
    return routed, dense


def test_each_expert_is_heard_on_its_tokens_alone(live: LiveModel) -> None:
    routed, dense = heard_in(live, IDS)
    inputs = inputs_of(live, IDS)
    assert layers_with(live)
    for layer in range(live.n_layers):
        if not has_experts(live, layer):
            assert live.experts(layer) is None
            assert dense["mlp_post", layer].shape[-1] == live.neurons(layer)
            continue
        plain = plain_layer(live, layer, inputs[layer])
        torch.testing.assert_close(
            dense[ROUTER, layer].reshape(-1, plain.logits.shape[1]).double(), plain.logits, rtol=1e-4, atol=1e-5
        )
        for site in SITES:
            found = {
                (token, each.expert): acts.double()
                for each in routed[site, layer].values()
                for token, acts in zip(each.tokens_R.tolist(), each.acts_RN, strict=True)
            }
            assert found.keys() == plain.acts[site].keys()
            for place, expected in plain.acts[site].items():
                torch.testing.assert_close(found[place], expected, rtol=1e-4, atol=1e-5)


def test_the_plain_loop_is_the_layer(live: LiveModel) -> None:
    """The reference itself: else it would prove nothing."""
    outputs: dict[int, Tensor] = {}
    hooks = [
        mlp_of(live, layer).register_forward_hook(
            lambda m, a, o, layer=layer: outputs.update({layer: (o[0] if isinstance(o, tuple) else o).double()})
        )
        for layer in layers_with(live)
    ]
    inputs = inputs_of(live, IDS)
    for hook in hooks:
        hook.remove()
    for layer in layers_with(live):
        found = outputs[layer].reshape(-1, live.d_model)
        torch.testing.assert_close(plain_layer(live, layer, inputs[layer]).output, found, rtol=1e-4, atol=1e-5)


def test_a_neuron_is_first_of_its_expert_plus_unit(live: LiveModel) -> None:
    for layer in layers_with(live):
        mlp = mlp_of(live, layer)
        n_routed = mlp.experts.down_proj.shape[0]
        whole = {name: live.weight(name, layer) for name in ("gate_proj", "up_proj", "down_proj")}
        for part in live.parts(layer):
            rows = slice(part.first_neuron, part.first_neuron + part.neurons)
            if part.expert < n_routed:
                gate, up, _, _, down = branches_of(mlp.experts, part.expert)
                assert part.kind == "routed"
            else:
                shared = shared_of(live, layer)
                assert shared is not None
                gate, up, down = shared
                assert part.kind == "shared"
            for name, expected in (("gate_proj", gate), ("up_proj", up), ("down_proj", down)):
                assert torch.equal(whole[name][rows].double(), expected)
        assert sum(part.neurons for part in live.parts(layer)) == live.neurons(layer) <= live.d_mlp
    assert max(live.neurons(layer) for layer in range(live.n_layers)) == live.d_mlp


def test_weights_are_views(live: LiveModel) -> None:
    for layer in layers_with(live):
        experts = mlp_of(live, layer).experts
        held = {p.untyped_storage().data_ptr() for p in block_of(live, layer).parameters()}
        for name in ("gate_proj", "up_proj", "down_proj"):
            for _, w_ND in live.weight_parts(name, layer):
                assert w_ND.untyped_storage().data_ptr() in held
        assert experts.down_proj.untyped_storage().data_ptr() in held


def spec_of(live: LiveModel, *edits: Edit, **more: object) -> InterventionSpec:
    dims = {name: getattr(live, name) for name in ("n_layers", "d_model", "d_mlp", "gated")}
    return InterventionSpec(
        model=ModelReference(id="m", fingerprint=live.fingerprint, **dims),
        tokenization=Tokenization(False, False),
        edits=tuple(sorted(edits, key=lambda e: (SITES.index(e.site), e.layer, e.neuron))),
        **more,
    )


def output_under(live: LiveModel, spec: InterventionSpec, layer: int) -> Tensor:
    """What the layer writes, [tokens, d_model] float64."""
    seen: list[Tensor] = []
    hook = mlp_of(live, layer).register_forward_hook(
        lambda m, a, o: seen.append((o[0] if isinstance(o, tuple) else o).double())
    )
    with torch.no_grad(), intervene(live, spec):
        live.model(input_ids=IDS)
    hook.remove()
    return seen[0].reshape(-1, live.d_model)


@pytest.mark.parametrize("op", ["set", "scale", "add"])
def test_an_edit_changes_tokens_that_reach_the_expert_and_no_other(live: LiveModel, op: str) -> None:
    layer = layers_with(live)[0]
    inputs = inputs_of(live, IDS)[layer]
    plain, mlp = plain_layer(live, layer, inputs), mlp_of(live, layer)
    of_experts = [{token for token, chosen in enumerate(plain.chosen) if each in chosen} for each in range(4)]
    # Of some families all tokens choose the same group of experts.
    some = [each for each in range(4) if 0 < len(of_experts[each]) < len(plain.chosen)]
    expert = some[0] if some else plain.chosen[0][0]
    reached, unit = of_experts[expert], 3
    neuron = live.parts(layer)[expert].first_neuron + unit
    found = output_under(live, spec_of(live, Edit("mlp_post", layer, neuron, op, 2.5)), layer)
    down = branches_of(mlp.experts, expert)[4][unit]
    weights, chosen = route(mlp, inputs)
    for token in range(len(plain.chosen)):
        expected = plain.output[token]
        if token in reached:
            before = plain.acts["mlp_post"][token, expert][unit]
            after = {"set": 2.5, "scale": 2.5 * before, "add": before + 2.5}[op]
            weight = 1.0 if scales_input(mlp) else weights[token][chosen[token] == expert].double().sum()
            expected = expected + weight * (after - before) * down
        torch.testing.assert_close(found[token], expected, rtol=1e-4, atol=1e-5)


def test_the_shared_expert_is_edited_at_every_token(live: LiveModel) -> None:
    layer = layers_with(live)[-1]
    part = live.parts(layer)[-1]
    if part.kind != "shared":
        pytest.skip("no shared expert")
    inputs, unit = inputs_of(live, IDS)[layer], 3
    plain, (_, _, down) = plain_layer(live, layer, inputs), shared_of(live, layer)
    seen: list[Tensor] = []
    hook = block_of(live, layer).register_forward_hook(
        lambda m, a, o: seen.append((o[0] if isinstance(o, tuple) else o).double())
    )
    spec = spec_of(live, Edit("mlp_post", layer, part.first_neuron + unit, "set", 2.5))
    with torch.no_grad():
        live.model(input_ids=IDS)
        with intervene(live, spec):
            live.model(input_ids=IDS)
    hook.remove()
    change = (seen[1] - seen[0]).reshape(-1, live.d_model)
    gate = getattr(mlp_of(live, layer), "shared_expert_gate", None)
    for token, x_D in enumerate(inputs):
        before = plain.acts["mlp_post"][token, part.expert][unit]
        factor = 1.0 if gate is None else torch.sigmoid(gate.weight.double() @ x_D)
        factor = factor * getattr(live.model.config, "residual_multiplier", 1.0)  # of Granite's stream
        torch.testing.assert_close(change[token], factor * (2.5 - before) * down[unit], rtol=1e-3, atol=1e-5)


def test_what_is_routed_and_what_is_zero_are_told_apart(mixture_of: Callable[[str], LiveModel]) -> None:
    """Llama 4's experts are given a zero row of each token that was routed elsewhere."""
    live = mixture_of("llama4_text")
    eager = AutoModelForCausalLM.from_pretrained(live.source.path, dtype=torch.float32).eval()
    with torch.no_grad():
        theirs = eager(input_ids=IDS).logits
        torch.testing.assert_close(live.model(input_ids=IDS).logits, theirs, rtol=1e-5, atol=1e-5)
    experts = mlp_of(live, 1).experts
    with pytest.raises(ModelError, match="without their router"):
        experts(torch.zeros(4 * 3, live.d_model))


SCALED = {
    "weights what is written": {"scales_input": False},
    "no shared": {"shared": None},
    "logits": {"router_logits": 0},
}


@pytest.mark.parametrize("wrong", SCALED)
def test_a_wrong_adapter_of_llama4_is_refused(wrong: str, mixture_of: Callable[[str], LiveModel]) -> None:
    live = mixture_of("llama4_text")
    adapter = replace(live.adapter, experts=replace(live.adapter.experts, **SCALED[wrong]))
    with pytest.raises(ModelError):
        validate(LiveModel(live.model, live.tokenizer, adapter, "wrong", add_bos=False))


@pytest.mark.parametrize(
    ("family", "change"), [("granitemoeshared", {"write_scale": None}), ("flex_olmo", {"mlp_out_norm": None})]
)
def test_what_does_not_arrive_in_the_stream_as_said_is_refused(
    family: str, change: dict[str, None], mixture_of: Callable[[str], LiveModel]
) -> None:
    live = mixture_of(family)
    with pytest.raises(ModelError, match="resid_post of layer 0 = what else is there"):
        validate(LiveModel(live.model, live.tokenizer, replace(live.adapter, **change), "wrong", add_bos=False))


WRONG = {
    "branches": lambda experts: {"sites": {**experts.sites, "mlp_pre": experts.sites["mlp_pre_linear"]}},
    "weights": lambda experts: {"weights": {**experts.weights, "up_proj": experts.weights["gate_proj"]}},
    "no gate": lambda experts: {"shared_gate": None},
    "no shared": lambda experts: {"shared": None},
    "router": lambda experts: {"router_logits": 1},
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_adapter_is_refused(
    wrong: str, mixture_of: Callable[[str], LiveModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    live = mixture_of("qwen2_moe")
    experts = replace(live.adapter.experts, **WRONG[wrong](live.adapter.experts))
    with pytest.raises(ModelError, match="does not fit"):
        validate(LiveModel(live.model, live.tokenizer, replace(live.adapter, experts=experts), "wrong", add_bos=False))


@pytest.mark.parametrize("family", FURTHER_MIXTURES)
def test_further_families(family: str, mixture_of: Callable[[str], LiveModel]) -> None:
    live = mixture_of(family)
    test_the_plain_loop_is_the_layer(live)
    test_each_expert_is_heard_on_its_tokens_alone(live)
    test_a_neuron_is_first_of_its_expert_plus_unit(live)
    test_an_edit_changes_tokens_that_reach_the_expert_and_no_other(live, "set")


def test_every_family_of_experts_is_tested() -> None:
    found = {
        model_type
        for model_type in {**FAMILIES, **MULTIMODAL}
        if find_adapter({"model_type": model_type}).experts is not None
    }
    assert found == {model_type for model_type, _ in (MIXTURES | FURTHER_MIXTURES).values()}


def test_a_range_decides_at_each_token(live: LiveModel) -> None:
    layer = layers_with(live)[0]
    plain = plain_layer(live, layer, inputs_of(live, IDS)[layer])
    expert, unit = max(range(4), key=lambda e: sum(e in chosen for chosen in plain.chosen)), 1
    values = {token: acts[unit].item() for (token, e), acts in plain.acts["mlp_post"].items() if e == expert}
    middle = sorted(values.values())[len(values) // 2]
    neuron = live.parts(layer)[expert].first_neuron + unit
    edit = Edit("mlp_post", layer, neuron, "set", 4.0, Range(middle - 1e-4, 1e6))
    found = output_under(live, spec_of(live, edit), layer)
    changed = {token for token in range(len(plain.chosen)) if (found[token] - plain.output[token]).abs().max() > 1e-3}
    assert changed == {token for token, value in values.items() if value >= middle - 1e-4}


def test_edits_before_the_activation_function(live: LiveModel) -> None:
    layer = layers_with(live)[0]
    plain = plain_layer(live, layer, inputs_of(live, IDS)[layer])
    expert, unit = plain.chosen[1][0], 2
    neuron = live.parts(layer)[expert].first_neuron + unit
    seen: dict[int, Tensor] = {}
    edits = [Edit(site, layer, neuron, "set", value) for site, value in (("mlp_pre", 1.5), ("mlp_pre_linear", 0.5))]
    with torch.no_grad(), intervene(live, spec_of(live, *edits)):
        tap = live.experts(layer).tap("mlp_post")
        heard = tap.register(lambda routed: seen.update({routed.expert: routed.acts_RN.clone()}) and None)
        live.model(input_ids=IDS)
        heard.remove()
    mlp = mlp_of(live, layer)
    expected = activation(mlp.experts, torch.tensor(1.5).double(), torch.tensor(0.5).double())
    torch.testing.assert_close(seen[expert][:, unit].double(), expected.expand(len(seen[expert])), rtol=1e-5, atol=1e-6)
    others = [u for u in range(seen[expert].shape[1]) if u != unit]
    tokens = sorted(token for (token, e) in plain.acts["mlp_post"] if e == expert)
    for row, token in zip(seen[expert], tokens, strict=True):
        torch.testing.assert_close(
            row[others].double(), plain.acts["mlp_post"][token, expert][others], rtol=1e-4, atol=1e-5
        )


def test_an_edit_of_an_expert_that_no_token_reaches_changes_nothing(live: LiveModel) -> None:
    layer = layers_with(live)[0]
    one = IDS[:1, :1]
    chosen = plain_layer(live, layer, inputs_of(live, one)[layer]).chosen[0]
    away = next(expert for expert in range(4) if expert not in chosen)
    neuron = live.parts(layer)[away].first_neuron
    with torch.no_grad():
        before = live.model(input_ids=one).logits
        with intervene(live, spec_of(live, Edit("mlp_post", layer, neuron, "set", 50.0))):
            after = live.model(input_ids=one).logits
    assert torch.equal(before, after)


def test_padding_and_generated_tokens_are_told_apart(live: LiveModel) -> None:
    """The edit of the last token of a padded batch is that of the text alone."""
    layer = layers_with(live)[-1]
    neurons = [part.first_neuron for part in live.parts(layer)]
    spec = spec_of(live, *(Edit("mlp_post", layer, neuron, "set", 3.0) for neuron in neurons), positions="last")
    ids = torch.tensor([[1, 1, 12, 30, 41], [70, 22, 14, 9, 61]])
    mask = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]])
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    with torch.no_grad(), intervene(live, spec):
        both = live.model(input_ids=ids, attention_mask=mask, position_ids=positions).logits
    with torch.no_grad(), intervene(live, spec):
        alone = live.model(input_ids=ids[:1, 2:]).logits
    torch.testing.assert_close(both[0, -1], alone[0, -1], rtol=1e-3, atol=1e-4)


def test_a_pass_may_begin_at_a_later_block(live: LiveModel) -> None:
    """What evaluation does: the blocks below an edit are not run again."""
    layer = layers_with(live)[-1]
    neurons = [part.first_neuron for part in live.parts(layer)]
    spec = spec_of(live, *(Edit("mlp_post", layer, neuron, "set", 3.0) for neuron in neurons))
    mask = torch.ones_like(IDS)
    start = run_pass(live, IDS, mask, stops=[layer]).starts[layer]
    with intervene(live, spec):
        whole = run_pass(live, IDS, mask).final_BTD
    with intervene(live, spec):
        later = run_pass(live, IDS, mask, start=start).final_BTD
    assert torch.equal(whole, later)
    assert not torch.equal(whole, run_pass(live, IDS, mask).final_BTD)


def test_a_neuron_that_a_narrow_layer_lacks_is_refused(mixture_of: Callable[[str], LiveModel]) -> None:
    live = mixture_of("qwen3_moe")
    assert live.neurons(0) < live.d_mlp
    with (
        pytest.raises(SpecError, match="no neuron 35 in layer 0"),
        intervene(live, spec_of(live, Edit("mlp_post", 0, 35, "set", 1.0))),
    ):
        pass


def test_no_single_tensor_is_given_for_a_layer_with_experts(live: LiveModel) -> None:
    with pytest.raises(ModelError, match="mixture of experts"):
        live.tap("mlp_post", layers_with(live)[0])


def test_listeners_are_gone_afterwards(live: LiveModel) -> None:
    from atlas.live.expert_pass import _LISTENERS

    assert not any(_LISTENERS.get(mlp_of(live, layer).experts) for layer in layers_with(live))


def test_our_pass_is_the_eager_one(live: LiveModel) -> None:
    with torch.no_grad():
        ours = live.model(input_ids=IDS).logits
        live.model.set_experts_implementation("eager")
        try:
            eager = live.model(input_ids=IDS).logits
        finally:
            live.model.set_experts_implementation("neuron_atlas")
    torch.testing.assert_close(ours, eager, rtol=1e-5, atol=1e-6)


def test_rows_of_an_expert_have_no_specs_of_their_own(mixture_of: Callable[[str], LiveModel]) -> None:
    live = mixture_of("mixtral")
    dims = {name: getattr(live, name) for name in ("n_layers", "d_model", "d_mlp", "gated")}
    spec = InterventionSpec(
        model=ModelReference(id="m", fingerprint=live.fingerprint, **dims),
        tokenization=Tokenization(False, False),
        edits=(Edit("mlp_post", layers_with(live)[0], 1, "set", 1.0),),
    )
    with pytest.raises(ModelError, match="has experts, whose tokens come from all rows"), intervene_rows(live, [spec]):
        pass
