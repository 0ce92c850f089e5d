"""The rows of an atlas that are about the model itself, in every atlas whatever else is built."""

from __future__ import annotations

from typing import TYPE_CHECKING

from atlas.store.staging import Staging

if TYPE_CHECKING:
    from torch import Tensor

    from atlas.live.model import LiveModel
    from builders.build.plan import Plan
    from builders.build.product import Tables


_ROWS = 1024  # of the unembedding at a time


def write_vocabulary(staging: Staging, plan: Plan) -> None:
    """Store the texts of tokens (of a classifier, its labels) and the norms of their unembedding rows, once."""
    if staging.done("vocabulary"):
        return
    import numpy as np
    import pyarrow as pa
    import torch

    ids = torch.tensor([token_id for token_id, _ in plan.tokens])
    norms = torch.cat([_norms(plan.live, part) for part in ids.split(_ROWS)]).numpy()
    rows = pa.table(
        {
            "token_id": pa.array(ids.numpy(), pa.int32()),
            "token": [text for _, text in plan.tokens],
            "norm": norms.astype(np.float32),
        }
    )
    staging.commit("vocabulary", "all", {"vocab": rows, **_experts(plan)})


def _experts(plan: Plan) -> Tables:
    """Rows of `expert`, of a model whose layers differ from one MLP of d_mlp neurons each."""
    import pyarrow as pa

    if not plan.live.layers_differ:
        return {}
    rows = [
        {"layer": layer, **part._asdict()} for layer in range(plan.live.n_layers) for part in plan.live.parts(layer)
    ]
    return {"expert": pa.Table.from_pylist(rows)}


def _norms(live: LiveModel, ids: Tensor) -> Tensor:
    import torch

    rows_bD = live.unembedding_rows(ids).float()
    return torch.linalg.vector_norm(rows_bD, dim=1, dtype=torch.float64).cpu()
