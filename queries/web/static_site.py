"""A folder of pages that any web host can show: the atlas, all concepts and layers, chosen neurons, and a search."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from atlas.errors import UsageError
from atlas.sites import format_neuron, parse_neuron
from atlas.sites import site as site_of
from atlas.store.reader import Atlas
from atlas.whole_file import require_output, write_whole, writing_to
from queries.card import neuron_tokens
from queries.experts import expert_of
from queries.fits import all_fits
from queries.neurons import neurons_for_concept
from queries.web.asked import Asked
from queries.web.page import Page
from queries.web.registry import PAGES
from queries.web.render import STATIC
from queries.web.saved import SITE_POLICY, Saved, SiteFiles, SiteLinks, draw, mark_of

MOST_NEURONS = 20_000
SEARCH, FIRST, LAYERS = "search.html", "index.html", "layers.html"
_STATIC = ("style.css", "explorer.js", "site_search.js", "icon.svg")
_MENU = [("atlas", "Atlas"), ("layer", "Layers"), ("search", "All pages")]
_PARTS = ("concept", "layer", "neuron")
_MARK = re.compile(rb'<meta name="neuron-atlas-page" content="([0-9a-f ]{1,100})">')
_HEAD = 2**16  # bytes of a page in which its mark is: behind its title


@dataclass(frozen=True)
class Made:
    """How many pages were written, and how many were there already; and the page to begin with."""

    written: int
    kept: int
    first: Path


@dataclass(frozen=True)
class _Entry:
    """A page of the site. `query`: the values that its address would have on a server."""

    kind: str
    part: str | None
    path: str
    query: dict[str, list[str]]


def make_site(atlas: Atlas, folder: Path, *, neurons: Sequence[str] = (), top_per_concept: int = 0) -> Made:
    """Write the pages of the atlas, its concepts and layers, `neurons`, and the `top_per_concept` best of each concept.

    A page that is there already, of the same atlas, the same choice and the same software, is kept, so that what was
    broken off goes on. Pages of an earlier choice are removed. Raises UsageError, before anything is written, for a
    folder that cannot be written or has a file of another at the place of a page, and for a choice that is none;
    QuestionError for a neuron that the model has not.
    """
    chosen = _neurons(atlas, neurons, top_per_concept)
    entries, files = _plan(atlas, chosen)
    mark = mark_of(atlas, sorted(entry.path for entry in entries), SEARCH)
    _require_folder(folder, [*(entry.path for entry in entries), SEARCH])
    saved = Saved(mark, SITE_POLICY)
    for path, content in _assets(files):
        if not _holds(folder / path, content):
            write_whole(content, folder / path)
    written = kept = 0
    for entry in entries:
        if _mark(folder / entry.path) == mark:
            kept += 1
            continue
        asked = Asked(atlas, SiteLinks(entry.path, files), entry.part or "", entry.query)
        write_whole(draw(asked, PAGES[entry.kind].page(asked), saved, menu=_MENU), folder / entry.path)
        written += 1
    if _mark(folder / SEARCH) == mark:
        kept += 1
    else:
        write_whole(_search_page(atlas, chosen, entries, files, saved), folder / SEARCH)
        written += 1
    _forget(folder, {entry.path for entry in entries})
    return Made(written, kept, folder / FIRST)


def _neurons(atlas: Atlas, named: Sequence[str], top: int) -> list[str]:
    """The addresses of the site's neurons, each once, in the order of their places."""
    found = {parse_neuron(address) for address in named}
    for place in found:
        expert_of(atlas, *place)  # raises for one that the model has not
    for fit in all_fits(atlas).values() if top else ():
        if site_of(fit.site).width != "d_mlp":
            continue
        for concept, _ in fit.concepts.values():
            ranked = neurons_for_concept(atlas, concept, fit=fit.choice, limit=top)
            found |= {(row["layer"], row["neuron"]) for row in ranked}
    if len(found) > MOST_NEURONS:
        raise UsageError(f"{len(found):,} neurons make too large a site", f"Choose at most {MOST_NEURONS:,}.")
    return [format_neuron(*place) for place in sorted(found)]


def _plan(atlas: Atlas, chosen: Iterable[str]) -> tuple[list[_Entry], SiteFiles]:
    """All pages but the search, that of the atlas last: while it is not there, the site is not whole."""
    files, entries, taken = SiteFiles(), [], set[str]()
    for fit in all_fits(atlas).values():
        for concept, _ in fit.concepts.values():
            choice = fit.choice
            path = f"concept/{_slug(concept, taken)}.html"
            files.add("concept", concept, path, choice)
            query = {name: [value] for name, value in choice.given()}
            entries.append(_Entry("concept", concept, path, query))
    for address in chosen:
        files.add("neuron", address, f"neuron/{address}.html")
        entries.append(_Entry("neuron", address, f"neuron/{address}.html", {}))
    for layer in range(atlas.manifest.n_layers):
        files.add("layer", str(layer), f"layer/{layer}.html")
        entries.append(_Entry("layer", str(layer), f"layer/{layer}.html", {}))
    files.add("layer", None, LAYERS)
    entries.append(_Entry("layer", None, LAYERS, {}))
    files.add("atlas", None, FIRST)
    files.add("search", None, SEARCH)
    files.static.update((name, _asset_path(name)) for name in _STATIC)
    return [*entries, _Entry("atlas", None, FIRST, {})], files


def _slug(name: str, taken: set[str]) -> str:
    """A file name for a concept, whatever its name is; no two differ by capitals alone."""
    stem = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60] or "concept"
    found, number = stem, 2
    while found in taken:
        found, number = f"{stem}-{number}", number + 1
    taken.add(found)
    return found


def _asset_path(name: str) -> str:
    """With a part of its digest, so that a browser does not show a page with what an older one was drawn with."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:10]
    stem, _, suffix = name.rpartition(".")
    return f"static/{stem}-{digest}.{suffix}"


def _assets(files: SiteFiles) -> Iterator[tuple[str, bytes]]:
    for name, path in files.static.items():
        yield path, (STATIC / name).read_bytes()


def _search_page(
    atlas: Atlas, chosen: Sequence[str], entries: Sequence[_Entry], files: SiteFiles, saved: Saved
) -> bytes:
    links = SiteLinks(SEARCH, files)
    concepts = [
        {"name": each.part, "of": each.query["family"][0], "to": links.page("concept", each.part, **_first(each.query))}
        for each in entries
        if each.kind == "concept"
    ]
    neurons = [{"name": address, "to": links.page("neuron", address)} for address in chosen]
    index = {"concepts": concepts, "neurons": neurons, "tokens": _tokens(atlas, chosen)}
    asked = Asked(atlas, links)
    page = Page("Search", "site_search.html", {"index": index, "concepts": concepts, "neurons": neurons})
    return draw(asked, page, saved, menu=_MENU)


def _first(query: dict[str, list[str]]) -> dict[str, str]:
    return {name: values[0] for name, values in query.items()}


def _tokens(atlas: Atlas, chosen: Sequence[str]) -> list[tuple[str, list[tuple[int, str, int]]]]:
    """(token, [(place of the neuron, reads or writes, sign)]) of the lists on the neurons' pages."""
    if atlas.manifest.decoding_mode is None:
        return []
    found: dict[str, dict[tuple[int, str, int], None]] = {}
    for place, address in enumerate(chosen):
        for row in neuron_tokens(atlas, address):
            does = "writes" if row["weight"] == "down_proj" else "reads"
            found.setdefault(row["token"], {})[place, does, row["sign"]] = None
    return [(token, list(places)) for token, places in sorted(found.items())]


def _require_folder(folder: Path, paths: Iterable[str]) -> None:
    """Make the folder. UsageError where that cannot be, or where a page would replace what is none of ours."""
    listed = list(paths)
    for path in listed:
        place = folder / path
        with writing_to(place):
            if place.exists() and _mark(place) is None:
                raise UsageError(f"{place} is no page of a site of ours", "Name another folder.")
    with writing_to(folder):
        folder.mkdir(exist_ok=True)
        for part in (*_PARTS, "static"):
            (folder / part).mkdir(exist_ok=True)
    for path in listed:
        require_output(folder / path)


def _holds(path: Path, content: bytes) -> bool:
    try:
        return path.read_bytes() == content
    except OSError:
        return False


def _mark(path: Path) -> str | None:
    """The mark of a page of ours; None for another file, and for none."""
    try:
        with open(path, "rb") as stream:
            found = _MARK.search(stream.read(_HEAD))
    except OSError:
        return None
    return found[1].decode() if found else None


def _forget(folder: Path, paths: set[str]) -> None:
    """Remove pages of ours that an earlier choice had and this one has not: nothing leads to them any more."""
    for part in _PARTS:
        for page in (folder / part).glob("*.html"):
            if f"{part}/{page.name}" not in paths and _mark(page) is not None:
                with writing_to(page):
                    page.unlink(missing_ok=True)
