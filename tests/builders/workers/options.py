"""What the builds by workers are asked for."""

from __future__ import annotations

from typing import Any

OPTIONS: dict[str, Any] = {"context_length": 16, "detectors": True}
"""With decodings and statistics, whatever is read from a labelled corpus and running text but for gradients."""
ALL: dict[str, Any] = {
    **OPTIONS,
    "gradients": True,
    "targets": (("pets", " dog"), ("sport", " team"), ("state", " France")),
}
"""Also gradients: their check takes as long as all the rest."""
