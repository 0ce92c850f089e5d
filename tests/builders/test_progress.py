"""Lines of progress without a terminal: at each step and every half minute, whatever the step does meanwhile."""

from __future__ import annotations

import io
import json
import sys
import threading
from pathlib import Path

import pytest

from atlas.silence import silence
from builders.cli import build as cli
from builders.progress import INTERVAL, Bars, Lines, for_terminal
from tests.commands import invoke
from tests.end_to_end.workbench import write_corpus
from tests.synthetic import make_model


class Time:
    """A clock that a test moves: `pass_seconds` returns when every line that is due stands."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._turn, self._waiting = threading.Semaphore(0), threading.Semaphore(0)
        self.asked: list[float] = []

    def __call__(self) -> float:
        return self.now

    def pause(self, done: threading.Event, seconds: float) -> bool:
        self.asked.append(seconds)
        self._waiting.release()
        while not self._turn.acquire(timeout=0.01):
            if done.is_set():
                return True
        self.now += seconds
        return False

    def pass_seconds(self, intervals: int) -> None:
        assert self._waiting.acquire(timeout=10)  # of the last line, or of the start
        for _ in range(intervals):
            self._turn.release()
            assert self._waiting.acquire(timeout=10)
        self._waiting.release()


def test_a_line_at_the_start_and_every_half_minute() -> None:
    out, time = io.StringIO(), Time()
    lines = Lines(out, time, time.pause)
    with lines.task("decoding", 40) as advance:
        assert out.getvalue() == "progress: decoding\n"
        advance(10)
        time.pass_seconds(1)
        time.pass_seconds(2)  # nothing was finished meanwhile, and that is said
        advance(29)
        time.pass_seconds(118)
    with lines.task("publishing", 1):
        time.pass_seconds(1)
    said = out.getvalue().splitlines()
    assert said[:5] == [
        "progress: decoding",
        "progress: decoding: 25%, 0:00:30",
        "progress: decoding: 25%, 0:01:00",
        "progress: decoding: 25%, 0:01:30",
        "progress: decoding: 97%, 0:02:00",
    ]
    assert said[121:] == ["progress: decoding: 97%, 1:00:30", "progress: publishing", "progress: publishing: 0:00:30"]
    assert set(time.asked) == {INTERVAL} == {30.0}


def test_a_step_that_ends_or_fails_leaves_no_thread() -> None:
    before = threading.active_count()
    with Lines(io.StringIO()).task("a", 2):
        assert threading.active_count() == before + 1
    with pytest.raises(KeyboardInterrupt), Lines(io.StringIO()).task("b", 2):
        raise KeyboardInterrupt
    assert threading.active_count() == before


def test_a_log_that_is_gone_does_not_end_the_work() -> None:
    out, time = io.StringIO(), Time()
    with Lines(out, time, time.pause).task("a", 2) as advance:
        out.close()
        time.pass_seconds(2)
        advance(2)


def test_lines_pass_a_silenced_library_and_are_escaped() -> None:
    out, time = io.StringIO(), Time()
    with Lines(out, time, time.pause).task("a\x1b[2J", 2), silence():
        time.pass_seconds(1)
    assert out.getvalue() == "progress: a\\x1b[2J\nprogress: a\\x1b[2J: 0%, 0:00:30\n"


def test_a_terminal_has_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert isinstance(for_terminal(), Lines)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert isinstance(for_terminal(), Bars)


def test_every_phase_of_a_build_has_its_line(tmp_path: Path) -> None:
    make_model("llama", tmp_path / "model")
    corpus = write_corpus(tmp_path / "words.jsonl")
    arguments = [str(tmp_path / "model"), "-o", str(tmp_path / "a.duckdb"), "--concepts", str(corpus)]
    arguments += ["--top", "4", "--device", "cpu"]
    found = invoke(cli.build, arguments)
    assert found.exit_code == 0, found.output
    said = [line.removeprefix("progress: ") for line in found.stderr.splitlines() if line.startswith("progress: ")]
    assert said == [
        "reading the corpora",
        "loading the model",
        "reading the texts as tokens",
        "decoding",
        "facts of the weights",
        "activations of words",
        "statistics and intervals of words",
        "publishing",
    ]
    assert found.stdout == f"{tmp_path / 'a.duckdb'}\n"
    asked = invoke(cli.build, [*arguments, "--replace", "--format", "json"])
    assert json.loads(asked.stdout) == [{"model": arguments[0], "path": str(tmp_path / "a.duckdb")}]
