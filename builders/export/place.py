"""Where an export goes: a free name first, then its place, with nothing deleted that no export wrote."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from atlas.errors import UsageError
from atlas.whole_file import beside, is_one_of, put_file, real_place, replaceable, writing_to
from builders.export.registry import Target
from builders.export.weights.record import recorded_files

# How an emitted file and the header of a control vector say what they are.
_MARKS = re.compile(rb"^SPEC_HASH = ['\"]sha256:[0-9a-f]{64}['\"]$|neuron-atlas\.spec_hash", re.MULTILINE)
_HEAD = 2**16


def check_output(row: Target, output: Path, force: bool, inputs: Iterable[str | Path]) -> None:
    """Raise UsageError unless an export for `row` may be put at `output`: with `force` where an earlier one is."""
    with writing_to(output):
        place, free = real_place(output), not os.path.lexists(output)
        if row.output == "code" and output.suffix != ".py":
            raise UsageError(f"{row.name} is a Python file, and {output.name} does not end in .py", f"Say {output}.py.")
        if is_one_of(output, inputs):
            raise UsageError(f"{output} is what is read here", "Name another place.")
        if row.output != "folder" and not place.is_dir() and not replaceable(output):
            return  # a device or a pipe: there is nothing to replace
        if not place.parent.is_dir():
            raise UsageError(f"there is no folder {place.parent}", "Make it first.")
        if free:
            return
        if not force:
            raise UsageError(f"{output} exists", "Name another place, or use --force to replace it.")
        if (row.output == "folder") != place.is_dir():
            kind = "a folder" if row.output == "folder" else "a file"
            raise UsageError(f"{output} exists and is not {kind}", "Name another place.")
        if place.is_dir():
            _require_own_folder(output)
        elif place.exists() and not _MARKS.search(_head(place)):
            raise UsageError(f"{output} is a file that no export wrote", "Name another place; this is left alone.")


@contextmanager
def free_place(output: Path) -> Iterator[Path]:
    """A free name where `output` can be had by renaming, ending as it does; what is there at the end is removed."""
    with writing_to(output):
        real = real_place(output)
        if not real.is_dir() and not replaceable(output):
            real = Path(tempfile.gettempdir(), output.name)
        place = beside(real)
        place = place.with_name(place.name + output.suffix)
        try:
            yield place
        finally:
            _remove(place)


def put(place: Path, output: Path) -> None:
    """Give what lies at `place` the name `output`. Of a folder that is there, files of the earlier export go.

    All other files in it stay in the folder. Raises UsageError, with nothing changed, where one of them has the name
    of a new one.
    """
    if not place.is_dir():
        put_file(place, output)
        return
    real = real_place(output)
    if not real.is_dir():
        os.replace(place, real)
        return
    own = recorded_files(real) or frozenset()
    for name in _others(real, own):
        if _is_in_the_way(real, place, name):
            raise UsageError(f"{output / name} is not of the earlier export, which would replace it", "Move it away.")
    old = beside(real)
    os.replace(real, old)
    os.replace(place, real)
    _move_others(old, real, own)


def _require_own_folder(output: Path) -> None:
    if not any(output.iterdir()):
        return
    own = recorded_files(output)
    if own is None:
        raise UsageError(f"{output} is a folder that no export wrote", "Name another place; this is left alone.")
    if not own:
        raise UsageError(
            f"the export in {output} does not say which files are its own", "Remove it yourself, or name another place."
        )


def _others(folder: Path, own: frozenset[str]) -> list[str]:
    """What is in the folder, at any depth, beside its own files: names relative to it; links are not followed.

    A folder is named where it is empty, and else by what is in it.
    """
    found = []
    for root, folders, files in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(root, name))]
        found += [Path(root, name).relative_to(folder).as_posix() for name in (*links, *files)]
        if not folders and not files and root != str(folder):
            found.append(Path(root).relative_to(folder).as_posix())
    return [name for name in found if name not in own]


def _is_in_the_way(real: Path, place: Path, name: str) -> bool:
    """Whether `name` of the folder `real` cannot stay beside what is new in `place`: as a file, or as a folder."""
    new = place / name
    if os.path.lexists(new):
        return not (_is_folder(new) and _is_folder(real / name))
    return any(os.path.lexists(place / above) and not _is_folder(place / above) for above in Path(name).parents)


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _move_others(old: Path, new: Path, own: frozenset[str]) -> None:
    """Take what is not `own` from the old folder to the new one, then remove the old one."""
    for name in _others(old, own):
        (new / name).parent.mkdir(parents=True, exist_ok=True)
        if not os.path.lexists(new / name):
            os.rename(old / name, new / name)
    shutil.rmtree(old, ignore_errors=True)


def _head(path: Path) -> bytes:
    with open(path, "rb") as stream:
        return stream.read(_HEAD)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
