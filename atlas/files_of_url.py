"""The fsspec filesystem that a URL belongs to. Keys and endpoints it finds itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from atlas.errors import AtlasError, BuildError, MissingExtraError, UsageError

_PACKAGES = {"s3": "s3fs", "hf": "huggingface_hub"}


def filesystem_of(url: str) -> tuple[Any, str]:
    """(filesystem, path in it). MissingExtraError where its package is not there, UsageError for an unknown scheme."""
    from fsspec.core import url_to_fs  # torch brings fsspec

    scheme = url.partition(":")[0].lower()
    try:
        found, root = url_to_fs(url)
    except ImportError as error:
        raise MissingExtraError(
            f"the package {_PACKAGES.get(scheme, scheme)!r} is not installed and is needed for {scheme}://",
            "Run: pip install 'neuron-atlas[remote]'",
        ) from error
    except ValueError as error:
        raise UsageError(f"no atlas is read or written at {scheme}://", "Name a folder, s3:// or hf://.") from error
    return found, str(root).rstrip("/")


@contextmanager
def failing_as(problem: str, hint: str) -> Iterator[None]:
    """What a library says of a place becomes a BuildError in one line: the problem, and what it said."""
    try:
        yield
    except AtlasError:
        raise
    except Exception as error:  # each library has errors of its own
        text = " ".join(str(error).split())[:200] or type(error).__name__
        raise BuildError(f"{problem}: {text}", hint) from error
