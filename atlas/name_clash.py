"""Whether atlas, builders and queries mean our packages: names so common are soon taken by another file.

This file is also read by its path, where `atlas` is not ours, so it imports nothing of ours before it knows.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec

TYPE_CHECKING = False  # of typing, which takes time
if TYPE_CHECKING:
    from collections.abc import Callable
    from importlib.metadata import Distribution, PackagePath
    from typing import NoReturn

OURS = ("atlas", "builders", "queries")
DISTRIBUTION = "neuron-atlas"
HOME = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
EXIT_NAME = 4  # as for a missing package: what is installed does not do


class NameClashError(ImportError):
    """Something else has the place of our code: `message` names it, `hint` says what to do.

    Not an AtlasError, which lies in one of the packages that may not be ours; it has the same fields.
    """

    exit_code = EXIT_NAME

    def __init__(self, message: str, hint: str) -> None:
        self.message, self.hint = " ".join(message.split()), hint
        super().__init__(f"{self.message}. {self.hint}")


def process(front_door: Callable[[], NoReturn]) -> NoReturn:
    """The whole process of a command line; ends with code 4 and two lines when what it needs of ours is not ours.

    `front_door` imports atlas/__main__.py and goes on there.
    """
    try:
        require_ours("atlas")
        front_door()
    except KeyboardInterrupt:
        os._exit(130)
    except Exception as error:
        clash = error if isinstance(error, NameClashError) else damage()
        if clash is None:
            raise
        if sys.stderr is not None:  # a shell can start us without it
            for kind, text in (("error", clash.message), ("hint", clash.hint)):
                # As escapes, what a terminal would obey: a file may have any name.
                sys.stderr.write(f"{kind}: {''.join(c if c.isprintable() else ascii(c)[1:-1] for c in text)}\n")
        sys.exit(clash.exit_code)


def require_ours(*names: str) -> None:
    """Raise NameClashError unless `import NAME` means the package of this folder's parent, for each of `names` of OURS.

    Nothing is imported: each takes one look into the folders of sys.path, which the import would take anyway.
    """
    for name in names:
        place = _place_of(name)
        if place is None:
            message = f"the package {name} of {DISTRIBUTION} is not there: {os.path.join(HOME, name)}"
            raise NameClashError(message, f"Run: {_reinstall()}")
        if not _is_ours(name, place):
            message = f"the name {name} means {place} here, not the package of {DISTRIBUTION} in {HOME}"
            raise NameClashError(message, _way_out(name, place))


def damage() -> NameClashError | None:
    """Why our folders do not hold what pip put there, or None when they do; to be asked after something failed.

    Another distribution with a package of the same name lands in the same folder: pip lets it overwrite our files, and
    takes them away with it. A checkout, which pip has no record of, is never damaged.
    """
    from importlib import metadata

    us = next(iter(metadata.distributions(name=DISTRIBUTION, path=[HOME])), None)
    recorded = {str(file): file for file in (us and us.files) or () if file.parts[0] in OURS and file.hash}
    for name, file in recorded.items():
        path = os.path.join(HOME, name)
        if not os.path.isfile(path):
            return NameClashError(
                f"{path} is missing: something has removed a file of {DISTRIBUTION}", f"Run: {_reinstall(us)}"
            )
        if not _is_as_recorded(path, file):
            return _taken(us, path, name, f"is not the file of {DISTRIBUTION}")
        stem = name.removesuffix(".py")
        for other in (f"{stem}/__init__.py", *(stem + suffix for suffix in EXTENSION_SUFFIXES)):
            if stem != name and other not in recorded and os.path.isfile(os.path.join(HOME, other)):
                return _taken(us, os.path.join(HOME, other), other, f"hides {name} of {DISTRIBUTION}")
    return None


def _place_of(name: str) -> str | None:
    """The file that `import name` runs or ran; a folder without __init__.py by itself; None for nothing."""
    try:
        spec = find_spec(name)
    except ValueError:  # an object that this program itself put among its modules
        return getattr(sys.modules[name], "__file__", None) or repr(sys.modules[name])
    if spec is None:
        return None
    folders = spec.submodule_search_locations
    return next(iter(folders)) if folders and not spec.has_location else spec.origin


def _is_ours(name: str, place: str) -> bool:
    folder, file = os.path.split(place)
    return file.startswith("__init__.") and _same(folder, os.path.join(HOME, name))


def _same(one: str, other: str) -> bool:
    """Whether two paths are one folder, also when a link leads to it."""
    try:
        return one == other or os.path.samefile(one, other)
    except OSError:
        return False


def _way_out(name: str, place: str) -> str:
    if _same(place, os.path.join(HOME, name)):
        return f"Its __init__.py is gone. Run: {_reinstall()}"
    folder = os.path.dirname(place.removesuffix(os.sep + "__init__.py"))
    listed = os.environ.get("PYTHONPATH", "").split(os.pathsep) if not sys.flags.ignore_environment else []
    if any(entry and _same(entry, folder) for entry in listed):
        return f"Take {folder} out of PYTHONPATH, or start with python -I -m neuron_atlas, which ignores it."
    if _same(folder, os.curdir) or any(_same(folder, entry) for entry in sys.path[:1]):
        return "Rename it, start in another folder, or set PYTHONSAFEPATH=1 (python -P), which leaves it out."
    return f"Install {DISTRIBUTION} in an environment of its own."


def _taken(us: Distribution | None, path: str, name: str, how: str) -> NameClashError:
    """The error about a file in our folders that is not ours, with the distribution that brought it where pip knows."""
    from importlib import metadata

    owners = {
        found.name
        for found in metadata.distributions()
        if found.name != DISTRIBUTION and any(str(file) == name for file in found.files or ())
    }
    if not owners:
        return NameClashError(f"{path} {how}", f"Remove it, then run: {_reinstall(us)}")
    owner = " and ".join(sorted(owners))
    return NameClashError(
        f"{path} {how}, but of {owner}, which has the same folder",
        f"Install {DISTRIBUTION} in an environment of its own; or run: pip uninstall {owner}, then {_reinstall(us)}",
    )


def _reinstall(us: Distribution | None = None) -> str:
    version = f"=={us.version}" if us else ""
    return f"pip install --force-reinstall --no-deps {DISTRIBUTION}{version}"


def _is_as_recorded(path: str, file: PackagePath) -> bool:
    import base64
    import hashlib

    assert file.hash is not None  # others are not asked about
    with open(path, "rb") as stream:
        digest = hashlib.file_digest(stream, file.hash.mode).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == file.hash.value
