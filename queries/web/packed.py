"""Answers that are kept, packed once: gzip takes longer than all else that such an answer needs."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from types import MappingProxyType

from starlette.requests import Request
from starlette.responses import Response

LEVEL = 3
"""Of gzip: level 5 takes twice as long for a tenth less."""


def pack(content: bytes) -> bytes:
    """The content as gzip, the same for the same content."""
    return gzip.compress(content, LEVEL, mtime=0)


def packed(
    content: bytes, request: Request, media_type: str, headers: Mapping[str, str] = MappingProxyType({})
) -> Response:
    """What `pack` made as an answer: unpacked for who does not take gzip."""
    if "gzip" in request.headers.get("accept-encoding", ""):
        told = {**headers, "Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
        return Response(content, media_type=media_type, headers=told)
    return Response(gzip.decompress(content), media_type=media_type, headers=headers)  # the middleware says Vary
