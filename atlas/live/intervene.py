"""Run a model with a spec's edits: `with intervene(live, spec): live.model.generate(...)`.

`intervene_rows` gives each row of a batch a spec of its own, so that many edits of one text take one pass.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn

from atlas.errors import ModelError, SpecError, UsageError
from atlas.fingerprint_kinds import FIRST
from atlas.live.edit_ops import RowEdits, TapEdits, edits_by_expert
from atlas.live.expert_pass import Routed
from atlas.live.model import LiveModel
from atlas.live.taps import ResolvedTap
from atlas.live.token_positions import PassTokens, admitted, argument_reader, read_pass
from atlas.spec.document import InterventionSpec

PromptLengths = int | Sequence[int] | Tensor | None
_Taps = Mapping[str, tuple[Any, Any]]

_EDITED: weakref.WeakSet[nn.Module] = weakref.WeakSet()


@contextmanager
def intervene(
    live: LiveModel,
    spec: InterventionSpec,
    *,
    override_model: bool = False,
    prompt_lengths: PromptLengths = None,
) -> Iterator[None]:
    """Every forward pass or `generate` of `live.model` (or its base model) inside the block is edited.

    Which tokens are the prompt: in `live.model.generate`, those of its first pass and its cache. In a plain
    forward pass, all of them when the key-value cache is empty or absent, and those in the cache when not.
    `prompt_lengths` (tokens without padding, one number a row or one for all rows) says otherwise, for passes
    that read a prompt in pieces. Rows that generation multiplies (beams) take their prompt's number.

    `override_model` lets a spec for other weights of the same dims through.

    Raises SpecError when the spec is for another model, ModelError for a site that the model lacks, for a
    model that is being edited already, for passes whose padding cannot be told (docs/interventions.md), and
    at the end of the block when no pass ran or one of the taps was never reached. An exception of the block
    itself is passed on. The hooks are gone afterwards in every case.
    """
    check_model(live, spec, override_model=override_model)
    with _attached(live, _Run(live, spec, _taps(live, spec), prompt_lengths)):
        yield


@contextmanager
def intervene_rows(
    live: LiveModel, specs: Sequence[InterventionSpec], *, prompt_lengths: PromptLengths = None
) -> Iterator[None]:
    """As `intervene`, of passes with a row for each spec: row b is edited as `specs[b]` says, and by no other.

    Raises SpecError where they differ in positions or phase, ModelError where experts are edited, whose tokens come
    from all rows, and for a pass with another number of rows.
    """
    if not specs or len({(spec.positions, spec.phase) for spec in specs}) > 1:
        raise SpecError("specs of the rows of one pass must be there, and have the same positions and phase")
    by_name: dict[str, tuple[ResolvedTap, dict[int, TapEdits]]] = {}
    for row, spec in enumerate(specs):
        check_model(live, spec)
        for name, (tap, edits) in _taps(live, spec).items():
            if isinstance(edits, dict):
                raise ModelError(f"{name} has experts, whose tokens come from all rows", "Use intervene.")
            by_name.setdefault(name, (tap, {}))[1][row] = edits
    taps = {name: (tap, RowEdits(by_row, len(specs))) for name, (tap, by_row) in by_name.items()}
    with _attached(live, _Run(live, specs[0], taps, prompt_lengths)):
        yield


@contextmanager
def _attached(live: LiveModel, run: _Run) -> Iterator[None]:
    if live.model in _EDITED:
        raise ModelError(f"{live.model_id} is being edited already", "Put all edits into one spec.")
    with ExitStack() as undo:
        _EDITED.add(live.model)
        undo.callback(_EDITED.discard, live.model)
        run.attach(undo)
        yield
    run.check_everything_ran()


def _taps(live: LiveModel, spec: InterventionSpec) -> dict[str, tuple[Any, Any]]:
    """By what a message calls it: a tap with its TapEdits, or the tap of experts with the TapEdits of each."""
    found: dict[str, tuple[Any, Any]] = {}
    for (site, layer), edits in groupby(spec.edits, key=lambda edit: (edit.site, edit.layer)):
        name, experts = f"{site} of layer {layer}", live.experts_at(site, layer)
        if experts is None:
            found[name] = live.tap(site, layer), TapEdits(list(edits), live.device)
        else:
            found[name] = experts.tap(site), edits_by_expert(experts, edits, live.device)
    return found


def check_model(live: LiveModel, spec: InterventionSpec, *, override_model: bool = False) -> None:
    """Raise SpecError unless the spec is for this model; `override_model` forgives other weights, not dims."""
    for name in ("n_layers", "d_model", "d_mlp", "gated"):
        wanted, found = getattr(spec.model, name), getattr(live, name)
        if wanted != found:
            raise SpecError(
                f"model.{name}: the spec is for a model with {name} {wanted}, and {live.model_id} has {found}",
                f"It was made for {spec.model.id}.",
            )
    for edit in spec.edits:
        # Layers may be narrower than the widest, which is what d_mlp says.
        if 0 <= edit.layer < live.n_layers and edit.neuron >= (width := live.width(edit.site, edit.layer)):
            raise SpecError(
                f"edits: {live.model_id} has no neuron {edit.neuron} in layer {edit.layer}",
                f"Neurons of layer {edit.layer} run from 0 to {width - 1}.",
            )
    if live.head is not None and spec.phase == "generated":
        raise SpecError(f"phase: {live.model_id} is an encoder, which generates nothing", "Use phase all or prompt.")
    if not live.has_fingerprint(spec.model.fingerprint) and not override_model:
        raise SpecError(
            f"model.fingerprint: the spec is for {spec.model.id} with weights {_short(spec.model.fingerprint)}, "
            f"and those of {live.model_id} are {_short(_like(spec.model.fingerprint, live))}",
            "Another checkpoint or dtype has other weights; --model names another one. override_model=True "
            "(--override-model) applies it anyway.",
        )


class _Run:
    """What the hooks of one block share."""

    def __init__(self, live: LiveModel, spec: InterventionSpec, taps: _Taps, prompt_lengths: PromptLengths) -> None:
        self._live, self._spec, self._taps = live, spec, taps
        self._given_B = _as_lengths(prompt_lengths, live.device)
        self._read_arguments = argument_reader(live.base.forward)
        self._where: Tensor | bool | None = None  # of the running pass; None between passes
        self._generating = False
        self._prompt_B: Tensor | None = None  # of the running generation, from its first pass on
        self._n_passes = 0
        self._reached: set[str] = set()

    def attach(self, undo: ExitStack) -> None:
        """Register every hook, each to be removed by `undo`."""
        base = self._live.base
        undo.callback(base.register_forward_pre_hook(self._begin_pass, with_kwargs=True).remove)
        undo.callback(base.register_forward_hook(self._end_pass, always_call=True).remove)
        for name, (tap, edits) in self._taps.items():
            if isinstance(edits, dict):
                undo.callback(tap.register(functools.partial(self._edit_routed, name, edits)).remove)
            else:
                undo.callback(tap.register(functools.partial(self._edit, name, edits)).remove)
        self._mark_generations(undo)

    def check_everything_ran(self) -> None:
        """ModelError when nothing was edited for want of a pass, or a tap was never reached."""
        if not self._n_passes:
            raise ModelError(
                f"no forward pass of {self._live.model_id} ran under the edits",
                "Run the model that was given to intervene, inside the block.",
            )
        missed = [name for name in self._taps if name not in self._reached]
        if missed:
            more = f" and {len(missed) - 3} more" if len(missed) > 3 else ""
            raise ModelError(
                f"the passes of {self._live.model_id} never reached {', '.join(missed[:3])}{more}, where edits are",
                "Run the whole model.",
            )

    def _begin_pass(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        images = self._live.images
        image_tokens = None if images is None else images.n_tokens
        tokens = read_pass(self._read_arguments(args, kwargs), self._live.first_position, image_tokens)
        self._n_passes += 1
        self._where = admitted(self._spec, tokens, self._prompt_lengths(tokens))

    def _end_pass(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        self._where = None

    def _edit(self, name: str, edits: TapEdits | RowEdits, acts_BTN: Tensor) -> Tensor | None:
        where = self._reach(name)
        if where is False:
            return None
        return edits.apply(acts_BTN, None if where is True else where)

    def _edit_routed(self, name: str, by_expert: dict[int, TapEdits], routed: Routed) -> Tensor | None:
        """Edit what one expert computes, at those of its tokens that are admitted."""
        where, edits = self._reach(name), by_expert.get(routed.expert)
        if where is False or edits is None:
            return None
        here = None if where is True else where.reshape(-1, 1)[routed.tokens_R]
        return edits.apply(routed.acts_RN, here)

    def _reach(self, name: str) -> Tensor | bool:
        """Where the running pass is edited, at a tap that it has come to."""
        if self._where is None:
            raise ModelError(
                f"{name} ran outside a pass of {self._live.model_id}, so its tokens have no positions",
                "Run the whole model, or its base model.",
            )
        self._reached.add(name)
        return self._where

    def _prompt_lengths(self, tokens: PassTokens) -> Tensor:
        """[B] prompt tokens of each row of this pass."""
        if self._given_B is not None:
            return _one_a_row(self._given_B, tokens.shape[0])
        if self._generating:
            if self._prompt_B is None:
                self._prompt_B = tokens.counts(slice(None))
            return _one_a_row(self._prompt_B, tokens.shape[0])
        return tokens.counts(slice(tokens.n_cached or None))

    def _mark_generations(self, undo: ExitStack) -> None:
        """Note where each `generate` begins and ends.

        Without a cache every pass of a generation reads everything again, and nothing in the pass itself
        tells the generated tokens from a longer prompt.
        """
        model = self._live.model
        if not hasattr(model, "generate"):  # an encoder
            return
        generate, shadowed = model.generate, vars(model).get("generate")

        @functools.wraps(generate)
        def marked(*args: Any, **kwargs: Any) -> Any:
            if self._given_B is None:
                _require_one_prompt_pass({**vars(kwargs.get("generation_config") or model.generation_config), **kwargs})
            outer = self._generating, self._prompt_B
            self._generating, self._prompt_B = True, None
            try:
                return generate(*args, **kwargs)
            finally:
                self._generating, self._prompt_B = outer

        def restore() -> None:
            del vars(model)["generate"]
            if shadowed is not None:
                vars(model)["generate"] = shadowed

        vars(model)["generate"] = marked
        undo.callback(restore)


def _require_one_prompt_pass(options: Mapping[str, Any]) -> None:
    """ModelError for the ways of generating whose first pass is not exactly the prompt."""
    for name in ("prefill_chunk_size", "prompt_lookup_num_tokens", "assistant_model", "assistant_early_exit"):
        if options.get(name) is not None:
            raise ModelError(
                f"with {name} the first pass of a generation is not exactly its prompt",
                "Pass prompt_lengths to intervene.",
            )


def _as_lengths(lengths: PromptLengths, device: torch.device) -> Tensor | None:
    if lengths is None:
        return None
    lengths_B = torch.as_tensor(lengths, device=device).reshape(-1)
    if not len(lengths_B) or lengths_B.is_floating_point() or int(lengths_B.min()) < 0:
        raise UsageError("prompt_lengths must be whole numbers of tokens", "Give one number, or one for each row.")
    return lengths_B


def _one_a_row(lengths_B: Tensor, n_rows: int) -> Tensor:
    """Lengths of `n_rows`: beams and returned sequences stand beside each other, prompt by prompt."""
    if n_rows % len(lengths_B):
        raise ModelError(f"{len(lengths_B)} prompt lengths for a pass of {n_rows} rows")
    return lengths_B.repeat_interleave(n_rows // len(lengths_B))


def _like(known: str, live: LiveModel) -> str:
    """The model's fingerprint of the same kind."""
    return live.weights_fingerprint if known.startswith(FIRST) else live.fingerprint


def _short(fingerprint: str) -> str:
    return fingerprint.rpartition(":")[2][:12] or "unknown"
