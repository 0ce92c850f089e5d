"""Before anything is embedded: is there something to embed, is the embedder there, is what it costs agreed to?"""

from __future__ import annotations

from atlas.endpoint import Endpoint, EndpointName
from atlas.errors import BuildError, ModelError
from atlas.packaged import model_file
from atlas.store.reader import open_atlas
from builders.config import BuildConfig
from builders.descriptions.estimate import CHARACTERS, Estimate, agree
from builders.embeddings.embedder import AT_ONCE, check_embedder


def agreed(config: BuildConfig) -> None:
    """Raise BuildError where nothing is described, ModelError for an embedder that is not fetched, and as `agree`."""
    _, found = check_embedder(str(config.embed))
    with open_atlas(config.target) as atlas:
        sql = "SELECT count(*), coalesce(sum(len(text)), 0), count(DISTINCT layer) FROM description"
        texts, characters, layers = atlas.query(sql)[1][0]
    if not texts and not config.describe:
        raise BuildError("nothing is described in this atlas", "Describe neurons first, or at once: --describe all.")
    if not isinstance(found, EndpointName):
        if model_file(found) is None:
            raise ModelError(f"the embedder {found} is not on this machine yet", f"Run: neuron-atlas fetch {found}")
        return
    Endpoint(found)  # its key is one
    calls = texts // AT_ONCE + layers
    agree(found, Estimate(calls, round(int(characters) / CHARACTERS), 0), spend=config.spend)
