"""The processes that answer statements in SQL: each is started, asked once, and ended.

To start one, import DuckDB in it and open the atlas takes most of the time of a small statement. A session therefore
has one wait that has done all that: it has its limits, its fences stand, and it has seen no statement. It is asked one
and ended, as any other; the next one is started meanwhile.
"""

from __future__ import annotations

import importlib.util
import os
import selectors
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING
from weakref import finalize

from atlas.errors import QuestionError
from atlas.interrupt import undone
from queries.sandbox import wire

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from atlas.store.far.promised import Far

DEFAULT_MEMORY_MB = 2048
MOST = 4
"""Statements of one session that run at the same time; each may take a processor and its whole memory."""
_MAX_ANSWER_BYTES = 80 * 2**20  # the child stops itself before; this holds if it does not
_OPEN_S = 60.0  # for a child that is started ahead to be ready, however busy the machine
_END_S = 1.0
_BOOT = "import sys; sys.path += sys.argv[1:]; from queries.sandbox.child import main; main()"


class Child:
    """A process that opens the atlas at `path` within `open_s` seconds, and then answers one statement.

    `atlas_id`: the atlas that must stand there, None for any. `far`: through what one is read that is far away: the
    process itself reaches nothing.
    """

    def __init__(self, path: Path, atlas_id: str | None, memory_mb: int, open_s: float, far: Far | None = None) -> None:
        ours, its = socket.socketpair() if far is not None else (None, None)
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", "-c", _BOOT, *import_path()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ},
            start_new_session=True,
            bufsize=0,
            pass_fds=() if its is None else (its.fileno(),),
        )
        place = {"path": str(path), "atlas_id": atlas_id, "memory_mb": memory_mb, "open_s": open_s}
        if far is not None and ours is not None and its is not None:
            from atlas.store.far.relay import relay

            place["relay"] = its.fileno()
            its.close()
            relay(ours, far.files, far.names)
        self._place = wire.encode("place", {**place, "parent": os.getpid()})

    def ask(self, statement: bytes, within_s: float) -> tuple[bytes, int | None]:
        """What it wrote, up to a cap, and its exit code; None when it was not done in so many seconds. Ends it."""
        deadline = time.monotonic() + within_s
        try:
            with undone(self.process.kill):
                answer = self._exchange(self._place + statement, deadline)
            if answer is None:
                return b"", None
            try:
                return answer, self.process.wait(timeout=_END_S)
            except subprocess.TimeoutExpired:  # on a busy machine; what it has said stands all the same
                return answer, None
        finally:
            self.end()

    def prepare(self) -> None:
        """Tell it what to open; it does so while nobody waits for it."""
        with suppress(BrokenPipeError):  # it died at once, which shows when it is asked
            self._into().write(self._place)  # far shorter than what a pipe holds
        self._place = b""

    def is_alive(self) -> bool:
        """Whether it can still be asked."""
        return self.process.poll() is None

    def end(self) -> None:
        """Kill it; called any number of times."""
        self.process.kill()
        self.process.wait()
        self._into().close()
        self._out_of().close()

    def _exchange(self, request: bytes, deadline: float) -> bytes | None:
        """Its whole answer to `request`, or None when the deadline (monotonic seconds) comes first."""
        into, out_of, answer, left = self._into(), self._out_of(), bytearray(), memoryview(request)
        os.set_blocking(into.fileno(), False)  # nor does one that does not read keep us waiting
        with selectors.DefaultSelector() as selector:
            selector.register(out_of, selectors.EVENT_READ)
            selector.register(into, selectors.EVENT_WRITE)
            while len(answer) <= _MAX_ANSWER_BYTES:
                if time.monotonic() >= deadline or not (ready := selector.select(deadline - time.monotonic())):
                    return None
                for key, _ in ready:
                    if key.fileobj is into:
                        try:
                            left = left[os.write(into.fileno(), left) :]
                        except BrokenPipeError:  # it died; its exit code says how
                            left = left[:0]
                        if not left:
                            selector.unregister(into)
                            into.close()
                    else:
                        chunk = os.read(out_of.fileno(), 2**20)
                        if not chunk:
                            return bytes(answer)
                        answer += chunk
        raise QuestionError("stopped: the answer is too large", "Select fewer rows or columns.")

    def _into(self) -> IO[bytes]:
        assert self.process.stdin is not None
        return self.process.stdin

    def _out_of(self) -> IO[bytes]:
        assert self.process.stdout is not None
        return self.process.stdout


class Children:
    """The children of one session: at most MOST at work and one that waits. For any number of threads.

    Nothing is started before the first statement. They are started in a thread of their own, since Linux ends a process
    with the thread that started it.
    """

    def __init__(self, path: Path, atlas_id: str, far: Far | None = None) -> None:
        self._path, self._atlas_id, self._far = path, atlas_id, far
        self._waiting: list[Child] = []
        self._at_work: list[Child] = []
        self._nursery: ThreadPoolExecutor | None = None
        self._starting = False
        self._closed = False
        self._process = os.getpid()
        self._guard = threading.Lock()
        self._free = threading.BoundedSemaphore(MOST)
        self._forgotten = finalize(self, _end_all, self._waiting, self._process)

    def prepare(self) -> None:
        """Have a child wait for a statement, unless one does; returns at once."""
        if os.getpid() != self._process:
            return
        with self._guard:
            if self._closed or self._starting or self._waiting:
                return
            if self._nursery is None:
                from concurrent.futures import ThreadPoolExecutor  # not for a command, which asks one statement

                self._nursery = ThreadPoolExecutor(1, "nursery")
            with suppress(RuntimeError):  # Python is about to exit
                self._nursery.submit(self._start)
                self._starting = True

    @contextmanager
    def lend(self, memory_mb: int, timeout_s: float) -> Iterator[Child]:
        """A child that has not been asked yet: the one that waits where it has this memory, else a new one.

        QuestionError when the session is closed, belongs to another process, or is busy for `timeout_s`.
        """
        if os.getpid() != self._process:
            raise QuestionError("the session was opened by another process", "Open it after the fork, in each process.")
        if not self._free.acquire(timeout=timeout_s):
            raise QuestionError(f"stopped: {MOST} other statements ran all of its {timeout_s:g} s", "Ask again.")
        try:
            child = self._take(memory_mb, timeout_s)
            try:
                yield child
            finally:
                child.end()
                with self._guard:
                    self._at_work.remove(child)
            if self._closed:
                raise _closed()
        finally:
            self._free.release()
            self.prepare()

    def close(self) -> None:
        """End all of them, also those at work; no more are started."""
        if os.getpid() != self._process:
            return
        with self._guard:
            self._closed = True
            nursery, self._nursery = self._nursery, None
            for child in self._at_work:
                child.process.kill()  # who asked it sees to the rest
        if nursery is not None:
            nursery.shutdown()
        self._forgotten()

    def _start(self) -> None:
        """In the nursery: a child that waits, unless the session has been closed meanwhile."""
        child = None
        with suppress(OSError):  # no processes left: the next statement says so
            child = Child(self._path, self._atlas_id, DEFAULT_MEMORY_MB, _OPEN_S, self._far)
            child.prepare()
        with self._guard:
            self._starting = False
            if child is not None:
                self._waiting.append(child)

    def _take(self, memory_mb: int, timeout_s: float) -> Child:
        with self._guard:
            child = self._waiting.pop() if self._waiting and memory_mb == DEFAULT_MEMORY_MB else None
        if child is not None and not child.is_alive():
            child.end()
            child = None
        if child is None:
            child = Child(self._path, self._atlas_id, memory_mb, timeout_s, self._far)
        with self._guard:
            if not self._closed:
                self._at_work.append(child)
                return child
        child.end()
        raise _closed()


def import_path() -> list[str]:
    """The folders of this project and of DuckDB: all that a child imports beside the standard library."""
    spec = importlib.util.find_spec("duckdb")
    project = Path(__file__).resolve().parents[2]
    return [str(project), *([str(Path(spec.origin).parent.parent)] if spec and spec.origin else [])]


def _closed() -> QuestionError:
    return QuestionError("the session is closed", "Open the atlas again.")


def _end_all(waiting: list[Child], process: int) -> None:
    """End children that wait, as their session is closed or gone; in a fork they are not ours."""
    while waiting and os.getpid() == process:
        waiting.pop().end()
