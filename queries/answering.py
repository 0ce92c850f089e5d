"""What every question does: it takes an atlas or its session, and blames the file where that is to blame.

The rows of an atlas come from somewhere: a NULL, a number out of range or a list of another length would end a
question anywhere in Python. Guarding every use of every value would hide the questions; a question that fails asks
`verify` instead.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from atlas.store.blame import damage, is_unexpected
from atlas.store.reader import Atlas
from queries.session.session import Session

_WHOLE = "the atlas was looked at and is whole"
Asked = TypeVar("Asked", Atlas, Path)
Answer = TypeVar("Answer")
Rest = ParamSpec("Rest")


def question(ask: Callable[Concatenate[Asked, Rest], Answer]) -> Callable[Concatenate[Asked | Session, Rest], Answer]:
    """`ask` that takes a session for its atlas, and raises AtlasFileError for what the damage of its file explains.

    Its file: atlases and paths among its positional arguments. Any other error stays as it is.
    """

    @functools.wraps(ask)
    def asked(*arguments: Any, **options: Any) -> Answer:
        arguments = tuple(thing.atlas if isinstance(thing, Session) else thing for thing in arguments)
        try:
            return ask(*arguments, **options)
        except Exception as error:
            # A question may ask another one, which has looked already.
            if not is_unexpected(error) or _WHOLE in getattr(error, "__notes__", ()):
                raise
            paths = [thing.path if isinstance(thing, Atlas) else thing for thing in arguments]
            found = damage(path for path in paths if isinstance(path, Path))
            if found is None:
                error.add_note(_WHOLE)
                raise
            raise found from error

    return asked
