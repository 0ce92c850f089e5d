"""An atlas of one labelled corpus, and the texts of that corpus which its statistics have not seen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from atlas.store.reader import open_atlas
from benchmarks.common.labelled_text import Task, balanced
from builders.build.pipeline import build
from builders.config import BuildConfig, ConceptSource
from builders.corpora.text_hash import text_hash
from builders.evaluation.texts import seen_texts

TAUS = (1.0, 2.0, 2.5, 3.0)


def dataset_atlas(
    task: Task,
    work: Path,
    *,
    per_concept: int,
    sites: Sequence[str],
    seed: int,
    position: str = "last",
    model: str = "smollm2-135m",
) -> tuple[Path, list[tuple[str, str]]]:
    """(atlas, held-out examples): statistics of `per_concept` texts of each concept, without decodings.

    The atlas lies in the folder `work` under a name that says what it is made of, and is built only where it is
    missing. Held out is every text of `task` that the atlas does not name among those it used, each text once
    and texts under two concepts not at all; in the order of the corpus. The family is the name of the task.
    """
    work.mkdir(parents=True, exist_ok=True)
    chosen = balanced(task, per_concept, seed)
    text = "".join(json.dumps({"text": text, "concept": concept}) + "\n" for text, concept in chosen)
    identity = json.dumps([text, task.template, list(sites), position, model, TAUS])
    stem = f"{task.name}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"
    corpus, target = work / f"{stem}.jsonl", work / f"{stem}.duckdb"
    if not target.exists():
        corpus.write_text(text, encoding="utf-8")
        source = ConceptSource(str(corpus), family=task.name, template=task.template)
        config = BuildConfig(
            model=model,
            target=target,
            concepts=(source,),
            decode=False,
            sites=tuple(sites),
            position=position,
            taus=TAUS,
        )
        build(config, interrupted="restart")
    with open_atlas(target) as atlas:
        used = seen_texts(atlas)
    return target, held_out(task, used)


def held_out(task: Task, used: set[int]) -> list[tuple[str, str]]:
    """The examples of `task` whose hash is not in `used`, without repeats and without contradictions."""
    concepts_of: dict[int, set[str]] = {}
    first: dict[int, tuple[str, str]] = {}
    for example in task.examples:
        number = text_hash(example[0])
        concepts_of.setdefault(number, set()).add(example[1])
        first.setdefault(number, example)
    return [example for number, example in first.items() if number not in used and len(concepts_of[number]) == 1]
