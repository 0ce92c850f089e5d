"""Does a config describe the model that its family's adapter describes? Some fields turn it into another one."""

from __future__ import annotations

from transformers import PretrainedConfig

from atlas.errors import ModelError
from atlas.live.adapters.base import Adapter


def check_variant(config: PretrainedConfig, adapter: Adapter, model_id: str) -> None:
    """Raise ModelError with the field and the reason unless `config` says what the adapter requires."""
    own = config.get_text_config()
    for needed in adapter.requires:
        found = getattr(own, needed.field, None)
        values = needed.values if needed.same_as is None else (*needed.values, getattr(own, needed.same_as, None))
        if found not in values:
            raise ModelError(
                f"{model_id} has {needed.field} {str(found)[:40]}, and then {needed.reason}",
                f"Supported: {' or '.join(map(str, values))}.",
            )
