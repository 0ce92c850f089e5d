"""Pages that were made before: an atlas never changes, so a page of it is the same whenever it is asked for.

They are kept in the session of the atlas, within its memory, and go with it when a newer atlas is opened.
"""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request

from queries.session.session import session_of
from queries.web.asked import Asked


@dataclass(frozen=True)
class _Content:
    content: bytes
    key_bytes: int

    @property
    def nbytes(self) -> int:
        """Bytes in memory, about."""
        return len(self.content) + self.key_bytes + 200


class PagesInMemory:
    """The place of one page in memory. `newer`: whether it says that another atlas was published."""

    def __init__(self, asked: Asked, request: Request, newer: bool) -> None:
        self._session = session_of(asked.atlas)
        address = str(request.url)  # with the server's name, which previews of links name
        self._key = ("page", address, newer, asked.live is not None, tuple(each.name for each in asked.served))
        self._key_bytes = len(address)

    def get(self) -> bytes | None:
        """What was made before, packed, or None."""
        found: _Content | None = self._session.get(self._key)
        return None if found is None else found.content

    def put(self, content: bytes) -> None:
        """Keep what was made, packed."""
        self._session.put(self._key, _Content(content, self._key_bytes))
