"""What the server has beside pages: style, script, its icon. Read and packed once."""

from __future__ import annotations

from functools import cache

from starlette.requests import Request
from starlette.responses import Response

from queries.web.packed import pack, packed
from queries.web.render import STATIC

_MEDIA = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".png": "image/png"}


async def static_file(request: Request) -> Response:
    """A file of the folder `static` itself: names with a slash do not come here, and others are looked up."""
    return _answer(request.path_params["name"], request)


async def icon(request: Request) -> Response:
    """The icon, where browsers look for one."""
    return _answer("icon.svg", request)


async def robots(request: Request) -> Response:
    """Nothing here is for search engines."""
    return Response("User-agent: *\nDisallow: /\n", media_type="text/plain")


def _answer(name: str, request: Request) -> Response:
    content = _files().get(name)
    if content is None:
        return Response("not found", status_code=404, media_type="text/plain")
    media = _MEDIA.get("." + name.rpartition(".")[2], "application/octet-stream")
    return packed(content, request, media, {"Cache-Control": "max-age=3600"})


@cache
def _files() -> dict[str, bytes]:
    """Name -> its packed content."""
    return {each.name: pack(each.read_bytes()) for each in STATIC.iterdir() if each.is_file()}
