"""The start of the command line; installed at the top level as `neuron_atlas`, a name that is ours alone.

It imports nothing of ours by name: `atlas` can be another package, and then nothing of ours within it would run.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # of typing, which takes time
if TYPE_CHECKING:
    from typing import NoReturn

HERE = os.path.dirname(os.path.abspath(__file__))
FILE = "name_clash.py"  # another package `atlas` hardly has a file of that name


def process() -> NoReturn:
    """The whole process of a command line; what it needs of ours is looked after by atlas/name_clash.py."""
    try:
        from importlib.util import module_from_spec, spec_from_file_location

        path = _name_clash()
        spec = spec_from_file_location("atlas.name_clash", path)
        assert spec and spec.loader
        name_clash = sys.modules[spec.name] = module_from_spec(spec)  # also for those that import it by name
        try:
            spec.loader.exec_module(name_clash)
            go_on = name_clash.process
        except Exception:
            if sys.stderr is not None:  # a shell can start us without it
                sys.stderr.write(f"error: {ascii(path)[1:-1]} is missing or not the file of neuron-atlas\n")
                sys.stderr.write("hint: Run: pip install --force-reinstall --no-deps neuron-atlas\n")
            sys.exit(4)
        sys.exit(go_on(_front_door))  # which does not return
    except KeyboardInterrupt:
        os._exit(130)


def _front_door() -> NoReturn:
    from atlas.__main__ import process as go_on

    go_on()


def _name_clash() -> str:
    """The path of our name_clash.py: in what `import atlas` would run, which is not run here; else where pip put us."""
    from importlib.machinery import PathFinder

    found = PathFinder.find_spec("atlas")
    for folder in (found and found.submodule_search_locations) or ():
        path = os.path.join(folder, FILE)
        if os.path.isfile(path):
            return path
    return os.path.join(_home(), "atlas", FILE)


def _home() -> str:
    """The folder of our packages as pip has it: this one, or the checkout of an editable installation."""
    import json
    from importlib.metadata import distributions
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    us = next(iter(distributions(name="neuron-atlas", path=[HERE])), None)
    origin = json.loads((us and us.read_text("direct_url.json")) or "{}")
    editable = origin.get("dir_info", {}).get("editable", False)
    return url2pathname(urlsplit(origin["url"]).path) if editable else HERE


if __name__ == "__main__":
    process()
