"""A word: who reads it and who writes it, raised and lowered, and its forms."""

from __future__ import annotations

from queries.neurons import neurons_for_token
from queries.tokens import token_forms
from queries.web.asked import Asked
from queries.web.commands import command, literal
from queries.web.page import Page

LISTED, MOST = 25, 500


def token_page(asked: Asked) -> Page:
    """Neurons whose token lists hold a form of the word."""
    exact, atlas = asked.flag("exact"), asked.atlas
    word = asked.part or asked.text("word", 200) or ""
    sign = {"": 0, "raised": 1, "lowered": -1}[asked.choice("side", ["raised", "lowered", ""], "")]
    weight, layer = asked.text("weight", 30), asked.integer("layer")
    limit = asked.integer("limit", LISTED, least=1, most=MOST) or LISTED
    forms = token_forms(atlas, word, exact=exact)
    found = neurons_for_token(
        atlas, word, exact=exact, weight=weight, sign=sign, layer=layer,
        distinctive=asked.flag("distinctive"), limit=limit,
    )  # fmt: skip
    context = {"word": word, "forms": forms, "found": found, "rows": found.dicts(), "sign": sign}
    asks = command(
        atlas, "token", word, exact=exact, weight=weight, layer=layer,
        distinctive=asked.flag("distinctive"), limit=limit, sign={1: "+", -1: "-"}.get(sign),
    )  # fmt: skip
    sql = (
        f"SELECT neuron_name(layer, neuron) AS address, *\nFROM find_neurons(\n"
        f"    (SELECT list(token_id) FROM token_ids({literal(word)})), sgn := {sign or 1}, k := {limit})"
    )
    return Page(f"{word} · token", "token.html", context, found, asks, sql)
