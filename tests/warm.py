"""Processes that start at once: each is a fork of one that has imported the libraries, and nothing of this project.

For tests that need a process of its own (to kill it, to limit it, to run a file as a user would) but not the five
seconds in which torch and transformers are imported. What is asked of the start itself, of what is imported or printed
by it, or of variables that a library reads as it is imported, needs `subprocess`.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from subprocess import CompletedProcess

from tests.architecture.imports import ROOT

CONTEXT = multiprocessing.get_context("forkserver")
PRELOADED = [
    "duckdb",
    "pyarrow.parquet",
    "pandas",  # pyarrow imports it where it is there
    "rich.console",
    "scipy.stats",
    "torch",
    "transformers.models.auto.modeling_auto",
    "transformers.models.llama.modeling_llama",
    "transformers.models.llama.tokenization_llama",
    "transformers.models.encoder_decoder",
    "transformers.generation",
    "safetensors.torch",
    "sentencepiece",
]
CONTEXT.set_forkserver_preload(PRELOADED)


def run(
    words: Sequence[object],
    *,
    cwd: Path = ROOT,
    env: Mapping[str, str] | None = None,
    text: bool = True,
    before: tuple | None = None,
) -> CompletedProcess:
    """What `subprocess.run([sys.executable, *words], capture_output=True, text=text)` gives, without its start.

    `words`: `-c CODE`, `-m MODULE`, or a file, perhaps after `-I`, and arguments. `before`: a function and its
    arguments, called first.
    """
    with tempfile.TemporaryDirectory() as folder:
        files = [os.devnull, os.path.join(folder, "out"), os.path.join(folder, "err")]
        environment = dict(os.environ if env is None else env)
        process = CONTEXT.Process(target=become, args=([*map(str, words)], str(cwd), environment, files, before))
        process.start()
        process.join()
        said = [Path(file).read_bytes() for file in files[1:]]
        out, err = [each.decode() for each in said] if text else said
        return CompletedProcess(list(words), process.exitcode, out, err)


def become(words: list[str], cwd: str, env: dict[str, str], files: Sequence[str], before: tuple | None = None) -> None:
    """Be the interpreter that was started with these words."""
    os.environ.clear()
    os.environ.update(env)
    for number, (file, flags) in enumerate(zip(files, (os.O_RDONLY, *2 * [os.O_WRONLY | os.O_CREAT]), strict=True)):
        os.dup2(os.open(file, flags, 0o600), number)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # multiprocessing has closed it
    os.chdir(cwd)
    installed = [path for path in sys.path if path.startswith((sys.prefix, sys.base_prefix))]
    alone = words[0] == "-I"
    kind, *rest = words[1:] if alone else words
    named = [] if alone else [path for path in env.get("PYTHONPATH", "").split(os.pathsep) if path]
    first = [] if alone else [str(Path(kind).parent) if kind not in ("-c", "-m") else cwd]
    sys.path[:] = [*first, *named, *installed, *([] if alone else [str(ROOT)])]
    if before is not None:
        before[0](*before[1:])
    if kind == "-c":
        code, *sys.argv[1:] = rest
        sys.argv[0] = "-c"
        exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})
    elif kind == "-m":
        sys.argv[:] = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv[:] = [kind, *rest]
        runpy.run_path(kind, run_name="__main__")
