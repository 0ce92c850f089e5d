"""The edits of one tap as a few tensors, applied all at once however many they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from atlas.errors import ModelError
from atlas.live.expert_layer import ExpertLayer
from atlas.ops import OPS
from atlas.spec.document import Edit

# For each op of atlas.ops.OPS: what x_BTK (float32) becomes, given the numbers of its K edits.
Apply = Callable[[Tensor, "OpEdits"], Tensor]


@dataclass(frozen=True)
class OpEdits:
    """K edits of one op, in the columns `columns` of what their tap edits.

    `value_K` is float32; `centre_K` and `half_width_K` are float64, of edits with a range only.
    """

    op: str
    columns: slice
    value_K: Tensor
    centre_K: Tensor | None
    half_width_K: Tensor | None


def _set(x_BTK: Tensor, edits: OpEdits) -> Tensor:
    return edits.value_K.expand_as(x_BTK)


def _scale(x_BTK: Tensor, edits: OpEdits) -> Tensor:
    return x_BTK * edits.value_K


def _add(x_BTK: Tensor, edits: OpEdits) -> Tensor:
    return x_BTK + edits.value_K


def _damp(x_BTK: Tensor, edits: OpEdits) -> Tensor:
    assert edits.centre_K is not None and edits.half_width_K is not None  # the op needs a range
    # The centre of a narrow range far from 0 has no float32, so the ratio is taken in float64.
    ratio_BTK = (x_BTK.double() - edits.centre_K).abs() / edits.half_width_K
    return x_BTK * edits.value_K * ratio_BTK.float()


APPLY: dict[str, Apply] = {"set": _set, "scale": _scale, "add": _add, "damp": _damp}


class TapEdits:
    """All edits at one site of one layer, on `device`.

    Edits without a range come first, then those with one; in each part edits of one op stand together.
    """

    def __init__(self, edits: Sequence[Edit], device: torch.device) -> None:
        order = list(OPS)
        edits = sorted(edits, key=lambda edit: (edit.when is not None, order.index(edit.op)))
        self.neurons_K = torch.tensor([edit.neuron for edit in edits], device=device)
        self._n_without_range = sum(edit.when is None for edit in edits)
        ranges = [edit.when for edit in edits if edit.when is not None]
        self._lower = torch.tensor([bounds.lower for bounds in ranges], device=device)
        self._upper = torch.tensor([bounds.upper for bounds in ranges], device=device)
        self._by_op = list(_by_op(edits, device))

    def apply(self, acts_BTN: Tensor, where_BT1: Tensor | None) -> Tensor:
        """A copy of `acts_BTN` with the edits made at the tokens of `where_BT1` (bool; None: at all of them).

        Ranges are decided and values computed in float32, from `acts_BTN` alone; the results have its dtype.
        What is not edited keeps its bits. `acts_BTN` is not written to.
        """
        arriving_BTK = acts_BTN[..., self.neurons_K]
        x_BTK = arriving_BTK.float()
        pieces = [APPLY[edits.op](x_BTK[..., edits.columns], edits) for edits in self._by_op]
        new_BTK = (pieces[0] if len(pieces) == 1 else torch.cat(pieces, -1)).to(acts_BTN.dtype)
        chosen_BTK = self._inside(x_BTK)
        if chosen_BTK is None:
            chosen_BTK = where_BT1
        elif where_BT1 is not None:
            chosen_BTK = chosen_BTK & where_BT1
        if chosen_BTK is not None:
            new_BTK = torch.where(chosen_BTK, new_BTK, arriving_BTK)
        return torch.index_copy(acts_BTN, -1, self.neurons_K, new_BTK)

    def _inside(self, x_BTK: Tensor) -> Tensor | None:
        """Which values their edit's range admits; None when no edit has a range. NaN is in no range."""
        n_free, n_edits = self._n_without_range, len(self.neurons_K)
        if n_free == n_edits:
            return None
        ranged = x_BTK[..., n_free:]
        inside = (ranged >= self._lower) & (ranged <= self._upper)
        return inside if n_free == 0 else torch.cat([inside.new_ones(*x_BTK.shape[:-1], n_free), inside], -1)


class RowEdits:
    """Edits at one tap of a batch of `n_rows`, of some of its rows, of each its own."""

    def __init__(self, by_row: Mapping[int, TapEdits], n_rows: int) -> None:
        self._by_row, self._n_rows = by_row, n_rows

    def apply(self, acts_BTN: Tensor, where_BT1: Tensor | None) -> Tensor:
        """As TapEdits. Raises ModelError for another number of rows."""
        if len(acts_BTN) != self._n_rows:
            raise ModelError(f"{self._n_rows} rows have edits of their own, and a pass has {len(acts_BTN)} rows")
        edited_BTN = acts_BTN.clone()
        for row, edits in self._by_row.items():
            here = slice(row, row + 1)
            edited_BTN[here] = edits.apply(acts_BTN[here], None if where_BT1 is None else where_BT1[here])
        return edited_BTN


def edits_by_expert(experts: ExpertLayer, edits: Iterable[Edit], device: torch.device) -> dict[int, TapEdits]:
    """The edits of each expert of a layer, as of the units that it has."""
    found: dict[int, list[Edit]] = {}
    for edit in edits:
        expert, unit = experts.place(edit.neuron)
        found.setdefault(expert, []).append(replace(edit, neuron=unit))
    return {expert: TapEdits(of_expert, device) for expert, of_expert in found.items()}


def _by_op(edits: Sequence[Edit], device: torch.device) -> Iterator[OpEdits]:
    """One OpEdits for each run of edits of one op, with or without ranges."""
    start = 0
    while start < len(edits):
        op, ranged = edits[start].op, edits[start].when is not None
        stop = start
        while stop < len(edits) and (edits[stop].op, edits[stop].when is not None) == (op, ranged):
            stop += 1
        same = edits[start:stop]
        values = torch.tensor([edit.value for edit in same], dtype=torch.float32, device=device)
        centre = half_width = None
        if OPS[op].needs_range:
            # A bound is the float32 that its decimal means; from there on float64.
            ranges = [(edit.when.lower, edit.when.upper) for edit in same if edit.when is not None]
            bounds = torch.tensor(ranges, dtype=torch.float32).double()
            centre = bounds.mean(1).to(device)
            half_width = ((bounds[:, 1] - bounds[:, 0]) / 2).to(device)
        yield OpEdits(op, slice(start, stop), values, centre, half_width)
        start = stop
