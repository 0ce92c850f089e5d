"""Facts of an encoder's weights against float64 numpy: through its head as the mode says, or of the weights alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from atlas.errors import AtlasError
from atlas.live.head import mean_state
from atlas.live.loading import load
from atlas.store.reader import open_atlas
from atlas.store.verify import checks_of
from builders.build.pipeline import build
from builders.config import BuildConfig
from queries.nearest import nearest
from queries.weight_run import remarks
from queries.weights import neurons_by_weights
from tests.atlas.live import plain_encoders as plain
from tests.encoders import make_encoder

N_LAYERS, WIDTH, SPECIAL = 3, 24, 5


def made(folder: Path, family: str, head: str, **options) -> tuple[Path, Path]:
    model, target = make_encoder(family, head, folder / "m"), folder / "a.duckdb"
    build(BuildConfig(str(model), target, device="cpu", top=3, **options))
    return model, target


def rows_of(path: Path, sql: str) -> list[dict]:
    with open_atlas(path) as atlas:
        columns, rows = atlas.query(sql)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def vectors(model: Path, head: str, name: str) -> np.ndarray:
    read = plain.plain_model(model, head).double()
    return np.stack([plain.weights(read, layer)[name].numpy() for layer in range(N_LAYERS)])


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)


# ELECTRA's decoder is narrower than the stream, ModernBERT has a final norm and gates.
@pytest.mark.parametrize(
    ("family", "mode"),
    [("bert", "raw"), ("electra", "linearised"), ("modernbert", "linearised")],
)
def test_facts_about_tokens_go_through_the_head(family, mode, tmp_path):
    model, path = made(tmp_path, family, "mlm", mode=mode)
    read = plain.plain_model(model, "mlm").double()
    u = plain.decoder_of(read).detach().double()
    tokens = [row["token_id"] for row in rows_of(path, "SELECT token_id FROM vocab ORDER BY 1")]
    live = load(str(model), device="cpu")
    whole = u if mode == "raw" else torch.autograd.functional.jacobian(plain.head_of(read), mean_state(live)).double()
    # What stands before the decoder, from the whole by the decoder's pseudo-inverse: its columns are independent.
    before = np.eye(u.shape[1]) if mode == "raw" else np.linalg.pinv(u.numpy()) @ whole.numpy()
    seen, rows = whole.numpy()[tokens], u.numpy()[tokens]
    down, up = vectors(model, "mlm", "down_proj"), vectors(model, "mlm", "up_proj")
    for row in rows_of(path, "SELECT * FROM weight_fact WHERE weight = 'down_proj'"):
        w = down[row["layer"], row["neuron"]]
        c = cosine(rows, before @ w)
        assert row["norm"] == pytest.approx(np.linalg.norm(w), rel=1e-6)
        measured = [row[f"cosine_{name}"] for name in ("mean", "std", "skewness", "kurtosis")]
        assert measured == pytest.approx([c.mean(), c.std(), stats.skew(c), stats.kurtosis(c)], rel=1e-3, abs=1e-4)
    (run,) = rows_of(path, "SELECT * FROM weight_run")
    centred = seen - seen.mean(0)
    value, right = np.linalg.eigh(centred.T @ centred)
    assert run["mode"] == mode and run["frequency_tokens"] == len(tokens) - SPECIAL
    assert run["singular_values"] == pytest.approx(np.sqrt(value.clip(0)), rel=1e-4, abs=1e-5)
    frequency = -np.log(np.arange(1, len(tokens) - SPECIAL + 1))  # the special tokens come first
    found = rows_of(path, "SELECT * FROM neuron_fact ORDER BY layer, neuron")
    assert len(found) == N_LAYERS * WIDTH
    # All that a narrow decoder and a norm do not see; a norm's epsilon lets about 1e-12 through.
    n_null = max(1, seen.shape[1] - np.linalg.matrix_rank(centred, rtol=1e-7))
    assert run["null_directions"] == n_null and (n_null > 8) == (family == "electra")
    for row in found:
        at = row["layer"], row["neuron"]
        assert row["cos_in_out"] == pytest.approx(float(cosine(up[at], down[at])), abs=1e-6)
        due = np.corrcoef((seen @ down[at])[SPECIAL:], frequency)[0, 1]
        assert row["frequency_correlation"] == pytest.approx(due, abs=1e-5)
        share = np.square(right[:, :n_null].T @ down[at]).sum() / (down[at] @ down[at])
        assert row["null_share"] == pytest.approx(share, abs=1e-5)
    assert [check for check in checks_of(path) if check.result != "ok"] == []


@pytest.mark.parametrize(("head", "options"), [("classifier", {}), ("none", {"decode": False, "weight_facts": True})])
def test_where_there_is_no_vocabulary_only_facts_of_the_weights_are_there(head, options, tmp_path):
    model, path = made(tmp_path, "bert", head, **options)
    down, up = vectors(model, head, "down_proj"), vectors(model, head, "up_proj")
    for row in rows_of(path, "SELECT * FROM neuron_fact"):
        at = row["layer"], row["neuron"]
        assert row["cos_in_out"] == pytest.approx(float(cosine(up[at], down[at])), abs=1e-6)
        assert row["io_class"] is not None and row["null_share"] is row["frequency_correlation"] is None
    facts = rows_of(path, "SELECT * FROM weight_fact")
    assert len(facts) == 2 * N_LAYERS * WIDTH
    assert {row[f"cosine_{name}"] for row in facts for name in ("mean", "std", "skewness", "kurtosis")} == {None}
    assert [check for check in checks_of(path) if check.result != "ok"] == []
    with open_atlas(path) as atlas:
        (first, *_) = nearest(atlas, "L1N2", weight="down_proj", limit=1).rows
        c = cosine(down, down[1, 2])
        c[1, 2] = -1
        assert first[1:3] == np.unravel_index(c.argmax(), c.shape) and first[3] == pytest.approx(c.max(), abs=1e-6)
        with pytest.raises(AtlasError, match=r"no cosine_kurtosis of down_proj.*no fact here is about tokens"):
            neurons_by_weights(atlas, by="cosine_kurtosis")
        assert "no fact here is about tokens" in remarks(atlas)[1]
        norms = [row[4] for row in neurons_by_weights(atlas, by="norm", limit=3).rows]
    assert norms == pytest.approx(sorted(np.linalg.norm(down, axis=-1).ravel(), reverse=True)[:3], rel=1e-6)


def test_what_a_head_has_not_is_refused(tmp_path):
    with pytest.raises(AtlasError, match=r"--mode linearised is of a head, and .* has none"):
        made(tmp_path, "bert", "none", decode=False, weight_facts=True, mode="linearised")
    (tmp_path / "e").mkdir()
    with pytest.raises(AtlasError, match="reads 8 dimensions, and neurons write 16"):
        made(tmp_path / "e", "electra", "mlm", decode=False, weight_facts=True, mode="raw")
