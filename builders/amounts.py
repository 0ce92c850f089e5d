"""Amounts as they are typed."""

from __future__ import annotations

import re

from atlas.errors import UsageError

_UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


def parse_bytes(text: str) -> int:
    """'2GB' -> 2 * 10**9 (decimal units). Raises UsageError."""
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([KMGT]?B|)\s*", text.upper())
    if match is None:
        raise UsageError(f"{text!r} is no amount of memory", "Write 500MB or 2GB.")
    return int(float(match[1]) * _UNITS[match[2]])
