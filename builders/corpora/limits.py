"""How much a corpus may hold. Its examples are in memory together during a build, at most 4 bytes a character."""

from __future__ import annotations

MAX_TEXT = 2**26
"""Characters of one text."""
MAX_LINE = 2**28
"""Characters of one line of a file: a text of MAX_TEXT characters and what is written around them."""
MAX_TOTAL = 2**29
"""Characters of all texts together."""
MAX_EXAMPLES = 2**24
MAX_CONCEPTS = 2**12
MAX_NAME = 200
"""Characters of the name of a concept, a family or a column."""
