"""Try out a tokenizer.json in a process of its own, which may die of it. Run as a script; it needs `tokenizers` only.

Arguments: the file, seconds of processor time, bytes of memory. It ends with 0 if the tokenizer read every probe
text without making much more of it; else it writes a reason, or is killed.
"""

import contextlib
import json
import sys

MOST_GROWTH = 64  # tokens or characters for each byte of text; honest tokenizers stay below 20
_LENGTH = 2000
_PLAIN = "aA0 \n\t.-_'\"é中ﷺ"


def limit(seconds: int, n_bytes: int) -> None:
    """Bound this process; without effect where the system has no such limits."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (n_bytes, n_bytes))


def texts(patterns: list) -> list:
    """What a regular expression or a replacement can choke on: long runs of each character that one mentions."""
    letters = dict.fromkeys(_PLAIN + "".join(patterns)[:_LENGTH])
    runs = [letter * _LENGTH for letter in list(letters)[:200]]
    # A choice of two ways to read the same signs takes runs of several.
    mentioned = [letter for letter in dict.fromkeys("".join(patterns)) if letter.isalnum()][:12]
    several = [(first + second) * _LENGTH for first in mentioned for second in mentioned]
    return [*runs, *several, *[run + "\x01" for run in runs], " ".join(patterns)[:_LENGTH], "The dog runs. " * 150, "x"]


def strings(value: object, found: list) -> list:
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


def main(path: str, seconds: str, n_bytes: str) -> str:
    """The reason to refuse the file, or nothing."""
    limit(int(seconds), int(n_bytes))
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(path)
    except BaseException as error:  # a panic of Rust is no Exception
        return f"{error}"
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


if __name__ == "__main__":
    reason = main(*sys.argv[1:])
    sys.stdout.write(" ".join(reason.split())[:300])
    sys.exit(1 if reason else 0)
