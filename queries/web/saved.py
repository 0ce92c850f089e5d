"""A page that no server draws: as one file with all that it is made of, or as one of the files of a site."""

from __future__ import annotations

import base64
import hashlib
import json
import posixpath
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from atlas.errors import UsageError
from atlas.fit_choice import ANY_FIT, FitChoice
from atlas.sites import format_neuron, parse_neuron
from atlas.store.reader import Atlas
from queries.web.asked import Asked
from queries.web.page import Page
from queries.web.registry import PAGES
from queries.web.render import HERE, STATIC, render

KINDS = ("neuron", "concept", "token", "layer", "atlas")
"""The pages that say all without a server."""
_NOTHING = "default-src 'none'; base-uri 'none'"
SITE_POLICY = f"{_NOTHING}; script-src 'self'; style-src 'self'; img-src 'self'; form-action 'self'"
"""Of a page with files beside it."""


@dataclass(frozen=True)
class Saved:
    """What the template of a saved page is told.

    `mark`: what it was made of. `style`, `script`, `icon`: of a page that has them in it.
    """

    mark: str
    policy: str
    style: Markup | None = None
    script: Markup | None = None
    icon: str = ""


class NoLinks:
    """The links of a page that is alone: there are none, and its texts stand without."""

    forms = False

    def page(self, kind: str, part: str | int | None = None, /, **query: Any) -> str | None:
        """None."""
        return None

    def static(self, name: str) -> str:
        """Nothing is beside the page."""
        raise UsageError(f"a page that is alone has no {name} beside it")


class SiteLinks:
    """The links of the page at `here` of a site. `files`: (kind, part, fit_id or None) -> path in its folder."""

    forms = False

    def __init__(self, here: str, files: SiteFiles) -> None:
        self.here, self.files = here, files

    def page(self, kind: str, part: str | int | None = None, /, **query: Any) -> str | None:
        """The relative address of the page, None where the site has none; what narrows a page is left out."""
        path = self.files.path(kind, None if part is None else str(part), query)
        return None if path is None else self._to(path)

    def static(self, name: str) -> str:
        """The relative address of a file of queries/web/static."""
        return self._to(self.files.static[name])

    def _to(self, path: str) -> str:
        return quote(posixpath.relpath(path, posixpath.dirname(self.here) or "."))


class SiteFiles:
    """What a site has: paths in its folder, with slashes."""

    def __init__(self) -> None:
        self.pages: dict[tuple[str, str | None], list[tuple[FitChoice, str]]] = {}
        self.static: dict[str, str] = {}

    def add(self, kind: str, part: str | None, path: str, fit: FitChoice = ANY_FIT) -> None:
        """A page; of a concept of several fits each has its own."""
        self.pages.setdefault((kind, part), []).append((fit, path))

    def path(self, kind: str, part: str | None, query: Mapping[str, Any]) -> str | None:
        """Where a page is; the first, where `query` leaves several."""
        for fit, path in self.pages.get((kind, part), ()):
            if all(query.get(name) in (None, value) for name, value in fit.given()):
                return path
        return None


def one_page(atlas: Atlas, what: str, *, fit: FitChoice = ANY_FIT) -> bytes:
    """The page of `what` (see `subject`) as one file of HTML that opens from a disk and loads nothing.

    Raises what the page's question raises, and UsageError for text that names no page.
    """
    kind, part = subject(what)
    style, script, icon = (_own(name) for name in ("style.css", "explorer.js", "icon.svg"))
    policy = f"{_NOTHING}; script-src {_hash(script)}; style-src {_hash(style)}; img-src data:; form-action 'none'"
    # These are files of ours, which have neither </style> nor </script> in them: tests/queries/web/test_saved.py.
    saved = Saved(
        mark_of(atlas, kind, part or "", dict(fit.given())),
        policy,
        Markup(style),
        Markup(script),
        "data:image/svg+xml;base64," + base64.b64encode(icon.encode()).decode(),
    )
    asked = Asked(atlas, NoLinks(), part or "", {name: [value] for name, value in fit.given()})
    return draw(asked, PAGES[kind].page(asked), saved)


def subject(what: str) -> tuple[str, str | None]:
    """(kind of page, what it is about) of a text: 'L29N808', 'concept/sports', 'token/dog', 'layer/29', 'layer' (all),
    'atlas'. UsageError for others."""
    kind, slash, part = what.partition("/")
    if slash and part and kind in KINDS and PAGES[kind].part is not False:
        return kind, part
    if what in KINDS and PAGES[what].part is not True and what != "token":
        return what, None
    try:
        return "neuron", format_neuron(*parse_neuron(what))
    except UsageError:
        raise UsageError(
            f"{what[:60]!r} names no page", "Write L29N808, concept/NAME, token/WORD, layer/N, layer or atlas."
        ) from None


def draw(asked: Asked, page: Page, saved: Saved, **more: Any) -> bytes:
    """The file of a page. It does not say in which folder the atlas was."""
    path = asked.atlas.path
    command = page.command and page.command.replace(shlex.quote(str(path)), shlex.quote(path.name))
    page = replace(page, command=command, preview=None)
    told = {"menu": [], "newer": False, "twins": [], "origin": ""} | more
    return render(page, asked, look="saved", saved=saved, **told).encode("utf-8", "replace")


def mark_of(atlas: Atlas, *options: Any) -> str:
    """What tells a page that was made of the same atlas, with the same options, by the same software."""
    made = [atlas.manifest.atlas_id, atlas.path.name, software(), *options]
    return f"{atlas.manifest.atlas_id} {hashlib.sha256(json.dumps(made).encode()).hexdigest()[:32]}"


@cache
def software() -> str:
    """A digest of what makes pages: code, templates, style."""
    digest = hashlib.sha256()
    for path in sorted(path for path in HERE.rglob("*") if path.suffix in (".py", ".html", ".css", ".js", ".svg")):
        digest.update(str(path.relative_to(HERE)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _own(name: str) -> str:
    return (STATIC / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
