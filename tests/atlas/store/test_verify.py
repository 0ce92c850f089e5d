"""`verify`: what is whole passes, each thing that is not is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from atlas.__main__ import main
from atlas.errors import AtlasFileError
from atlas.store import verify as looking
from atlas.store.verify import BROKEN, OK, UNKNOWN, Check, checks_of, verify
from queries.verify import verify as question
from tests.amount import FULL
from tests.atlas_factory import write_small_atlas


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_atlas(tmp_path_factory.mktemp("whole") / "a.duckdb")


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(whole, tmp_path / "a.duckdb"))


def change(path: Path, *statements: str) -> None:
    with duckdb.connect(str(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.execute("CHECKPOINT")


def broken(path: Path) -> list[Check]:
    return [check for check in verify(path) if check.result == BROKEN]


def test_a_published_atlas_is_whole(whole: Path) -> None:
    checks = list(verify(whole))
    assert {check.result for check in checks} == {OK}
    assert len({check.name for check in checks}) == len(checks) > 80


def test_a_changed_value_is_found_by_the_digest_of_its_column(copy: Path) -> None:
    change(copy, "UPDATE run SET device = 'another' WHERE run_id = 1")
    assert broken(copy) == [Check("run: digests", BROKEN, "of device")]


def test_a_changed_definition_is_found(copy: Path) -> None:
    change(copy, "CREATE OR REPLACE MACRO neuron_name(layer, neuron) AS 'L' || layer || 'M' || neuron")
    with pytest.raises(AtlasFileError, match="a macro 'neuron_name' that is not ours"):
        broken(copy)


def test_a_further_table_is_found(copy: Path) -> None:
    change(copy, "CREATE TABLE more (a INTEGER)")
    with pytest.raises(AtlasFileError, match="a table 'more' that is not ours"):
        broken(copy)


def test_sizes_that_no_model_has_are_refused(copy: Path) -> None:
    change(copy, "UPDATE atlas SET d_mlp = -5", "DROP TABLE _digest")
    with pytest.raises(AtlasFileError, match="sizes that no model has"):
        broken(copy)


def test_an_atlas_from_before_there_were_digests(copy: Path) -> None:
    change(copy, "DROP TABLE _digest")
    checks = list(checks_of(copy))
    assert [check.name for check in checks if check.result != OK] == ["digests"]
    assert {check.result for check in checks} == {OK, UNKNOWN}
    change(copy, "UPDATE _range SET inside = 21 WHERE neuron = 3")
    assert [check.name for check in broken(copy)] == ["counts stay within their samples"]


# Of those that are done together none breaks the rule of another.
TOGETHER: list[dict[str, str]] = [
    {
        "UPDATE atlas SET decoding_mode = 'cooked'": "the decoding mode is known",
        "UPDATE vocab SET token_id = 4000 WHERE token_id = 39": "token ids are in range",
        "UPDATE vocab SET norm = 'nan' WHERE token_id = 3": "token norms are finite",
        "UPDATE _decoding SET neuron = 3 WHERE nid = 40": "nid matches weight, layer and neuron",
        "DELETE FROM _decoding WHERE nid = 7": "every weight is decoded for all neurons",
        "UPDATE _decoding SET norm = -1 WHERE nid = 40": "norms are finite",
        "INSERT INTO concept SELECT 77, family, concept, 1 FROM concept LIMIT 1": "a family names a concept once",
        "UPDATE concept SET n_examples = 0 WHERE concept_id = 1": "concepts have examples",
        "DELETE FROM run WHERE run_id = 2": "fits name their run",
        "UPDATE fit SET site = 'mlp' WHERE fit_id = 1": "fits are at a known site",
        "UPDATE fit SET taus = [2.5, 2.5] WHERE fit_id = 1": "taus are positive and differ",
        "UPDATE fit SET n = 1 WHERE fit_id = 1": "fits count the values of their concepts",
        "UPDATE fit_concept SET concept_id = 90 WHERE concept_id = 1": "concepts of a fit are of its family",
        "INSERT INTO _fit_example VALUES (7, 7)": "texts are of a fit",
        "DELETE FROM _background WHERE fit_id = 1": "every fit has a background",
        "DELETE FROM _background WHERE neuron = 3 AND layer = 1": "every fit has all its neurons",
        "UPDATE _background SET mean = max + 1 + abs(max) WHERE neuron = 3": "backgrounds are finite",
        "DELETE FROM _gaussian WHERE concept_id = 1": "every fit has all its concepts at every neuron",
        "UPDATE _gaussian SET std = 'nan' WHERE neuron = 3": "Gaussians are finite",
        "UPDATE _gaussian SET overlap = 2 WHERE neuron = 3": "shapes are finite",
        "UPDATE _gaussian SET layer = 7 WHERE layer = 2": "Gaussians are of a neuron of their fit",
        "UPDATE _range SET tau = 3 WHERE neuron = 3": "ranges are at a tau of their fit",
        "DELETE FROM _histogram WHERE neuron = 3": "every Gaussian has a histogram",
        "UPDATE _histogram SET counts = list_reverse(counts::INTEGER[])::INTEGER[10], neuron = neuron + 100":
            "histograms are of a neuron of their fit",
    },
    {
        "UPDATE _token_form SET form = 'x' WHERE token_id = 3": "word forms mirror the vocabulary",
        "UPDATE _posting SET logit = logit + 1 WHERE nid = 40": "postings mirror the decodings",
        "UPDATE fit SET width = 8 WHERE fit_id = 1": "fits are as wide as their site",
        "UPDATE _background SET n = 1 WHERE neuron = 3": "backgrounds count the values of their fit",
        "UPDATE _gaussian SET twice_u = -1 WHERE neuron = 3": "AUC is a share",
        "UPDATE _range SET worst_concept_id = concept_id": "the worst concept is another one of the fit",
        "UPDATE _histogram SET counts = (SELECT list(1) FROM range(10))::INTEGER[10] WHERE neuron = 3":
            "histograms count the values of their concept",
    },
    {
        "UPDATE _posting SET rank = 3 - rank WHERE nid = 40 AND rank < 3": "postings mirror the decodings",
        "DELETE FROM _range WHERE neuron = 3": "every Gaussian has a range at every tau",
    },
    {
        "INSERT INTO _decoding SELECT * FROM _decoding WHERE nid = 3": "_decoding: keys differ and ascend",
    },
]  # fmt: skip
ALONE = [{statement: rule} for together in TOGETHER for statement, rule in together.items()]


@pytest.mark.parametrize("promises", ALONE if FULL else TOGETHER)
def test_a_broken_promise_is_named_also_without_digests(copy: Path, promises: dict[str, str]) -> None:
    change(copy, *promises, "DROP TABLE _digest")
    found = {check.name for check in checks_of(copy) if check.result == BROKEN}
    assert set(promises.values()) <= found


def test_the_command_line(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(copy), "--format", "jsonl"]) == 0
    captured = capsys.readouterr()
    assert {json.loads(line)["result"] for line in captured.out.splitlines()} == {OK}
    change(copy, "UPDATE _posting SET logit = logit + 1 WHERE nid = 40")
    assert main(["verify", str(copy), "--format", "jsonl"]) == 3
    captured = capsys.readouterr()
    assert {json.loads(line)["result"] for line in captured.out.splitlines()} == {OK, BROKEN}
    assert "is damaged: _posting: digests (of logit)" in captured.err
    assert main(["verify", str(copy.parent / "none.duckdb")]) == 3
    assert "there is no atlas" in capsys.readouterr().err


def test_no_atlas_to_check(tmp_path: Path) -> None:
    path = tmp_path / "a.duckdb"
    duckdb.connect(str(path)).close()
    with pytest.raises(AtlasFileError, match="no neuron atlas"):
        question(path)


def test_a_damaged_sidecar_is_named(copy: Path) -> None:
    sidecar = copy.with_name("a.evaluations.duckdb")
    duckdb.connect(str(sidecar)).close()
    with pytest.raises(AtlasFileError, match="without evaluations"):
        question(copy)


def test_a_check_that_takes_long_draws_no_bar_among_the_answers(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[bool] = []

    def checks(connection: duckdb.DuckDBPyConnection, *_: object) -> Iterator[Check]:
        with connection.cursor() as cursor:
            drawn.extend(cursor.execute("SELECT current_setting('enable_progress_bar')").fetchone() or ())
        yield Check("none", OK)

    monkeypatch.setattr(looking, "_atlas_checks", checks)
    assert [check.name for check in looking.checks_of(whole)][-1] == "none"
    assert drawn == [False]
