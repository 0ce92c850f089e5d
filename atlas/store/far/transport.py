"""How bytes come from afar: ranges of files, over HTTP or through fsspec, always of one version of each file.

A file that was replaced in the middle would make a mixture of two. So what the first answer says of its version (ETag,
or when it was changed) is asked of every further one.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeVar

from atlas.errors import AtlasError, AtlasFileError
from atlas.extras import require
from atlas.files_of_url import filesystem_of

_TRIES, _AGAIN_S = 3, 0.2
_SECONDS = 20.0
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
Answer = TypeVar("Answer")


class Version(NamedTuple):
    """One version of a file. `mark`: '' where the place does not say."""

    size: int
    mark: str


class Transport(Protocol):
    """Reads files below one URL. Any number of threads may ask it."""

    requests: int

    def fetch(self, name: str, start: int, end: int, version: Version | None) -> tuple[bytes, Version]:
        """Bytes `start` to before `end` of a file, fewer at its end; AtlasFileError for another version of it.

        Raises AtlasFileError, in one line, for whatever else goes wrong.
        """


class ReplacedError(AtlasFileError):
    """The file is another one than it was."""

    def __init__(self, place: str) -> None:
        super().__init__(f"{place} has been replaced since it was opened", "Open it again.")


class MissingError(AtlasFileError):
    """There is no such file."""

    def __init__(self, place: str) -> None:
        super().__init__(f"there is no {place}", "Look at the address.")


class HttpTransport:
    """Ranges over HTTP; connections are kept."""

    def __init__(self, url: str) -> None:
        httpx: Any = require("httpx", extra="remote", why="to read an atlas from afar")
        self.url, self.requests, self._httpx = url, 0, httpx
        self._client = httpx.Client(timeout=_SECONDS, follow_redirects=True)

    def fetch(self, name: str, start: int, end: int, version: Version | None) -> tuple[bytes, Version]:
        """As Transport says."""
        place = f"{self.url}/{name}" if name else self.url
        headers = {"Range": f"bytes={start}-{end - 1}", "Accept-Encoding": "identity"}
        if version is not None and version.mark.startswith('"'):
            headers["If-Match"] = version.mark
        return _again(place, lambda: self._ask(place, headers, start, end, version))

    def _ask(
        self, place: str, headers: dict[str, str], start: int, end: int, version: Version | None
    ) -> tuple[bytes, Version]:
        self.requests += 1
        with self._client.stream("GET", place, headers=headers) as answer:
            code = answer.status_code
            if code == 412:
                raise ReplacedError(place)
            if code in (404, 410):
                if version is not None:
                    raise ReplacedError(place)
                raise MissingError(place)
            if code in (401, 403):
                raise AtlasFileError(f"{place} may not be read (HTTP {code})", "It needs a permission.")
            if code >= 500 or code == 429:
                raise OSError(f"HTTP {code}")
            total = _CONTENT_RANGE.fullmatch(answer.headers.get("content-range", ""))
            if code != 206 or total is None or int(total[1]) != start:
                raise AtlasFileError(
                    f"{place} is not served by ranges (HTTP {code})", "Bring the file to this machine, or use `pull`."
                )
            found = Version(int(total[3]), answer.headers.get("etag") or answer.headers.get("last-modified", ""))
            content = bytearray()
            for chunk in answer.iter_bytes():
                content += chunk
                if len(content) > end - start:
                    raise AtlasFileError(f"{place} answers with more than was asked for", "Look at the server.")
        if version is not None and found != version:
            raise ReplacedError(place)
        if len(content) != min(end, found.size) - start:
            raise OSError("the answer was cut off")
        return bytes(content), found


class FsspecTransport:
    """Ranges through a filesystem of fsspec: s3://, hf://, memory://, file://."""

    def __init__(self, url: str) -> None:
        self.url, self.requests = url, 0
        self._files, self._root = _said(url, lambda: filesystem_of(url))

    def fetch(self, name: str, start: int, end: int, version: Version | None) -> tuple[bytes, Version]:
        """As Transport says. Before and after each range it is asked which version there is."""
        place = f"{self.url}/{name}" if name else self.url
        path = f"{self._root}/{name}" if name else self._root
        return _again(place, lambda: self._ask(place, path, start, end, version))

    def _ask(self, place: str, path: str, start: int, end: int, version: Version | None) -> tuple[bytes, Version]:
        self.requests += 1
        if version is None:
            version = self._version(place, path)
        end = min(end, version.size)
        content: bytes = self._files.cat_file(path, start=start, end=end) if end > start else b""
        if self._version(place, path) != version:
            raise ReplacedError(place)
        if len(content) != max(0, end - start):
            raise OSError("the answer was cut off")
        return content, version

    def _version(self, place: str, path: str) -> Version:
        try:
            self._files.invalidate_cache(path)
            said = self._files.info(path)
        except FileNotFoundError:
            raise MissingError(place) from None
        marks = (said.get(name) for name in ("ETag", "etag", "blob_id", "mtime", "created", "LastModified"))
        return Version(int(said["size"] or 0), str(next((mark for mark in marks if mark), "")))


def transport_of(url: str) -> Transport:
    """What reads below `url`. UsageError for an unknown scheme, MissingExtraError without its package."""
    if url.startswith(("http://", "https://")):
        return HttpTransport(url)
    return FsspecTransport(url)


def _again(place: str, ask: Callable[[], Answer]) -> Answer:
    """The answer, asked again when the network or the server fails; AtlasFileError when it goes on failing."""
    for left in reversed(range(_TRIES)):
        try:
            return ask()
        except AtlasError:
            raise
        except Exception as error:  # each library has errors of its own
            if not left:
                text = " ".join(str(error).split())[:200] or type(error).__name__
                raise AtlasFileError(f"cannot read {place}: {text}", "Look at the network, then ask again.") from error
            time.sleep(_AGAIN_S * (_TRIES - left))
    raise AssertionError


def _said(url: str, ask: Callable[[], Answer]) -> Answer:
    try:
        return ask()
    except AtlasError:
        raise
    except Exception as error:  # a malformed URL, credentials that are not there
        text = " ".join(str(error).split())[:200] or type(error).__name__
        raise AtlasFileError(f"cannot read {url}: {text}", "Look at the address.") from error
