"""What a checkpoint's files must be, beyond what transformers insists on: it would warn, or not even that."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from transformers import __version__ as TRANSFORMERS

from atlas.errors import ModelError

# Buffers that old checkpoints carry although the code recomputes them.
_RECOMPUTED = re.compile(r"(\.rotary_emb\.inv_freq|\.(attn|attention)\.(masked_)?bias|\.position_ids)$")


def check_config(raw: Any, model_id: str) -> None:
    """Refuse a config.json (parsed: `raw`) that is no object, or that the installed transformers would misread.

    Version 4 overlooks the rotary base where only version 5 writes it, and then computes another model.
    """
    if not isinstance(raw, dict):
        raise ModelError(f"the config of {model_id} is no JSON object", "The file may be damaged.")
    if TRANSFORMERS.startswith("4.") and "rope_parameters" in raw and "rope_theta" not in raw:
        raise ModelError(
            f"the config of {model_id} is written for transformers 5, and this is {TRANSFORMERS}",
            "Run: pip install 'transformers>=5', or add rope_theta to the config.",
        )


def check_complete(report: Mapping[str, Iterable[str]], model_id: str) -> None:
    """Refuse a checkpoint that does not fill the model exactly; `report` is transformers' loading info.

    A missing tensor is left random. One without a place (a bias that the config denies, a layer beyond its
    count) means that the model computes something else than the checkpoint's.
    """
    unplaced = [name for name in report["unexpected_keys"] if not _RECOMPUTED.search(name)]
    for problem, names in (
        ("lacks tensors that its config asks for", report["missing_keys"]),
        ("holds tensors that its config leaves no place for", unplaced),
    ):
        if names:
            first, rest = sorted(names)[:3], len(list(names)) - 3
            shown = ", ".join(first) + (f" and {rest} more" if rest > 0 else "")
            raise ModelError(f"the checkpoint {model_id} {problem}: {shown}", "It may be damaged or incomplete.")
