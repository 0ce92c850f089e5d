"""Before the work of a build: the corpora, and all of them as the model's own tokens."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from atlas.errors import BuildError, ModelError, UsageError
from atlas.manifest import Manifest
from builders.build.plan import Plan, Reading
from builders.build.product import Needs, Product
from builders.config import BuildConfig, ConceptSource, layers_of
from builders.corpora.base import Corpus
from builders.corpora.images import files_of, image_corpus
from builders.corpora.registry import load_corpus
from builders.corpora.words import read_words

if TYPE_CHECKING:
    from atlas.live.model import LiveModel


def read_corpora(config: BuildConfig) -> list[Corpus]:
    """All corpora of the build. Raises CorpusError, or UsageError for names that clash or cannot name a folder."""
    if config.tower == "image":
        corpora = [image_corpus(source, config) for source in config.concepts]
        _require_names(corpora)
        return corpora
    for source in config.concepts:
        if os.path.isdir(source.source):
            raise UsageError(f"{source.source} is a folder", "Folders of images are read with --tower image.")
    corpora = [
        load_corpus(
            source.source,
            family=source.family,
            limit_per_concept=config.limit_per_concept,
            holdout=config.holdout,
            **config.corpus_options,
        )
        for source in config.concepts
    ]
    _require_names(corpora)
    return corpora


def _require_names(corpora: Sequence[Corpus]) -> None:
    for corpus in corpora:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", corpus.family):
            raise UsageError(
                f"{corpus.family!r} cannot name a family",
                "Name it with letters, digits, _ . - as in --concepts NAME=FILE.",
            )
    names = [corpus.family for corpus in corpora]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"two corpora are called {name!r}", "Name them: --concepts FAMILY=FILE.")


def prepare(config: BuildConfig, live: LiveModel, corpora: Sequence[Corpus], products: Sequence[Product]) -> Plan:
    """Meet everything that this model cannot do with these options and texts before hours of work, not after.

    Raises UsageError, ModelError, CorpusError or BuildError, as the step that would have met it.
    """
    from atlas.live.vocabulary import vocabulary

    tokens = [*enumerate(live.labels)] if live.gives_labels else vocabulary(live.tokenizer, live.d_vocab)
    plan = Plan(config, live, tokens, layers_of(config, live.n_layers))
    for weight in config.weights:  # also where nothing is made of them: a name that the model lacks is a mistake
        live.weight(weight, plan.layers[0])
    for product in products:
        if live.has_experts and product.no_experts:
            raise ModelError(
                f"{product.label} of {live.model_id}, a mixture of experts, cannot be made: {product.no_experts}",
                f"Leave the product {product.name} out.",
            )
        product.check(plan)
    readings = [_read(config, live, *each) for each in zip(config.concepts, corpora, strict=True)]
    running_text = None
    if config.texts:
        from builders.exemplars.running_text import read_running_text

        running_text = read_running_text(config, live)
    if config.images:
        from builders.exemplars.image_set import read_image_set

        running_text = read_image_set(config, live)
    files = () if live.images is None else tuple(live.images.files)
    plan = replace(plan, readings=tuple(readings), running_text=running_text, image_files=files)
    for product in products:
        product.parts(plan)  # what cannot be made of these texts is met here
    return plan


def _read(config: BuildConfig, live: LiveModel, source: ConceptSource, corpus: Corpus) -> Reading:
    from atlas.live.batching import batches, encode_at

    if live.images is not None:
        rows = [live.images.row(number) for number in live.images.add(files_of(source, corpus))]
        next(batches(rows, config.batch_tokens))
        counted = None if config.position == "cls" else [[False] + [True] * (len(row) - 1) for row in rows]
        return Reading(source, corpus, rows, 0, config.position, counted)
    how = source.template, config.max_tokens, config.position, config.pool
    encoded, counted = encode_at(live, corpus.texts, *how)
    next(batches(encoded.input_ids, config.batch_tokens))  # the longest texts come first
    return Reading(source, corpus, encoded.input_ids, encoded.n_cut, config.position, counted)


def identity(asked: BuildConfig, plan: Plan, products: Sequence[Product], base: Manifest | None) -> dict[str, Any]:
    """All that decides the rows of this build; a resumed build must have the same. `asked`: the options as given."""
    return {
        **asked.parameters(),
        "products": [product.name for product in products],
        "fingerprint": plan.live.fingerprint,
        "device": str(plan.live.device),
        "dtype": str(plan.live.dtype).removeprefix("torch."),
        "corpora": [reading.corpus.sha256 for reading in plan.readings],
        "tokenizer": plan.sha256(),
        "base": None if base is None else base.atlas_id,
        # Another version may cut it otherwise, and a unit of that name would be of other texts.
        **({} if plan.running_text is None else {"units of running text": len(plan.running_text.shards)}),
    }


def weights_alone(config: BuildConfig, products: Sequence[Product]) -> bool:
    """Whether a build never runs its model."""
    return not (config.texts or config.images) and all(product.needs is Needs.WEIGHTS for product in products)


def load_model(config: BuildConfig, base: Manifest | None, products: Sequence[Product]) -> LiveModel:
    """The model, without its values where all products read weights alone. BuildError for another than `base`'s."""
    from atlas.live.loading import load  # torch: only now

    how = {"device": config.device, "dtype": config.dtype, "weights_only": weights_alone(config, products)}
    if config.tower is not None:
        words = [] if config.word_list is None else read_words(config.word_list)
        how |= {"tower": config.tower, "words": words}
    live = load(config.model, **how)
    if base is not None and not live.has_fingerprint(base.fingerprint):
        raise BuildError(
            f"{config.target} describes another model ({base.model_id}, {base.fingerprint[:19]}...)",
            "Build to another file.",
        )
    return live
