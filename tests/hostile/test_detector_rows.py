"""Rows of rules that no builder writes: `detect` shows or refuses them, and `verify` says what is wrong with them."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from atlas.detector import Detector
from atlas.errors import AtlasError
from atlas.store.reader import open_atlas
from atlas.store.verify import BROKEN, checks_of
from queries.detectors import detector, detectors
from tests.atlas_factory import changed_by_hand, write_small_atlas
from tests.hostile.counts import count, generator
from tests.hostile.test_mangled_rows import mangle

CASES = count(24, 1500)
TABLES = ("_detector_fit", "_detector", "_detector", "_detector_neuron", "_detector_neuron", "run")
ASKED = [("interval", 1), ("interval", 2), ("linear", 2)]
_RULE = "INSERT INTO _detector VALUES (0, 0, '{form}', {neurons}, {layer}, -1.5, 0.25, 15, 3, 0.9, 0.8, 0.95, 0.7, 0.9)"
_MEMBER = "INSERT INTO _detector_neuron VALUES (0, 0, '{form}', {neurons}, {place}, 1, {place}, 2.5, {bounds})"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small atlas with rules for its first concept."""
    path = write_small_atlas(tmp_path_factory.mktemp("whole") / "a.duckdb")
    with changed_by_hand(path) as connection:
        connection.execute("INSERT INTO _detector_fit SELECT 0, run_id, 5, 0 FROM fit WHERE fit_id = 0")
        for form, neurons in [*ASKED[:2], ("layer", 16), *ASKED[2:]]:
            layer = "1" if form == "layer" else "NULL"
            connection.execute(_RULE.format(form=form, neurons=neurons, layer=layer))
            bounds = "-1, 'inf', NULL, NULL" if form == "interval" else "NULL, NULL, 0.5, 2"
            for place in range(1, neurons + 1) if form != "layer" else ():
                connection.execute(_MEMBER.format(form=form, neurons=neurons, place=place, bounds=bounds))
        connection.execute(
            "UPDATE run SET parameters = json_merge_patch(parameters, '{\"max_tokens\": 64}') "
            "WHERE run_id = (SELECT run_id FROM fit WHERE fit_id = 0)"
        )
    return path


def outcomes(path: Path) -> dict[str, Any]:
    """Question -> its answer, or the error that refuses it; any other exception passes."""
    found: dict[str, Any] = {}
    try:
        with open_atlas(path) as atlas:
            for form, neurons in ASKED:
                for ask in (detectors, detector):
                    name = f"{ask.__name__} {form} {neurons}"
                    try:
                        found[name] = ask(atlas, "sports", form=form, neurons=neurons)
                    except AtlasError as error:
                        found[name] = error
    except AtlasError as error:
        return {"open": error}
    return found


def broken(path: Path) -> list[str]:
    """What `verify` says is wrong, but for the digests, which an atlas changed by hand has not."""
    return [check.name for check in checks_of(path) if check.result == BROKEN and check.name != "digests"]


def test_whole_rules_are_shown(whole: Path) -> None:
    assert not broken(whole)
    found = outcomes(whole)
    assert len(found) == 2 * len(ASKED) and not any(isinstance(answer, AtlasError) for answer in found.values())
    rule = found["detector linear 2"]
    assert [each.adds(2.5) for each in rule.neurons] == [2.5, 2.5]


@pytest.mark.parametrize("part", range(4))
def test_mangled_rules_are_shown_or_refused(whole: Path, tmp_path: Path, part: int) -> None:
    right = {name: repr(answer) for name, answer in outcomes(whole).items()}
    for case in range(part, CASES, 4):
        path = Path(shutil.copy(whole, tmp_path / "a.duckdb"))
        done = mangle(path, generator(f"detector_rows/{case}"), TABLES)
        try:
            found = outcomes(path)
        except Exception as error:
            raise AssertionError(done) from error
        for rule in (answer for answer in found.values() if isinstance(answer, Detector)):
            # A rule that is shown can judge every activation: no comparison with NaN calls a text anything.
            scores = [rule.bias + sum(each.adds(value) for each in rule.neurons) for value in (-1e30, 0.0, 1e30)]
            assert all(map(math.isfinite, [*scores, rule.threshold])), done
            assert len(rule.neurons) in (1, 2), done
        # As plausible as before is no damage that rules could tell: another weight, or a figure that may be NULL.
        if any(way in done for way in ("INSERT", "'nan'")) and {n: repr(a) for n, a in found.items()} != right:
            assert broken(path), done
