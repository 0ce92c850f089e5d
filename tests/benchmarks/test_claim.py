"""A claim survives being kept, and the page shows goals that were missed as missed."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.common import claim as claim_module
from benchmarks.common import report
from benchmarks.common.claim import Claim, Goal, Table


def _claim(name: str, met: bool) -> Claim:
    return Claim(
        name=name,
        title=f"Title of {name}",
        command=f"python benchmarks/{name}.py",
        text="Two ways.",
        machine="a machine",
        tables=[Table(["way", "s"], [["fast", "1.0"], ["slow", "2.0"]], "Seconds")],
        goals=[Goal("times as long", "<= 1.3", "1.20" if met else "1.41", met)],
    )


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for module in (claim_module, report):
        monkeypatch.setattr(module, "KEPT", tmp_path / "kept")
    return tmp_path / "kept"


def test_a_kept_claim_reads_back_equal(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written = _claim("topk", True)
    written.write()
    assert Claim.read("topk") == written
    assert "| fast | 1.0 |" in capsys.readouterr().out
    assert Claim.read("other") is None


def test_the_page_has_every_claim_in_order_and_every_goal(kept: Path) -> None:
    for name, met in (("zebra", True), ("queries-8b", False), ("queries", True), ("topk", True)):
        _claim(name, met).write()
    claims = report.kept_claims()
    assert [claim.name for claim in claims] == ["topk", "queries", "queries-8b", "zebra"]
    text = report.page(claims)
    parts = [
        "## Goals that are missed: 1 of 4",
        "| Title of queries-8b | times as long | <= 1.3 | 1.41 |",
        "## Goals that are met: 3",
        "| Title of topk | times as long | <= 1.3 | 1.20 |",
        "## Title of topk",
        "## Title of zebra",
    ]
    places = [text.index(part) for part in parts]
    assert places == sorted(places)
    assert text.count("<details>") == text.count("</details>") == 4
