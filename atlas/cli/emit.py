"""Where output goes: data to stdout or a file, talk to stderr."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import NamedTuple

from atlas.answers.formats import CSV, of_documents, writer
from atlas.answers.result import Document, Result
from atlas.errors import QuestionError, UsageError
from atlas.printable import for_stdout, say
from atlas.whole_file import write_whole


def note(text: str) -> None:
    """A remark for a person, on stderr."""
    say("note", text)


class Output(NamedTuple):
    """Where the answer of a command goes: its form, the file (None: stdout), and the picture beside it, if any."""

    format: str
    path: Path | None
    picture: Path | None = None

    def emit(self, result: Result, inputs: Iterable[Path] = ()) -> None:
        """As `emit`."""
        emit(result, self.format, self.path, inputs)

    def emit_document(self, document: Document, section: str | None, inputs: Iterable[Path] = ()) -> None:
        """As `emit_document`."""
        emit_document(document, section, self.format, self.path, inputs)


def emit(result: Result, output_format: str, output: Path | None, inputs: Iterable[Path] = ()) -> None:
    """Write a Result to stdout or to the file `output`; its notes and any truncation go to stderr.

    `inputs`: files beside atlases that the command has read and `output` must not be. Raises as `deliver`.
    """
    content = io.BytesIO()
    # CSV is the one form for programs in which texts stand as they are.
    shown = _for_stdout(result) if output is None and output_format in CSV else result
    writer(output_format)(shown, content)
    deliver(content.getvalue(), output, inputs)
    _remarks(result)


def emit_document(
    document: Document, section: str | None, output_format: str, output: Path | None, inputs: Iterable[Path] = ()
) -> None:
    """Write a Document, or one section of it. `inputs` as for `emit`; raises as `require_section` and `deliver`."""
    require_section(document.sections, section, output_format)
    if section is not None:
        emit(document.sections[section], output_format, output, inputs)
    else:
        content = io.BytesIO()
        writer("document_" + output_format)(document, content)
        deliver(content.getvalue(), output, inputs)
        said: set[str] = set()  # sections that lack the same thing say so with one note
        for name, result in document.sections.items():
            _remarks(result, name, said)
            said.update(result.notes)
    for text in document.notes:
        note(text)


def require_section(sections: Collection[str], section: str | None, output_format: str) -> None:
    """Raise UsageError unless a Document of these sections can be written so: whole, or as the one section.

    Only a table and json hold several tables in one well-formed document. For the start of long work; `emit_document`
    asks again.
    """
    if section is not None and section not in sections:
        raise UsageError(f"this answer has no section {section}", f"It has {', '.join(sections)}.")
    if section is None and output_format not in of_documents():
        raise UsageError(
            f"{output_format.partition('_')[0]} holds one table, this answer has {len(sections)}",
            f"Add --section {'|'.join(sections)}, or use --format json.",
        )


def emit_made(made: Result, output_format: str | None) -> None:
    """Say what a command has made: its `path` alone, as `$(...)` takes it, or the whole row in the format asked for.

    On a terminal, a path has what the terminal would obey as escapes.
    """
    if output_format is not None:
        emit(made, output_format, None)
        return
    deliver(b"".join(os.fsencode(for_stdout(path)) + b"\n" for path in made.column("path")), None)
    _remarks(made)


def _for_stdout(result: Result) -> Result:
    rows = [tuple(for_stdout(value) if isinstance(value, str) else value for value in row) for row in result.rows]
    return Result([for_stdout(name) for name in result.columns], rows)


def _remarks(result: Result, name: str = "rows", said: Collection[str] = ()) -> None:
    for text in result.notes:
        if text not in said:
            note(text)
    if not result.rows and (name == "rows" or not result.notes):  # a note of a section says why it has none
        note(f"no {name}")
    if result.truncated_by:
        note(f"cut after {len(result.rows)} rows; {result.truncated_by} lifts this")


def deliver(content: bytes, output: Path | None, inputs: Iterable[Path] = ()) -> None:
    """Write bytes to stdout, whatever its encoding, or to the file `output`, as a whole (atlas.whole_file).

    Raises QuestionError, and UsageError where `output` cannot or must not be written.
    """
    if output is not None:
        write_whole(content, output, inputs=inputs)
        return
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise  # the reader left early, which is no error; the front door knows
    except OSError as error:
        raise QuestionError(f"cannot write to stdout: {error.strerror}", "Add -o FILE.") from error
