"""Texts that a table shows in a way of their own; in every other format, and to Python, they are plain texts."""

from __future__ import annotations


class Prose(str):
    """Running text, such as a model writes: a table keeps its lines."""


class Digest(str):
    """'sha256:' and 64 hex digits: a table shows the first eight, which tell apart what stands in one answer."""

    @property
    def short(self) -> str:
        """Those eight digits."""
        return self.removeprefix("sha256:")[:8]
