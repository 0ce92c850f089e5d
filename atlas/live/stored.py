"""Parameters that stay in a checkpoint's files: each is read when it is wanted, and forgotten with its last user.

For products that need weights alone. The model around them is made without values (on torch's device `meta`), so it has
modules, shapes and a config, and cannot run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from atlas.errors import ModelError
from atlas.live.fingerprint import digests_of, tensor_digest
from atlas.live.shards import Weights, read_tensor

if TYPE_CHECKING:
    from transformers import PretrainedConfig

    from atlas.live.weight_match import Fit


class Stored:
    """The parameters of a model; `names`: that of the stored tensor of each of them, by all their names.

    `device` and `dtype`: what values are given on and in, converted as loading converts them.
    """

    def __init__(self, weights: Weights, names: Mapping[str, str], device: torch.device, dtype: torch.dtype) -> None:
        self.names, self.weights = names, weights
        self.device, self.dtype = device, dtype

    def values(self, name: str) -> Tensor:
        """The parameter of that name as it is in the checkpoint. Do not write into it."""
        return self._mapped(name).to(self.device, self.dtype)

    def rows(self, name: str, ids: Tensor) -> Tensor:
        """Some rows of it, of which alone there is a copy."""
        return self._mapped(name).index_select(0, ids.cpu()).to(self.device, self.dtype)

    def digests(self, model_id: str) -> dict[str, str]:
        """Those of all parameters by all their names. Raises ModelError for a value that is not finite."""

        def digest(name: str) -> str:
            mapped = self._mapped(name)
            # Conversion keeps the order of values, so the extremes tell of all of them; NaN becomes both.
            extremes = torch.stack(torch.aminmax(mapped)).to(self.dtype)
            if not torch.isfinite(extremes).all():
                raise ModelError(f"the weights of {model_id} hold non-finite values in {name}")
            return tensor_digest(mapped, self.dtype)

        return digests_of(self.names, digest)

    def _mapped(self, name: str) -> Tensor:
        return read_tensor(self.weights, self.names[name])


def stored_in(
    fit: Fit, weights: Weights, config: PretrainedConfig, device: torch.device, dtype: torch.dtype | str
) -> Stored | None:
    """The parameters of a checkpoint that fits; None where loading would make other values of them than are stored.

    `dtype` "auto": the config's own.
    """
    computing = getattr(config, "dtype", None) if dtype == "auto" else dtype
    if not isinstance(computing, torch.dtype):
        return None
    kept_wide = getattr(fit.model, "_keep_in_fp32_modules", None) or getattr(
        fit.model, "_keep_in_fp32_modules_strict", None
    )
    if kept_wide and computing != torch.float32:
        return None
    named = list(fit.model.named_parameters(remove_duplicate=False))
    first: dict[int, str] = {}
    for name, parameter in named:
        stored = fit.places[name]
        if stored is None:
            continue
        other = first.setdefault(id(parameter), stored)
        if stored != other and not torch.equal(*(read_tensor(weights, each) for each in (stored, other))):
            return None  # tied by the config, and different in the files
    names = {name: first[id(parameter)] for name, parameter in named}
    return Stored(weights, names, device, computing)
