"""A terminal for tests: a command line runs in this process with its streams on a pty, and what comes out is read."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import sys
import threading
from collections.abc import Iterator

from atlas.__main__ import main

# What is put into every name: a window title, a clear screen, a C1 control, an order of text, a forged line ...
HOSTILE = "\x1b]0;own\x07\x1b[2J\x1b[5n\x9b6n\x90q\x9c\u202e\u2066\x08\x7f\x85\u2028\ufeff\u200b\re\nerror: forged\n"
# What the program itself sends: line ends, the bold and plain of its tables, the bars of builders.
_OURS = re.compile(r"\r?\n|\x1b\[(?:0|1|[0-9;]*)m|\x1b\[\?25[lh]|\x1b\[2K|\x1b\[1A|\r(?=\x1b\[2K)")


def on_terminal(*arguments: str) -> tuple[int, str]:
    """(exit code, all that the terminal got) of one command line, stdout and stderr together."""
    with _terminal() as received:
        code = main(list(arguments))
    return code, received[0].decode("utf-8", "surrogateescape")


def assert_harmless(text: str) -> None:
    """Nothing but printable text and what the program means to send; no line that a name has forged."""
    rest = _OURS.sub("", text)
    wrong = sorted({character for character in rest if not character.isprintable() and character != "\xa0"})
    assert not wrong, f"{wrong} in {text!r}"
    assert not any(line.startswith("error: forged") for line in text.splitlines()), text


@contextlib.contextmanager
def _terminal() -> Iterator[list[bytes]]:
    """Standard output and error of this process, and its descriptors, on a pty; the list gets what it received."""
    leader, follower = pty.openpty()
    chunks: list[bytes] = []
    reader = threading.Thread(target=_drain, args=(leader, chunks))
    reader.start()
    kept, streams, received = [os.dup(1), os.dup(2)], (sys.stdout, sys.stderr), []
    try:
        for stream in streams:
            stream.flush()
        os.dup2(follower, 1)
        os.dup2(follower, 2)
        sys.stdout = os.fdopen(os.dup(follower), "w", encoding="utf-8", errors="replace")
        sys.stderr = os.fdopen(os.dup(follower), "w", encoding="utf-8", errors="backslashreplace", buffering=1)
        try:
            yield received
        finally:
            for stream in (sys.stdout, sys.stderr):
                stream.close()
            sys.stdout, sys.stderr = streams
    finally:
        for number, descriptor in zip((1, 2), kept, strict=True):
            os.dup2(descriptor, number)
            os.close(descriptor)
        os.close(follower)
        reader.join(10)
        os.close(leader)
        received.append(b"".join(chunks))


def _drain(leader: int, chunks: list[bytes]) -> None:
    while True:
        try:
            chunk = os.read(leader, 2**16)
        except OSError:  # the last follower is closed
            return
        if not chunk:
            return
        chunks.append(chunk)
