"""Texts that a table must not obey, and the columns of a terminal that a line takes, by the Unicode tables alone."""

from __future__ import annotations

import unicodedata
from random import Random

# One class of trouble each; a text is made of several.
CLASSES = {
    "plain": [" dog", "the", "ing", "x", "0", "-", "…", " "],
    "long": ["-" * 70, "word" * 40, "日本" * 50, "a b " * 30, "\u0301" * 90],
    "quotes": ['"', "\\", '\\"', "\\x1b", "\\u0301", '"…"', "'"],
    "letters": ["é", "ß", "Ж", "ω", "日本語", "한국", "ｗｉｄｅ", "ｶﾞ", "ก", "é"],
    "marks": ["e\u0301", "\u0301", "Z" + "\u0300\u0316\u0489" * 9, "हिन्दी", "ที่", "กำ", "\u20dd", "\u034f"],
    "emoji": [
        "🐕",
        "👨\u200d👩\u200d👧",
        "🇩🇪",
        "🇩",
        "👍🏽",
        "☺\ufe0f",
        "☺\ufe0e",
        "1\ufe0f\u20e3",
        "🏴\U000e0067\U000e007f",
    ],
    "invisible": ["\u200b", "\u200c", "\u200d", "\u2060", "\ufeff", "\u00ad", "\u115f", "\u3164", "\uffa0", "\u2800"],
    "spaces": ["\t", "\u00a0", "\u3000", "\u2003", "\u2028", "\u2029", "\n", "\r\n", "\x0b", "\x0c", "\x85", "\x1c"],
    "right to left": ["שלום", "سلام", "שלום 12", "ﷺ", "١٢", "\U0001e900"],
    "bidi": ["\u202e", "\u202d", "\u2066", "\u2067", "\u2068", "\u2069", "\u200e", "\u200f", "\u061c"],
    "controls": ["\x1b[2J", "\x1b[31m", "\x1b]0;own\x07", "\x9b6n", "\x90q\x9c", "\x08", "\x7f", "\x00", "\r"],
    "unassigned": ["\ue000", "\uf8ff", "\U000f0000", "\U0010ffff", "\ufdd0", "\u0378", "\U0003134b"],
    "unsettled": ["ᄒ\u1161ᆫ", "\u1112\u1161", "䷀", "☰", "𝌆", "\u212b", "\u2126", "\uf900", "\u037e"],
}
HALVES = ["\ud800", "\udfff", "\ud83d"]


def hostile_text(random: Random, halves: bool = False) -> str:
    """Up to eight pieces of any class; with `halves` also those that UTF-8 cannot write."""
    classes = [*CLASSES.values(), *([HALVES] if halves else [])]
    return "".join(random.choice(random.choice(classes)) for _ in range(random.randrange(9)))


def slots(line: str) -> list[str]:
    """One entry a column of a terminal; a wide character is followed by an empty one. Fails for what is not safe."""
    found = []
    for character in line:
        assert_settled(character)
        found += [character, ""] if unicodedata.east_asian_width(character) in "WF" else [character]
    return found


def assert_settled(character: str) -> None:
    """Nothing that moves, joins, colours or turns what stands beside it."""
    about = f"U+{ord(character):04X}"
    assert character == " " or unicodedata.category(character)[0] not in "CMZ", about
    assert unicodedata.bidirectional(character) not in ("R", "AL", "AN"), about
    assert not 0x1F1E6 <= ord(character) <= 0x1F1FF and not 0x1F3FB <= ord(character) <= 0x1F3FF, about
    assert not 0x1100 <= ord(character) <= 0x11FF, about
