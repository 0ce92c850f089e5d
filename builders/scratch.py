"""Pooled activations on disk during a build: one float32 file [rows, width] per site and layer.

Exact AUC and measured coverage need every activation of a neuron at once, which memory cannot hold for all
neurons of a large model. The files can: they are appended batch by batch, and read back by tiles of neurons.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np

from atlas.errors import BuildError


class Scratch:
    """The files of one corpus under `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def prepare(self, sizes: dict[tuple[str, int], int], rows: int) -> None:
        """Make the folder. `sizes`: the width of each (site, layer). Raises BuildError if the disk is too small."""
        self.folder.mkdir(parents=True, exist_ok=True)
        needed = 4 * rows * sum(sizes.values())
        present = sum(file.stat().st_size for file in self.folder.iterdir())
        free = shutil.disk_usage(self.folder).free + present
        if needed > free:
            raise BuildError(
                f"the activations need {needed / 1e9:.1f} GB of disk beside the atlas, {free / 1e9:.1f} GB are free",
                "Choose fewer --sites or --layers, or --limit-per-concept.",
            )

    def append(self, site: str, layer: int, acts_RN: np.ndarray) -> None:
        """Add rows, float32."""
        with open(self._file(site, layer), "ab") as file:
            file.write(np.ascontiguousarray(acts_RN, dtype="<f4").tobytes())

    def truncate(self, sizes: dict[tuple[str, int], int], rows: int) -> None:
        """Cut every file back to `rows` rows: what a killed build wrote beyond its last note is dropped."""
        for (site, layer), width in sizes.items():
            path = self._file(site, layer)
            size = path.stat().st_size if path.exists() else 0
            if size < 4 * rows * width:
                raise BuildError(f"the scratch file {path.name} of the interrupted build is gone", "Use --restart.")
            if size:
                os.truncate(path, 4 * rows * width)

    def read(self, site: str, layer: int, rows: int, width: int) -> np.ndarray:
        """acts_RN [rows, width], memory-mapped."""
        return np.memmap(self._file(site, layer), dtype="<f4", mode="r", shape=(rows, width))

    def remove(self) -> None:
        """Delete all files."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _file(self, site: str, layer: int) -> Path:
        return self.folder / f"{site}.L{layer}.f32"
