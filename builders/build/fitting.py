"""The options of a build as this model can have them: what encoders and their heads lack is left out or refused."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from atlas.errors import ModelError, UsageError
from atlas.sites import default_mode
from builders.config import DEFAULT_NEIGHBOURS, BuildConfig, ConceptSource

if TYPE_CHECKING:
    from atlas.live.model import LiveModel


_VOCABULARIES = {
    "classifier": ("a classifier has its labels", "Build one of the encoder that it was made from."),
    "words": ("a tower's words has these", "Build one of the tower without --words, with --no-decode."),
}


def fitted_to_model(config: BuildConfig, live: LiveModel) -> BuildConfig:
    """`config` with the model's own decoding mode and number of nearest neurons where none is given (a mixture of
    experts has none) and, for an encoder, what its head allows.

    Layers that are all there are become None: what compares all of them can be made.

    No more tokens are kept of a neuron than a classifier has labels; own sets lose their template, which leads up to a
    next token.

    Raises UsageError or ModelError for what was asked for and cannot be had.
    """
    mode = config.mode or ("raw" if live.head_kind == "none" else default_mode(live.head_kind))
    if config.layers == tuple(range(live.n_layers)):
        config = replace(config, layers=None)
    if config.neighbours is None:
        config = replace(config, neighbours=0 if live.layers_differ else DEFAULT_NEIGHBOURS)
    if live.head is None:
        if mode == "linearised":
            raise UsageError("--mode linearised is of encoders: an LM head is linear", "Use raw or folded.")
        return replace(config, mode=mode)
    _require_possible(config, live, mode)
    return replace(
        config,
        mode=mode,
        top=min(config.top, len(live.labels)) if live.gives_labels and config.decode else config.top,
        concepts=tuple(_for_encoder(source, config.position, live) for source in config.concepts),
    )


def _require_possible(config: BuildConfig, live: LiveModel, mode: str) -> None:
    for option, given in (("--gradients", config.gradients), ("--describe", config.describe)):
        if given:
            live.require_generation(option)
    if config.graphs:
        raise UsageError(
            "--graphs explain a token by those before it, and an encoder reads those after it too", "Leave them out."
        )
    if config.texts and live.gives_labels:
        what, instead = _VOCABULARIES[live.head_kind]
        raise UsageError(f"an atlas of {what} for a vocabulary, so none of the tokens of running text", instead)
    if not (config.decode or config.weighs):
        return
    if live.head_kind == "none" and config.decode:
        raise ModelError(
            f"{live.model_id} has no head, so its neurons decode to neither tokens nor labels",
            "Build its statistics alone, with --no-decode, or use a checkpoint with its head.",
        )
    if live.head_kind == "words" and mode != "linearised":
        raise UsageError(f"--mode {mode} leaves out the projection that words are compared in", "Use linearised.")
    if mode == "folded":
        raise UsageError("--mode folded is of LM heads behind a final norm", "Use linearised, or raw.")
    if live.head_kind == "none":
        if mode == "linearised":
            raise UsageError(f"--mode linearised is of a head, and {live.model_id} has none", "Leave it out.")
        return
    width = live.unembedding().shape[1]
    if mode == "raw" and width != live.d_model:
        raise UsageError(
            f"the decoder of {live.model_id} reads {width} dimensions, and neurons write {live.d_model}",
            "Use --mode linearised, which goes through what is between them.",
        )


def _for_encoder(source: ConceptSource, position: str, live: LiveModel) -> ConceptSource:
    template = "{text}" if source.own_template else source.template
    if position == "mask" and template == "{text}":
        template = f"{{text}} {live.tokenizer.mask_token}"
    return replace(source, template=template)
