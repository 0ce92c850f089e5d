"""The best of a layer, found among candidates, are those of all neurons placed and sorted."""

from __future__ import annotations

import pytest
import torch

from atlas.schema.exemplar_tables import PROBABILITIES
from builders.fires.best import PERCENTILE, Spread, best
from builders.fires.place import place

N_SAMPLED = 4000


def layer(kind: str, n: int, generator: torch.Generator) -> tuple[Spread, torch.Tensor]:
    """Distributions of n neurons as `kind` says, and activations of 60 tokens, most of them like those."""
    drawn_NE = torch.randn(n, N_SAMPLED, generator=generator)
    acts_NS = torch.randn(n, 60, generator=generator)
    if kind == "often 0":
        drawn_NE, acts_NS = drawn_NE.relu(), acts_NS.relu()
    elif kind == "few values":
        drawn_NE, acts_NS = drawn_NE.round(), acts_NS.round()
    elif kind == "middle":  # no token has any neuron near an end
        acts_NS = acts_NS.clamp(-0.3, 0.3)
    elif kind == "ends":
        acts_NS = acts_NS * 4
    drawn_NE[::7] = drawn_NE[::7, :1]  # neurons that never varied
    acts_NS[::14] = drawn_NE[::14, :1]
    quantiles_NP = torch.quantile(drawn_NE, torch.tensor(PROBABILITIES), dim=1).T.contiguous()
    std_N = drawn_NE.std(dim=1, correction=0)
    quantiles_NP[3], std_N[3] = torch.nan, torch.nan  # no distribution
    acts_NS[5, :20] = quantiles_NP[5, 4]  # at a quantile itself
    return Spread(quantiles_NP, torch.tensor(PROBABILITIES, dtype=torch.float64), std_N), acts_NS


def by_sorting(acts_NS: torch.Tensor, spread: Spread, top: int, by: str) -> list[list[tuple[float, ...]]]:
    """(neuron, value, share, beyond) of each token: every neuron placed, sorted by key and then by number."""
    placed = place(acts_NS, spread.quantiles_NP, spread.probabilities_P, spread.std_N)
    share, beyond, values = (each.double().numpy() for each in (placed.share_NS, placed.beyond_NS, acts_NS))
    known = spread.std_N.isfinite().tolist()
    found = []
    for token in range(acts_NS.shape[1]):
        keys = {}
        for neuron in range(len(acts_NS)):
            value = values[neuron, token]
            if not known[neuron]:
                continue
            if spread.bounds_N is not None and not spread.bounds_N[0][neuron] <= value <= spread.bounds_N[1][neuron]:
                continue
            out = abs(beyond[neuron, token]) or -min(share[neuron, token], 1 - share[neuron, token])
            keys[neuron] = out if by == PERCENTILE else abs(value)
        order = sorted(keys, key=lambda neuron: (-keys[neuron], neuron))[:top]
        found.append([(n, values[n, token], share[n, token], beyond[n, token]) for n in order])
    return found


@pytest.mark.parametrize("by", [PERCENTILE, "value"])
@pytest.mark.parametrize("n", [12, 700])
@pytest.mark.parametrize("kind", ["normal", "often 0", "few values", "middle", "ends"])
@pytest.mark.parametrize("bounded", [False, True])
def test_they_are_those_of_sorting_all(kind: str, n: int, by: str, bounded: bool) -> None:
    spread, acts_NS = layer(kind, n, torch.Generator().manual_seed(n))
    if bounded:
        lower_N = torch.full((n,), torch.inf)
        lower_N[::5] = 0.2  # the others are inside of nothing
        spread = spread._replace(bounds_N=(lower_N, torch.full((n,), torch.inf)))
    expected = by_sorting(acts_NS, spread, 10, by)
    for top in (1, 10):
        found = best(acts_NS, spread, top, by)
        for row, due in enumerate(each[:top] for each in expected):
            real = found.key[row] > -torch.inf
            columns = (found.neuron, found.value.double(), found.share, found.beyond)
            assert list(zip(*(each[row][real].tolist() for each in columns), strict=True)) == due


@pytest.mark.parametrize("kind", ["normal", "often 0", "few values", "middle", "ends"])
@pytest.mark.parametrize("n", [12, 700])
def test_none_is_left_out_that_reaches_the_floor(kind: str, n: int) -> None:
    spread, acts_NS = layer(kind, n, torch.Generator().manual_seed(n))
    everything = by_sorting(acts_NS, spread, n, PERCENTILE)

    def key(row: tuple[float, ...]) -> float:
        return abs(row[3]) or -min(row[2], 1 - row[2])

    # Floors that some neuron has exactly, far out and far in; and one in the middle, which all reach.
    places = [min(len(rows) - 1, token) for token, rows in enumerate(everything)]
    floor_S = torch.tensor([key(rows[at]) for rows, at in zip(everything, places, strict=True)], dtype=torch.float64)
    floor_S[::9] = -0.5
    found = best(acts_NS, spread, 10, PERCENTILE, floor_S)
    for row, (rows, floor) in enumerate(zip(everything, floor_S.tolist(), strict=True)):
        real = found.key[row] > -torch.inf
        columns = (found.neuron, found.value.double(), found.share, found.beyond)
        got = list(zip(*(each[row][real].tolist() for each in columns), strict=True))
        reach = [each for each in rows if key(each) >= floor][:10]
        assert got[: len(reach)] == reach
