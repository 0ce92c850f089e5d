"""A step that a stranger's file decides the cost of, done in a process of its own which may die of it."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time
from typing import Any

SECONDS, MEMORY = 5, 2 << 30
_MOST_ANSWER = 64 << 20
_BOOT = "import sys; sys.path[:] = sys.argv[5:]; from atlas.live.limited import main; main(*sys.argv[1:5])"


class Failed(Exception):
    """Why the step gave nothing, in a few words."""


def call(module: str, function: str, argument: Any, seconds: int = SECONDS, memory: int = MEMORY) -> Any:
    """`function(argument)` of `module`, both values of JSON, under two limits.

    `seconds` of processor time and `memory` more bytes than its module takes: what the function itself imports counts.
    Raises Failed for what the function raises, and where a limit ends it.
    """
    command = [sys.executable, "-P", "-c", _BOOT, module, function, str(seconds), str(memory), *sys.path]
    environment = {**os.environ, "TOKENIZERS_PARALLELISM": "false", "RAYON_NUM_THREADS": "1", "RUST_BACKTRACE": "0"}
    try:
        done = subprocess.run(
            command,
            input=json.dumps(argument).encode(),
            capture_output=True,
            env=environment,
            # Processor time is limited inside; this is for a machine that is busy with other things.
            timeout=10 * seconds + 20,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"it takes more than {seconds} seconds") from None
    if done.returncode:
        raise Failed(f"it takes more than {seconds} seconds, or too much memory")
    answer = json.loads(done.stdout)
    if "error" in answer:
        raise Failed(answer["error"])
    return answer["value"]


def main(module: str, function: str, seconds: str, memory: str) -> None:
    """The inside: reads the argument from standard input and writes an answer to standard output."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not mix with the answer
    argument = json.loads(sys.stdin.buffer.read())
    step = getattr(importlib.import_module(module), function)
    _limit(int(seconds), int(memory))
    try:
        answer = json.dumps({"value": step(argument)})
        if len(answer) > _MOST_ANSWER:
            answer = json.dumps({"error": f"it gives more than {_MOST_ANSWER >> 20} MiB"})
    except MemoryError:
        answer = json.dumps({"error": "it takes too much memory"})
    except BaseException as error:  # what a stranger's file makes a library raise; a panic of Rust is no Exception
        answer = json.dumps({"error": " ".join(f"{type(error).__name__}: {error}".split())[:300]})
    out.write(answer.encode())
    out.close()
    os._exit(0)  # tidying up takes time that is no longer the step's


def _limit(seconds: int, memory: int) -> None:
    """Bound this process; without effect where the system has no such limits."""
    try:
        import resource
    except ImportError:
        return
    used = int(time.process_time()) + 1 + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (used, used + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            mapped = int(file.read().split()[0]) * resource.getpagesize()
    except OSError:  # not Linux, where the limit would mean something else
        return
    resource.setrlimit(resource.RLIMIT_AS, (mapped + memory, mapped + memory))
