"""Options that several commands share, as decorators."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import click

from atlas.answers.formats import FORMATS, suffixes
from atlas.cli.emit import Output, note
from atlas.errors import UsageError
from atlas.fit_choice import FIT_NAMES, FitChoice
from atlas.newest import ATLAS_FOLDER, ATLAS_VARIABLE, newest_atlas
from atlas.place import place_of
from atlas.sites import POSITIONS, SITES
from atlas.time_limit import DEFAULT_TIMEOUT_S, TIMEOUT_VARIABLE
from atlas.whole_file import require_apart, require_output

Command = Callable[..., Any]


class AtlasPlace(click.Path):
    """A file, or a URL, which a path would shorten; what a command is given is a path either way (atlas/place.py)."""

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Path:
        """As click does."""
        return value if isinstance(value, Path) else place_of(str(super().convert(value, parameter, context)))


ATLAS_PLACE = AtlasPlace()
_CSV_SAFE = "atlas.csv_safe"


def bundled(name: str, make: Callable[..., Any], parts: tuple[str, ...]) -> Callable[[Command], Command]:
    """A decorator: the values of the options `parts` reach the command as one argument, `name`, that `make` makes.

    `make` takes them by keyword. The options themselves are added above it.
    """

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def call(**values: Any) -> Any:
            values[name] = make(**{part: values.pop(part) for part in parts})
            return command(**values)

        return call

    return decorate


def atlas_option(command: Command) -> Command:
    """Adds `-a/--atlas` and passes the file to read as `atlas_path`."""
    return click.option(
        "-a",
        "--atlas",
        "atlas_path",
        type=ATLAS_PLACE,
        envvar=ATLAS_VARIABLE,
        callback=_resolve_atlas,
        metavar="FILE",
        help="The atlas to read: a file, or the URL of one or of a published folder. "
        f"Default: ${ATLAS_VARIABLE}, else the newest in {ATLAS_FOLDER}.",
    )(command)


def timeout_option(command: Command) -> Command:
    """Adds `--timeout`, passed as `timeout` in seconds; None leaves it to the environment, 0 lifts it."""
    return click.option(
        "--timeout",
        type=float,
        metavar="SECONDS",
        help="Stop a statement to the atlas after this time; 0: never. "
        f"Default: ${TIMEOUT_VARIABLE}, else {DEFAULT_TIMEOUT_S:g}.",
    )(command)


def output_options(command: Command) -> Command:
    """Adds `--format` with `--csv-safe`, and `-o/--output`, passed as `output_format` and `output`."""
    command = click.option(
        "-o",
        "--output",
        type=click.Path(path_type=Path, dir_okay=False),
        is_eager=True,
        callback=writable,
        metavar="FILE",
        help="Write to FILE instead of stdout; its suffix chooses the format unless --format does.",
    )(command)
    return _format_options(command, _resolve_format, "table")


def made_options(command: Command) -> Command:
    """`--format` with `--csv-safe` for a command that makes something and says where; for `emit_made`.

    `output_format` is None without them: then the answer is the bare path. -o is free to say what is made.
    """
    return _format_options(command, _asked_format, "the path alone")


def section_option(sections: Collection[str]) -> Callable[[Command], Command]:
    """Adds `--section`, for an answer of several tables."""
    return click.option(
        "--section", type=click.Choice(list(sections)), help="Only this part; needed for jsonl, csv, parquet, arrow."
    )


def answer_options(picture: str = "") -> Callable[[Command], Command]:
    """Adds the options of `output_options`, passed as one `out`; with a help text for it also `--plot FILE.png`."""

    def decorate(command: Command) -> Command:
        parts = ("output_format", "output", *(["plot"] if picture else []))
        command = output_options(bundled("out", _output, parts)(command))
        if picture:
            file = click.Path(path_type=Path, dir_okay=False)
            command = click.option("--plot", type=file, metavar="FILE.png", help=picture)(command)
        return command

    return decorate


def _output(output_format: str, output: Path | None, plot: Path | None = None) -> Output:
    require_apart(output, plot)
    return Output(output_format, output, plot)


def fit_options(command: Command) -> Command:
    """Adds `--family`, `--site`, `--position` and `--template`, passed as `fit`: which fit of the Gaussians to read."""
    return fit_options_with(site="Site of the fit, where the atlas has several.")(command)


def fit_options_with(site: str) -> Callable[[Command], Command]:
    """`fit_options` for a command whose `--site` means more, as its help `site` says."""
    options = (
        click.option(
            "--family", metavar="NAME", help="Family of the concept, where several have a concept of this name."
        ),
        click.option("--site", type=click.Choice(list(SITES)), help=site),
        click.option(
            "--position", type=click.Choice(POSITIONS), help="Token position of the fit, where the atlas has several."
        ),
        click.option("--template", metavar="TEXT", help="Prompt template of the fit, where the atlas has several."),
    )

    def decorate(command: Command) -> Command:
        command = bundled("fit", FitChoice, FIT_NAMES)(command)
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def limit_option(default: int) -> Callable[[Command], Command]:
    """Adds `-n/--limit`."""
    return click.option(
        "-n",
        "--limit",
        type=click.IntRange(min=1),
        default=default,
        show_default=True,
        help="Most rows to print.",
    )


def find_atlas(folder: Path = ATLAS_FOLDER) -> Path:
    """The newest atlas in `folder`. Raises AtlasFileError when there is none."""
    newest, count = newest_atlas(folder)
    if count > 1:
        note(f"reading {newest}, the newest of {count} atlases; choose another with -a")
    return newest


def _resolve_atlas(context: click.Context, parameter: click.Parameter, value: Path | None) -> Path | None:
    if context.resilient_parsing:
        return value
    return value if value is not None else find_atlas()


def writable(context: click.Context, parameter: click.Parameter, value: Path | None) -> Path | None:
    """Callback of an output: UsageError, before any work, for one that cannot or must not be written."""
    if value is not None and not context.resilient_parsing:
        require_output(value)
    return value


def _format_options(command: Command, callback: Callable[..., Any], default: str) -> Command:
    command = click.option(
        "--csv-safe",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_keep_csv_safe,
        help="With csv: put ' before a text that a spreadsheet would take for a formula.",
    )(command)
    return click.option(
        "--format",
        "output_format",
        type=click.Choice(list(FORMATS)),
        callback=callback,
        help=f"Form of the answer. Default: {default}.",
    )(command)


def _keep_csv_safe(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    context.meta[_CSV_SAFE] = value


def _resolve_format(context: click.Context, parameter: click.Parameter, value: str | None) -> str:
    output: Path | None = context.params.get("output")
    return _allowed_format(context, value or format_for(output), output)


def _asked_format(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    asked = value is not None or context.meta.get(_CSV_SAFE)
    return _allowed_format(context, value or "table", context.params.get("output")) if asked else None


def format_for(output: Path | None) -> str:
    """The format of an answer where no --format says: what the suffix of its file asks for, else a table."""
    return "table" if output is None else suffixes().get(output.suffix.lower(), "table")


def refuse_binary(output_format: str | None, output: Path | None) -> None:
    """Raise UsageError where bytes would go to a terminal."""
    if output_format in FORMATS and FORMATS[output_format].binary and output is None and sys.stdout.isatty():
        raise UsageError(f"{output_format} is a binary format", "Add -o FILE, or pipe the output.")


def _allowed_format(context: click.Context, value: str, output: Path | None) -> str:
    if not context.resilient_parsing:
        refuse_binary(value, output)
    if context.meta.get(_CSV_SAFE):
        if value != "csv":
            raise UsageError(f"--csv-safe is for csv, and this is {value}", "Add --format csv, or leave it out.")
        return "csv_safe"
    return value
