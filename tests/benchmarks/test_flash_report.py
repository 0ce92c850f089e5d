"""The page of the flash benchmark says what its numbers say."""

import json

import pytest

from benchmarks.flash.concepts import CONCEPTS
from benchmarks.flash.report import page
from benchmarks.flash.steering import CONTROL_DRAWS

TIME = {
    "neurons": 46_080,
    "d_model": 576,
    "d_vocab": 49_152,
    "decode": [120.0, 200.0],
    "product": [30.0, 50.0],
    "whole_build": 140.0,
    "threads": 2,
    "cores": 2,
    "machine": "x86_64",
    "load": 3.0,
}
ROW = {"weight": "up_proj", "neurons": 10, "same_token": 0.9, "shuffled": 0.01}
AGREEMENT = {
    "steps": 5,
    "training": {"examples": 20, "held_out": 4, "loss_before": 4.0, "loss_after": 3.5, "seconds": 1.0},
    "rows": [{**ROW, "mean_cosine": 0.999, "min_cosine": 0.99, "change": 0.01}],
    "layers": [{**ROW, "layer": 0}, {**ROW, "layer": 1, "same_token": 0.8}],
    "unembedding_cosine": 0.9999,
    "unembedding_change": 0.001,
}


def write_arm(path, hit, *, wordings=10, seeds=4, loss=24.0):
    rows = [
        {"question": q, "seed": s, "text": "a dog", "tokens": 12, "hit": hit(q, s), "near": False, "loss": loss}
        for q in range(wordings)
        for s in range(seeds)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"answers": rows, "edits": []}), encoding="utf-8")


def steering(work, after, loss=24.0):
    place = work / "run" / CONCEPTS[0].name
    (work / "steering.json").write_text(json.dumps({"folder": "run", "tokens": 24, "dtype": "float32"}))
    write_arm(place / "development none.json", lambda q, s: False)
    write_arm(place / "test before.json", lambda q, s: s == 0)
    write_arm(place / "test after.json", after, loss=loss)
    for draw in range(CONTROL_DRAWS):
        write_arm(place / f"test control {draw}.json", lambda q, s: False, seeds=1)
    (place / "chosen.json").write_text(json.dumps({"name": "down_proj 20", "edits": ["mlp_post L1N2 = 20"]}))


def test_missing_parts_are_named(tmp_path):
    assert "Not measured: steering, time, agreement." in page(tmp_path)


def test_time_is_compared_by_work(tmp_path):
    (tmp_path / "time.json").write_text(json.dumps(TIME))
    text = page(tmp_path)
    assert "| decoding, with search, checks and rows | 120 | 200 |" in text and "| ratio | 4.0 | 4.0 |" in text
    ratio = 458_752 * 4_096 * 128_256 / (46_080 * 576 * 49_152)
    assert f"{ratio:.0f} times the products" in text


@pytest.mark.parametrize(("after", "said"), [(3.5, "so it did learn"), (4.5, "so it did not learn")])
def test_a_fine_tune_that_did_not_learn_is_called_that(tmp_path, after, said):
    training = {**AGREEMENT["training"], "loss_after": after}
    (tmp_path / "agreement.json").write_text(json.dumps({**AGREEMENT, "training": training}))
    text = page(tmp_path)
    assert said in text and "lowest agreement is 0.8000 (up_proj, layer 1)" in text


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (lambda q, s: True, "the share rises by 0.750"),
        (lambda q, s: s == 0, "no effect that can be told from none"),
        (lambda q, s: False, "the share falls by 0.250"),
    ],
)
def test_steering_says_what_its_interval_says(tmp_path, after, said):
    steering(tmp_path, after)
    text = page(tmp_path)
    assert said in text
    assert ("Not the" in text) == ("rises" not in said)
    assert "Not measured to the end: science, France, money." in text


def test_a_loss_of_fluency_is_said(tmp_path):
    steering(tmp_path, lambda q, s: True, loss=48.0)
    assert "Perplexity is 7.4 times as high" in page(tmp_path)  # exp(48/12) / exp(24/12)
