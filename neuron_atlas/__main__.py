"""The start of the command line, under a name that is ours alone: sees that `atlas` is ours too, then goes there.

What it could not do from within `atlas`: when that is another package, nothing of ours would run.
"""

from __future__ import annotations

import os
import sys

from neuron_atlas import names

TYPE_CHECKING = False  # of typing, which takes time
if TYPE_CHECKING:
    from typing import NoReturn


def process() -> NoReturn:
    """The whole process of a command line; ends with code 4 and two lines when what it needs of ours is not ours."""
    try:
        names.require_ours("atlas")
        from atlas.__main__ import process as go_on

        go_on()
    except KeyboardInterrupt:
        os._exit(130)
    except Exception as error:
        clash = error if isinstance(error, names.NameClashError) else names.damage()
        if clash is None:
            raise
        if sys.stderr is not None:  # a shell can start us without it
            for kind, text in (("error", clash.message), ("hint", clash.hint)):
                # As escapes, what a terminal would obey: a file may have any name.
                sys.stderr.write(f"{kind}: {''.join(c if c.isprintable() else ascii(c)[1:-1] for c in text)}\n")
        sys.exit(clash.exit_code)


if __name__ == "__main__":
    process()
