"""A real browser before a real server. Any console error and any failed request fails the test that met it.

Without a Chromium these tests are skipped with a line that says how to get one; NEURON_ATLAS_BROWSER=required, which
.ci/run sets, makes that a failure.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

REQUIRED = os.environ.get("NEURON_ATLAS_BROWSER") == "required"
HOW = "the explorer is not looked at: install Chromium (Debian: apt-get install chromium) and the extras web and dev"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SIZES = {"wide": (1280, 900), "narrow": (360, 740)}
SHOTS = os.environ.get("NEURON_ATLAS_SCREENSHOTS")  # a folder for pictures of every page
_FLAGS = ["--disable-background-networking", "--no-sandbox", "--force-prefers-reduced-motion"]
_LIMIT_MS = 60_000  # a slow machine is no error of ours


def _need(module: str) -> Any:
    if REQUIRED:
        return __import__(module)
    return pytest.importorskip(module, reason=HOW)


@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    """The system's Chromium, driven by playwright, whose loop of events must not run on under the tests of others."""
    _need("playwright")
    if CHROMIUM is None:
        pytest.fail(HOW) if REQUIRED else pytest.skip(HOW)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=_FLAGS)
        yield started
        started.close()


@pytest.fixture(scope="session")
def atlases(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two small atlases with planted answers, running text among them."""
    from tests.atlas_factory import write_small_atlas

    folder = tmp_path_factory.mktemp("browser")
    return [write_small_atlas(folder / f"{name}.duckdb", gradients=True, texts=True) for name in ("small", "other")]


@contextmanager
def running(atlases: list[Path], live: Any = None) -> Iterator[str]:
    """The address of a server of these atlases, and of a model where one is given."""
    _need("uvicorn")
    import uvicorn

    from queries.web.app import make_app
    from queries.web.served import open_all
    from queries.web.serving import config_of

    served = open_all(atlases, 2**26)
    server = uvicorn.Server(config_of(make_app(served, live=live), port=0))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://localhost:{port}"
    server.should_exit = True
    thread.join()
    for each in served:
        each.close()


@pytest.fixture(scope="session")
def address(atlases: list[Path]) -> Iterator[str]:
    """The address of a server that shows them."""
    with running(atlases) as found:
        yield found


@pytest.fixture(scope="session")
def home(address: str) -> str:
    """The first page of the atlas."""
    return f"{address}/small/"


@pytest.fixture(params=list(SIZES))
def size(request: pytest.FixtureRequest) -> str:
    """Of the window: a desk and a telephone."""
    return request.param


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page of a wide window; what goes wrong in it fails the test."""
    yield from opened(browser, "wide")


@pytest.fixture
def sized(browser: Any, size: str) -> Iterator[Any]:
    """A page of each size, light on a desk and dark on a telephone."""
    yield from opened(browser, size)


def opened(browser: Any, size: str) -> Iterator[Any]:
    """A page whose console errors and failed requests are counted."""
    width, height = SIZES[size]
    scheme = "light" if size == "wide" else "dark"
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    context.set_default_timeout(_LIMIT_MS)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    wrong: list[str] = []
    page.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("requestfailed", lambda request: wrong.append(f"{request.url}: {request.failure}"))
    left = "net::ERR_ABORTED"  # what was on its way when the page was left
    page.wrong = wrong
    yield page
    context.close()
    assert [said for said in wrong if not said.endswith(left)] == []
