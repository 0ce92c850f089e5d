"""A tap: where a site is on one live model, read and edited through one hook.

Reading and editing are the same registration, so what an edit sees is what a capture saw.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from atlas.errors import ModelError
from atlas.live.adapters.base import Part

OnTensor = Callable[[Tensor], Tensor | None]


def part_of_axis(part: Part | None, size: int) -> slice:
    """The slice of an axis of length `size` that `part` names; the whole axis for None."""
    if part is None:
        return slice(None)
    if size % part.count:
        raise ModelError(f"a fused axis of {size} does not divide into {part.count} equal parts")
    width = size // part.count
    return slice(part.index * width, (part.index + 1) * width)


class _Handles(NamedTuple):
    """Two hooks that belong together, removed as one."""

    first: RemovableHandle
    second: RemovableHandle

    def remove(self) -> None:
        self.first.remove()
        self.second.remove()


@dataclass(frozen=True)
class ResolvedTap:
    """`site` at `layer`: the input or output (`io`) of `module`, or a part of its last axis.

    `flat_in`: the block that lays the tokens of all texts on one axis before `module` sees them, where one does.
    `device`: where tensors are shown and taken, whatever device of a model that is spread over several computes them;
    None: where they are.
    """

    site: str
    layer: int
    path: str
    module: nn.Module
    io: str
    part: Part | None
    flat_in: nn.Module | None = None
    device: torch.device | None = None

    def register(self, on_tensor: OnTensor) -> RemovableHandle | _Handles:
        """Call `on_tensor(acts_BTN)` whenever the model computes this site; the caller removes the handle.

        `acts_BTN` is the model's own tensor [batch, tokens, width]: read it, never write into it. A tensor
        that `on_tensor` returns takes its place in the forward pass; None leaves it as it is.
        """

        def on_input(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
            edited = self._edited(args[0], on_tensor)
            return None if edited is None else (edited, *args[1:])

        def on_output(
            module: nn.Module, args: tuple[Any, ...], output: Tensor | tuple[Any, ...]
        ) -> Tensor | tuple[Any, ...] | None:
            # A block returns a bare tensor in transformers 5 and a tuple in 4.
            if isinstance(output, tuple):
                edited = self._edited(output[0], on_tensor)
                return None if edited is None else (edited, *output[1:])
            return self._edited(output, on_tensor)

        on_tensor, also = self._row_by_row(on_tensor)
        if self.io == "input":
            handle = self.module.register_forward_pre_hook(on_input)
        else:
            handle = self.module.register_forward_hook(on_output)
        return handle if also is None else _Handles(handle, also)

    def _row_by_row(self, on_tensor: OnTensor) -> tuple[OnTensor, RemovableHandle | None]:
        """`on_tensor` for tensors as the module sees them, and the hook that this needs on the block."""
        if self.flat_in is None:
            return on_tensor, None
        n_texts = 0

        def keep_number(module: nn.Module, args: tuple[Any, ...]) -> None:
            nonlocal n_texts
            n_texts = args[0].shape[0]

        def unflattened(tensor: Tensor) -> Tensor | None:
            if tensor.ndim > 2:
                return on_tensor(tensor)
            edited = on_tensor(tensor.unflatten(0, (n_texts, -1)))
            return None if edited is None else edited.flatten(0, 1)

        return unflattened, self.flat_in.register_forward_pre_hook(keep_number)

    def _edited(self, tensor: Tensor, on_tensor: OnTensor) -> Tensor | None:
        columns = part_of_axis(self.part, tensor.shape[-1])
        shown = tensor if self.part is None else tensor[..., columns]
        replacement = on_tensor(shown if self.device is None else shown.to(self.device))
        if replacement is None:
            return None
        replacement = replacement.to(tensor.device)
        if self.part is None:
            return replacement
        whole = torch.clone(tensor)
        whole[..., columns] = replacement
        return whole
