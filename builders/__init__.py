"""Refuses to begin where what it imports is somebody else's: else that would be an ImportError that names nobody."""

import os
from importlib.util import module_from_spec, spec_from_file_location

# By its path: whether `atlas` is ours is the question.
_HOME = os.path.dirname(os.path.realpath(os.path.dirname(__file__)))
_spec = spec_from_file_location("atlas.name_clash", os.path.join(_HOME, "atlas", "name_clash.py"))
assert _spec and _spec.loader
_name_clash = module_from_spec(_spec)
_spec.loader.exec_module(_name_clash)
_name_clash.require_ours("atlas", "queries")
