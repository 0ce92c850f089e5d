"""Every question of the Python API, asked of a file that may be anything, in a process that may die of it."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from atlas.errors import AtlasError, AtlasFileError
from atlas.store.reader import Atlas, open_atlas
from queries.card import neuron_background, neuron_card, neuron_concepts, neuron_tokens
from queries.compare import compare
from queries.concepts import concepts
from queries.info import info
from queries.layers import layer_tokens
from queries.nearest import nearest
from queries.neurons import Only, neurons_for_concept, neurons_for_token
from queries.specs.make_spec import make_spec
from queries.tokens import token_forms

DOGS = Only(words=["dog"])
QUESTIONS: dict[str, Callable[[Atlas], Any]] = {
    "info": info,
    "concepts": concepts,
    "token_forms": lambda atlas: token_forms(atlas, ["dog"]),
    "token": lambda atlas: neurons_for_token(atlas, ["dog", "cat"]),
    "concept": lambda atlas: neurons_for_concept(atlas, "sports"),
    "concept, gaussian": lambda atlas: neurons_for_concept(atlas, "joy", range="gaussian"),
    "concept, among texts of one length": lambda atlas: neurons_for_concept(atlas, "politics", rule="stratified_auc"),
    "concept again, from memory": lambda atlas: [neurons_for_concept(atlas, "animals") for _ in range(4)][-1],
    "concept and token": lambda atlas: neurons_for_concept(atlas, "sports", rule="low_leakage", only=DOGS),
    "card": lambda atlas: neuron_card(atlas, "L1N7"),
    "tokens of a neuron": lambda atlas: neuron_tokens(atlas, "L2N3"),
    "concepts of a neuron": lambda atlas: neuron_concepts(atlas, "L0N0"),
    "background": lambda atlas: neuron_background(atlas, "L1N7"),
    "layer": lambda atlas: layer_tokens(atlas, 1),
    "nearest": lambda atlas: nearest(atlas, "L1N7"),
    "compare": lambda atlas: compare(atlas, atlas),
    "spec": lambda atlas: make_spec(atlas, concept="sports", op="set=0", rule="auc", top=3, use_range=True),
    "token again, from memory": lambda atlas: [neurons_for_token(atlas, ["dog"]) for _ in range(3)][-1],
}
REFUSED, ANSWERED, FOREIGN = "refused", "answered", "foreign"
_HANG_S = 60  # of the machine at its slowest; a question that hangs takes for ever


def outcomes(path: Path) -> dict[str, tuple[str, str]]:
    """Question -> what came of it: (REFUSED, text), (ANSWERED, all of the answer) or (FOREIGN, exception)."""
    try:
        atlas = open_atlas(path)
    except AtlasFileError as error:
        return {"open": (REFUSED, str(error))}
    except Exception as error:
        return {"open": (FOREIGN, repr(error))}
    found = {}
    with atlas:
        for name, ask in QUESTIONS.items():
            try:
                text = repr(ask(atlas)).replace(f"'bytes': {path.stat().st_size},", "")  # appended bytes are no damage
                found[name] = (ANSWERED, text.replace(str(path), "FILE"))
            except AtlasError as error:
                found[name] = (REFUSED, f"{type(error).__name__}: {error}".replace(str(path), "FILE"))
            except Exception as error:
                found[name] = (FOREIGN, f"{name}: {error!r}")
    return found


def outcomes_apart(path: Path) -> dict[str, tuple[str, str]] | int:
    """`outcomes` from a process of its own; the number of the signal when it was ended by one."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            signal.alarm(_HANG_S)
            with os.fdopen(writing, "w") as stream:
                json.dump(outcomes(path), stream)
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as stream:
        text = stream.read()
    ended_by = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return -ended_by if ended_by else {name: tuple(pair) for name, pair in json.loads(text).items()}


def foreign(found: dict[str, tuple[str, str]]) -> list[str]:
    """What is no answer and no refusal of ours."""
    return [text for kind, text in found.values() if kind == FOREIGN]
