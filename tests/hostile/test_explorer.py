"""Addresses of strangers: any values behind the ? of the pages that draw, compare and ask SQL."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

pytest.importorskip("starlette", reason="the extra web is not installed")

from starlette.testclient import TestClient

from queries.neuron_numbers import neuron_numbers
from queries.web.app import make_app
from queries.web.served import Served, open_all
from tests.atlas_factory import write_small_atlas
from tests.hostile.counts import count, generator
from tests.queries.web.full import write_full_atlas
from tests.queries.web.parsed import Parsed

CASES = count(60, 4000)
MARK = '"><img src=x onerror=alert(1)>'
# Percent-encoded: bytes that are no UTF-8 too.
BAD = [
    *(
        quote(text)
        for text in ("", " ", "\0", "\x1b[2J", "\u202e", "é" * 50, MARK, "'; DROP TABLE vocab; --", "../../etc/passwd")
    ),
    *(
        "%FF%FE",
        "%ED%A0%80",
        "nan",
        "inf",
        "-1",
        "1e999",
        "0x10",
        "١٢",
        "9" * 19,
        "9" * 400,
        "a" * 1900,
        "None",
        "1_0",
        "L1N7",
    ),
]
_FIT, _SCATTER = "family site position template", "x y concept y_concept x_log y_log x_from x_to y_from y_to"
_LIST = "by weight io_class ascending limit"
NAMES = {
    "layer": f"{_SCATTER} {_FIT}".split(),
    "layer/1": f"{_SCATTER} {_FIT} {_LIST}".split(),
    "compare": f"with neuron vectors {_FIT}".split(),
    "neuron/L1N7": _FIT.split(),
    "concept/sports": f"layer max_leakage min_coverage token limit {_FIT}".split(),
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Served]]:
    folder = tmp_path_factory.mktemp("explorer")
    paths: list[Path] = [write_full_atlas(folder / "a.duckdb"), write_small_atlas(folder / "b.duckdb", seed=1)]
    found = open_all(paths, 2**24)
    yield found
    for each in found:
        each.close()


@pytest.fixture(scope="module")
def visitor(served: list[Served]) -> Iterator[TestClient]:
    """One whose requests raise what the server did not expect."""
    with TestClient(make_app(served), base_url="http://localhost") as client:
        yield client


def _query(rng: random.Random, names: list[str], good: list[str]) -> str:
    chosen = rng.sample(names, rng.randint(1, min(4, len(names))))
    values = (rng.choice(BAD) if rng.random() < 0.6 else quote(rng.choice(good)) for _ in chosen)
    return "&".join(f"{name}={value}" for name, value in zip(chosen, values, strict=True))


@pytest.mark.parametrize("case", range(CASES // 20))
def test_any_values_are_answered_or_refused_in_one_line(visitor: TestClient, served: list[Served], case: int) -> None:
    rng = generator(f"explorer/{case}")
    with served[0].atlas() as atlas:
        good = [*neuron_numbers(atlas), "sports", "topics", "mlp_post", "1", "0.5", "on", "b", "enrichment", "norm"]
    for _ in range(20):
        page = rng.choice(list(NAMES))
        suffix = rng.choice(["", "", ".json", ".csv"])
        address = f"/a/{page}{suffix}?{_query(rng, NAMES[page], good)}"
        answer = visitor.get(address)
        assert answer.status_code in (200, 400, 404, 422), address
        if not suffix:
            parsed = Parsed(answer.text)  # which refuses attributes that would run
            assert ("img", "x") not in parsed.refers, address
            assert all(value.startswith(("/", "#", "?")) or value == "" for _, value in parsed.refers), address
        elif answer.status_code != 200:
            assert set(answer.json()) == {"error", "hint"} and "\n" not in answer.json()["error"], address
