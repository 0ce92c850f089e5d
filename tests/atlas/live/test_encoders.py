"""Encoders of every family and head against transformers alone: sites, weights, heads, padding, edits, refusals."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from atlas.errors import AtlasError, ModelError, SpecError
from atlas.live.batching import encode, encode_at
from atlas.live.capture import capture
from atlas.live.encoder_check import validate_encoder
from atlas.live.head import label_logits_of, linear_map, mean_state
from atlas.live.intervene import intervene
from atlas.live.loading import load
from atlas.live.passes import run_pass
from atlas.live.pooling import pool
from atlas.live.prompts import prompt_ids
from atlas.spec.document import Edit, InterventionSpec, ModelReference, Range, Tokenization
from tests.atlas.live import plain_encoders as plain
from tests.encoders import ENCODERS, LABELS, make_encoder

TEXT = [2, 14, 21, 30, 25, 3]
HEADS = ("mlm", "classifier")
CASES = [(family, head) for family in ENCODERS for head in HEADS] + [("bert", "none"), ("modernbert", "none")]


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def both(request, tmp_path_factory):
    """(LiveModel, the same model by transformers alone)."""
    family, head = request.param
    folder = make_encoder(family, head, tmp_path_factory.mktemp(family) / head)
    return load(str(folder), device="cpu"), plain.plain_model(folder, head)


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return load(str(make_encoder("bert", "mlm", tmp_path_factory.mktemp("bert") / "mlm")), device="cpu")


def captured(live, ids, mask):
    found = {}
    capture(
        live, ids, mask, live.sites(), range(live.n_layers), lambda s, n, acts: found.update({(s, n): acts.clone()})
    )
    return found


def test_sites_are_those_of_a_text_alone_with_padding_on_either_side(both):
    live, model = both
    expected = plain.activations(model, TEXT)
    ids, mask = torch.zeros(2, len(TEXT) + 2, dtype=torch.int64), torch.zeros(2, len(TEXT) + 2, dtype=torch.int64)
    for row, start in enumerate((0, 2)):
        ids[row, start : start + len(TEXT)], mask[row, start : start + len(TEXT)] = torch.tensor(TEXT), 1
    found = captured(live, ids, mask)
    assert found.keys() == expected.keys()
    for key, acts in expected.items():
        for row, start in enumerate((0, 2)):
            assert torch.allclose(found[key][row, start : start + len(TEXT)], acts, atol=1e-4), (key, row)


def test_weights_are_those_that_the_modules_hold(both):
    live, model = both
    for layer in range(live.n_layers):
        expected = plain.weights(model, layer)
        assert set(live.weights()) == set(expected)
        assert all(torch.equal(live.weight(name, layer), w) for name, w in expected.items())


def test_a_neuron_linearised_at_the_mean_is_the_jacobian_of_the_head(both):
    live, model = both
    if live.head_kind == "none":
        with pytest.raises(ModelError, match="has no head"):
            live.unembedding()
        return
    assert torch.equal(live.unembedding(), plain.decoder_of(model))
    mean_D = mean_state(live)
    jacobian_CD = torch.autograd.functional.jacobian(plain.head_of(model.double()), mean_D)
    model.float()
    w_ND = live.weight("down_proj", 1).double()
    found_NC = w_ND @ linear_map(live, mean_D).T @ live.unembedding().double().T
    assert torch.allclose(found_NC, w_ND @ jacobian_CD.T, rtol=1e-6, atol=1e-8)


def test_the_mean_is_over_texts_of_one_token(both):
    live, model = both
    if live.head_kind == "none":
        return
    vocabulary = live.tokenizer.get_vocab()
    ordinary = sorted(token for piece, token in vocabulary.items() if not piece.startswith("["))
    rows = [[2, token, 4, 3] if live.head_kind == "mlm" else [2, token, 3] for token in ordinary]
    place = 2 if live.head_kind == "mlm" else 0
    last = "resid_post", live.n_layers - 1
    states = torch.stack([plain.activations(model, row)[last][place] for row in rows])
    assert torch.allclose(mean_state(live), states.double().mean(0), atol=1e-5)


def spec_of(live, *edits, positions="all"):
    dims = {name: getattr(live, name) for name in ("n_layers", "d_model", "d_mlp", "gated")}
    reference = ModelReference(id="x", fingerprint=live.fingerprint, **dims)
    return InterventionSpec(model=reference, tokenization=Tokenization(True, False), edits=edits, positions=positions)


@pytest.mark.parametrize("positions", ["all", (0, 3)], ids=str)
def test_edits_are_those_of_a_plain_hook(both, positions):
    live, model = both
    if live.head_kind == "none":
        return
    values = plain.activations(model, TEXT)["mlp_post", 1][:, 5]
    low, high = values.min().item() - 1, (values[0] + values[3]).item() / 2  # between two that both cases edit
    spec = spec_of(live, Edit("mlp_post", 1, 5, "set", 3.0, Range(low, high)), positions=positions)
    where = torch.ones(len(TEXT), dtype=torch.bool)
    if positions != "all":
        where[:] = False
        where[list(positions)] = True

    def edit(acts_TN):
        edited = acts_TN.clone()
        inside = (acts_TN[:, 5] >= low) & (acts_TN[:, 5] <= high) & where
        edited[inside, 5] = 3.0
        return edited

    expected = plain.edited_logits(model, TEXT, 1, edit)
    with intervene(live, spec), torch.no_grad():
        found = live.model(input_ids=torch.tensor([TEXT])).logits[0]
    assert torch.allclose(found, expected, atol=1e-4)
    assert not torch.allclose(found, plain.edited_logits(model, TEXT, 1, lambda acts: acts), atol=1e-4)


def test_labels_of_a_pass_that_begins_at_a_block(both):
    """Padded on the right: what a classifier's arms share, and its head by the data of its family."""
    live, model = both
    if live.head_kind != "classifier":
        return
    ids, mask = torch.tensor([TEXT, [2, 14, 21, 3, 0, 0]]), torch.tensor([[1] * 6, [1, 1, 1, 1, 0, 0]])
    start = run_pass(live, ids, mask, stops=[1]).starts[1]
    found_BC = label_logits_of(live, run_pass(live, ids, mask, start=start).final_BTD, mask)
    for row, text in enumerate((TEXT, [2, 14, 21, 3])):
        assert torch.allclose(found_BC[row], plain.edited_logits(model, text, 1, lambda acts: acts), atol=1e-4)


def test_a_classifier_may_read_the_mean_of_all_states(tmp_path):
    folder = make_encoder("modernbert", "classifier", tmp_path / "m", classifier_pooling="mean")
    live, model = load(str(folder), device="cpu"), plain.plain_model(folder, "classifier")
    ids, mask = torch.tensor([TEXT, [2, 14, 21, 3, 0, 0]]), torch.tensor([[1] * 6, [1, 1, 1, 1, 0, 0]])
    found_BC = label_logits_of(live, run_pass(live, ids, mask).final_BTD, mask)
    for row, text in enumerate((TEXT, [2, 14, 21, 3])):
        assert torch.allclose(found_BC[row], plain.edited_logits(model, text, 1, lambda acts: acts), atol=1e-4)


def test_texts_stand_between_the_tokens_of_the_tokenizer(bert):
    encoded = encode(bert, ["dog cat", "The dog runs."], "{text}", 4)
    by_tokenizer = [bert.tokenizer(text)["input_ids"] for text in ("dog cat", "The dog")]
    assert encoded.input_ids == by_tokenizer and encoded.n_cut == 1
    assert prompt_ids(bert, Tokenization(True, False), "dog cat") == by_tokenizer[0]
    assert prompt_ids(bert, Tokenization(False, False), "dog cat") == by_tokenizer[0][1:-1]


def test_positions_of_one_token(bert):
    texts = ["dog", "The cat is good"]
    encoded, counted = encode_at(bert, texts, "{text}[MASK].", 16, "mask", "prompt")
    for ids, which in zip(encoded.input_ids, counted, strict=True):
        assert [token for token, on in zip(ids, which, strict=True) if on] == [4]
    width = max(map(len, encoded.input_ids))
    acts = torch.arange(2 * width * 3).reshape(2, width, 3).float()
    mask = torch.tensor([[c < len(ids) for c in range(width)] for ids in encoded.input_ids])
    only = torch.tensor([[c < len(w) and w[c] for c in range(width)] for w in counted])
    assert torch.equal(pool(acts, only, "mask"), torch.stack([acts[0, 2], acts[1, 5]]))
    assert torch.equal(pool(acts, mask, "cls"), acts[:, 0])
    assert torch.equal(pool(acts, mask.flip(1), "cls")[0], acts[0, width - len(encoded.input_ids[0])])
    _, within = encode_at(bert, texts, "{text}[MASK].", 16, "mean", "text")
    assert [sum(row) for row in within] == [1, 4]
    for text in ("dog", "dog [MASK] [MASK]"):
        with pytest.raises(AtlasError, match="--position mask reads one"):
            encode_at(bert, [text], "{text}", 16, "mask", "prompt")


def test_a_text_may_be_as_long_as_there_are_positions(tmp_path):
    """RoBERTa's begin after the padding's number, so two of its 64 are no text's."""
    live = load(str(make_encoder("roberta", "mlm", tmp_path / "m", pad_token_id=1)), device="cpu")
    assert live.max_positions == 62
    (ids,), n_cut = encode(live, ["dog " * 100], "{text}", 500)
    assert len(ids) == 62 and n_cut == 1
    tokens = torch.tensor([ids])
    assert len(captured(live, tokens, torch.ones_like(tokens))) == 9


def rewritten(folder: Path, rename=lambda name: name, **config) -> Path:
    tensors = load_file(folder / "model.safetensors")
    save_file({rename(name): tensor for name, tensor in tensors.items()}, folder / "model.safetensors")
    raw = json.loads((folder / "config.json").read_text())
    raw = {name: value for name, value in {**raw, **config}.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(raw))
    return folder


def test_checkpoints_as_they_were_converted_and_with_other_heads_of_pretraining(tmp_path):
    """bert-base-uncased calls the numbers of norms gamma and beta, names no class in some copies, and has a pooler."""
    folder = make_encoder("bert", "mlm", tmp_path / "m")
    fingerprint = load(str(folder), device="cpu").fingerprint

    def older(name):
        return name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")

    rewritten(folder, older, architectures=None)
    tensors = load_file(folder / "model.safetensors")
    tensors |= {"bert.pooler.dense.weight": torch.zeros(16, 16), "cls.seq_relationship.weight": torch.zeros(2, 16)}
    save_file(tensors, folder / "model.safetensors")
    assert load(str(folder), device="cpu").fingerprint == fingerprint


def test_older_configs_say_the_rotary_bases_in_their_own_words(tmp_path):
    older = {"rope_parameters": None, "global_rope_theta": 123.0, "local_rope_theta": 77.0}
    folder = rewritten(make_encoder("modernbert", "mlm", tmp_path / "m"), **older)
    rope = load(str(folder), device="cpu").model.config.rope_parameters
    assert [rope[kind]["rope_theta"] for kind in ("full_attention", "sliding_attention")] == [123.0, 77.0]


@pytest.mark.parametrize(
    ("family", "head", "config", "message"),
    [
        ("bert", "mlm", {"is_decoder": True}, "has is_decoder True, and then its attention is causal"),
        ("bert", "mlm", {"architectures": ["BertForQuestionAnswering"]}, "saved as BertForQuestionAnswering"),
        ("deberta", "none", {"conv_kernel_size": 3}, "has conv_kernel_size 3, and then a convolution"),
        ("bert", "classifier", {"problem_type": "multi_label_classification"}, "does not choose one of several"),
        ("bert", "classifier", {"id2label": {"0": "a", "2": "b"}}, "does not name the labels 0 to 1"),
        ("bert", "classifier", {"id2label": {"0": "a", "1": "a"}}, "two labels have the same name"),
        ("bert", "classifier", {"id2label": {"0": "a", "1": "b"}}, r"has shape \[3, 16\]"),
        ("bert", "classifier", {"id2label": ["a", "b"]}, "id2label is no list"),
        ("deberta", "mlm", {"position_buckets": -1000}, "nothing in a config is negative"),
        ("bert", "none", {"model_type": "t5", "is_encoder_decoder": True}, "'t5' is an encoder-decoder"),
        ("bert", "none", {"model_type": "bart", "is_encoder_decoder": True}, "'bart' is an encoder-decoder"),
    ],
)
def test_refused_by_name(family, head, config, message, tmp_path):
    folder = rewritten(make_encoder(family, head, tmp_path / "m"), **config)
    with pytest.raises(ModelError, match=message):
        load(str(folder), device="cpu")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"block_norm": "bert.encoder.layer.{layer}.attention.output.LayerNorm"}, "what the last norm reads"),
        ({"mlp_end": "bert.encoder.layer.{layer}.attention.output.dense"}, "mlp_post @ down_proj"),
    ],
)
def test_a_wrong_adapter_is_found_out(change, message, bert):
    wrong = replace(bert, adapter=replace(bert.adapter, **change))
    with pytest.raises(ModelError, match=message):
        validate_encoder(wrong)


def test_a_wrong_head_is_found_out(bert):
    wrong = replace(bert.head, activation="tanh", activation_field=None)
    with pytest.raises(ModelError, match="the head of each token's last state"):
        validate_encoder(replace(bert, head=wrong))


def test_a_spec_of_another_model_is_refused(bert):
    spec = spec_of(bert, Edit("mlp_post", 0, 1, "set", 0.0))
    spec = replace(spec, model=replace(spec.model, n_layers=2))
    with pytest.raises(SpecError), intervene(bert, spec):
        pass


def test_labels_are_those_of_the_config(tmp_path):
    live = load(str(make_encoder("bert", "classifier", tmp_path / "m")), device="cpu")
    assert live.labels == list(LABELS) and live.d_vocab == 112
