"""Addresses of pages. A page names what it leads to, and never writes an address itself.

The server's links are absolute paths; those of a saved page (queries/web/saved.py) lead to files beside it, and
are None where there is no such file: a template then shows the text alone.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, Protocol
from urllib.parse import quote, quote_plus


class Links(Protocol):
    """What leads from a page to another. `forms`: whether there is a server that answers them."""

    forms: bool

    def page(self, kind: str, part: str | int | None = None, /, **query: Any) -> str | None:
        """The address of a page of this kind; `part` is what it is about. None where there is no such page."""

    def static(self, name: str) -> str:
        """The address of a file of queries/web/static."""


class ServerLinks:
    """Addresses on the server of one atlas; `kinds` are the pages that it has, `prefix` stands before every path."""

    forms = True

    def __init__(self, atlas: str, kinds: Collection[str], prefix: str = "") -> None:
        self.atlas, self.kinds, self.prefix = atlas, kinds, prefix
        self._home = f"{prefix}/{quote(atlas, safe='')}/"

    def page(self, kind: str, part: str | int | None = None, /, **query: Any) -> str | None:
        """PREFIX/ATLAS/KIND/PART?QUERY; values of None are left out. None for a kind that the server has not.

        KIND.events is where the page's answer is sent piece by piece.
        """
        if kind.removesuffix(".events") not in self.kinds:
            return None
        path = self._home if kind == "atlas" else self._home + kind
        if part is not None:
            text = str(part)  # mostly a plain word, of which a page has thousands
            path += "/" + (text if _plain(text) else quote(text, safe=""))
        return path + query_text(query) if query else path

    def static(self, name: str) -> str:
        """PREFIX/static/NAME."""
        return f"{self.prefix}/static/{quote(name)}"


def query_text(query: Mapping[str, Any]) -> str:
    """'?a=1&b=2', or nothing; None is left out, a list stands for several of one name."""
    given = []
    for name, value in query.items():
        if value is not None and value != "":
            several = value if isinstance(value, list | tuple) else (value,)
            given += [f"{_quoted(name)}={_quoted(str(each))}" for each in several]
    return "?" + "&".join(given) if given else ""


_plain = re.compile("[A-Za-z0-9_.~-]+").fullmatch
"""Whether a text has only what stands in an address as it is."""


def _quoted(text: str) -> str:
    """Most names and values are plain words, or tokens with a space before one: a page has hundreds of them."""
    if _plain(text):
        return text
    return f"+{text[1:]}" if text[:1] == " " and _plain(text, 1) else quote_plus(text)
