"""Where output goes: data to stdout or a file, talk to stderr."""

from __future__ import annotations

import io
import os
import sys
import tempfile
from pathlib import Path

import click

from atlas.errors import QuestionError, UsageError
from queries.render.formats import writer
from queries.result import Document, Result


def note(text: str) -> None:
    """A remark for a person, on stderr."""
    click.echo(f"note: {text}", err=True)


def emit(result: Result, output_format: str, output: Path | None) -> None:
    """Write a Result to stdout or to the file `output`; its notes and any truncation go to stderr."""
    content = io.BytesIO()
    writer(output_format)(result, content)
    deliver(content.getvalue(), output)
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
            f"{output_format} holds one table, this answer has {len(document.sections)}",
            f"Add --section {'|'.join(document.sections)}, or use --format json.",
        )
    content = io.BytesIO()
    writer("document_" + output_format)(document, content)
    deliver(content.getvalue(), output)
    for name, result in document.sections.items():
        _remarks(result, name)


def _remarks(result: Result, name: str = "rows") -> None:
    for text in result.notes:
        note(text)
    if not result.rows:
        note(f"no {name}")
    if result.truncated_by:
        note(f"cut after {len(result.rows)} rows; {result.truncated_by} lifts this")


def deliver(content: bytes, output: Path | None) -> None:
    """Write bytes to stdout, whatever its encoding, or to the file `output`. Raises QuestionError, UsageError."""
    if output is not None:
        write_file(content, output)
        return
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise  # the reader left early, which is no error; the front door knows
    except OSError as error:
        raise QuestionError(f"cannot write to stdout: {error.strerror}", "Add -o FILE.") from error


def write_file(content: bytes, output: Path) -> None:
    """Write a file by temporary name and rename, so that nobody reads half of it. Raises UsageError."""
    try:
        handle, temporary = tempfile.mkstemp(dir=output.parent, prefix=f".{output.name}.")
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
            os.chmod(temporary, 0o666 & ~_umask())
            os.replace(temporary, output)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise UsageError(f"cannot write {output}: {error.strerror}", "Name a file in a folder you own.") from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
