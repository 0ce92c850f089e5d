"""Tokens, neurons and concepts as HTML that leads to their pages, where there are some: a page has hundreds of them."""

from __future__ import annotations

from markupsafe import Markup, escape

from queries.web.links import Links

_UNSEEN = {"\n": "⏎", "\t": "⇥", "\r": "␍", "\u00a0": "⍽", "\u200b": "␣"}


def token(text: str | None) -> Markup:
    """A token as one sees what is in it: a leading space as a faint dot, a line break as an arrow."""
    if text is None:
        return Markup("")
    bare = text.lstrip(" ")
    dots = '<i class="space">·</i>' * (len(text) - len(bare))
    if not bare.isprintable():
        bare = "".join(_UNSEEN.get(letter, letter if letter.isprintable() else "�") for letter in bare)
    return Markup(f"{dots}{escape(bare)}")


def linked(links: Links, text: str | None) -> Markup:
    """A token that leads to its page, where there is one."""
    to = links.page("token", word=text, exact="on") if text else None
    if to is None:
        return Markup(f'<span class="token">{token(text)}</span>')
    return Markup(f'<a class="token" href="{escape(to)}">{token(text)}</a>')


def neuron(links: Links, address: str, title: str | None = None) -> Markup:
    """The address of a neuron, which leads to its page where there is one."""
    to = links.page("neuron", address)
    if to is None:
        return Markup(f'<span class="address">{escape(address)}</span>')
    said = f' title="{escape(title)}"' if title else ""
    return Markup(f'<a class="address" href="{escape(to)}"{said}>{escape(address)}</a>')


def concept(links: Links, name: str, family: str | None = None) -> Markup:
    """The name of a concept, which leads to its page where there is one."""
    to = links.page("concept", name, family=family)
    return escape(name) if to is None else Markup(f'<a href="{escape(to)}">{escape(name)}</a>')
