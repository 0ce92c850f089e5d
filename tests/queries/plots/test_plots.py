"""Pictures: real image files, and what is drawn in them equals the rows of the atlas."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib import image
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import StepPatch

from atlas.__main__ import main
from atlas.errors import AtlasError, QuestionError, UnknownNameError, UsageError
from atlas.fit_choice import FitChoice
from atlas.store.reader import Atlas, open_atlas
from queries.neurons import neurons_for_concept
from queries.plots import bumps as plot_style
from queries.plots import plot
from queries.plots.data import Bump, rest_of
from queries.plots.plot import plot_concept, plot_neuron
from tests.atlas_factory import FAMILIES, PER_CONCEPT, TAU, changed_by_hand, planted_activations, write_small_atlas

RESIDUAL = FitChoice(site="resid_post")
TOPICS = FAMILIES["topics"]


@pytest.fixture(scope="module")
def atlas_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_atlas(tmp_path_factory.mktemp("atlas") / "small.duckdb")


@pytest.fixture(scope="module")
def atlas(atlas_file: Path):
    with open_atlas(atlas_file) as opened:
        yield opened


def histogram(atlas: Atlas, concept: str, layer: int, neuron: int) -> np.ndarray:
    """(bins, 3): lower edge, upper edge, count, from the public view."""
    _, rows = atlas.query(
        "SELECT lower, upper, count FROM concept_histogram WHERE concept = ? AND layer = ? AND neuron = ? ORDER BY bin",
        [concept, layer, neuron],
    )
    return np.array(rows)


def gaussian(atlas: Atlas, concept: str, layer: int, neuron: int) -> dict[str, float]:
    columns, rows = atlas.query(
        "SELECT n, mean, std, lower, upper, coverage, leakage, auc FROM concept_range "
        "WHERE concept = ? AND layer = ? AND neuron = ? AND tau = ?",
        [concept, layer, neuron, TAU],
    )
    return dict(zip(columns, rows[0], strict=True))


def steps(axes: Axes, color: str) -> StepPatch:
    (found,) = (p for p in axes.patches if isinstance(p, StepPatch) and p.get_facecolor()[:3] == to_rgb(color))
    return found


def check_bump(axes: Axes, color: str, n: int, mean: float, std: float, bins: np.ndarray) -> None:
    """The filled steps are the counts of some bins together as a density, the line is the Gaussian."""
    heights, edges, _ = steps(axes, color).get_data()
    every = np.append(bins[:, 0], bins[-1, 1])
    places = [int(np.argmin(abs(every - edge))) for edge in edges]
    np.testing.assert_allclose(edges, every[places], rtol=1e-9, atol=1e-12)
    assert (places[0], places[-1]) == (0, len(bins))
    together = np.add.reduceat(bins[:, 2], places[:-1])
    np.testing.assert_allclose(heights * n * np.diff(edges), together, rtol=1e-9)
    assert np.sum(heights * np.diff(edges)) == pytest.approx(1.0)
    (line,) = (line for line in axes.lines if line.get_color() == color)
    xs, ys = line.get_data()
    reference = np.exp(-0.5 * ((xs - mean) / std) ** 2) / (std * np.sqrt(2 * np.pi))
    np.testing.assert_allclose(ys, reference, rtol=1e-6, atol=1e-12)
    assert xs[0] < edges[0] and xs[-1] > edges[-1]


def band(axes: Axes) -> tuple[float, float]:
    (found,) = (p for p in axes.patches if not isinstance(p, StepPatch))
    return found.get_x(), found.get_x() + found.get_width()


def test_neuron_rows_are_the_concepts_best_first(atlas: Atlas) -> None:
    with plot_style.style():
        figure = plot.draw_neuron(atlas, "L1N7", fit=FitChoice(family="topics"), range="gaussian")
    panels = figure.subfigs[0].axes
    assert len(panels) == len(TOPICS)
    drawn = [panel.get_ylabel().split("\n")[0] for panel in panels]
    auc = {name: gaussian(atlas, name, 1, 7)["auc"] for name in TOPICS}
    assert drawn == sorted(TOPICS, key=lambda name: (-abs(auc[name] - 0.5), name))
    assert drawn[0] == "sports"
    best = gaussian(atlas, "sports", 1, 7)
    for name, panel in zip(drawn, panels, strict=True):
        row = gaussian(atlas, name, 1, 7)
        color = plot_style.BLUE if name == "sports" else plot_style.GREY
        check_bump(panel, color, row["n"], row["mean"], row["std"], histogram(atlas, name, 1, 7))
        assert band(panel) == pytest.approx((best["lower"], best["upper"]))
        assert panel.get_ylabel() == f"{name}\nn {row['n']}, AUC {row['auc']:.2f}"
        assert panel.get_xlim() == panels[0].get_xlim()
    assert panels[-1].get_xlabel() == "activation at mlp_post (last token)"
    title = panels[0].get_title(loc="left")
    for number in (f"{best['lower']:.3g}", f"{best['coverage']:.2f}", f"{best['leakage']:.2f}", "sports"):
        assert number in title
    assert "density" in figure.subfigs[0].get_supylabel()


def test_neuron_has_a_column_per_fit(atlas: Atlas) -> None:
    figure = plot.draw_neuron(atlas, "L1N7")
    assert [len(part.axes) for part in figure.subfigs] == [len(FAMILIES[f]) for f in sorted(FAMILIES)]


def test_concept_panels_are_the_best_neurons_against_all_others(atlas: Atlas) -> None:
    with plot_style.style():
        figure = plot.draw_concept(atlas, "sports", tau=None, rule="auc", limit=5, range="gaussian")
    head, body = figure.subfigs
    best = neurons_for_concept(atlas, "sports", rule="auc", limit=5).dicts()
    assert best[0]["address"] == "L1N7" and len(body.axes) == 5
    for panel, row in zip(body.axes, best, strict=True):
        layer, neuron = row["layer"], row["neuron"]
        own = gaussian(atlas, "sports", layer, neuron)
        bins = histogram(atlas, "sports", layer, neuron)
        check_bump(panel, plot_style.BLUE, own["n"], own["mean"], own["std"], bins)
        acts_EN, labels_E = planted_activations("topics", layer, 0)
        rest = acts_EN[labels_E != 0, neuron].astype(np.float64)
        counts = sum(histogram(atlas, name, layer, neuron)[:, 2] for name in TOPICS[1:])
        rest_bins = np.column_stack([bins[:, :2], counts])
        check_bump(panel, plot_style.GREY, len(rest), rest.mean(), rest.std(), rest_bins)
        assert band(panel) == pytest.approx((own["lower"], own["upper"]))
        title = panel.get_title(loc="left")
        assert title.split() == [
            row["address"],
            "AUC",
            f"{row['auc']:.2f}",
            "coverage",
            f"{row['coverage']:.2f}",
            "leakage",
            f"{row['leakage']:.2f}",
        ]
    texts = [text.get_text() for text in head.legends[0].get_texts()]
    others = PER_CONCEPT * (len(TOPICS) - 1)
    assert texts == [f"sports (n {PER_CONCEPT})", f"all others (n {others})", f"range, mean ± {TAU:g} std"]
    assert body.get_supxlabel() == "activation at mlp_post (last token)"


def interval(atlas: Atlas, concept: str, layer: int, neuron: int) -> dict[str, float]:
    columns, rows = atlas.query(
        "SELECT n, interval_lower, interval_upper, held_out_coverage, held_out_leakage, expected_coverage, "
        "expected_leakage FROM concept_interval "
        "WHERE concept = ? AND layer = ? AND neuron = ?",
        [concept, layer, neuron],
    )
    return dict(zip(columns, rows[0], strict=True))


def in_words(found: dict[str, float]) -> str:
    low, high = found["interval_lower"], found["interval_upper"]
    if np.isinf(low):
        return f"≤ {high:.3g}"
    return f"≥ {low:.3g}" if np.isinf(high) else f"{low:.3g} to {high:.3g}"


def test_a_neuron_is_shown_with_the_interval_of_its_best_concept(atlas: Atlas) -> None:
    figure = plot.draw_neuron(atlas, "L1N7")
    for part, family in zip(figure.subfigs, sorted(FAMILIES), strict=True):
        found = {name: interval(atlas, name, 1, 7) for name in FAMILIES[family]}
        held_out = {name: row["held_out_coverage"] - row["held_out_leakage"] for name, row in found.items()}
        drawn = [panel.get_ylabel().split("\n")[0] for panel in part.axes]
        assert drawn == sorted(held_out, key=lambda name: (-held_out[name], name))
        best = found[drawn[0]]
        low, high = best["interval_lower"], best["interval_upper"]
        for panel in part.axes:
            left, right = panel.get_xlim()
            assert band(panel) == pytest.approx((max(low, left), min(high, right)))  # open sides run to the edge
            assert left <= max(low, left) <= min(high, right) <= right
        assert part.axes[0].get_title(loc="left").split("\n") == [
            f"{family}: shaded is the interval of {drawn[0]}, {in_words(best)}",
            f"(to expect on new texts: coverage {best['expected_coverage']:.2f}, "
            f"leakage {best['expected_leakage']:.2f})",
        ]


def test_a_concept_is_shown_with_intervals_and_what_to_expect(atlas: Atlas) -> None:
    figure = plot.draw_concept(atlas, "sports", limit=6)
    head, body = figure.subfigs
    best = neurons_for_concept(atlas, "sports", rule="interval", limit=6).dicts()
    for panel, row in zip(body.axes, best, strict=True):
        found = interval(atlas, "sports", row["layer"], row["neuron"])
        # The picture's numbers are those of the answer.
        assert all(row[name] == found[name] for name in found)
        assert panel.get_title(loc="left").split("   ") == [
            row["address"],
            in_words(found),
            f"coverage {row['expected_coverage']:.2f}",
            f"leakage {row['expected_leakage']:.2f}",
        ]
        left, right = panel.get_xlim()
        assert band(panel) == pytest.approx((max(row["interval_lower"], left), min(row["interval_upper"], right)))
    texts = [text.get_text() for text in head.legends[0].get_texts()]
    assert texts[0] == f"sports (n {PER_CONCEPT})" and texts[2] == "interval, its shares to expect on new texts"


def test_an_older_atlas_is_shown_with_held_out_shares(tmp_path: Path) -> None:
    with changed_by_hand(write_small_atlas(tmp_path / "older.duckdb")) as connection:
        connection.execute("UPDATE _significance SET expected_coverage = NULL, expected_leakage = NULL")
    older = open_atlas(tmp_path / "older.duckdb")
    head, body = plot.draw_concept(older, "sports", limit=1).subfigs
    (best,) = neurons_for_concept(older, "sports", limit=1).dicts()
    title = body.axes[0].get_title(loc="left")
    assert f"coverage {best['held_out_coverage']:.2f}   leakage {best['held_out_leakage']:.2f}" in title
    assert head.legends[0].get_texts()[2].get_text() == "interval, its shares held out over 5 folds"


def test_which_range_is_shaded(atlas: Atlas, tmp_path: Path) -> None:
    def titles(asked: Atlas, **options: object) -> set[str]:
        parts = plot.draw_neuron(asked, "L1N7", **options).subfigs
        return {"interval" if "interval of" in part.axes[0].get_title(loc="left") else "range" for part in parts}

    assert titles(atlas) == titles(atlas, range="interval") == {"interval"}
    assert titles(atlas, range="gaussian") == titles(atlas, tau=TAU) == {"range"}
    assert titles(atlas, range="interval", tau=TAU) == {"interval"}
    with pytest.raises(UnknownNameError, match="unknown range 'gausian'"):
        plot.draw_concept(atlas, "sports", range="gausian")
    with open_atlas(write_small_atlas(tmp_path / "before.duckdb", intervals=False)) as before:
        assert titles(before) == {"range"}
        figure = plot.draw_concept(before, "sports", limit=1)
        assert "by auc" in figure.subfigs[0].get_suptitle()
        with pytest.raises(QuestionError, match="topics at mlp_post has no intervals to show"):
            plot.draw_concept(before, "sports", range="interval")


def test_an_axis_without_outliers_says_how_many_there_are(atlas_file: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copy(atlas_file, tmp_path / "copy.duckdb"))
    with changed_by_hand(copy) as connection:
        connection.execute("UPDATE _background SET min = 0, max = 10 WHERE layer = 0 AND neuron = 3")
        for concept, counts in (
            (0, [99, 99, 0, 0, 0, 0, 0, 0, 1, 1]),
            (1, [0, 0, 200] + [0] * 7),
            (2, [200] + [0] * 9),
        ):
            values = f"{counts} WHERE concept_id = {concept} AND layer = 0 AND neuron = 3"
            connection.execute(f"UPDATE _histogram SET counts = {values}")
        connection.execute("UPDATE _interval SET interval_lower = 0.5, interval_upper = 3.5 WHERE neuron = 3")
    with open_atlas(copy) as atlas:
        panels = plot.draw_neuron(atlas, "L0N3", fit=FitChoice(family="topics"), range="interval").subfigs[0].axes
        said = {panel.get_ylabel().split("\n")[0]: [text.get_text() for text in panel.texts] for panel in panels}
        assert said == {"sports": ["2 more →"], "politics": [], "animals": []}
        assert {panel.get_xlim() for panel in panels} == {(0.0, 4.0)}  # the end of the interval is seen


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_files_have_their_format(atlas: Atlas, tmp_path: Path, suffix: str) -> None:
    neuron, concept = tmp_path / f"neuron{suffix}", tmp_path / f"concept{suffix}"
    plot_neuron(atlas, "L1N7", neuron, fit=FitChoice(family="moods"))
    plot_concept(atlas, "animals", concept, limit=2, rule="dprime", tau=TAU)
    starts = {".png": b"\x89PNG\r\n\x1a\n", ".svg": b"<?xml", ".pdf": b"%PDF-"}
    for path in (neuron, concept):
        assert path.read_bytes().startswith(starts[suffix])
    assert sorted(tmp_path.iterdir()) == sorted([neuron, concept])


def test_png_size_and_that_something_is_drawn(atlas: Atlas, tmp_path: Path) -> None:
    path = tmp_path / "picture.PNG"
    plot_neuron(atlas, "L1N7", path, fit=FitChoice(family="topics"))
    pixels = image.imread(path, format="png")
    assert pixels.shape[:2] == (round((1.6 + 0.62 * len(TOPICS)) * 150), 960)
    assert len(np.unique(pixels.reshape(-1, pixels.shape[2]), axis=0)) > 100
    before = path.read_bytes()
    plot_concept(atlas, "sports", path, limit=6)
    assert image.imread(path, format="png").shape[1] == 1320 and path.read_bytes() != before


def test_the_same_picture_twice_is_the_same_file(atlas: Atlas, tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg"):
        plot_concept(atlas, "joy", tmp_path / name, limit=1)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


@pytest.mark.parametrize(
    ("call", "error", "reason"),
    [
        (lambda a, d: plot_neuron(a, "L1N7", d / "x.txt"), UsageError, "not a picture"),
        (lambda a, d: plot_neuron(a, "L1N7", d / "x"), UsageError, "not a picture"),
        (lambda a, d: plot_concept(a, "sports", d / "none" / "x.png"), UsageError, "no folder"),
        (lambda a, d: plot_neuron(a, "1.7", d / "x.png"), UsageError, "address"),
        (lambda a, d: plot_neuron(a, "L9N7", d / "x.png"), QuestionError, "L9N7"),
        (lambda a, d: plot_neuron(a, "L1N7", d / "x.png", fit=FitChoice(family="topic")), UnknownNameError, "topic"),
        (
            lambda a, d: plot_neuron(a, "L1N7", d / "x.png", fit=RESIDUAL),
            QuestionError,
            "resid_post",
        ),
        (lambda a, d: plot_neuron(a, "L1N7", d / "x.png", tau=9.0), UsageError, "tau 9"),
        (lambda a, d: plot_concept(a, "sport", d / "x.png"), UnknownNameError, "sport"),
        (lambda a, d: plot_concept(a, "sports", d / "x.png", rule="best"), UnknownNameError, "best"),
        (lambda a, d: plot_concept(a, "sports", d / "x.png", limit=0), UsageError, "0 neurons"),
        (lambda a, d: plot_concept(a, "sports", d / "x.png", fit=FitChoice(position="all")), UnknownNameError, "all"),
    ],
)
def test_refusals_write_nothing(atlas: Atlas, tmp_path: Path, call, error, reason: str) -> None:
    with pytest.raises(error, match=reason) as caught:
        call(atlas, tmp_path)
    assert isinstance(caught.value, AtlasError) and caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_the_way(atlas: Atlas, tmp_path: Path) -> None:
    (tmp_path / "x.png").mkdir()
    with pytest.raises(UsageError, match=r"x\.png"):
        plot_neuron(atlas, "L1N7", tmp_path / "x.png")
    assert [path.name for path in tmp_path.iterdir()] == ["x.png"]


def test_degenerate_neurons(atlas_file: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copy(atlas_file, tmp_path / "copy.duckdb"))
    with changed_by_hand(copy) as connection:
        connection.execute("UPDATE _background SET max = min WHERE layer = 0 AND neuron = 1")
        connection.execute("DELETE FROM _histogram WHERE layer = 0 AND neuron = 2")
        # A concept without spread has a histogram but no Gaussian to draw.
        connection.execute("UPDATE _gaussian SET std = 0 WHERE layer = 0 AND neuron = 3 AND concept_id = 1")
        connection.execute("UPDATE concept SET concept = '$5 & <more>_' WHERE concept = 'joy'")
    with open_atlas(copy) as atlas:
        with pytest.raises(QuestionError, match="every example"):
            plot_neuron(atlas, "L0N1", tmp_path / "x.png")
        with pytest.raises(QuestionError, match="no histogram"):
            plot_neuron(atlas, "L0N2", tmp_path / "x.png")
        panels = plot.draw_neuron(atlas, "L0N3", fit=FitChoice(family="topics")).subfigs[0].axes
        assert sorted(len(panel.lines) for panel in panels) == [0, 1, 1]
        plot_concept(atlas, "$5 & <more>_", tmp_path / "odd.svg", limit=1)
        assert "$5 &amp; &lt;more&gt;_ (n 20)" in (tmp_path / "odd.svg").read_text()


def test_drawing_leaves_the_settings_of_matplotlib_alone(atlas_file: Path, tmp_path: Path) -> None:
    program = """
import sys, matplotlib
before = matplotlib.rcParams.copy()
from atlas.store.reader import open_atlas
from queries.plots.plot import plot_neuron
with open_atlas(sys.argv[1]) as atlas:
    plot_neuron(atlas, "L1N7", sys.argv[2])
assert matplotlib.rcParams.copy() == before
assert "matplotlib.pyplot" not in sys.modules
"""
    arguments = [sys.executable, "-c", program, str(atlas_file), str(tmp_path / "x.png")]
    subprocess.run(arguments, check=True, cwd=Path(__file__).parents[3])


def test_a_pooled_bump_has_the_moments_of_the_pooled_values() -> None:
    groups = {"a": [1.0, 2.0, 4.0], "b": [10.0, 12.0], "c": [-3.0] * 5}
    bumps = [Bump(name, len(v), statistics.fmean(v), statistics.pstdev(v), [len(v), 1]) for name, v in groups.items()]
    rest = rest_of(bumps, "b")
    pooled = groups["a"] + groups["c"]
    assert (rest.n, rest.counts) == (8, [8, 2])
    assert rest.mean == pytest.approx(statistics.fmean(pooled))
    assert rest.std == pytest.approx(statistics.pstdev(pooled))
    with pytest.raises(UsageError, match="only concept"):
        rest_of(bumps[:1], "a")


@pytest.mark.parametrize(
    ("options", "shaded"),
    [
        ([], "interval, its shares to expect on new texts"),
        (["--range", "gaussian"], f"range, mean ± {TAU:g} std"),
        (["--rule", "low_leakage"], f"range, mean ± {TAU:g} std"),
        (["--rule", "auc", "--range", "interval"], "interval, its shares to expect on new texts"),
    ],
)
def test_the_command_shades_the_range_that_it_lists(
    atlas_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], shaded: str
) -> None:
    drawn = []
    monkeypatch.setattr(plot, "save", lambda figure, target: drawn.append(figure))
    command = ["concept", "sports", "-a", str(atlas_file), "-n", "2", "--plot", str(tmp_path / "a.png"), *options]
    assert main(command) == 0
    head, _ = drawn[0].subfigs
    assert head.legends[0].get_texts()[2].get_text() == shaded
