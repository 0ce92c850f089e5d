"""The picture that stands for a page where somebody posts a link to it."""

from __future__ import annotations

import html
import re

import pytest

from queries.web import previews

PNG = b"\x89PNG\r\n\x1a\n"


def _preview(client, address: str) -> list[str]:
    return [html.unescape(at) for at in re.findall(r'property="og:image" content="([^"]*)"', client.get(address).text)]


@pytest.mark.parametrize("page", ["neuron/L1N7", "concept/sports"])
def test_a_page_names_a_picture_that_is_there(client, home, page):
    pytest.importorskip("matplotlib", reason="the extra plot is not installed")
    (address,) = _preview(client, home + page)
    assert address.startswith(f"http://localhost{home}{page}.png")
    answer = client.get(address)
    assert answer.headers["content-type"] == "image/png" and answer.content.startswith(PNG)
    assert client.get(address).content == answer.content


def test_no_picture_is_named_where_nothing_draws(client, home, monkeypatch):
    monkeypatch.setattr(previews, "find_spec", lambda name: None)
    # Addresses that nobody has asked for: a page that was made stays what it was.
    assert _preview(client, f"{home}neuron/L1N9") == [] == _preview(client, f"{home}concept/sports?limit=7")


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("token/dog.png", 404),
        ("layer/1.png", 404),
        ("atlas.png", 404),
        ("neuron/L9N9.png", 422),
        ("concept/no.png", 404),
    ],
)
def test_pages_without_one_have_none(client, home, address, status):
    assert client.get(home + address).status_code == status
