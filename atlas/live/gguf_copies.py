"""Checkpoints that GGUF files were turned into, kept in the user's cache: to parse such a file takes most of a minute.

A copy is a plain checkpoint folder, read with all the checks that any other gets. Its name is a digest of the GGUF
file's bytes, of the dtype, and of the versions of what parsed it, so that it never stands for another file; its
fingerprint must come out again whenever it is loaded. The folder of copies is bounded, and the copy that was not used
for longest goes first. Copies appear whole by one rename, and trouble with the cache costs time and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.torch import save_file

from atlas.errors import AtlasError, UsageError
from atlas.live.damaged import read_json_file
from atlas.live.model import LiveModel
from atlas.live.plain_files import plain_file
from atlas.live.shards import SINGLE
from atlas.live.sources import Source
from atlas.live.tokenizer import load_tokenizer, prepends_bos
from atlas.manifest import versions

if TYPE_CHECKING:
    from atlas.live.network import CausalModel

FOLDER_VARIABLE = "XDG_CACHE_HOME"
LIMIT_VARIABLE = "NEURON_ATLAS_CACHE_GB"
"""What all copies together may take, in 10^9 bytes; 0 keeps and reads none."""

_DEFAULT_GB = 10.0
_FORMAT = 2
_RECORD = "neuron-atlas.json"
_UNFINISHED = "unfinished-"
_PROBES = (
    "The dog is good.",
    "  Two\tspaces, a tab\nand a line",
    "Ünïcode 東京 🙂",
    "<s> </s> <|im_start|> <bos> [INST]",
    "",
)


@dataclass(frozen=True)
class Copy:
    """The place of one GGUF file's copy in one dtype, whether or not it is there."""

    folder: Path
    limit: int

    def source(self, original: Source) -> Source | None:
        """What loads the copy under the original's name, or None where there is none; it counts as used now."""
        try:
            os.utime(self.folder / _RECORD)
        except OSError:
            return None
        return Source(original.model_id, str(self.folder))

    def is_of(self, fingerprint: str) -> bool:
        """Whether the copy was made of weights with this fingerprint."""
        try:
            record = read_json_file(self.folder / _RECORD, 1 << 16)
        except (OSError, ValueError, AtlasError):
            return False
        return isinstance(record, dict) and record.get("fingerprint") == fingerprint

    def remove(self) -> None:
        """Make it go, at once for everybody who looks for it."""
        _remove(self.folder)

    def write(self, live: LiveModel) -> None:
        """Keep a model that was loaded from its GGUF file, unless it would not load as the same or has no room."""
        root = self.folder.parent
        with suppress(OSError, AtlasError, ValueError, TypeError, RuntimeError):
            size = sum(tensor.nbytes for tensor in live.model.parameters())
            root.mkdir(parents=True, exist_ok=True, mode=0o700)
            if size > self.limit or 2 * size > shutil.disk_usage(root).free:
                return
            with tempfile.TemporaryDirectory(prefix=_UNFINISHED, dir=root, ignore_cleanup_errors=True) as name:
                fresh = Path(name) / self.folder.name
                fresh.mkdir()
                _save(live.model, fresh)
                live.tokenizer.save_pretrained(fresh)
                _check_tokenizer(fresh, live)
                (fresh / _RECORD).write_text(json.dumps({"fingerprint": live.fingerprint}), encoding="utf-8")
                _flush(fresh)
                os.rename(fresh, self.folder)
            _keep_within(root, self.limit, self.folder)


def copy_of(source: Source, dtype: str) -> Copy | None:
    """The copy of a GGUF file; None where no copies are wanted, or a copy could not stay within the limit.

    Raises UsageError for a limit that is no number.
    """
    limit = _limit()
    assert source.path is not None  # GGUF files are local
    try:
        if not 0 < source.path.stat().st_size <= limit:
            return None
        with source.path.open("rb") as stream:
            content = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return None
    libraries = versions("transformers", "gguf", "tokenizers", "safetensors")
    name = hashlib.sha256(json.dumps([_FORMAT, content, dtype, libraries], sort_keys=True).encode()).hexdigest()
    return Copy(_root() / name, limit)


def _limit() -> int:
    given = os.environ.get(LIMIT_VARIABLE, "").strip()
    if not re.fullmatch(r"(\d{1,9}(\.\d{1,9})?)?", given, re.ASCII):
        raise UsageError(f"{LIMIT_VARIABLE} is {given[:40]!r}", "Give a number of gigabytes, 0 for no cache.")
    return int(float(given or _DEFAULT_GB) * 1e9)


def _root() -> Path:
    folder = os.environ.get(FOLDER_VARIABLE, "")
    # The specification of these folders: a relative one is to be ignored.
    return (Path(folder) if os.path.isabs(folder) else Path.home() / ".cache") / "neuron-atlas" / "gguf"


def _save(model: CausalModel, folder: Path) -> None:
    """transformers' own save_pretrained takes a model out of a GGUF file for a quantised one, and refuses."""
    config = json.loads(model.config.to_json_string(use_diff=False))
    config.pop("quantization_config", None)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    model.generation_config.save_pretrained(folder)
    # A tied embedding is one parameter, and stored once.
    state = {name: parameter.detach().contiguous() for name, parameter in model.named_parameters()}
    save_file(state, folder / SINGLE, {"format": "pt"})


def _check_tokenizer(folder: Path, live: LiveModel) -> None:
    """Raise ValueError unless the saved tokenizer is the one of `live`."""
    config = {**live.model.config.to_dict(), "model_type": live.model.config.model_type}
    again = load_tokenizer(lambda name: plain_file(folder, name), config, live.model_id)
    if _traits(again) != _traits(live.tokenizer):
        raise ValueError("the tokenizer does not come back as it was")


def _traits(tokenizer: Any) -> tuple[Any, ...]:
    ids = [tokenizer(text, add_special_tokens=special)["input_ids"] for text in _PROBES for special in (True, False)]
    names = ("bos_token_id", "eos_token_id", "pad_token_id", "unk_token_id", "chat_template")
    texts = [tokenizer.decode(found, skip_special_tokens=skip) for found in ids for skip in (True, False)]
    values = [getattr(tokenizer, name, None) for name in names]
    return ids, texts, values, tokenizer.get_vocab(), sorted(tokenizer.all_special_ids), prepends_bos(tokenizer)


def _flush(folder: Path) -> None:
    """Have the files on the disk before they get their name."""
    for path in folder.iterdir():
        with path.open("rb") as stream:
            os.fsync(stream.fileno())


def _keep_within(root: Path, limit: int, newest: Path) -> None:
    used = sorted(_copies(root), key=lambda found: (found[2] == newest, found[0]))
    total = sum(size for _, size, _ in used)
    for _, size, folder in used:
        if total <= limit:
            return
        _remove(folder)
        total -= size


def _copies(root: Path) -> Iterator[tuple[int, int, Path]]:
    """(last use in ns, bytes, folder) of every copy, and of what a killed writer left."""
    for folder in root.iterdir():
        with suppress(OSError):
            size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
            record = folder / _RECORD
            yield (record if record.exists() else folder).stat().st_mtime_ns, size, folder


def _remove(folder: Path) -> None:
    with (
        suppress(OSError),
        tempfile.TemporaryDirectory(prefix=_UNFINISHED, dir=folder.parent, ignore_cleanup_errors=True) as name,
    ):
        os.rename(folder, Path(name) / "gone")
