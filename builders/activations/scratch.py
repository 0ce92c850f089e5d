"""Pooled activations during a build: float32 [rows, width] per site and layer, on disk or on the GPU.

Exact AUC and measured coverage need every activation of a neuron at once, which memory cannot hold for all
neurons of a large model. Files can: they are appended batch by batch, and read back by tiles of neurons. A GPU
would wait for them, so there they stay in its memory where half of what is free holds them.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from atlas.errors import BuildError


def scratch_for(folder: Path, device: torch.device, n_values: int) -> Scratch | DeviceScratch:
    """Where to keep n_values activations that are computed on `device`."""
    if device.type == "cuda" and 4 * n_values <= torch.cuda.mem_get_info(device)[0] // 2:
        return DeviceScratch(device)
    return Scratch(folder)


class Scratch:
    """The files of one corpus under `folder`."""

    survives = True
    """Whether a killed build finds it again."""

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

    def append(self, site: str, layer: int, acts_RN: Tensor) -> None:
        """Add rows, float32."""
        with open(self._file(site, layer), "ab") as file:
            file.write(np.ascontiguousarray(acts_RN.cpu().numpy(), dtype="<f4").data)

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


class DeviceScratch:
    """The same in the memory of a device. Gone with the process: a killed build runs the forward pass again."""

    survives = False

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._acts: dict[tuple[str, int], Tensor] = {}
        self._rows: dict[tuple[str, int], int] = {}

    def prepare(self, sizes: dict[tuple[str, int], int], rows: int) -> None:
        """Take the memory. `sizes`: the width of each (site, layer)."""
        self._acts = {place: torch.empty((rows, width), device=self.device) for place, width in sizes.items()}
        self._rows = dict.fromkeys(sizes, 0)

    def append(self, site: str, layer: int, acts_RN: Tensor) -> None:
        """Add rows, float32."""
        start = self._rows[site, layer]
        self._rows[site, layer] = start + len(acts_RN)
        self._acts[site, layer][start : start + len(acts_RN)] = acts_RN

    def truncate(self, sizes: dict[tuple[str, int], int], rows: int) -> None:
        """Cut back to `rows` rows."""
        self._rows = dict.fromkeys(sizes, rows)

    def read(self, site: str, layer: int, rows: int, width: int) -> Tensor:
        """acts_RN [rows, width], on the device."""
        return self._acts[site, layer][:rows, :width]

    def remove(self) -> None:
        """Give the memory back."""
        self._acts.clear()
