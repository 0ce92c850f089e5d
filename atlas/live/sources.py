"""What the user called the model: a packaged name, a local folder, a GGUF file or a Hugging Face id."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from atlas.errors import ModelError, UnknownNameError
from atlas.packaged import model_file, packaged_model, packaged_models

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_PICKLED = (".bin", ".pt", ".pth", ".ckpt")
_WHAT_NAMES = "Give a folder, a .gguf file or a Hugging Face id."
_SHOWN = 300
"""Characters of a name that a message repeats."""


@dataclass(frozen=True)
class Source:
    """`location`: folder or Hugging Face id, as transformers takes it. `gguf_file`: a file in that folder.

    `packaged`: its name alone says where it is. `ask_hub`: whether the network may be asked for what the hub's cache
    on this machine does not have.
    """

    model_id: str
    location: str
    gguf_file: str | None = None
    is_local: bool = True
    packaged: bool = False
    ask_hub: bool = True

    @property
    def path(self) -> Path | None:
        """The folder or file of a local model, absolute; None for one of the hub."""
        if not self.is_local:
            return None
        return Path(self.location, self.gguf_file or "").resolve()

    def revision(self, snapshot: str | None) -> str | None:
        """Which version of the model this is, where somebody numbers them; None: nobody does.

        Of one on the Hugging Face hub its commit, which is what the hub's cache calls the folder (`snapshot`) with its
        files, also where that folder itself is named. Of a packaged model PACKAGE==VERSION.
        """
        if self.packaged:
            known = packaged_model(self.model_id)
            return f"{known.package}=={known.version}"
        if self.path is not None:
            folder = Path(self.location).resolve()
            snapshot = folder.name if folder.parent.name == "snapshots" else None
        return snapshot if snapshot is not None and _COMMIT.fullmatch(snapshot) else None


def resolve(model: str) -> Source:
    """Find what `model` names, in the order of the module's first line.

    Raises ModelError when it is known but not fetched, does not exist, or holds only pickled weights, and
    MissingExtraError when it is not fetched and could not be read then.
    """
    if model in packaged_models():
        file = model_file(model)
        if file is None:
            packaged_model(model).require_extras()
            raise ModelError(
                f"the packaged model {model} is not on this machine yet", f"Run: neuron-atlas fetch {model}"
            )
        gguf_file = file.name if file.suffix == ".gguf" else None
        return Source(model, str(file.parent), gguf_file, packaged=True)
    try:
        path = Path(model).expanduser()
        if model and path.is_dir():
            return _folder(path)
        if path.is_file():
            return _file(path)
    except RuntimeError as error:  # the home of nobody
        raise ModelError(f"there is no model at {model[:_SHOWN]}", "Nobody of that name has a home here.") from error
    except OSError as error:  # not allowed to look, or a name longer than any file's
        raise ModelError(f"cannot read {model[:_SHOWN]}: {error.strerror}", _WHAT_NAMES) from error
    if model.startswith((".", "/", "~")) or path.suffix == ".gguf" or not _HUB_ID.fullmatch(model):
        raise ModelError(f"there is no model at {model[:_SHOWN]}", _WHAT_NAMES)
    return Source(model, model, is_local=False)


def suggestion(model: str) -> str:
    """A hint for an id that could not be had, naming a packaged model of nearly that name if there is one."""
    try:
        packaged_model(model)
    except UnknownNameError as error:
        return error.hint if error.hint.startswith("Did you mean") else ""
    return ""


def _folder(path: Path) -> Source:
    if not (path / "config.json").is_file():
        ggufs = sorted(path.glob("*.gguf"))
        hint = f"Name the file itself, as in {ggufs[0]}." if ggufs else "A checkpoint's folder has a config.json."
        raise ModelError(f"{path} has no config.json", hint)
    if (path / "adapter_config.json").is_file():
        raise ModelError(f"{path} holds a LoRA adapter", "Merge it into its base model and save that.")
    if not any(path.glob("*.safetensors")):
        pickled = [file.name for file in sorted(path.iterdir()) if file.suffix in _PICKLED]
        if pickled:
            raise ModelError(
                f"{path} has only pickled weights ({pickled[0]}), and unpickling a file can run any code",
                "Convert the checkpoint to safetensors on a machine where you trust it.",
            )
        raise ModelError(f"{path} has no weights", "Weights come as *.safetensors or a .gguf file.")
    return Source(path.resolve().name, str(path))


def _file(path: Path) -> Source:
    if path.suffix != ".gguf":
        raise ModelError(
            f"{path} is a {path.suffix or 'plain'} file",
            "Weights come as a folder of safetensors or a .gguf file.",
        )
    with path.open("rb") as stream:
        if stream.read(4) != b"GGUF":
            raise ModelError(f"{path} is not a GGUF file", "It may be a download that broke off.")
    return Source(path.stem, str(path.parent), path.name)
