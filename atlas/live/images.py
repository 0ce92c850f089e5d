"""The images that a model's image tower reads: a table of files, and some that are made up; as the model's own pixels.

Image files are hostile until read: what they are is decided by their content alone, their size is looked at before
anything is unpacked, and whatever fails is one line that names the file.
"""

from __future__ import annotations

import hashlib
import stat
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from atlas.errors import CorpusError, ModelError
from atlas.extras import require
from atlas.live.damaged import Damaged, read_json_file
from atlas.live.shards import Find

if TYPE_CHECKING:
    from PIL.Image import Image

    from atlas.live.adapters.base import Adapter

FORMATS = ("JPEG", "PNG", "WEBP")
MADE_UP = 64
"""Images that are made up, for a state that no folder of images decides."""
_MOST_PIXELS, _MOST_BYTES = 50_000_000, 64 << 20
_LARGEST_SIDE = 4096
_SETTINGS = {
    "do_resize", "size", "resample", "do_center_crop", "crop_size", "do_rescale", "rescale_factor", "do_normalize",
    "image_mean", "image_std", "do_convert_rgb",
}  # fmt: skip


class Images:
    """Images by number. From 0 on: files, in the order in which they were added. -1 to -MADE_UP: made up ones."""

    def __init__(self, processor: Any, side: int, patch: int) -> None:
        """`side`: of the square of pixels that the model reads; `patch`: of the squares that it is cut into."""
        self.files: list[Path] = []
        self.side, self.grid = side, side // patch
        self._processor = processor
        self._digests: list[str] = []

    @property
    def n_tokens(self) -> int:
        """Of each image: the class token, and a token for each patch, row by row."""
        return 1 + self.grid**2

    def add(self, files: Sequence[Path]) -> list[int]:
        """Put files into the table; their numbers. Raises CorpusError for one that is no image that can be read."""
        first = len(self.files)
        for file in files:
            self._digests.append(_digest(file))
            with warnings.catch_warnings():
                _opened(file).close()  # a wrong one is met before hours of work
            self.files.append(file)
        return list(range(first, len(self.files)))

    def row(self, number: int) -> list[int]:
        """An image as tokens."""
        return [number] * self.n_tokens

    def sample(self, most: int) -> list[int]:
        """At most so many of the files, at equal distances; where there are none, all that are made up."""
        if not self.files:
            return [-number for number in range(1, MADE_UP + 1)]
        count = len(self.files)
        return [index * count // min(most, count) for index in range(min(most, count))]

    @property
    def sha256(self) -> str:
        """Of the content of all files, in order."""
        return hashlib.sha256("\n".join(self._digests).encode()).hexdigest()

    def pixels(self, numbers_B: Tensor) -> Tensor:
        """[B, 3, side, side] float32, as the model's own image processor makes them. CorpusError for a damaged file."""
        found = [self._read(int(number)) for number in numbers_B]
        return torch.stack(found)

    def _read(self, number: int) -> Tensor:
        if number < 0:
            return self._processed(_made_up(-number - 1, self.side), f"made-up image {-number}")
        file = self.files[number]
        with _opened(file) as image:
            try:
                from PIL.ImageOps import exif_transpose

                image.load()
                upright = exif_transpose(image)
                return self._processed(upright.convert("RGB"), str(file))
            except CorpusError:
                raise
            except Exception as error:  # Pillow's decoders raise anything
                raise _unreadable(file, str(error) or type(error).__name__) from error

    def _processed(self, image: Image, name: str) -> Tensor:
        found: Tensor = self._processor(image, return_tensors="pt")["pixel_values"][0].float()
        if tuple(found.shape) != (3, self.side, self.side) or not bool(torch.isfinite(found).all()):
            raise ModelError(
                f"the image processor makes {tuple(found.shape)} of {name}, and the model reads "
                f"{(3, self.side, self.side)}",
                "preprocessor_config.json is of another model.",
            )
        return found


def image_processor(find: Find, adapter: Adapter, model_id: str) -> Any:
    """transformers' image processor with the checkpoint's own settings, without torchvision.

    Raises ModelError where the checkpoint has no settings, or some that cannot be meant.
    """
    require("PIL", "vision", "to read images")
    try:
        settings = _settings(find)
    except Damaged as error:
        raise ModelError(
            f"cannot load the image processor of {model_id}: {error}", "The file may be damaged."
        ) from None
    if settings is None:
        raise ModelError(
            f"{model_id} has no preprocessor_config.json, which says how images become pixels",
            "Take it from the original checkpoint.",
        )
    import transformers

    found = next(filter(None, (getattr(transformers, name, None) for name in adapter.image_processors)), None)
    if found is None:
        raise ModelError(f"transformers {transformers.__version__} has no {adapter.image_processors[0]}")
    return found(**settings)


def _settings(find: Find) -> dict[str, Any] | None:
    """The settings of the image processor that its class knows. Raises Damaged for a value that is none."""
    raw: Any = None
    path = find("preprocessor_config.json")
    if path is not None:
        raw = read_json_file(path, 1 << 20)
    elif (whole := find("processor_config.json")) is not None:
        value = read_json_file(whole, 1 << 20)
        raw = value.get("image_processor") if isinstance(value, dict) else value
    if raw is None:
        return None
    if not isinstance(raw, dict):
        raise Damaged("its settings are no JSON object")
    kept = {name: raw[name] for name in _SETTINGS & raw.keys() if raw[name] is not None}
    for name, value in kept.items():
        if not _is_meant(name, value):
            raise Damaged(f"{name} is {str(value)[:60]}")
    return kept


def _is_meant(name: str, value: Any) -> bool:
    if name.startswith("do_"):
        return isinstance(value, bool)
    if name in ("size", "crop_size"):
        sides = list(value.values()) if isinstance(value, Mapping) else [value]
        return bool(sides) and all(type(side) is int and 1 <= side <= _LARGEST_SIDE for side in sides)
    if name == "resample":
        return type(value) is int and 0 <= value <= 5
    numbers = [value] if name == "rescale_factor" else value
    if not isinstance(numbers, list) or (name != "rescale_factor" and len(numbers) != 3):
        return False
    low = -1e3 if name == "image_mean" else 1e-6
    return all(isinstance(number, int | float) and low <= number <= 1e3 for number in numbers)


def _digest(file: Path) -> str:
    """sha256 of a plain file of reasonable size. Raises CorpusError."""
    try:
        found = file.stat()
        if not stat.S_ISREG(found.st_mode):
            raise CorpusError(f"{file} is no regular file", "Remove it from the folder.")
        if found.st_size > _MOST_BYTES:
            raise CorpusError(f"{file} has {found.st_size} bytes; {_MOST_BYTES} are read", "Make the image smaller.")
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise CorpusError(f"{file} cannot be read: {error.strerror}") from None


def _opened(file: Path) -> Image:
    """The image, not unpacked yet. Raises CorpusError for another format, and for one that unpacks to too much."""
    from PIL import Image as pillow
    from PIL import UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes, which are looked at here
            image = pillow.open(file, formats=FORMATS)
    except (UnidentifiedImageError, pillow.DecompressionBombError, OSError, ValueError, SyntaxError) as error:
        known = ", ".join(FORMATS)
        what = "is larger than any picture" if isinstance(error, pillow.DecompressionBombError) else f"is no {known}"
        raise CorpusError(f"{file} {what}", "Remove it from the folder, or convert it.") from None
    except Exception as error:  # Pillow's parsers raise anything
        raise _unreadable(file, str(error) or type(error).__name__) from None
    if image.width * image.height > _MOST_PIXELS:
        size = f"{image.width} x {image.height}"
        image.close()
        raise CorpusError(f"{file} has {size} pixels; {_MOST_PIXELS} are read", "Make the image smaller.")
    return image


def _unreadable(file: Path, said: str) -> CorpusError:
    return CorpusError(f"{file} is a damaged image: {said[:100]}", "Remove it from the folder.")


def _made_up(index: int, side: int) -> Image:
    """A picture that goes from one of 64 colours at one corner to another one at the opposite corner."""
    import numpy as np
    from PIL import Image as pillow

    def colour(number: int) -> Any:
        return np.array([number % 4, number // 4 % 4, number // 16 % 4], float) * 85

    along = np.add.outer(np.arange(side), np.arange(side)) / max(1, 2 * (side - 1))
    start, end = colour(index), colour(37 * (index + 1))
    picture = start + (end - start) * along[..., None]
    return pillow.fromarray(np.round(picture).astype(np.uint8), "RGB")
