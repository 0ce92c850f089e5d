"""The token lists of a card as people read them: one line a weight and sign."""

from __future__ import annotations

from itertools import groupby

from queries.result import Result


def compact_tokens(tokens: Result) -> Result:
    """Rows of `neuron_tokens` -> columns weight, sign, cosine (of the first token), tokens."""
    rows = []
    for (weight, sign), group in groupby(tokens, key=lambda row: (row["weight"], row["sign"])):
        listed = list(group)
        rows.append((weight, sign, listed[0]["cosine"], [row["token"] for row in listed]))
    return Result(["weight", "sign", "cosine", "tokens"], rows, tokens.notes, tokens.truncated_by)
