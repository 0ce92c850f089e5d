"""A second model of the same weights, for two passes at once that are both listened to."""

from __future__ import annotations

import copy
from dataclasses import replace

from atlas.live.model import LiveModel


def twin(live: LiveModel) -> LiveModel:
    """The same tensors under modules of their own: what listens to one model does not hear passes of the other.

    Not of one with experts, whose parts are heard in ways that a copy does not have, nor of one whose weights are
    moved between devices during a pass.
    """
    shared = {id(each): each for each in (*live.model.parameters(), *live.model.buffers())}
    return replace(live, model=copy.deepcopy(live.model, shared))
