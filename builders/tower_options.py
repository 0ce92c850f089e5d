"""The options of a build that are about a tower of a model that reads texts and images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from atlas import sites
from atlas.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from builders.config import BuildConfig


def check_tower(config: BuildConfig) -> None:
    """Raise UsageError for options of towers without one, and for what the tower has to be given or cannot have."""
    if config.tower is None:
        of_towers = (config.word_list, config.images, config.second_order)
        for option, given in zip(("--words", "--images", "--second-order"), of_towers, strict=True):
            if given:
                raise UsageError(f"{option} is of a model's tower", "Add --tower text or --tower image.")
        return
    if config.tower not in sites.TOWERS:
        raise UnknownNameError("tower", config.tower, sites.TOWERS)
    if config.word_list is None and (config.decode or config.tower == "image"):
        raise UsageError(
            f"neurons of the {config.tower} tower are decoded to words",
            "Name a file of them, one a line: --words FILE.",
        )
    if config.tower == "text":
        if config.images or config.second_order:
            raise UsageError("a text tower reads no images", "Use --tower image.")
        if config.position == "cls":
            raise UsageError("the first token of a text tower sees nothing of a text", "Use --position last.")
        return
    if config.second_order and not config.images:
        raise UsageError("--second-order is measured over images", "Name a folder of them: --images FOLDER.")
    if config.texts:
        raise UsageError("an image tower reads no --texts", "Name a folder of images: --images FOLDER.")
    if config.position in ("last", "mask"):
        raise UsageError(f"--position {config.position} is of texts", "Of an image: cls, mean, max or all.")
    if config.pool != "prompt" or any(source.template != "{text}" for source in config.concepts):
        raise UsageError("--pool text and --template are of texts", "Leave them out.")


def tower_parameters(config: BuildConfig) -> dict[str, Any]:
    """Those of them that decide the rows."""
    return {"tower": config.tower, "word_list": config.word_list, "images": list(config.images)} | {
        "second_order": list(config.second_order)
    }
