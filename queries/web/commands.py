"""The command line that asks what a page asks, to be copied."""

from __future__ import annotations

import shlex
from typing import Any

from atlas.fit_choice import FitChoice
from atlas.store.reader import Atlas


def command(atlas: Atlas, name: str, *arguments: str, fit: FitChoice | None = None, **options: Any) -> str:
    """'neuron-atlas NAME ARGUMENTS --option value -a FILE', quoted for a POSIX shell; None and False are left out."""
    words = ["neuron-atlas", name, *arguments]
    given = {**(dict(fit.given()) if fit else {}), **options}
    for option, value in given.items():
        flag = "--" + option.replace("_", "-")
        if value is True:
            words.append(flag)
        elif isinstance(value, list | tuple):
            words += [word for each in value for word in (flag, str(each))]
        elif value is not None and value is not False:
            words += [flag, str(value)]
    return shlex.join([*words, "-a", str(atlas.path)])


def literal(text: str) -> str:
    """A text as a literal of SQL."""
    return "'" + text.replace("'", "''") + "'"
