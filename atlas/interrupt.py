"""Ctrl-C that is not kept waiting: Python's own handler runs only when the main thread leaves C code, perhaps never.

The operating system has a byte written into a pipe at once, whatever the main thread is at; a thread that waits at
the other end reacts. A program of ours that only asks leaves at once; in other programs the statement is ended, and
Python raises its KeyboardInterrupt.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from atlas.errors import EXIT_INTERRUPT

_AGAIN_S = 0.05  # an interruption that comes just before a statement begins is lost on it
_undo: list[Callable[[], object]] = []
_watcher: _Watcher | None = None
_came = False


class _Watcher:
    """The pipe and the thread; `reaction` is what Ctrl-C calls, again and again as long as it stands there."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.reaction: Callable[[], object] | None = None
        self._reading, self.writing = os.pipe()
        os.set_blocking(self.writing, False)
        threading.Thread(target=self._wait, name="ctrl-c", daemon=True).start()

    def watch(self) -> bool:
        """Have signals written into the pipe; False when they go into somebody else's."""
        before = signal.set_wakeup_fd(self.writing, warn_on_full_buffer=False)
        if before not in (-1, self.writing):
            signal.set_wakeup_fd(before)
        return before in (-1, self.writing)

    def _wait(self) -> None:
        while numbers := os.read(self._reading, 64):
            reaction = self.reaction
            with suppress(Exception):  # what was to be ended has gone meanwhile
                while signal.SIGINT in numbers and reaction is not None and self.reaction is reaction:
                    reaction()
                    time.sleep(_AGAIN_S)


@contextmanager
def reacting(react: Callable[[], object]) -> Iterator[None]:
    """While the block runs in the main thread, Ctrl-C also calls `react`, in another thread and at once.

    It does nothing in other threads, which get no signals, nor where somebody else sees to Ctrl-C.
    """
    watcher = _shared() if _is_ours() else None
    if watcher is None or not watcher.watch():
        yield
        return
    watcher.reaction = react
    try:
        yield
    finally:
        watcher.reaction = None
        signal.set_wakeup_fd(-1)


@contextmanager
def undone(undo: Callable[[], object]) -> Iterator[None]:
    """Have `undo` called when Ctrl-C ends the process within the block: no half-written file, no orphan stays."""
    _undo.append(undo)
    try:
        yield
    finally:
        _undo.remove(undo)


def leave_on_interrupt() -> None:
    """From now on Ctrl-C ends this process at once, without a word; nothing when it is ignored, as under nohup."""
    if _is_ours():
        signal.signal(signal.SIGINT, _leave)
        watcher = _shared()
        watcher.reaction = _leave
        watcher.watch()


def raise_on_interrupt() -> None:
    """From now on Ctrl-C raises KeyboardInterrupt again: there is work whose end must be a clean one."""
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, _raise)
        _shared().reaction = None
        signal.set_wakeup_fd(-1)


def interrupted() -> bool:
    """Whether Ctrl-C came since `raise_on_interrupt`: an import that it breaks off can raise anything."""
    return _came


def _is_ours() -> bool:
    """Whether this is the main thread and Ctrl-C raises KeyboardInterrupt."""
    if threading.current_thread() is not threading.main_thread():
        return False
    return signal.getsignal(signal.SIGINT) in (signal.default_int_handler, _raise)


def _shared() -> _Watcher:
    """The watcher of this process; a fork has no threads but its own."""
    global _watcher
    if _watcher is None or _watcher.process != os.getpid():
        _watcher = _Watcher()
    return _watcher


def _leave(number: int = signal.SIGINT, frame: FrameType | None = None) -> None:
    for undo in reversed(_undo):
        with suppress(Exception):
            undo()
    os._exit(EXIT_INTERRUPT)


def _raise(number: int, frame: FrameType | None) -> None:
    global _came
    _came = True
    raise KeyboardInterrupt
