"""What embeds the words of a question as the descriptions of an atlas were embedded: one rule for all that search."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from atlas.errors import AtlasError, UsageError
from builders.embeddings.embedder import embedder_named, name_of

Embed = Callable[[str], Sequence[float]]


def embed_of(stored: str | None, named: str | None) -> tuple[Embed | None, str]:
    """(what embeds a text, "") as the atlas was embedded, or (None, why that cannot be done here).

    `stored`: who embedded the atlas, None where nobody did. `named`: local:MODEL or openai:URL#MODEL; None: what
    embedded it, if that is on this machine. Any thread may call what is returned. Raises UsageError where `named` is
    another embedder than the atlas's, and what goes wrong with it.
    """
    if stored is None:
        if named is not None:
            raise UsageError("nothing is embedded in this atlas", "`build --add --embed` does it; or leave it out.")
        return None, "nothing is embedded in this atlas; `build --add --embed` does it"
    if named is not None and name_of(named) != stored:
        raise UsageError(f"the atlas was embedded by {stored}, not by {name_of(named)}", "Name that one.")
    if named is None and not stored.startswith("local:"):
        return None, f"the atlas was embedded by {stored}: name its endpoint with --embedder openai:URL#MODEL"
    try:
        found = embedder_named(named or stored)
    except AtlasError as error:
        if named is not None:
            raise
        return None, f"{error.message}: {error.hint}"
    one_at_a_time = threading.Lock()

    def embed(text: str) -> Sequence[float]:
        with one_at_a_time:
            vector: list[float] = found.embed([text])[0].tolist()
        return vector

    return embed, ""
