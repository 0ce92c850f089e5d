"""`fires` on a tiny model: against all activations at once, by plain numpy, and by every way to ask."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from atlas.__main__ import main
from atlas.errors import AtlasFileError, ModelError, QuestionError, UnknownNameError, UsageError
from atlas.fit_choice import FitChoice
from atlas.live.loading import load
from atlas.schema.exemplar_tables import PROBABILITIES
from atlas.store.reader import open_atlas
from builders.fires import rank as ranking
from builders.fires.question import FiresRequest, fires
from queries.fired import COLUMNS
from tests.atlas_factory import changed_by_hand
from tests.end_to_end.workbench import PETS, SPORT, STATE, built, write_corpus
from tests.running_text import activations_of, add_running_text
from tests.synthetic import make_model

TEXTS = [*PETS, *SPORT, *STATE]
ASKED = ["dog reads about money .", "This old Paris !", "science fear"]  # no text of TEXTS begins so
SITES = ("mlp_post", "resid_post")


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fires")


@pytest.fixture(scope="module")
def model(room: Path) -> Path:
    return make_model("llama", room / "model", add_bos=True)


@pytest.fixture(scope="module")
def bare(room: Path, model: Path) -> Path:
    """Without running text."""
    return built(model, room / "bare.duckdb", write_corpus(room / "words.jsonl"), sites=SITES, permutations=20)


@pytest.fixture(scope="module")
def made(room: Path, model: Path, bare: Path) -> Path:
    path = room / "made.duckdb"
    path.write_bytes(bare.read_bytes())
    add_running_text(path, model, TEXTS, sites=SITES, exemplars=False)
    return path


@pytest.fixture(scope="module")
def live(model: Path) -> Any:
    return load(str(model), device="cpu", dtype="float32")


def tokens_of(live: Any, text: str) -> list[int]:
    """With the beginning-of-sequence token."""
    return [2, *live.tokenizer(text, add_special_tokens=False)["input_ids"]]


def reference(live: Any, text: str, site: str) -> list[dict[tuple[int, int], tuple[float, float, float]]]:
    """For each token but the first: (layer, neuron) -> value, percentile, beyond, of all activations of TEXTS."""
    every = np.concatenate([activations_of(live, tokens_of(live, each), site)[:, 1:] for each in TEXTS], axis=1)
    quantiles = np.quantile(every.astype(np.float64), PROBABILITIES, axis=1, method="inverted_cdf").astype(np.float32)
    std = every.astype(np.float64).std(axis=1)
    found = []
    for acts in activations_of(live, tokens_of(live, text), site).swapaxes(0, 1)[1:]:
        here = {}
        for layer, row in enumerate(acts):
            for neuron, value in enumerate(row.tolist()):
                points = quantiles[:, layer, neuron].astype(np.float64)
                equal = np.flatnonzero(points == value)
                if len(equal):
                    share = (PROBABILITIES[equal[0]] + PROBABILITIES[equal[-1]]) / 2
                else:
                    share = float(np.interp(value, points, PROBABILITIES))
                distance = max(value - points[-1], 0) + min(value - points[0], 0)
                here[layer, neuron] = value, 100 * share, distance / std[layer, neuron]
        found.append(here)
    return found


@pytest.mark.parametrize("site", SITES)
def test_each_token_has_the_neurons_that_are_farthest_out(made: Path, live: Any, site: str) -> None:
    with open_atlas(made) as atlas:
        answer = fires(atlas, ASKED, FiresRequest(top=7, fit=FitChoice(site=site)), live=live)
    rows = answer.dicts()
    for number, text in enumerate(ASKED, start=1):
        truth = reference(live, text, site)
        tokens = tokens_of(live, text)
        assert sorted({row["position"] for row in rows if row["text"] == number}) == list(range(1, len(tokens)))
        for position, neurons in enumerate(truth, start=1):
            mine = [row for row in rows if (row["text"], row["position"]) == (number, position)]
            assert [row["rank"] for row in mine] == list(range(1, 8))
            assert {row["token_id"] for row in mine} == {tokens[position]}

            def out(place: tuple[int, int], neurons: Any = neurons) -> float:
                _, percentile, beyond = neurons[place]
                return abs(beyond) if beyond else -min(percentile, 100 - percentile)

            best = sorted(map(out, neurons), reverse=True)[:7]
            assert [out((row["layer"], row["neuron"])) for row in mine] == pytest.approx(best, rel=1e-3, abs=1e-6)
            for row in mine:
                value, percentile, beyond = neurons[row["layer"], row["neuron"]]
                assert row["value"] == pytest.approx(value, abs=1e-5)
                assert row["percentile"] == pytest.approx(percentile, abs=0.05)
                assert (row["beyond"] or 0) == pytest.approx(beyond, rel=1e-3, abs=1e-5)
                assert row["address"] == f"L{row['layer']}N{row['neuron']}" and row["site"] == site


def test_a_neuron_that_is_always_large_is_not_named_for_that(made: Path, live: Any) -> None:
    with open_atlas(made) as atlas:
        by_place = fires(atlas, ASKED, FiresRequest(top=5, fit=FitChoice(site="mlp_post")), live=live)
        by_value = fires(atlas, ASKED, FiresRequest(top=5, by="value", fit=FitChoice(site="mlp_post")), live=live)
    values = [row["value"] for row in by_value if (row["text"], row["position"]) == (1, 1)]
    acts = activations_of(live, tokens_of(live, ASKED[0]))[:, 1]
    assert np.abs(values) == pytest.approx(np.sort(np.abs(acts).ravel())[::-1][:5], rel=1e-5)
    assert by_place.column("address") != by_value.column("address")


def test_all_sites_are_one_ranking(made: Path, live: Any) -> None:
    with open_atlas(made) as atlas:
        both = fires(atlas, ASKED, FiresRequest(top=6), live=live).dicts()
        apart = [
            row for site in SITES for row in fires(atlas, ASKED, FiresRequest(6, fit=FitChoice(site=site)), live=live)
        ]
    assert {row["site"] for row in both} == set(SITES)

    def out(row: dict[str, Any]) -> float:
        return abs(row["beyond"]) if row["beyond"] else -min(row["percentile"], 100 - row["percentile"])

    for place in {(row["text"], row["position"]) for row in both}:
        mine, others = (
            sorted((out(row) for row in rows if (row["text"], row["position"]) == place), reverse=True)
            for rows in (both, apart)
        )
        assert mine == pytest.approx(others[:6], rel=1e-4)


def test_what_stands_beside_a_neuron_is_the_atlas(made: Path, live: Any) -> None:
    with open_atlas(made) as atlas:
        rows = fires(atlas, ASKED, FiresRequest(top=20, least=-1, fit=FitChoice(site="mlp_post")), live=live).dicts()
        _, firing = atlas.query("SELECT layer, neuron, mean, std, n, sampled FROM firing WHERE site = 'mlp_post'")
        stored = {row[:2]: row[2:] for row in firing}
        _, intervals = atlas.query(
            "SELECT layer, neuron, concept, interval_lower, interval_upper, held_out_coverage - held_out_leakage "
            "FROM concept_interval WHERE site = 'mlp_post'"
        )
        _, tokens = atlas.query("SELECT token_id, token FROM vocab")
        _, lists = atlas.query(
            "SELECT layer, neuron, sign, list(token ORDER BY rank) FROM token_decoding "
            "WHERE weight = 'down_proj' AND rank <= 4 GROUP BY ALL"
        )
    written = {row[:3]: row[3] for row in lists}
    some = 0
    for row in rows:
        place = row["layer"], row["neuron"]
        assert tuple(row[name] for name in ("mean", "std", "n", "sampled")) == pytest.approx(stored[place])
        held = sorted(
            ((-youden, f"words/{concept}") for layer, neuron, concept, low, high, youden in intervals
             if (layer, neuron) == place and low <= np.float32(row["value"]) <= high)
        )  # fmt: skip
        assert row["concepts"] == [name for _, name in held]
        assert row["concept_youden_j"] == pytest.approx([-youden for youden, _ in held])
        assert row["token"] == dict(tokens)[row["token_id"]]
        assert row["writes"] == written[(*place, -1 if row["value"] < 0 else 1)]
        some += len(held)
    assert some > 50


def test_only_neurons_inside_their_interval_of_a_concept(made: Path, live: Any) -> None:
    request = FiresRequest(top=40, concept="pets", least=0.2, fit=FitChoice(site="mlp_post"))
    with open_atlas(made) as atlas:
        answer = fires(atlas, ASKED, request, live=live).dicts()
        _, rows = atlas.query(
            "SELECT layer, neuron, interval_lower, interval_upper FROM concept_interval WHERE site = 'mlp_post' "
            "AND concept = 'pets' AND held_out_coverage - held_out_leakage >= 0.2"
        )
    acts = activations_of(live, tokens_of(live, ASKED[1]))
    for position in range(1, acts.shape[1]):
        mine = {(row["layer"], row["neuron"]) for row in answer if (row["text"], row["position"]) == (2, position)}
        inside = {(lay, n) for lay, n, low, high in rows if low <= acts[lay, position, n] <= high}
        assert mine == inside  # fewer than 40
    assert all("words/pets" in row["concepts"] for row in answer) and answer


def test_batches_and_order_change_nothing(made: Path, live: Any) -> None:
    request = FiresRequest(top=3, fit=FitChoice(site="mlp_post"))
    with open_atlas(made) as atlas:
        whole = fires(atlas, ASKED, request, live=live)
        single = [fires(atlas, [text], request, live=live).dicts() for text in ASKED]
    apart = [{**row, "text": number} for number, rows in enumerate(single, start=1) for row in rows]
    assert whole.column("address") == [row["address"] for row in apart]
    assert whole.column("text") == [row["text"] for row in apart]


def test_layers(made: Path, live: Any) -> None:
    with open_atlas(made) as atlas:
        rows = fires(atlas, ASKED, FiresRequest(layers=(0, 2)), live=live)
        assert set(rows.column("layer")) == {0, 2}
        with pytest.raises(UsageError, match="not read at layer 7"):
            fires(atlas, ASKED, FiresRequest(layers=(7,)), live=live)


def test_without_running_text_it_says_what_adds_it(bare: Path, live: Any) -> None:
    with open_atlas(bare) as atlas, pytest.raises(QuestionError, match="no running text") as refusal:
        fires(atlas, ASKED, live=live)
    assert "--texts" in refusal.value.hint


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"by": "mean"}, UnknownNameError, "order"),
        ({"top": 0}, UsageError, "--top 0"),
        ({"least": 2.0}, UsageError, "--min-youden 2"),
        ({"concept": "dogs", "fit": FitChoice(site="mlp_post")}, UnknownNameError, "dogs"),
        ({"concept": "pets"}, UsageError, "has 2 fits"),
        ({"concept": "pets", "least": 1.0, "fit": FitChoice(site="mlp_post")}, QuestionError, "no interval tells pets"),
        ({"fit": FitChoice(site="mlp_pre")}, QuestionError, "not read at mlp_pre"),
        ({"fit": FitChoice(family="none")}, UnknownNameError, "none"),
    ],
)
def test_what_cannot_be_asked(made: Path, live: Any, changes: dict[str, Any], kind: type, message: str) -> None:
    with open_atlas(made) as atlas, pytest.raises(kind, match=message):
        fires(atlas, ASKED, FiresRequest(**changes), live=live)


def test_too_many_rows_are_refused(made: Path, live: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "MOST_ROWS", 100)
    with open_atlas(made) as atlas, pytest.raises(UsageError, match="10 neurons for each token are"):
        fires(atlas, ASKED * 5, FiresRequest(), live=live)


def test_another_model_is_refused(made: Path, tmp_path: Path) -> None:
    other = make_model("llama", tmp_path / "other", seed=5)
    with open_atlas(made) as atlas, pytest.raises(ModelError, match="its weights differ"):
        fires(atlas, ASKED, FiresRequest(model=str(other)))


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM _firing WHERE neuron = 3 AND layer = 1",
        "UPDATE _firing SET neuron = 4 WHERE neuron = 3",
        "UPDATE _firing SET std = -1 WHERE neuron = 3",
        "UPDATE _firing SET mean = 'nan' WHERE neuron = 3",
        "UPDATE _firing SET quantiles = list_reverse(quantiles::FLOAT[])::FLOAT[21] WHERE neuron = 3",
    ],
)
def test_distributions_that_are_none_are_refused(made: Path, live: Any, tmp_path: Path, sql: str) -> None:
    path = tmp_path / "a.duckdb"
    path.write_bytes(made.read_bytes())
    with changed_by_hand(path) as connection:
        connection.execute(sql)
    with open_atlas(path) as atlas, pytest.raises(AtlasFileError, match="no sound distributions"):
        fires(atlas, ASKED, live=live)


def test_the_command(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["fires", "science runs", "-a", str(made), "--top", "2"]
    assert main(asked) == 0
    out, err = capsys.readouterr()
    assert "sampled" in err and "template" in err
    assert main([*asked, "-o", str(tmp_path / "a.parquet")]) == 0
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(tmp_path / "a.parquet")
    assert table.column_names == list(COLUMNS) and table.num_rows == 4
    assert all(address in out for address in table["address"].to_pylist())


def test_batch_mode(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    objects = tmp_path / "texts.jsonl"
    objects.write_text("".join(json.dumps({"body": text}) + "\n" for text in ASKED))
    asked = ["fires", "--file", str(objects), "--text-column", "body", "-a", str(made), "--top", "1"]
    assert main([*asked, "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    places = [(row["text"], row["position"]) for row in rows]
    assert places == sorted(set(places)) and {text for text, _ in places} == {1, 2, 3}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name a text, or a file of texts"),
        (["The dog", "--file", "x.txt"], "name a text, or a file of texts"),
        (["  "], "the text is empty"),
        (["dog", "--text-column", "body"], "goes with --file"),
        (["--file", "gone.txt"], "there is no file gone.txt"),
        (["dog", "--layers", "x"], "no list of layers"),
    ],
)
def test_the_command_refuses(
    made: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fires", *arguments, "-a", str(made)]) == 2
    assert message in capsys.readouterr().err


def test_a_refusal_loads_no_torch(bare: Path) -> None:
    code = (
        "import sys; from atlas.__main__ import main; "
        f"code = main(['fires', 'dog', '-a', {str(bare)!r}]); "
        "print(code, [name for name in ('torch', 'transformers') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.split("\n")[-2] == "1 []", done.stderr
