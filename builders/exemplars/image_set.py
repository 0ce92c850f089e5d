"""Images in the place of running text: each is a text whose tokens are its class token and its patches, row by row.

The class token counts nowhere, as special tokens of texts do not. No words are stored: an exemplar is a file's name and
a patch, which `position` tells: row and column are divmod(position - 1, patches of a row).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from atlas.errors import UsageError
from builders.corpora.images import image_files
from builders.exemplars.running_text import RunningText

if TYPE_CHECKING:
    from atlas.live.model import LiveModel
    from builders.config import BuildConfig

CLASS_TOKENS = 1


@dataclass(frozen=True, eq=False)
class ImageSet(RunningText):
    """`tokens_E`: of each image its number in the model's table of images, once for every token."""

    has_words = False

    def said(self, config: BuildConfig) -> dict[str, Any]:
        """The folders, and a hash of the content of all files."""
        return {"images": list(config.images), "images_sha256": self.sha256}

    def counted(self, text: int) -> np.ndarray:
        """Its patches."""
        return np.arange(self.max_tokens) >= CLASS_TOKENS

    @cached_property
    def n_counted(self) -> int:
        """Patches of all images."""
        return len(self) * (self.max_tokens - CLASS_TOKENS)


def read_image_set(config: BuildConfig, live: LiveModel) -> ImageSet:
    """The images of all folders. Raises CorpusError, or UsageError for two that are called alike."""
    assert live.images is not None  # as an image tower has
    taken: dict[str, Path] = {}
    for folder, name in _named(config):
        if name in taken:
            raise UsageError(f"two images are called {name}", "Rename one: an exemplar is found again by its name.")
        taken[name] = folder / name
    n_tokens = live.images.n_tokens
    if n_tokens > config.batch_tokens:
        raise UsageError(
            f"an image of {n_tokens} tokens does not fit into a batch of {config.batch_tokens}", "Raise --batch-tokens."
        )
    numbers = np.asarray(live.images.add(list(taken.values())), np.int32)
    count = len(numbers)
    return ImageSet(
        np.repeat(numbers, n_tokens),
        np.arange(count + 1, dtype=np.int64) * n_tokens,
        tuple(taken),
        np.arange(count, dtype=np.int32),
        np.ones(count, np.int64),
        np.zeros(count, np.int64),
        np.zeros(1, bool),
        n_tokens,
        CLASS_TOKENS,
        config.seed,
        live.images.sha256,
    )


def _named(config: BuildConfig) -> Iterator[tuple[Path, str]]:
    for source in config.images:
        for name in image_files(Path(source)):
            yield Path(source), name
