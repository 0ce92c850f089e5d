"""Workers that are actors of a Ray cluster.

Each holds the model. Rows come back as they do from processes; activations go through the folder of the build, which
all machines of the cluster must see under the same name. Without an address a cluster of this machine alone is begun,
which nobody else can reach, and ended at the end. Ray is told not to report its use.
"""

from __future__ import annotations

import ipaddress
import os
import pickle
import queue
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from atlas.errors import BuildError
from atlas.extras import require
from builders.workers.pool import DONE, ENDED, FAILED, READY, UNABLE, Start, Worker
from builders.workers.task import LOOPBACK, Setup

_PATIENCE = 10.0
"""Seconds that a cluster has to answer."""


class RayWorker(Worker):
    """One actor, and the thread that waits for its answers."""

    def __init__(self, index: int, setup: Setup, put: Callable[[str, Any], None], resources: dict[str, float]) -> None:
        import ray

        self._ray, self._put = ray, put
        self._actor = ray.remote(**resources)(_Actor).remote(pickle.dumps(setup))
        self._messages: queue.Queue[tuple[Any, ...] | None] = queue.Queue()
        threading.Thread(target=self._listen, name=f"worker {index + 1}", daemon=True).start()

    def send(self, message: tuple[Any, ...]) -> None:
        """The actor gets it when it has done what came before."""
        self._messages.put(message)

    def end(self) -> None:
        """Kill the actor."""
        self._messages.put(None)
        self._ray.kill(self._actor)

    def _listen(self) -> None:
        from ray.exceptions import RayError

        try:
            unable = self._ray.get(self._actor.unable.remote())
            self._put(*((READY, "") if unable is None else (UNABLE, unable)))
            while (message := self._messages.get()) is not None:
                found = self._ray.get(self._actor.take.remote(message))
                if found is not None:
                    self._put(*found)
        except RayError as error:
            self._put(ENDED, f"ended ({type(error).__name__})")


class _Actor:
    """What runs in the cluster."""

    def __init__(self, setup: bytes) -> None:
        from builders.workers.held import Held, said

        self._unable: str | None = None
        try:
            self._held = Held(pickle.loads(setup))
        except BaseException as error:
            self._unable = said(error)

    def unable(self) -> str | None:
        """Why it cannot work; None: it can."""
        return self._unable

    def take(self, message: tuple[Any, ...]) -> tuple[str, Any] | None:
        """The answer to ("run", task) or ("run", task, beside); None to ("tell", topic, value)."""
        from builders.workers.held import said

        what, *values = message
        if what == "tell":
            self._held.tell(*values)
            return None
        try:
            return DONE, self._held.run(*values)
        except BaseException as error:
            return FAILED, said(error)


def require_ray(address: str) -> None:
    """Import Ray, told what it only hears then. MissingExtraError where it is not installed."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    if address == LOOPBACK:
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # all it decides on Linux: listen on loopback alone
    require("ray", "ray", "for --workers ray")


@contextmanager
def cluster(address: str) -> Iterator[tuple[int, Start]]:
    """Join the cluster: how many workers it has room for, a GPU each or a processor each, and what starts one.

    Raises BuildError where there is none, or where others could reach one that is to be of this machine alone.
    """
    require_ray(address)
    import ray

    said: dict[str, Any] = {"include_dashboard": False} if address == LOOPBACK else {}
    try:
        _require_listener(address)
        ray.init(address=address, log_to_driver=False, logging_level="error", **said)
    except (OSError, RuntimeError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise BuildError(f"no Ray cluster at {address}: {reason}", "Start one, or give --workers ray alone.") from error
    try:
        own = ray.util.get_node_ip_address()
        if address == LOOPBACK and not ipaddress.ip_address(own).is_loopback:
            raise BuildError(f"Ray listens on {own}, as it was imported before the build began", "Import it later.")
        there = ray.cluster_resources()
        number = int(there.get("GPU", 0)) or int(there.get("CPU", 1))
        resources = {"num_gpus": 1.0} if there.get("GPU", 0) else {"num_cpus": 1.0}

        def start(index: int, setup: Setup, put: Callable[[str, Any], None]) -> Worker:
            return RayWorker(index, setup, put, resources)

        yield number, start
    finally:
        ray.shutdown()


def _require_listener(address: str) -> None:
    """Raise OSError where nobody listens at HOST:PORT: Ray would go on asking for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE):
            pass
