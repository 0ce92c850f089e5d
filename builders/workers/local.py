"""Workers that are processes of this machine."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import queue
import signal
import threading
from collections.abc import Callable, Iterator
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from builders.workers.handed import Handed, forget, handed
from builders.workers.pool import DONE, ENDED, FAILED, READY, UNABLE, Worker
from builders.workers.task import Answer, Setup

_PATIENCE = 5.0
"""Seconds that a process has to end by itself."""
PRELOADED = ["builders.workers.held"]
"""What the process imports that others are forked from: torch and transformers, which takes five seconds."""


def begin_importing() -> None:
    """Begin the process that workers without a GPU are forked from: it imports while this one loads the model.

    It has one thread, and never more than imported. It ends with this process.
    """
    forkserver.set_forkserver_preload(PRELOADED)
    resource_tracker.ensure_running()  # beginning it, as else the next step does, lets interrupts through again
    with _without_interrupts():
        forkserver.ensure_running()


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """Ctrl-C is for this process alone, also before one that is begun can say so: what is blocked stays so in it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class LocalWorker(Worker):
    """A process, and the thread that listens to it."""

    def __init__(
        self,
        index: int,
        setup: Setup,
        put: Callable[[str, Any], None],
        target: Callable[[Connection, bytes], None] | None = None,
    ) -> None:
        """`target`: what the process does; None: `work`."""
        # A fork of a process that has only asked which GPUs there are may not be able to use them.
        context = multiprocessing.get_context("forkserver" if setup.device == "cpu" else "spawn")
        self._connection, theirs = context.Pipe()
        self.process = context.Process(
            target=_begin,
            args=(target or work, theirs, pickle.dumps(setup), dict(os.environ)),
            name=f"worker {index + 1}",
            daemon=True,
        )
        with _without_interrupts():
            self.process.start()
        theirs.close()
        self._put, self._folder = put, setup.scratch
        threading.Thread(target=self._listen, name=f"worker {index + 1}", daemon=True).start()

    def send(self, message: tuple[Any, ...]) -> None:
        """What is sent to a process that has ended is lost; its end is an event of its own."""
        with contextlib.suppress(OSError):
            self._connection.send(message)

    def end(self) -> None:
        """By SIGTERM, then by SIGKILL."""
        self.process.terminate()
        self.process.join(_PATIENCE)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        if self._folder is not None and self.process.pid is not None:
            forget(self._folder, self.process.pid)

    def _listen(self) -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                what, value = self._connection.recv()
                self._put(what, value.taken() if isinstance(value, Handed) else value)
        self.process.join(_PATIENCE)
        code = self.process.exitcode
        self._put(ENDED, f"ended by signal {-code}" if code is not None and code < 0 else f"ended with code {code}")


def _begin(
    target: Callable[[Connection, bytes], None], connection: Connection, setup: bytes, environment: dict[str, str]
) -> None:
    """With the variables of now: what a process is forked from has those of when it began."""
    os.environ.clear()
    os.environ.update(environment)
    target(connection, setup)


def answering(connection: Connection, answer: Answer, folder: Path | None) -> None:
    """Send an answer: a large one beside the pipe. Raises OSError."""
    connection.send((DONE, answer if folder is None else handed(answer, folder)))


def work(connection: Connection, setup: bytes) -> None:
    """What the process does: Ctrl-C is for the one that began it, and it ends when that one does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    inbox: queue.Queue[tuple[Any, ...]] = queue.Queue()

    def listen() -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                inbox.put(connection.recv())
        os._exit(1)

    threading.Thread(target=listen, name="inbox", daemon=True).start()
    from tqdm import tqdm

    # The lock of its bars would be a semaphore of the system, and Python complains of it when a worker is ended.
    tqdm.set_lock(threading.RLock())
    from builders.workers.held import Held, said  # torch

    try:
        known: Setup = pickle.loads(setup)
        held = Held(known)
    except BaseException as error:
        connection.send((UNABLE, said(error)))
        return
    connection.send((READY, ""))
    while True:
        what, *values = inbox.get()
        if what == "tell":
            held.tell(*values)
            continue
        try:
            answering(connection, held.run(*values), known.scratch)
        except BaseException as error:
            connection.send((FAILED, said(error)))
