"""Try out a tokenizer.json, inside a limited process, which may die of it."""

from __future__ import annotations

import json

MOST_GROWTH = 64  # tokens or characters for each byte of text; honest tokenizers stay below 20
_LENGTH = 2000
_PLAIN = "aA0 \n\t.-_'\"é中ﷺ"


def texts(patterns: list[str]) -> list[str]:
    """What a regular expression or a replacement can choke on: long runs of each character that one mentions."""
    letters = dict.fromkeys(_PLAIN + "".join(patterns)[:_LENGTH])
    runs = [letter * _LENGTH for letter in list(letters)[:200]]
    # A choice of two ways to read the same signs takes runs of several.
    mentioned = [letter for letter in dict.fromkeys("".join(patterns)) if letter.isalnum()][:12]
    several = [(first + second) * _LENGTH for first in mentioned for second in mentioned]
    return [*runs, *several, *[run + "\x01" for run in runs], " ".join(patterns)[:_LENGTH], "The dog runs. " * 150, "x"]


def strings(value: object, found: list[str]) -> list[str]:
    """Every text under a key `Regex`, `String` or `content` of a parsed JSON value."""
    stack = [value]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            found += [value[key] for key in ("Regex", "String", "content") if isinstance(value.get(key), str)]
            stack += [inner for key, inner in value.items() if key not in ("vocab", "merges", "added_tokens")]
        elif isinstance(value, list):
            stack += value
    return found


def fault(path: str) -> str:
    """The reason to refuse the file in one line; "" if the tokenizer read every text without making much more of it."""
    return " ".join(_fault(path).split())[:300]


def _fault(path: str) -> str:
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(path)
    except BaseException as error:  # a panic of Rust is no Exception
        return f"{error}" or type(error).__name__
    with open(path, encoding="utf-8") as stream:
        patterns = strings(json.load(stream), [])
    tokenizer.no_truncation()
    tokenizer.no_padding()
    for text in texts(patterns):
        try:
            ids = tokenizer.encode(text).ids
            length = max(len(ids), len(tokenizer.decode(ids[:100], skip_special_tokens=False)) // 100)
        except BaseException as error:
            return f"it cannot read a text: {error}"
        if length > MOST_GROWTH * (len(text.encode()) + 4):
            return f"it makes {length} tokens or characters of {len(text.encode())} bytes"
    return ""
