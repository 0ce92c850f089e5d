"""The best few of each neuron while products come by, and where numbers of a product exceed what is known already.

Axes: N, M, R neurons in a row, A of all layers; C candidates; H hits: numbers that exceed; G rows that have
any; X of a row at most.
"""

from __future__ import annotations

import numpy as np
import torch


def exceeding(values_RN: torch.Tensor, edge: torch.Tensor | float) -> tuple[torch.Tensor, torch.Tensor]:
    """(rows, columns) where values exceed an edge, [R, 1], [N] or one for all; row after row.

    On a processor by numpy, which passes over what does not exceed several times as fast.
    """
    if values_RN.device.type != "cpu":
        return (values_RN > edge).nonzero(as_tuple=True)
    over_RN = values_RN.numpy() > (edge.numpy() if isinstance(edge, torch.Tensor) else np.float32(edge))
    row_H, column_H = np.divmod(np.flatnonzero(over_RN), over_RN.shape[1])
    return torch.from_numpy(row_H), torch.from_numpy(column_H)


class Best:
    """The best C so far of each neuron, by float32 cosine: descending, -inf and -1 where there are fewer."""

    def __init__(self, n: int, count: int, device: torch.device) -> None:
        self.cosine_AC = torch.full((n, count), -torch.inf, device=device)
        self.place_AC = torch.full((n, count), -1, dtype=torch.int64, device=device)
        self._some = 8 * count

    def add(self, first: int, cosine_RM: torch.Tensor, first_place: int) -> None:
        """Take M neurons in a row as candidates of R neurons in a row."""
        rows = slice(first, first + len(cosine_RM))
        if self._start(rows, cosine_RM, first_place):
            cosine_RM, first_place = cosine_RM[:, self._some :], first_place + self._some
        row_H, column_H = exceeding(cosine_RM, self.cosine_AC[rows, -1:])
        self._take(rows, row_H, column_H + first_place, cosine_RM[row_H, column_H])

    def add_columns(self, first: int, cosine_MR: torch.Tensor, first_place: int) -> None:
        """The same, where the candidates of a neuron are in a column."""
        rows = slice(first, first + cosine_MR.shape[1])
        if self._start(rows, cosine_MR.T, first_place):
            cosine_MR, first_place = cosine_MR[self._some :], first_place + self._some
        column_H, row_H = exceeding(cosine_MR, self.cosine_AC[rows, -1])
        order_H = row_H.argsort(stable=True)
        row_H, column_H = row_H[order_H], column_H[order_H]
        self._take(rows, row_H, column_H + first_place, cosine_MR[column_H, row_H])

    def _start(self, rows: slice, cosine_RM: torch.Tensor, first_place: int) -> bool:
        """Where nothing is known, the best of some candidates, so that not all the others exceed it."""
        if not bool(torch.isinf(self.cosine_AC[rows, 0]).all()):
            return False
        more_RX, place_RX = cosine_RM[:, : self._some].topk(min(self.cosine_AC.shape[1], cosine_RM.shape[1]), dim=1)
        self._merge(rows, more_RX, torch.where(more_RX > -torch.inf, place_RX + first_place, -1))
        return True

    def _take(self, rows: slice, row_H: torch.Tensor, place_H: torch.Tensor, cosine_H: torch.Tensor) -> None:
        """Hits, row after row."""
        if not len(row_H):
            return
        count_R = row_H.bincount(minlength=rows.stop - rows.start)
        hit_G = count_R.nonzero()[:, 0]  # few rows, once much is known
        count_G = count_R[hit_G]
        group_H = torch.arange(len(hit_G), device=row_H.device).repeat_interleave(count_G)
        slot_H = torch.arange(len(row_H), device=row_H.device) - (count_G.cumsum(0) - count_G)[group_H]
        shape = (len(hit_G), int(count_G.max()))
        more_GX, place_GX = cosine_H.new_full(shape, -torch.inf), place_H.new_full(shape, -1)
        more_GX[group_H, slot_H], place_GX[group_H, slot_H] = cosine_H, place_H
        self._merge(hit_G + rows.start, more_GX, place_GX)

    def _merge(self, rows: slice | torch.Tensor, more_RX: torch.Tensor, place_RX: torch.Tensor) -> None:
        joined_RX = torch.cat([self.cosine_AC[rows], more_RX], 1)
        self.cosine_AC[rows], chosen_RC = joined_RX.topk(self.cosine_AC.shape[1], dim=1)
        self.place_AC[rows] = torch.cat([self.place_AC[rows], place_RX], 1).gather(1, chosen_RC)
