"""Every relative link and picture in every page leads somewhere, also to the heading behind a #."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.architecture.imports import ROOT
from tests.docs.pages import pages

# Pages that README.md names and that are written together with what they describe.
COMING = {ROOT / "docs" / "architecture.md", ROOT / "LICENSE"}

_FENCE = re.compile(r"^(?P<fence>```+|~~~+).*?^(?P=fence)\s*?$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"(`+)(?!`)(.*?)(?<!`)\1(?!`)", re.DOTALL)
_LINK = re.compile(
    r"""!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(\s*<?([^\s)>]+)>?(?:\s+"[^"]*")?\s*\)   # [text](target "title")
    |^\s*\[[^\]]+\]:\s*(\S+)                                                 # [text]: target
    |<(?:a|img)\b[^>]*?\b(?:href|src)="([^"]*)\"""",
    re.MULTILINE | re.VERBOSE,
)
_HEADING = re.compile(r"^ {0,3}#{1,6}[ \t]+(.+?)[ \t]*#*$", re.MULTILINE)
_ANCHOR = re.compile(r"""<a\b[^>]*?\b(?:id|name)="([^"]+)\"""")
_ELSEWHERE = re.compile(r"^[a-z][a-z0-9+.-]*:|^//", re.IGNORECASE)


def targets(page: str) -> list[str]:
    """What a page links to, and the pictures that it shows, without what stands in code."""
    words = _CODE.sub("code", _FENCE.sub("", page))
    return [next(filter(None, found.groups())) for found in _LINK.finditer(words) if any(found.groups())]


def anchors(page: str) -> set[str]:
    """The names that GitHub gives to the headings of a page: lower case, blanks to hyphens, -1 for a second one."""
    words = _FENCE.sub("", page)
    names: dict[str, int] = {}
    for heading in _HEADING.findall(words):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        number = names.get(name, 0)
        names[name] = number + 1
        if number:
            names[f"{name}-{number}"] = 1
    return {*names, *_ANCHOR.findall(words)}


def broken(page: Path, root: Path = ROOT) -> list[str]:
    """The links of a page of the repository at `root` that lead nowhere, with why."""
    found = []
    for target in targets(page.read_text(encoding="utf-8")):
        if _ELSEWHERE.match(target):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / unquote(name)).resolve() if name else page.resolve()
        if path in COMING and not path.exists():
            continue
        if name.startswith("/") or not path.is_relative_to(root):
            found.append(f"{target}: leaves the repository")
        elif not path.exists():
            found.append(f"{target}: no such file")
        elif anchor and (path.suffix != ".md" or anchor not in anchors(path.read_text(encoding="utf-8"))):
            found.append(f"{target}: no such heading")
    return found


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    assert broken(page) == []


def test_the_pages_are_found() -> None:
    names = {str(page.relative_to(ROOT)) for page in pages()}
    assert {"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/tour.md", "docs/results/README.md"} <= names


def test_every_page_of_docs_can_be_reached_from_the_readme() -> None:
    seen, ahead = set(), [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        if page in seen or page.suffix != ".md" or not page.is_file():
            continue
        seen.add(page)
        links = [target.partition("#")[0] for target in targets(page.read_text(encoding="utf-8"))]
        ahead += [(page.parent / link).resolve() for link in links if link and not _ELSEWHERE.match(link)]
    assert [str(page.relative_to(ROOT)) for page in pages() if page.resolve() not in seen] == []


def test_links_pictures_and_headings_are_read() -> None:
    page = """\
# A page
## `neuron-atlas build`: *one* [link](x.md)
## A page
[one](a.md#b "title") ![two](<b.png>) <img src="c.png" width="3"> [![three](d.png)](e.md)
`[no](no.md)` ``[no`](no.md)``
```
[no](no.md)
# no
```
[six]: f.md
<a id="own"></a>
"""
    assert targets(page) == ["x.md", "a.md#b", "b.png", "c.png", "e.md", "f.md"]
    assert anchors(page) == {"a-page", "neuron-atlas-build-one-link", "a-page-1", "own"}


@pytest.mark.parametrize(
    "link",
    [
        "gone.md",
        "docs/page.md#gone",
        "#gone",
        "../outside.md",
        "/docs/page.md",
        "DOCS/page.md",
        "docs/a.png#top",
        "docs/b/",
    ],
)
def test_a_link_to_nowhere_is_found(link: str, tmp_path: Path) -> None:
    root = tmp_path / "repository"
    (root / "docs").mkdir(parents=True)
    (root / "docs" / "page.md").write_text("# Here\n")
    (root / "docs" / "a.png").touch()
    (tmp_path / "outside.md").touch()
    good = (
        "[a](docs/page.md) [b](docs/page.md#here) [c](#title) [d](docs) ![e](docs/a.png) [f](https://a.example/g.md#h)"
    )
    (root / "README.md").write_text(f"# Title\n{good}\n")
    assert broken(root / "README.md", root) == []
    (root / "README.md").write_text(f"# Title\n{good}\n[planted]({link})\n")
    assert [said.partition(": ")[0] for said in broken(root / "README.md", root)] == [link]
