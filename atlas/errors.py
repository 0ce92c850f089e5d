"""Every error a user can meet, with a hint and an exit code.

One class per cause. A message is one line that says what is wrong; `hint` says what to do.
Only the command line turns these into text and an exit code (the codes are a contract, docs/cli.md).
"""

from __future__ import annotations

from collections.abc import Iterable

EXIT_OK = 0
EXIT_QUESTION = 1
EXIT_USAGE = 2
EXIT_ATLAS = 3
EXIT_EXTRA = 4
EXIT_BUILD = 5
EXIT_INTERRUPT = 130


class AtlasError(Exception):
    """Base of all errors of this project: `message` (one line), `hint` (what to do), `exit_code`."""

    exit_code = EXIT_QUESTION

    def __init__(self, message: str, hint: str = "") -> None:
        self.message = " ".join(message.split())
        self.hint = " ".join(hint.split())
        super().__init__(f"{self.message}. {self.hint}" if self.hint else self.message)


class QuestionError(AtlasError):
    """The question cannot be answered: bad SQL, a limit hit, nothing to compare."""


class UnknownNameError(QuestionError):
    """A name that the atlas or a registry does not have; suggests the nearest ones."""

    def __init__(self, kind: str, name: str, known: Iterable[str], otherwise: str = "", problem: str = "") -> None:
        """`otherwise` is the hint where no name is near; without it some of the known ones are listed.

        `problem` is the message for a name that is known, only not here.
        """
        import difflib  # when somebody has mistaken a name, and not with every command

        choices = sorted(map(str, known))
        folded = {choice.casefold(): choice for choice in choices}
        near = [folded[key] for key in difflib.get_close_matches(name.casefold()[:200], folded, n=3, cutoff=0.5)]
        if near:
            hint = "Did you mean " + " or ".join(near) + "?"
        elif otherwise:
            hint = otherwise
        elif not choices:
            hint = f"There is no {kind} here at all."
        else:
            shown = ", ".join(choices[:12]) + (f" and {len(choices) - 12} more" if len(choices) > 12 else "")
            hint = f"Known: {shown}."
        self.kind, self.name, self.known = kind, name, choices
        super().__init__(problem or f"unknown {kind} {name if len(name) <= 60 else name[:60] + '…'!r}", hint)


class UsageError(AtlasError):
    """Options that do not fit together or a value out of its domain."""

    exit_code = EXIT_USAGE


class AtlasFileError(AtlasError):
    """The atlas file is missing, locked, damaged, or of another schema version."""

    exit_code = EXIT_ATLAS


class MissingExtraError(AtlasError, ImportError):
    """An optional package is needed; the hint is the exact install command."""

    exit_code = EXIT_EXTRA


class BuildError(AtlasError):
    """A build that cannot start or whose result failed its checks; nothing was published."""

    exit_code = EXIT_BUILD


class ModelError(BuildError):
    """A model that cannot be loaded, is of an unsupported family, or does not match its adapter."""


class CorpusError(BuildError):
    """A corpus that cannot be read as (text, concept) examples."""


class SpecError(AtlasError):
    """An intervention spec that is malformed or does not fit the model."""
