"""A build that is killed, and what may stand in the way of a build."""

from __future__ import annotations

import resource
import shutil
import signal
from pathlib import Path

import pytest

from atlas.errors import AtlasFileError, BuildError, CorpusError, ModelError, UsageError
from atlas.store.reader import open_atlas
from atlas.store.staging import building_folder
from builders.build.pipeline import build
from builders.config import ConceptSource
from tests import warm
from tests.amount import some
from tests.end_to_end.workbench import all_rows, built, config, write_corpus
from tests.synthetic import make_model, make_tokenizer

# Kills itself, without any clean-up, right before or right after the n-th commit to the staging area.
CHILD = """
import os, signal, sys
from pathlib import Path
from atlas.store import publish, staging
from tests.end_to_end.workbench import built
model, target, corpus, moment, when = sys.argv[1:]
count = 0
def die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)
def wrapped(method):
    def call(self, *args, **kwargs):
        global count
        count += 1
        if count == int(moment) and when == "before":
            die()
        result = method(self, *args, **kwargs)
        if count == int(moment) and when == "after":
            die()
        return result
    return call
for name in ("commit", "write_state"):
    setattr(staging.Staging, name, wrapped(getattr(staging.Staging, name)))
if when == "publishing":
    publish.check = die
if when == "renaming":
    publish.os.replace = die
if when == "published":
    staging.Staging.discard = die
built(Path(model), Path(target), Path(corpus), taus=(1.0, 2.5))
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model("llama", tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus") / "words.jsonl")


@pytest.fixture(scope="module")
def undisturbed(model: Path, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> dict:
    return all_rows(built(model, tmp_path_factory.mktemp("whole") / "a.duckdb", corpus, taus=(1.0, 2.5)))


@pytest.fixture(scope="module")
def decoded(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An atlas without statistics, to be copied."""
    return built(model, tmp_path_factory.mktemp("decoded") / "a.duckdb", None)


@pytest.fixture(scope="module")
def both(model: Path, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An atlas of decodings and statistics, to be copied."""
    return built(model, tmp_path_factory.mktemp("both") / "a.duckdb", corpus, bins=7)


def killed(model: Path, target: Path, corpus: Path, moment: int, when: str) -> bool:
    """Whether a build in a process of its own has killed itself at that moment."""
    return warm.run(["-c", CHILD, model, target, corpus, moment, when]).returncode == -signal.SIGKILL


@pytest.mark.parametrize(
    ("moment", "when"),
    some([(6, "after"), (12, "before"), (14, "after"), (0, "renaming")], [(12, "before"), (0, "renaming")]),
)
def test_a_killed_build_resumes_to_the_same_rows(
    model: Path, corpus: Path, undisturbed: dict, decoded: Path, tmp_path: Path, moment: int, when: str
) -> None:
    target = Path(shutil.copy(decoded, tmp_path / "a.duckdb"))
    old = target.read_bytes()
    assert killed(model, tmp_path / "b.duckdb", corpus, moment, when)
    assert target.read_bytes() == old
    assert not (tmp_path / "b.duckdb").exists()
    path = build(config(model, tmp_path / "b.duckdb", corpus, taus=(1.0, 2.5)), interrupted="resume").path
    assert all_rows(path) == undisturbed
    assert not building_folder(path).exists()


def test_an_unfinished_build_is_neither_dropped_nor_mixed_up(
    model: Path, corpus: Path, undisturbed: dict, tmp_path: Path
) -> None:
    target = tmp_path / "b.duckdb"
    assert killed(model, target, corpus, 9, "after")
    with pytest.raises(UsageError, match="unfinished build"):
        built(model, target, corpus)
    with pytest.raises(BuildError, match=r"taus = \[1.0, 2.5\], this one has \[2.5\]"):
        build(config(model, target, corpus), interrupted="resume")
    path = build(config(model, target, corpus, taus=(1.0, 2.5)), interrupted="restart").path
    assert all_rows(path) == undisturbed


def test_a_build_killed_after_publishing_is_done(model: Path, corpus: Path, undisturbed: dict, tmp_path: Path) -> None:
    target = tmp_path / "b.duckdb"
    assert killed(model, target, corpus, 0, "published")
    finished = target.read_bytes()
    with pytest.raises(UsageError, match="exists"):  # other options: not what was published
        build(config(model, target, corpus), interrupted="resume")
    build(config(model, target, corpus, taus=(1.0, 2.5)), interrupted="resume")
    assert target.read_bytes() == finished
    assert all_rows(target) == undisturbed
    assert list(tmp_path.iterdir()) == [target]


def test_a_resumed_build_has_the_same_tokenizer(model: Path, corpus: Path, tmp_path: Path) -> None:
    target, other = tmp_path / "b.duckdb", tmp_path / "model"
    shutil.copytree(model, other)
    assert killed(other, target, corpus, 9, "after")
    make_tokenizer(add_bos=True).save_pretrained(other)
    with pytest.raises(BuildError, match="tokenizer"):
        build(config(other, target, corpus, taus=(1.0, 2.5)), interrupted="resume")


def test_an_existing_atlas_is_not_overwritten_by_accident(
    model: Path, corpus: Path, decoded: Path, tmp_path: Path
) -> None:
    target = Path(shutil.copy(decoded, tmp_path))
    with pytest.raises(UsageError, match="--replace"):
        built(model, target, corpus)
    build(config(model, target, corpus, decode=False), existing="replace")
    with open_atlas(target) as atlas:
        assert atlas.manifest.decoding_mode is None
        assert atlas.query("SELECT (SELECT count(*) FROM _decoding), (SELECT count(*) FROM fit)")[1] == [(0, 1)]


def test_parts_built_on_different_days_equal_one_build(
    model: Path, corpus: Path, undisturbed: dict, decoded: Path, tmp_path: Path
) -> None:
    target = Path(shutil.copy(decoded, tmp_path))
    build(config(model, target, corpus, decode=False, taus=(1.0, 2.5)), existing="add")
    apart = all_rows(target)
    assert {name for name in apart if apart[name] != undisturbed[name]} == set()


def test_adding_replaces_the_same_fit_and_keeps_the_others(
    model: Path, corpus: Path, both: Path, tmp_path: Path
) -> None:
    target = Path(shutil.copy(both, tmp_path))
    before = all_rows(target)
    build(config(model, target, corpus, decode=False, sites=("resid_post",), bins=7), existing="add")
    after = all_rows(target)
    assert before["_decoding"] == after["_decoding"]
    assert before["concept"] == after["concept"]
    assert set(before["_gaussian"]) < set(after["_gaussian"])
    build(config(model, target, corpus, decode=False, taus=(1.0,), bins=7), existing="add")
    with open_atlas(target) as atlas:
        assert atlas.query("SELECT site, taus FROM fit ORDER BY 1")[1] == [("mlp_post", [1.0]), ("resid_post", [2.5])]
    lines = corpus.read_text().splitlines(keepends=True)
    changed = tmp_path / "words.jsonl"
    changed.write_text("".join(lines[1:]))
    build(config(model, target, changed, decode=False, bins=7), existing="add")
    with open_atlas(target) as atlas:  # another text of the family: none of its old fits may stay
        assert atlas.query("SELECT site, n FROM fit")[1] == [("mlp_post", 17)]
        assert atlas.query("SELECT concept, n_examples FROM concept ORDER BY 1")[1][0] == ("pets", 5)


def test_bins_of_an_atlas_stay_when_adding_and_others_are_refused(
    model: Path, corpus: Path, both: Path, tmp_path: Path
) -> None:
    target = Path(shutil.copy(both, tmp_path))
    before = all_rows(target)
    with pytest.raises(UsageError, match="has histograms of 7 bins, not 20"):
        build(config(model, target, corpus, decode=False, sites=("resid_post",), bins=20), existing="add")
    assert all_rows(target) == before
    build(config(model, target, corpus, decode=False, sites=("resid_post",), bins=None), existing="add")
    with open_atlas(target) as atlas:
        assert atlas.manifest.bins == 7
        assert atlas.query("SELECT DISTINCT len(counts) FROM _histogram")[1] == [(7,)]


def test_adding_one_weight_keeps_the_others(model: Path, tmp_path: Path) -> None:
    whole = all_rows(built(model, tmp_path / "whole.duckdb", None, weights=("up_proj", "gate_proj")))
    target = built(model, tmp_path / "a.duckdb", None, weights=("up_proj",), keep_vectors=True)
    for changes in ({"top": 5}, {"mode": "folded"}):
        with pytest.raises(UsageError, match="decodings of up_proj with --top 6 --mode raw"):
            build(config(model, target, None, weights=("gate_proj",), **changes), existing="add")
    build(config(model, target, None, weights=("gate_proj",)), existing="add")
    build(config(model, target, None, weights=("gate_proj",)), existing="add")
    both = all_rows(target)
    assert both["_decoding"] == whole["_decoding"]
    assert both["_posting"] == whole["_posting"]
    assert {row[0] for row in both["neuron_vector"]} == {"up_proj"}


@pytest.mark.parametrize("limit", some([4_000, 30_000, 200_000, 600_000], [4_000, 600_000]))
def test_a_full_disk_is_one_line_and_resumes(
    model: Path, corpus: Path, undisturbed: dict, tmp_path: Path, limit: int
) -> None:
    options = ["--top", "6", "--bins", "5", "--batch-tokens", "24", "--tau", "1", "--tau", "2.5"]
    target = tmp_path / "b.duckdb"
    arguments = ["build", model, "-o", target, "--concepts", corpus, *options]
    full = (resource.setrlimit, resource.RLIMIT_FSIZE, (limit, limit))
    child = warm.run(["-m", "atlas", *arguments], before=full)
    assert child.returncode == 5
    said = [line for line in child.stderr.splitlines() if not line.startswith("progress: ")]
    assert said[0].startswith("error: cannot write")
    assert said[1].startswith("hint: ") and len(said) == 2
    path = build(config(model, target, corpus, taus=(1.0, 2.5)), interrupted="restart").path
    assert all_rows(path) == undisturbed


def test_what_cannot_be_built_changes_nothing(model: Path, corpus: Path, tmp_path: Path) -> None:
    target = tmp_path / "a.duckdb"
    with pytest.raises(UsageError, match="no folder"):
        built(model, tmp_path / "none" / "a.duckdb", corpus)
    with pytest.raises(CorpusError):
        built(model, target, tmp_path / "none.jsonl")
    with pytest.raises(UsageError, match="layers 0 to 2, not 7"):
        built(model, target, corpus, layers=(1, 7))
    with pytest.raises(BuildError, match="exceeds the vocabulary"):
        built(model, target, corpus, top=112)
    with pytest.raises(AtlasFileError, match="there is no atlas"):
        build(config(model, target, corpus), existing="add")
    assert not target.exists()
    assert list(tmp_path.iterdir()) == []


def test_what_the_model_cannot_do_is_said_before_any_work(corpus: Path, tmp_path: Path) -> None:
    gpt2 = make_model("gpt2", tmp_path / "gpt2")
    target = tmp_path / "a.duckdb"
    for changes, error, reason in (
        ({"sites": ("mlp_pre_linear",)}, ModelError, "no site mlp_pre_linear"),
        ({"weights": ("gate_proj",)}, ModelError, "no weight gate_proj"),
        ({"batch_tokens": 2}, UsageError, "does not fit into a batch"),
        ({"concepts": (ConceptSource(str(corpus), template="{text}" + " dog" * 70),)}, UsageError, "template alone"),
        ({"weights": ("up_proj", "up_proj")}, UsageError, "twice"),
        ({"sites": ("mlp_post", "mlp_post")}, UsageError, "twice"),
    ):
        with pytest.raises(error, match=reason):
            built(gpt2, target, corpus, **changes)
        assert not building_folder(target).exists()


def test_adding_to_the_atlas_of_another_model_is_refused(corpus: Path, decoded: Path, tmp_path: Path) -> None:
    target = Path(shutil.copy(decoded, tmp_path))
    before = target.read_bytes()
    other = make_model("llama", tmp_path / "other", seed=5)
    with pytest.raises(BuildError, match="another model"):
        build(config(other, target, corpus), existing="add")
    assert target.read_bytes() == before
