"""Before the work of a build: what is there already, what may be resumed, what the corpora are."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from atlas.errors import AtlasFileError, BuildError, UsageError
from atlas.manifest import Manifest
from atlas.schema.statements import Layout
from atlas.store.blame import damage
from atlas.store.files import full_name, nameable
from atlas.store.reader import Atlas, is_atlas, open_atlas
from atlas.store.staging import Staging, building_folder
from atlas.whole_file import replaceable
from builders.config import DEFAULT_BINS, BuildConfig, layers_of
from builders.corpora.base import Corpus
from builders.corpora.registry import load_corpus

if TYPE_CHECKING:
    from atlas.live.batching import Counted, Encoded
    from atlas.live.model import LiveModel


PUBLISHING = "publishing"
"""State of the staging area: the atlas_id that the build is about to publish."""


def completed(config: BuildConfig) -> bool:
    """Whether `config.target` is the result of an interrupted build of these options; then clears what it left.

    A build that was killed after its last step, publishing, has nothing to resume and must not be refused
    because the target is there: it is its own.
    """
    if not (config.target.is_file() and building_folder(config.target).is_dir()):
        return False
    with Staging(config.target) as staging:
        own = staging.read_state(PUBLISHING) if staging.interrupted() else None
        wanted = fitted_to(config, None).parameters()
        if own is None or any(staging.parameters().get(key) != wanted[key] for key in wanted):
            return False
        try:
            with open_atlas(config.target) as atlas:
                if atlas.manifest.atlas_id != own:
                    return False
        except AtlasFileError:
            return False
        staging.discard()
    return True


def base_of(config: BuildConfig, existing: str) -> Manifest | None:
    """The manifest of the atlas to add to, or None for a new one. Raises UsageError when unsure.

    Raises AtlasFileError when what is there to add to is damaged.
    """
    if not nameable(config.target):
        raise UsageError(f"{config.target} is not UTF-8, and DuckDB opens no such name", "Name another file.")
    if "?" in full_name(config.target):
        raise UsageError(
            f"{config.target} has a question mark in its path, which DuckDB takes for its end", "Name another file."
        )
    if not config.target.parent.is_dir():
        raise UsageError(f"there is no folder {config.target.parent}", "Make it, or correct -o.")
    if config.target.is_dir():
        raise UsageError(f"{config.target} is a folder", "Name the file to write.")
    if not replaceable(config.target):
        raise UsageError(f"{config.target} is no regular file", "An atlas is a file; name one.")
    log = config.target.with_name(config.target.name + ".wal")
    if existing != "add" and os.path.lexists(log):
        raise UsageError(f"there is a file {log}, where DuckDB keeps the log of {config.target.name}", "Move it away.")
    if existing == "add":
        with open_atlas(config.target) as atlas:
            # Published again, damage would get digests that call it right.
            damaged = damage([config.target], None)
            if damaged is not None:
                raise damaged
            _check_decodings(config, atlas)
            return atlas.manifest
    if config.target.exists() and existing == "refuse":
        raise UsageError(f"{config.target} exists", "Use --replace to build it anew or --add to keep its other rows.")
    if config.target.exists() and not is_atlas(config.target):
        raise UsageError(f"{config.target} is no atlas, so it is not replaced", "Name another file, or move it away.")
    return None


def state_of(target: Path) -> tuple[int, ...] | None:
    """By what a file that another program writes during a build is told from the one that was there; None: no file."""
    try:
        found = os.stat(target)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def require_state(target: Path, before: tuple[int, ...] | None) -> None:
    """Raise BuildError unless `target` is still what it was: a build takes hours, and only that one may go."""
    if state_of(target) != before:
        raise BuildError(
            f"{target} is another file than when this build began, so it is not replaced",
            "Move it away, or replace it: the same command with --resume and --replace.",
        )


def _check_decodings(config: BuildConfig, atlas: Atlas) -> None:
    """One atlas has one mode and one top: UsageError if other weights' decodings, of other ones, would go."""
    base, weights = atlas.manifest, config.weights
    if not (config.decode and weights) or (base.top, base.decoding_mode) == (config.top, config.mode):
        return
    others = atlas.query("SELECT DISTINCT weight::VARCHAR FROM _decoding ORDER BY 1")[1]
    if lost := [weight for (weight,) in others if weight not in weights]:
        raise UsageError(
            f"{config.target} has decodings of {', '.join(lost)} with --top {base.top} --mode {base.decoding_mode}",
            "Give the same, or decode all weights anew.",
        )


def fitted_to(config: BuildConfig, base: Manifest | None) -> BuildConfig:
    """When adding, list lengths that other rows already have cannot change: UsageError for other bins."""
    if base is None:
        return replace(config, bins=DEFAULT_BINS if config.bins is None else config.bins)
    if config.bins not in (None, base.bins):
        raise UsageError(
            f"{config.target} has histograms of {base.bins} bins, not {config.bins}", "Leave --bins out, or --replace."
        )
    return replace(config, top=config.top if config.decode else base.top, bins=base.bins)


def read_corpora(config: BuildConfig) -> list[Corpus]:
    """All corpora of the build. Raises CorpusError, or UsageError for names that clash or cannot name a folder."""
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
    return corpora


def may_resume(staging: Staging, interrupted: str) -> bool:
    """Whether to resume. Raises UsageError when there is something to resume and nothing was said."""
    found = staging.interrupted()
    if found and interrupted == "refuse":
        raise UsageError(
            f"an unfinished build of {staging.target} is there", "Continue it with --resume or drop it with --restart."
        )
    return found and interrupted == "resume"


class Examples(NamedTuple):
    """The tokens of a corpus's examples, and which of them its activations are pooled over; None: not pooled."""

    encoded: Encoded
    counted: Counted | None = None


@dataclass(frozen=True)
class Inputs:
    """What a build reads, with the model's own eyes: the vocabulary, and the tokens of each corpus's examples."""

    tokens: list[tuple[int, str]]
    weights: list[str]
    examples: list[Examples]

    def sha256(self) -> str:
        """Of the token texts and of the examples as tokens: another tokenizer beside the same weights shows."""
        digest = hashlib.sha256(repr(self.tokens).encode())
        for encoded, counted in self.examples:
            digest.update(repr(encoded.input_ids).encode())
            if counted is not None:
                digest.update(repr(counted).encode())
        return digest.hexdigest()


def prepare(config: BuildConfig, live: LiveModel, corpora: list[Corpus]) -> Inputs:
    """Meet everything that this model cannot do with these options and texts before hours of work, not after.

    Raises UsageError, ModelError, CorpusError or BuildError, as the step that would have met it.
    """
    from atlas.live.batching import batches, encode, encode_counted
    from atlas.live.vocabulary import vocabulary

    tokens = vocabulary(live.tokenizer, live.d_vocab)
    if config.decode and config.top > len(tokens):
        raise BuildError(f"--top {config.top} exceeds the vocabulary of {len(tokens)} tokens", "Lower --top.")
    weights = list(config.weights or live.weights())
    for weight in weights:
        live.weight(weight, 0)
    layers = layers_of(config, live.n_layers)
    for site in config.sites if corpora else ():
        live.tap(site, layers[0])
    examples = []
    for source, corpus in zip(config.concepts, corpora, strict=True):
        if config.position == "last":
            examples.append(Examples(encode(live, corpus.texts, source.template, config.max_tokens)))
        else:
            pooled = encode_counted(live, corpus.texts, source.template, config.max_tokens, config.pool)
            examples.append(Examples(*pooled))
        next(batches(examples[-1].encoded.input_ids, config.batch_tokens))  # the longest texts come first
    return Inputs(tokens, weights, examples)


def identity(
    config: BuildConfig, live: LiveModel, corpora: list[Corpus], inputs: Inputs, base: Manifest | None
) -> dict[str, Any]:
    """All that decides the rows of this build; a resumed build must have the same."""
    return {
        **config.parameters(),
        "fingerprint": live.fingerprint,
        "device": str(live.device),
        "dtype": str(live.dtype).removeprefix("torch."),
        "corpora": [corpus.sha256 for corpus in corpora],
        "tokenizer": inputs.sha256(),
        "base": None if base is None else base.atlas_id,
    }


def start(
    staging: Staging, config: BuildConfig, live: LiveModel, parameters: dict[str, Any], base: Manifest | None
) -> None:
    """Begin a new staging area: empty, or with the rows of the atlas to add to. `parameters`: its identity."""
    layout = Layout(config.top, config.bins, live.d_model, live.n_layers, live.d_mlp)
    alike = base is not None and (base.top, base.decoding_mode) == (config.top, config.mode)
    skip = ("vocab", "_decoding") if config.decode and not alike else ("vocab",)
    seed = config.target if base is not None else None
    staging.start(layout, parameters, seed, skip)


def forget_decodings(staging: Staging, weights: list[str], config: BuildConfig) -> None:
    """Drop, once, what the decodings of `weights` replace; vectors stay unless they are written anew."""
    tables = ("_decoding", "neuron_vector") if config.keep_vectors else ("_decoding",)
    statements = [(f"DELETE FROM {table} WHERE weight::VARCHAR = ANY(?)", [weights]) for table in tables]
    staging.execute_once("forget decodings", statements)


def forget(staging: Staging, corpus: Corpus, config: BuildConfig) -> None:
    """Drop, once, what this corpus replaces: the same site and position, or an older text of the family."""
    fits = staging.rows("SELECT fit_id, site, position, corpus_sha256 FROM fit WHERE family = ?", [corpus.family])
    changed = any(sha256 != corpus.sha256 for *_, sha256 in fits)
    gone = [fit for fit, site, at, _ in fits if changed or (site in config.sites and at == config.position)]
    tables = ("_gaussian", "_background", "_range", "_histogram", "_fit_example", "fit_concept", "fit")
    statements = [(f"DELETE FROM {table} WHERE fit_id = ANY(?)", [gone]) for table in tables]
    if len(gone) == len(fits):
        statements.append(("DELETE FROM concept WHERE family = ?", [corpus.family]))
    staging.execute_once(f"forget/{corpus.family}", statements)
