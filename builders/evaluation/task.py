"""What a spec is evaluated on: texts that its statistics have not seen, with template and label words.

Defaults come from where the spec comes from: its source names the family of concepts and the template, and
the atlas says which texts every fit used (`fit_example`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from atlas.errors import QuestionError, UnknownNameError, UsageError
from atlas.fit_choice import FitChoice
from atlas.spec.document import InterventionSpec
from atlas.store.reader import Atlas
from builders.corpora.base import Corpus
from builders.corpora.text_hash import text_hash
from builders.evaluation.config import TaskRequest
from builders.evaluation.prompts import Example, draw_per_concept
from builders.evaluation.texts import open_corpus, other_texts, seen_texts

_HOLD_OUT = "Build the atlas with --holdout 0.3, or name other texts with --corpus."


@dataclass(frozen=True)
class Task:
    """Texts and words of one evaluation. `n_dropped`: texts of the corpus that statistics of the atlas used."""

    examples: list[Example]
    shots: list[Example]
    other_texts: list[str]
    labels: dict[str, str]
    template: str
    targets: list[str]
    corpus: str
    corpus_sha256: str
    other_name: str
    n_dropped: int
    notes: list[str]


def plan_task(atlas: Atlas, specs: Sequence[InterventionSpec], request: TaskRequest) -> Task:
    """The task of `specs`, which must share family and template.

    Raises QuestionError where no text is left that the statistics have not seen or that cannot be told,
    UsageError where the sources do not agree or say too little, UnknownNameError for names, CorpusError.
    """
    origin = _origin(atlas, specs)
    seen = seen_texts(atlas)
    corpus, template = open_corpus(atlas, origin, request)
    examples = [(text, corpus.concepts[label]) for text, label in zip(corpus.texts, corpus.labels, strict=True)]
    used = [example for example in examples if text_hash(example[0]) in seen]
    fresh = [example for example in examples if text_hash(example[0]) not in seen]
    if not fresh:
        raise QuestionError(
            f"all {len(used)} texts of {corpus.family} were used by the statistics of {atlas.path}", _HOLD_OUT
        )
    shots, fresh = _shots(used, fresh, corpus, request)
    targets = _targets(specs, request.target, corpus)
    for target in dict.fromkeys(targets):
        n_own = sum(concept == target for _, concept in fresh)
        if n_own in (0, len(fresh)):
            whose = f"of {target}" if n_own == 0 else f"of other concepts than {target}"
            raise QuestionError(f"no text {whose} is left that the statistics have not used", _HOLD_OUT)
    n_fresh = len(fresh)
    if request.limit_per_concept is not None:
        fresh = draw_per_concept(fresh, request.limit_per_concept, request.seed)
    others, other_name = other_texts(atlas, origin, request)
    notes = [f"{len(fresh)} of {n_fresh} fresh texts used; {len(used)} dropped that the statistics have used"]
    return Task(
        examples=fresh,
        shots=shots,
        other_texts=others,
        labels=_labels(corpus, request.labels),
        template=template,
        targets=targets,
        corpus=corpus.family,
        corpus_sha256=corpus.sha256,
        other_name=other_name,
        n_dropped=len(used),
        notes=notes,
    )


def origin_of(spec: InterventionSpec) -> FitChoice:
    """Family and template of the fit that lent the spec its numbers, as its source names them.

    UsageError where these are no names.
    """
    return FitChoice(family=spec.source.get("family"), template=spec.source.get("template"))


def _origin(atlas: Atlas, specs: Sequence[InterventionSpec]) -> FitChoice:
    sources = [spec.source for spec in specs]
    if any("family" in source and source.get("atlas_id") != atlas.manifest.atlas_id for source in sources):
        raise UsageError(
            f"a spec takes its numbers from another atlas than {atlas.path}, so its texts cannot be told apart",
            "Name its atlas with -a, or make the spec anew.",
        )
    origins = {origin_of(spec) for spec in specs}
    if len(origins) > 1:
        raise UsageError("the specs come from different families or templates", "Evaluate them one by one.")
    return origins.pop()


def _targets(specs: Sequence[InterventionSpec], target: str | None, corpus: Corpus) -> list[str]:
    targets = [target if target is not None else spec.source.get("concept") for spec in specs]
    for name in targets:
        if name is None:
            raise UsageError("the spec's source names no concept", "Say which class it aims at: --target CONCEPT.")
        if name not in corpus.concepts:
            raise _no_concept(corpus, str(name))
    return targets


def _no_concept(corpus: Corpus, name: str) -> UnknownNameError:
    problem = f"the family {corpus.family!r} has no concept {name!r}"
    return UnknownNameError("concept", name, corpus.concepts, problem=problem)


def _labels(corpus: Corpus, given: Mapping[str, str]) -> dict[str, str]:
    for concept in given:
        if concept not in corpus.concepts:
            raise _no_concept(corpus, concept)
    return {concept: given.get(concept, f" {concept}") for concept in corpus.concepts}


def _shots(
    used: list[Example], fresh: list[Example], corpus: Corpus, request: TaskRequest
) -> tuple[list[Example], list[Example]]:
    """(few-shot examples, what is left to evaluate).

    The shots come from what the statistics used; where that has too few of a concept, from a fixed part of
    the fresh texts: those with the lowest hashes, whatever the seed.
    """
    if not request.shots:
        return [], fresh
    pool = draw_per_concept(used, request.shots, request.seed)
    if len(pool) < request.shots * len(corpus.concepts):
        pool = []
        for concept in corpus.concepts:
            own = sorted((example for example in fresh if example[1] == concept), key=lambda each: text_hash(each[0]))
            if len(own) <= request.shots:
                raise QuestionError(f"too few fresh texts of {concept} for {request.shots} shots", "Lower --shots.")
            pool += own[: request.shots]
    taken = {text_hash(text) for text, _ in pool}
    # By hash, so that the concepts are mixed.
    shots = sorted(pool, key=lambda example: text_hash(example[0]))
    return shots, [example for example in fresh if text_hash(example[0]) not in taken]
