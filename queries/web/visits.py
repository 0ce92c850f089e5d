"""Questions that take a model long: asked in threads of their own, and ended when the visitor leaves."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn, TypeVar

import anyio
import anyio.to_thread
from anyio import CapacityLimiter, from_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope
from starlette.types import Send as SendMessage

from atlas.errors import AtlasError, QuestionError
from queries.web.live import Stopped

MOST_AT_ONCE = 6
"""Visitors whose questions to the model run or wait; the model has a queue of its own, which is shorter."""
T = TypeVar("T")
Send = Callable[[str, Any], None]
"""Sends an event to the visitor: its name, and a value of JSON."""


def require_room(threads: CapacityLimiter) -> None:
    """Raise QuestionError rather than wait for a thread."""
    if threads.available_tokens < 1:
        raise QuestionError("the model is busy: too many visitors ask it", "Try again in a while.")


async def asked_of_model(request: Request, work: Callable[[Stopped], T], threads: CapacityLimiter) -> T:
    """`work(stopped)` in a thread; `stopped` says whether the visitor is gone. Raises what the work raises."""
    require_room(threads)
    left, outcome = threading.Event(), []

    def tried() -> Callable[[], T]:
        try:
            answer = work(left.is_set)
        except Exception as error:  # a group of tasks would wrap it
            return partial(_raise, error)
        return lambda: answer

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_watch, request.receive, left)
        outcome.append(await anyio.to_thread.run_sync(tried, limiter=threads))
        tasks.cancel_scope.cancel()
    (answered,) = outcome
    return answered()


def _raise(error: Exception) -> NoReturn:
    raise error


async def _watch(receive: Receive, left: threading.Event) -> None:
    """Set `left` once the visitor is gone. These questions have no body that anybody else would receive."""
    while (await receive())["type"] != "http.disconnect":
        pass
    left.set()


class Events(Response):
    """Server-sent events, as `work(send, stopped)` makes them; values are JSON. The last one is "done" or "wrong"."""

    media_type = "text/event-stream"

    def __init__(self, work: Callable[[Send, Stopped], None], threads: CapacityLimiter) -> None:
        super().__init__(headers={"Cache-Control": "no-store"})
        del self.headers["content-length"]
        self._work, self._threads = work, threads

    async def __call__(self, scope: Scope, receive: Receive, send: SendMessage) -> None:
        left = threading.Event()

        async def forward(message: Message) -> None:
            await send(message)

        def say(name: str, value: Any) -> None:
            if not left.is_set():
                body = f"event: {name}\ndata: {json.dumps(value)}\n\n".encode()
                from_thread.run(forward, {"type": "http.response.body", "body": body, "more_body": True})

        def work() -> None:
            try:
                self._work(say, left.is_set)
                say("done", None)
            except AtlasError as error:
                say("wrong", f"{error.message}. {error.hint}" if error.hint else error.message)
            except OSError:  # the visitor left while something was sent
                left.set()

        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_watch, receive, left)
            await anyio.to_thread.run_sync(work, limiter=self._threads)
            tasks.cancel_scope.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})
