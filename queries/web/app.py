"""The server's application: addresses -> pages, and each page's twins as data."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import anyio.to_thread
from anyio import CapacityLimiter
from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from atlas.answers.result import Result
from atlas.errors import AtlasError, AtlasFileError, MissingExtraError, QuestionError, UnknownNameError, UsageError
from queries.web.asked import Asked
from queries.web.guard import Guard
from queries.web.links import Links, ServerLinks
from queries.web.live import Live, Stopped
from queries.web.packed import LEVEL, pack, packed
from queries.web.page import Page
from queries.web.pages_in_memory import PagesInMemory
from queries.web.previews import SUFFIX as PICTURE
from queries.web.previews import picture
from queries.web.registry import PAGES
from queries.web.render import render
from queries.web.served import Served
from queries.web.static_files import icon, robots, static_file
from queries.web.twins import EVENTS, TWINS, data, twin_of
from queries.web.visits import MOST_AT_ONCE, Events, Send, asked_of_model, require_room

WORKERS = 2
"""Questions that are answered at the same time: as many connections of DuckDB work, and their memory is bounded."""
HTML = "text/html; charset=utf-8"
_MENU = {
    "atlas": "Atlas", "layer": "Layers", "compare": "Compare", "sql": "SQL", "spec": "Spec", "live": "Your text",
    "explain": "Explain",
}  # fmt: skip
SLOW, MOST_WAITING = 2, 8
"""Of pages that may take seconds: how many are made at the same time, in threads of their own, and how many wait."""
T = TypeVar("T")


class Busy(QuestionError):
    """Too many wait already."""


@dataclass(frozen=True)
class Explorer:
    """What the endpoints share."""

    served: Sequence[Served]
    live: Live | None
    threads: CapacityLimiter
    slow: CapacityLimiter
    model_threads: CapacityLimiter
    prefix: str = ""

    def find(self, name: str) -> Served:
        """The atlas of that name in addresses; UnknownNameError for another."""
        for each in self.served:
            if each.name == name:
                return each
        raise UnknownNameError("atlas", name, [each.name for each in self.served])

    async def ask(self, work: Callable[[], T], *, slow: bool = False) -> T:
        """Run `work` in one of the threads, or in one of those for slow work: Busy where too much of it waits."""
        if slow and self.slow.statistics().tasks_waiting >= MOST_WAITING:
            raise Busy(f"{SLOW} long questions are being answered and {MOST_WAITING} wait", "Ask again in a moment.")
        return await anyio.to_thread.run_sync(work, limiter=self.slow if slow else self.threads)

    def live_of(self, served: Served) -> Live | None:
        """The model, where it is that of this atlas."""
        if self.live is None:
            return None
        with served.atlas() as atlas:
            return self.live if self.live.fits(atlas.manifest) else None

    def links(self, served: Served) -> ServerLinks:
        """Addresses of the pages of one of the atlases."""
        hidden = set() if self.live_of(served) else {name for name, kind in PAGES.items() if kind.live}
        return ServerLinks(served.name, PAGES.keys() - hidden | {"reopen"}, self.prefix)

    def home(self, served: Served) -> str:
        """The address of the first page of an atlas."""
        return self.links(served).page("atlas") or "/"

    def menu(self, links: Links) -> list[tuple[str, str]]:
        """(page, its name) of the pages that the header leads to."""
        hidden = {"compare"} if len(self.served) < 2 else set()
        return [(kind, name) for kind, name in _MENU.items() if kind not in hidden and links.page(kind)]


def make_app(
    served: Sequence[Served], *, live: Live | None = None, hosts: Sequence[str] = (), token: str | None = None
) -> Starlette:
    """The application for some open atlases. `hosts`: names that a Host header may have; `token`: what every
    path begins with, where the server can be reached from elsewhere: links keep it, and there are no cookies."""
    threads = CapacityLimiter(WORKERS), CapacityLimiter(SLOW), CapacityLimiter(MOST_AT_ONCE)
    explorer = Explorer(served, live, *threads, f"/{token}" if token else "")

    def endpoint(answer: Callable[[Explorer, Request], Any]) -> Any:
        @functools.wraps(answer)
        async def answered(request: Request) -> Response:
            try:
                response: Response = await answer(explorer, request)
            except UnknownNameError as error:  # of an atlas: the first one says so
                return await _failed(explorer, request, explorer.served[0], error)
            return response

        return answered

    routes = [
        Route("/", endpoint(_front)),
        Route("/favicon.ico", icon),
        Route("/robots.txt", robots),
        Route("/static/{name}", static_file),
        Route("/{atlas}", endpoint(_front)),
        Route("/{atlas}/reopen", endpoint(_reopen), methods=["POST"]),
        Route("/{atlas}/", endpoint(_page), methods=["GET"]),
        Route("/{atlas}/{kind}", endpoint(_page), methods=["GET"]),
        Route("/{atlas}/{kind}/{part:path}", endpoint(_page), methods=["GET"]),
    ]
    app = Starlette(routes=routes)
    app.add_middleware(GZipMiddleware, minimum_size=1000, compresslevel=LEVEL)
    app.add_middleware(Guard, hosts=hosts, token=token)
    app.state.explorer = explorer
    return app


async def _front(explorer: Explorer, request: Request) -> Response:
    name = request.path_params.get("atlas", explorer.served[0].name)
    return RedirectResponse(explorer.home(explorer.find(name)))


async def _reopen(explorer: Explorer, request: Request) -> Response:
    served = explorer.find(request.path_params["atlas"])
    try:
        await explorer.ask(served.reopen)
    except AtlasError as error:
        return await _failed(explorer, request, served, error)
    return RedirectResponse(explorer.home(served), status_code=303)


async def _page(explorer: Explorer, request: Request) -> Response:
    served = explorer.find(request.path_params["atlas"])
    name, part = request.path_params.get("kind", "atlas"), request.path_params.get("part", "")
    twin = None
    if part:
        part, twin = twin_of(part)
    elif not name.endswith(EVENTS):
        name, twin = twin_of(name)
    stem = name.removesuffix(EVENTS)
    try:
        kind = PAGES.get(stem)
        if (
            kind is None
            or kind.part not in (None, bool(part))
            or (kind.live and explorer.live_of(served) is None)
            or (stem != name and not kind.events)
        ):
            raise UnknownNameError("page", f"{name}/{part}" if part else name, list(PAGES))
        slow = kind.slow or twin == PICTURE
        if kind.kept and twin is None and (found := _kept(explorer, request, served, part)) is not None:
            return found
        if not kind.live:
            return await explorer.ask(lambda: _answer(explorer, request, served, stem, part, twin), slow=slow)
        if stem == name:
            return await asked_of_model(
                request,
                lambda stopped: _answer(explorer, request, served, stem, part, twin, stopped),
                explorer.model_threads,
            )
        require_room(explorer.model_threads)
        return Events(
            lambda send, stopped: _send(explorer, request, served, stem, send, stopped), explorer.model_threads
        )
    except AtlasError as error:
        return await _failed(explorer, request, served, error, twin)


@contextmanager
def _asked(
    explorer: Explorer, request: Request, served: Served, part: str = "", stopped: Stopped = lambda: False
) -> Iterator[Asked]:
    query: dict[str, list[str]] = {}
    for key, value in request.query_params.multi_items():
        query.setdefault(key, []).append(value)
    with served.atlas() as atlas:
        live = explorer.live_of(served)
        yield Asked(atlas, explorer.links(served), part, query, live, explorer.served, stopped, served.embed)


def _answer(
    explorer: Explorer,
    request: Request,
    served: Served,
    name: str,
    part: str,
    twin: str | None,
    stopped: Stopped = lambda: False,
) -> Response:
    with _asked(explorer, request, served, part, stopped) as asked:
        if twin == PICTURE:
            return Response(picture(asked, name), media_type="image/png", headers={"Cache-Control": "max-age=3600"})
        page = PAGES[name].page(asked)
        if twin is not None:
            return data(page, twin)
        response = _html(explorer, request, served, asked, page)
        if not PAGES[name].kept:
            return response
        content = pack(bytes(response.body))
        PagesInMemory(asked, request, served.newer).put(content)
        return packed(content, request, HTML)


def _kept(explorer: Explorer, request: Request, served: Served, part: str) -> Response | None:
    """The page as it was made before, if it was: found at once, so that it needs no thread."""
    with _asked(explorer, request, served, part) as asked:
        content = PagesInMemory(asked, request, served.newer).get()
    return None if content is None else packed(content, request, HTML)


def _send(explorer: Explorer, request: Request, served: Served, name: str, send: Send, stopped: Stopped) -> None:
    with _asked(explorer, request, served, stopped=stopped) as asked:
        PAGES[name].send(asked, send)


def _html(
    explorer: Explorer, request: Request, served: Served, asked: Asked, page: Page, status: int = 200
) -> Response:
    text = render(
        page,
        asked,
        menu=explorer.menu(asked.links),
        newer=served.newer,
        twins=_twins(explorer, request, page),
        origin=f"{request.url.scheme}://{request.url.netloc}",
    )
    headers = {"HX-Replace-Url": page.address} if page.address else None
    return Response(text, status_code=status, headers=headers, media_type=HTML)


def _twins(explorer: Explorer, request: Request, page: Page) -> list[tuple[str, str]]:
    """(format, address) of the page as data."""
    path = request.url.path.rstrip("/")
    if (page.answer is None and page.file is None) or path.count("/") < 1:
        return []
    path = path if path.count("/") > 1 else f"{path}/atlas"
    formats = list(TWINS) if isinstance(page.answer, Result) else ["json"]
    query = request.url.query if page.address is None else page.address.partition("?")[2]
    query = f"?{query}" if query else ""
    return [(name, f"{explorer.prefix}{path}.{name}{query}") for name in formats]


def status_of(error: AtlasError) -> int:
    """The HTTP status of an error."""
    if isinstance(error, UnknownNameError):
        return 404
    if isinstance(error, UsageError):
        return 400
    if isinstance(error, Busy):
        return 503
    return 500 if isinstance(error, AtlasFileError) else 501 if isinstance(error, MissingExtraError) else 422


async def _failed(
    explorer: Explorer, request: Request, served: Served, error: AtlasError, twin: str | None = None
) -> Response:
    status = status_of(error)
    if twin is not None:
        return JSONResponse({"error": error.message, "hint": error.hint}, status_code=status)

    def drawn() -> Response:
        with _asked(explorer, request, served) as asked:
            context = {"status": _STATUS.get(status, "This cannot be answered"), "message": error.message}
            page = Page("Not answered", "error.html", context | {"hint": error.hint})
            return _html(explorer, request, served, asked, page, status)

    return await explorer.ask(drawn)


_STATUS: Mapping[int, str] = {404: "Not found", 400: "This was not understood", 500: "The file is damaged", 503: "Busy"}
