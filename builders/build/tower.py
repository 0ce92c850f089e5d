"""Is an atlas of the tower, and of the words, that a build would add to it?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from atlas.errors import UsageError
from builders.config import BuildConfig
from builders.corpora.words import read_words

if TYPE_CHECKING:
    from atlas.store.reader import Atlas


def require_tower(config: BuildConfig, atlas: Atlas) -> None:
    """Raise UsageError for another tower, or other words, than the atlas has: its decodings name words by number."""
    manifest = atlas.manifest
    if manifest.tower != config.tower:
        known = "no tower" if manifest.tower is None else f"the {manifest.tower} tower"
        raise UsageError(
            f"{config.target} is of {known} of {manifest.model_id}",
            "Leave --tower out." if manifest.tower is None else f"Add --tower {manifest.tower}.",
        )
    if config.tower is None:
        return
    given = None if config.word_list is None else read_words(config.word_list)
    if (manifest.head == "words") != (given is not None):
        what = "has words" if given is None else "has no words"
        raise UsageError(
            f"{config.target} {what}, and one atlas has one vocabulary",
            "Name the same file: --words FILE." if given is None else "Leave --words out.",
        )
    if given is not None and given != [row[0] for row in atlas.query("SELECT token FROM vocab ORDER BY token_id")[1]]:
        raise UsageError(f"{config.target} has other words than {config.word_list}", "Name the same, or --replace.")
