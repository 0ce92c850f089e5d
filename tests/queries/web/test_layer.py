"""The layer page: any two numbers of neurons against each other, and lists."""

from __future__ import annotations

import re

import numpy as np
import pytest
from starlette.testclient import TestClient

from atlas.errors import AtlasError, QuestionError, UnknownNameError, UsageError
from atlas.store.reader import open_atlas
from queries import scatter as scatter_question
from queries.layer_profile import layer_profile
from queries.neuron_numbers import neuron_numbers
from queries.scatter import Axis, scatter
from queries.web.app import make_app
from queries.web.charts.scatter import MOST_LINKED, points_of
from queries.web.served import open_all
from queries.web.static_site import make_site
from queries.weights import neurons_by_weights
from tests.atlas_factory import changed_by_hand

X, Y = "concept.held_out_leakage", "concept.held_out_coverage"


def _pairs(atlas, concept, layer):
    sql = (
        "SELECT neuron, held_out_leakage, held_out_coverage FROM concept_interval "
        "WHERE family = 'topics' AND concept = $concept AND layer = $layer ORDER BY neuron"
    )
    rows = atlas.query(sql, {"concept": concept, "layer": layer})[1]
    return [row for row in rows if None not in row]


def test_a_scatter_is_of_the_public_view(full):
    found = scatter(full, Axis(X, "sports"), Axis(Y, "sports"), layer=1)
    expected = _pairs(full, "sports", 1)
    assert [(row["neuron"], row["x"], row["y"]) for row in found.result] == expected
    across, up = (np.array([row[place] for row in expected], np.float64) for place in (1, 2))
    assert found.correlation == pytest.approx(np.corrcoef(across, up)[0, 1])
    assert (found.x, found.y) == ((across.min(), across.max()), (up.min(), up.max()))
    assert full.query(f"SELECT count(*) FROM ({found.sql})")[1] == [(len(expected),)]


def test_limits_and_logarithms_keep_some(full):
    whole = scatter(full, Axis("weights.down_proj.norm"), Axis("concept.mean", "sports"), layer=1)
    middle = sorted(whole.result.column("x"))[len(whole.result) // 2]
    some = scatter(full, Axis("weights.down_proj.norm", most=middle), Axis("concept.mean", "sports", log=True), layer=1)
    assert some.result.rows == [row for row in whole.result.rows if row[3] <= middle and row[4] > 0]


@pytest.mark.parametrize("log", [False, True])
def test_many_neurons_are_counted_in_cells(full, monkeypatch, log):
    x, y = Axis("weights.up_proj.norm", log=log), Axis("concept.auc", "sports")
    points = scatter(full, x, y)
    monkeypatch.setattr(scatter_question, "MOST_POINTS", 10)
    cells = scatter(full, x, y)
    assert cells.binned and cells.neurons == len(points.result) == sum(cells.result.column("neurons"))
    across, up = np.array(points.result.column("x"), float), np.array(points.result.column("y"), float)
    scaled = np.log10(across) if log else across
    counts, _, _ = np.histogram2d(scaled, up, (scatter_question.CELLS_X, scatter_question.CELLS_Y))
    assert sorted(cells.result.column("neurons")) == sorted(counts[counts > 0].astype(int).tolist())
    for row in cells.result:
        assert points.x[0] * 0.999 <= row["x_from"] < row["x_to"] <= points.x[1] * 1.001


@pytest.mark.parametrize(
    ("x", "layer", "error"),
    [
        (Axis("weights.nothing"), 1, UnknownNameError),
        (Axis(X, "absent"), 1, UnknownNameError),
        (Axis(X), 1, UsageError),
        (Axis(X, "sports"), 99, QuestionError),
        (Axis(X, "sports", least=5.0), 1, QuestionError),
    ],
)
def test_what_is_not_there_is_refused(full, x, layer, error):
    with pytest.raises(error):
        scatter(full, x, Axis(Y, "sports"), layer=layer)


def test_every_number_that_is_offered_can_be_drawn(full):
    for name in neuron_numbers(full):
        try:
            found = scatter(full, Axis(name, "sports"), Axis("weights.cos_in_out"), layer=1)
        except AtlasError as error:  # one that no neuron has in this atlas
            assert "no neuron" in error.message
            continue
        assert found.neurons


def test_the_profile_is_the_quantiles_of_each_layer(full):
    found = layer_profile(full).sections
    for row in found["numbers"]:
        if row["number"] == "weights.down_proj.cosine_kurtosis":
            sql = "SELECT cosine_kurtosis FROM weight_fact WHERE weight = 'down_proj' AND layer = $layer"
            values = [value for (value,) in full.query(sql, {"layer": row["layer"]})[1] if value is not None]
            expected = np.quantile(np.array(values, np.float64), [0.1, 0.5, 0.9])
            assert [row["low"], row["median"], row["high"]] == pytest.approx(expected.tolist())
    assert {row["number"] for row in found["numbers"]} > {"weights.down_proj.cosine_kurtosis"}
    assert sum(found["classes"].column("neurons")) <= full.manifest.n_layers * full.manifest.d_mlp


def test_the_page_leads_to_each_neuron(two, full):
    page = two.get("/full/layer/1").text
    chart = page[page.index('class="chart scatter"') : page.index("</svg>", page.index('class="chart scatter"'))]
    neurons = [row[0] for row in _pairs(full, "sports", 1)]
    assert re.findall(r"/neuron/L1N(\d+)", chart) == [str(neuron) for neuron in neurons]
    listed = neurons_by_weights(full, layer=1, limit=15).column("address")
    ranked = page[page.index('id="list"') :]
    assert re.findall(r'class="address" href="[^"]*/neuron/(\w+)"', ranked)[: len(listed)] == listed
    data = two.get("/full/layer/1.json?x=concept.auc&y=weights.cos_in_out&concept=politics").json()
    assert {row["layer"] for row in data} == {1}


@pytest.mark.parametrize(
    ("address", "status"),
    [("layer/99", 422), ("layer/x", 400), ("layer/1?x=nothing", 400), ("layer/1?concept=%3Cb%3E", 400)],
)
def test_a_wrong_layer_or_number_is_told(two, address, status):
    assert two.get(f"/full/{address}").status_code == status


def test_where_there_are_many_dots_the_outermost_lead_on():
    places = [(float(index % 97), float(index % 89)) for index in range(MOST_LINKED + 500)]
    asked = []

    def told(index):
        asked.append(index)
        return str(index), f"n/{index}"

    chart = points_of([*places, (1000.0, 1000.0)], told, (0, 1000), (0, 1000))
    assert len(chart.points) == MOST_LINKED == len(asked) and chart.crowd.count("M") == 501
    assert chart.points[-1].to == f"n/{len(places)}"


def test_an_atlas_of_tokens_alone_has_pages_too(small, tmp_path):
    path = tmp_path / "bare.duckdb"
    path.write_bytes(small.path.read_bytes())
    with changed_by_hand(path) as connection:
        tables = connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()
        for (table,) in tables:
            if table not in ("atlas", "run", "vocab", "_token_form", "_decoding", "_posting"):
                connection.execute(f"DELETE FROM {table}")
    served = open_all([path], 2**20)
    with TestClient(make_app(served), base_url="http://localhost") as visitor:
        assert "too few numbers" in visitor.get("/bare/layer").text
        page = visitor.get("/bare/layer/1")
        assert page.status_code == 200 and "What it is about" in page.text and "What it tells" not in page.text
    with open_atlas(path) as atlas:
        made = make_site(atlas, tmp_path / "site", neurons=["L1N7"])
        # The atlas, the search, the neuron, and the layers with their overview.
        assert made.written == 3 + atlas.manifest.n_layers + 1
    for each in served:
        each.close()
