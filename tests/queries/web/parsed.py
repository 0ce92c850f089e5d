"""What a saved page refers to."""

from __future__ import annotations

from html.parser import HTMLParser

_REFER = ("href", "src", "action", "srcset", "poster", "data", "formaction", "xlink:href")


class Parsed(HTMLParser):
    """References of a page, its text without scripts and styles, and its meta tags by name."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.refers: list[tuple[str, str]] = []
        self.meta: dict[str, str] = {}
        self.scripts: list[str] = []
        self.words: list[str] = []
        self._inside = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self._inside = tag
        self.refers += [(tag, value or "") for name, value in attrs if name in _REFER]
        assert not any(name.startswith("on") or name == "style" for name in given), (tag, attrs)
        if tag == "meta":
            name = given.get("name") or given.get("http-equiv") or given.get("property") or ""
            self.meta[name] = given.get("content") or ""

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        (self.scripts if self._inside == "script" else self.words if self._inside != "style" else []).append(data)

    @property
    def text(self) -> str:
        """What a reader sees."""
        return " ".join(" ".join(self.words).split())
