"""Where output goes: data to stdout or a file, talk to stderr."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from atlas.answers.formats import CSV, writer
from atlas.answers.result import Document, Result
from atlas.errors import QuestionError, UsageError
from atlas.printable import for_stdout, say
from atlas.whole_file import write_whole


def note(text: str) -> None:
    """A remark for a person, on stderr."""
    say("note", text)


@dataclass(frozen=True)
class Output:
    """Where the answer of a command goes: its form, the file (None: stdout), and the picture beside it, if any."""

    format: str
    path: Path | None
    picture: Path | None = None

    def emit(self, result: Result, inputs: Iterable[Path] = ()) -> None:
        """As `emit`."""
        emit(result, self.format, self.path, inputs)

    def emit_document(self, document: Document, section: str | None) -> None:
        """As `emit_document`."""
        emit_document(document, section, self.format, self.path)


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


def emit_document(document: Document, section: str | None, output_format: str, output: Path | None) -> None:
    """Write a Document, or one section of it.

    Only a table and json can hold several tables in one well-formed document; for the other formats
    UsageError asks for a section.
    """
    if section is not None:
        if section not in document.sections:
            raise UsageError(f"this answer has no section {section}", f"It has {', '.join(document.sections)}.")
        emit(document.sections[section], output_format, output)
        return
    if output_format not in ("table", "json"):
        raise UsageError(
            f"{output_format.partition('_')[0]} holds one table, this answer has {len(document.sections)}",
            f"Add --section {'|'.join(document.sections)}, or use --format json.",
        )
    content = io.BytesIO()
    writer("document_" + output_format)(document, content)
    deliver(content.getvalue(), output)
    for name, result in document.sections.items():
        _remarks(result, name)


def _for_stdout(result: Result) -> Result:
    rows = [tuple(for_stdout(value) if isinstance(value, str) else value for value in row) for row in result.rows]
    return Result([for_stdout(name) for name in result.columns], rows)


def _remarks(result: Result, name: str = "rows") -> None:
    for text in result.notes:
        note(text)
    if not result.rows:
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
