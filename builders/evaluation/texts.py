"""Where the texts of an evaluation come from, and which texts the statistics of an atlas have used."""

from __future__ import annotations

import random
from pathlib import Path

from atlas.errors import CorpusError, QuestionError, UsageError
from atlas.fit_choice import FitChoice
from atlas.json_text import JsonError, read_json
from atlas.store.reader import Atlas
from builders.concept_sets import own_sets
from builders.corpora.base import Corpus
from builders.corpora.limits import MAX_TEXT, MAX_TOTAL
from builders.corpora.lines import lines
from builders.corpora.registry import FORMATS, load_corpus
from builders.corpora.text_hash import text_hash
from builders.evaluation.config import TaskRequest


def seen_texts(atlas: Atlas, family: str | None = None) -> set[int]:
    """Hashes of the texts that fits (of one family, or all) used. QuestionError when the atlas does not say."""
    if atlas.query("SELECT count(*) > 0 FROM fit ANTI JOIN fit_example USING (fit_id)")[1] == [(True,)]:
        raise QuestionError(
            f"{atlas.path} does not say which texts its statistics used, so none can be known to be fresh",
            "Build it anew with --holdout 0.3.",
        )
    _, rows = atlas.query(
        "SELECT DISTINCT text_hash FROM fit_example JOIN fit USING (fit_id) WHERE $family IS NULL OR family = $family",
        {"family": family},
    )
    return {number for (number,) in rows}


def open_corpus(atlas: Atlas, origin: FitChoice, request: TaskRequest) -> tuple[Corpus, str]:
    """The labelled corpus of the request, or that of the family, and the template its texts are put into.

    `origin`: family and template of the fit that lent the specs their numbers, if one did.
    Raises UsageError where neither is known, CorpusError when the file cannot be read.
    """
    own = own_sets()
    columns = {"text_column": request.text_column, "concept_column": request.concept_column, "split": request.split}
    template = request.template or origin.template
    if request.corpus is None and origin.family is None:
        raise UsageError("the spec's source names no family of concepts", "Name a labelled corpus: --corpus PATH.")
    name = request.corpus or origin.family
    if name in own:
        corpus = load_corpus(own[name].source, family=name)
        template = template or own[name].template
    elif request.corpus is not None:
        corpus = load_corpus(request.corpus, **columns)
    else:
        corpus = _built_from(atlas, str(origin.family))
    if template is None:
        raise UsageError("no template is known for these texts", "Give one: --template '{text}\\nThis text is about'.")
    return corpus, template


def other_texts(atlas: Atlas, origin: FitChoice, request: TaskRequest) -> tuple[list[str], str]:
    """Texts for perplexity, at most `other_limit`, and their name. Texts that the family's fits used are left out.

    Default: the project's own concept sets of other families.
    """
    if request.other_limit == 0:
        return [], ""
    if request.other_text is not None:
        name, texts = request.other_text, _plain_texts(request.other_text)
    else:
        sets = {name: each for name, each in own_sets().items() if name not in (origin.family, request.corpus)}
        name = ",".join(sets)
        texts = [text for each in sets.values() for text in load_corpus(each.source).texts]
    seen = seen_texts(atlas, origin.family) if origin.family else set()
    fresh = [text for text in texts if text_hash(text) not in seen]
    if len(fresh) > request.other_limit:
        chosen = random.Random(request.seed).sample(range(len(fresh)), request.other_limit)
        fresh = [fresh[number] for number in sorted(chosen)]
    return fresh, name


def _built_from(atlas: Atlas, family: str) -> Corpus:
    """The corpus that the family's fit was built from, as the run remembers it."""
    _, rows = atlas.query(
        "SELECT parameters FROM run JOIN fit USING (run_id) WHERE family = $family LIMIT 1", {"family": family}
    )
    try:
        parameters = read_json(rows[0][0]) if rows else {}
    except JsonError:
        parameters = {}
    if not isinstance(parameters, dict):
        parameters = {}
    known = {name: parameters[name] for name in ("text_column", "concept_column", "split") if name in parameters}
    try:
        return load_corpus(parameters["source"], family=family, **known)
    except (KeyError, CorpusError) as error:
        raise UsageError(f"the corpus that {family} was built from is not here", "Name it: --corpus PATH.") from error


def _plain_texts(path: str) -> list[str]:
    """The texts of a labelled corpus, or of a text file, one a line."""
    if path.startswith("hf:") or Path(path).suffix.lower() in FORMATS:
        return load_corpus(path).texts
    texts: list[str] = []
    total = 0
    for number, line in enumerate(lines(Path(path), "\n"), start=1):
        text = line.strip()
        total += len(text)
        if len(text) > MAX_TEXT or total > MAX_TOTAL:
            raise CorpusError(f"{path} line {number}: more than {MAX_TEXT} characters, or {MAX_TOTAL} in all")
        if text:
            texts.append(text)
    if not texts:
        raise CorpusError(f"{path}: there is no text in it")
    return texts
