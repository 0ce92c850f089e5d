"""The rows of an atlas that are about the model itself, in every atlas whatever else is built."""

from __future__ import annotations

from typing import TYPE_CHECKING

from atlas.store.staging import Staging

if TYPE_CHECKING:
    from builders.build.plan import Plan


def write_vocabulary(staging: Staging, plan: Plan) -> None:
    """Store the texts of tokens (of a classifier, its labels) and the norms of their unembedding rows, once."""
    if staging.done("vocabulary"):
        return
    import numpy as np
    import pyarrow as pa
    import torch

    live = plan.live
    unembedding_VD = live.embedding() if live.head_kind == "none" else live.unembedding()
    ids = torch.tensor([token_id for token_id, _ in plan.tokens])
    rows_VD = unembedding_VD.index_select(0, ids.to(unembedding_VD.device)).float()
    norms = torch.linalg.vector_norm(rows_VD, dim=1, dtype=torch.float64).cpu().numpy()
    rows = pa.table(
        {
            "token_id": pa.array(ids.numpy(), pa.int32()),
            "token": [text for _, text in plan.tokens],
            "norm": norms.astype(np.float32),
        }
    )
    staging.commit("vocabulary", "all", {"vocab": rows})
