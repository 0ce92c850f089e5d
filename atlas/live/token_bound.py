"""How long a start of a text must be to make more than so many tokens, proven from the tokenizer's own parts.

Tokenising costs some 200 bytes and 2 microseconds a character, and of a long text only the first few hundred tokens
are wanted. A text may be shortened before it is tokenised only where that cannot change them. What is
proven here is a lower bound on the number of tokens, of which cutting (batching.py) needs no more. Two arguments,
each from the JSON of the tokenizer (`tokenizers` writes every part of it there); a part that is not known to obey an
argument takes it away, and where both are gone the tokens of a text are only known by making them all.

*Widths.* Say that no step drops a character. Then each one lies in some token, a token covers at most as many
characters as its piece has (a byte of a character counts as one), and n characters make n / (widest piece) tokens at
least. Normalising first may make n characters n / 4: composition (NFC, NFKC) makes one character of four at most,
because no canonical decomposition has more, and decomposing drops none; a literal replacement shrinks by the ratio of
its lengths. A model drops a character that its vocabulary lacks unless it writes bytes or a sign for "unknown", and
covers any number with one sign if it fuses these. Some vocabularies of bytes lack a few control characters, and an
added token may swallow the white space around it; such characters are then not counted.

*Words.* Say that the text is split at every space and each part gets a token. Then a letter or digit of ASCII before
a space is in another token than the next such one is. Steps that remove white space or rare characters do no harm here.
"""

from __future__ import annotations

import itertools
import json
import re
from typing import Any, NamedTuple

_COMPOSED = 4
"""Characters that one composed character stands for at most."""
_KEEPING = ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "Prepend", "ByteLevel")
"""Normalisers that drop nothing; Replace is looked at more closely."""
_WORD_SAFE = ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "Prepend", "Strip", "StripAccents", "BertNormalizer")
"""Normalisers that leave ASCII letters, digits and the spaces between them what they are."""
_LOSSLESS = ("ByteLevel", "Metaspace", "Digits", "UnicodeScripts")
"""Pre-tokenizers that split and drop nothing; Split and Punctuation may, if told to."""
_AT_SPACES = ("Whitespace", "WhitespaceSplit", "BertPreTokenizer")
"""Pre-tokenizers that split at every space, drop it, and keep every letter and digit; Metaspace splits there too."""
_UTF8_BYTES = [byte for byte in range(256) if byte not in (0xC0, 0xC1) and byte < 0xF5]


class TokenBound(NamedTuple):
    """`width`: characters that one token covers at most (None: any number), those of the class `uncounted` left out.

    `words`: whether the second argument holds.
    """

    width: int | None
    uncounted: str
    words: bool

    def enough(self, text: str, limit: int) -> int | None:
        """Characters c such that every start of `text` of c or more makes over `limit` tokens, whatever is around it.

        None where there is no such c within the text, or none is known.
        """
        found = []
        if self.width is not None:
            wanted = limit * self.width + 1
            found.append(_place(f"[^{self.uncounted}]", text, wanted) if self.uncounted else wanted)
        if self.words:
            found.append(_place("[0-9A-Za-z] ", text, limit + 1))
        return min((place for place in found if place is not None and place <= len(text)), default=None)


NO_BOUND = TokenBound(None, "", False)


def token_bound(tokenizer: Any) -> TokenBound:
    """What can be proven for a tokenizer of transformers; nothing for one that is not made of `tokenizers`' parts."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return NO_BOUND
    parts = json.loads(backend.to_str())
    model, added = parts["model"], parts.get("added_tokens") or []
    normalizers = _flat(parts.get("normalizer"), "normalizers")
    splitters = _flat(parts.get("pre_tokenizer"), "pretokenizers")
    bytewise = any(part["type"] == "ByteLevel" for part in (*normalizers, *splitters))
    dropped = _dropped(model, bytewise)
    contents = [token["content"] for token in added]
    if normalizers:
        contents += [backend.normalizer.normalize_str(token["content"]) for token in added if token["normalized"]]
    uncounted = re.escape(dropped or "")
    if any(token["lstrip"] or token["rstrip"] for token in added):
        uncounted += r"\s"
    width = None
    shrink = _shrink(normalizers, uncounted)
    if normalizers and re.search("[!-~]", dropped or ""):
        shrink = None  # they make signs of ASCII of others: K of the Kelvin sign
    if dropped is not None and shrink is not None and all(map(_keeps_all, splitters)):
        width = shrink * max(map(len, (*model["vocab"], *contents)), default=1)
    words = (
        all(part["type"] in _WORD_SAFE for part in normalizers)
        and _splits_at_spaces(splitters)
        and _answers(model, dropped)
        and not any(" " in content for content in contents)
    )
    return TokenBound(width, uncounted, words)


def _place(pattern: str, text: str, number: int) -> int | None:
    """Where the `number`th match of `pattern` ends."""
    match = next(itertools.islice(re.finditer(pattern, text), number - 1, None), None)
    return None if match is None else match.end()


def _flat(part: dict[str, Any] | None, members: str) -> list[dict[str, Any]]:
    """A part of a tokenizer, or the members of a Sequence of them."""
    if part is None:
        return []
    return [one for each in part[members] for one in _flat(each, members)] if part["type"] == "Sequence" else [part]


def _shrink(normalizers: list[dict[str, Any]], uncounted: str) -> int | None:
    """How many characters one character of the normalised text stands for at most; None: any number."""
    shrink = 1
    for place, part in enumerate(normalizers):
        if part["type"] == "ByteLevel" and place + 1 < len(normalizers):
            return None  # what comes after would change signs that stand for bytes
        if part["type"] == "Replace":
            old, new = part["pattern"].get("String"), part["content"]
            # A counted character must not become one that is not.
            if not old or not new or (uncounted and re.search(f"[{uncounted}]", new)):
                return None
            shrink *= -(-len(old) // len(new))
        elif part["type"] in ("NFC", "NFKC"):
            shrink *= _COMPOSED
        elif part["type"] not in _KEEPING:
            return None
    return shrink


def _keeps_all(splitter: dict[str, Any]) -> bool:
    if splitter["type"] in ("Split", "Punctuation"):
        return bool(splitter["behavior"] != "Removed")
    return splitter["type"] in _LOSSLESS


def _dropped(model: dict[str, Any], bytewise: bool) -> str | None:
    """The characters for which a BPE has no token of their own, not even of a byte; None where it lacks more."""
    if model["type"] != "BPE":
        return None
    vocab = model["vocab"]
    if model.get("unk_token") in vocab and not model.get("fuse_unk"):
        return ""
    if model.get("continuing_subword_prefix") or model.get("end_of_word_suffix"):
        return None  # a byte would be looked up under another name within a word
    if model.get("byte_fallback"):
        return "" if all(f"<0x{byte:02X}>" in vocab for byte in _UTF8_BYTES) else None
    lacking = [byte for byte, sign in _byte_signs().items() if sign not in vocab] if bytewise else [0x80]
    # All characters but those of ASCII have a byte of this range, so that one of their bytes at least is a token.
    return None if any(0x80 <= byte < 0xC0 for byte in lacking) else "".join(chr(b) for b in lacking if b < 0x80)


def _answers(model: dict[str, Any], dropped: str | None) -> bool:
    """Whether the model gives a token, if only the sign for "unknown", for every part with a letter or digit."""
    if model["type"] == "Unigram":
        return model.get("unk_id") is not None
    if model.get("unk_token") in model["vocab"]:
        return model["type"] in ("BPE", "WordLevel", "WordPiece")
    return dropped is not None and not re.search("[0-9A-Za-z]", dropped)


def _byte_signs() -> dict[int, str]:
    """How ByteLevel writes the bytes of text: a printable one as itself, the others in order from U+0100 on."""
    plain = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = itertools.count(0x100)
    signs = [chr(byte) if byte in plain else chr(next(others)) for byte in range(256)]
    return {byte: signs[byte] for byte in _UTF8_BYTES}


def _splits_at_spaces(splitters: list[dict[str, Any]]) -> bool:
    """Whether the parts handed to the model never hold two words with a space between."""
    for part in splitters:
        if part["type"] in _AT_SPACES or (part["type"] == "Metaspace" and part.get("split", True)):
            break
        # Nothing before may drop letters or write spaces in another way.
        if part["type"] not in ("Split", "Punctuation", "Digits", "UnicodeScripts") or not _keeps_all(part):
            return False
    else:
        return False
    return all(part["type"] in (*_AT_SPACES, "Punctuation") or _keeps_all(part) for part in splitters)
