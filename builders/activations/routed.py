"""Pooled activations of experts during a build: which text and expert each row is of, and the rows, on disk.

A layer's experts see different texts, so that no matrix of texts by neurons exists. Rows of all its routed experts
stand in one file as they come, batch by batch, and a log says whose they are; one expert's are read together.
Axes: V values (rows) of an expert, N units, L entries of the log.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np

from atlas.errors import BuildError
from atlas.live.pooling import RoutedValues

BATCH, EXPERT, TEXT, TOKENS, VALUES = range(5)
"""Columns of the log: of one text and one expert, how many tokens were routed there, and how many rows it has."""


class RoutedScratch:
    """The files of one corpus under `folder`. A killed build finds them again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def prepare(self, n_values: int) -> None:
        """Make the folder. `n_values`: float32 numbers at most. Raises BuildError if the disk is too small."""
        self.folder.mkdir(parents=True, exist_ok=True)
        present = sum(file.stat().st_size for file in self.folder.iterdir())
        free = shutil.disk_usage(self.folder).free + present
        if 4 * n_values > free:
            raise BuildError(
                f"the activations of experts need up to {4 * n_values / 1e9:.1f} GB of disk beside the atlas, "
                f"{free / 1e9:.1f} GB are free",
                "Choose fewer --sites or --layers, or --limit-per-concept.",
            )

    def append(self, site: str, layer: int, batch: int, expert: int, texts_B: np.ndarray, found: RoutedValues) -> None:
        """Add what one expert gives of a batch; `texts_B`: the text of each of its rows."""
        tokens_B = found.tokens_B.cpu().numpy()
        values_B = np.bincount(found.rows_V.cpu().numpy(), minlength=len(tokens_B))
        (reached,) = np.nonzero(tokens_B)
        entries = np.empty((len(reached), 5), "<i4")
        entries[:, BATCH], entries[:, EXPERT] = batch, expert
        entries[:, TEXT] = texts_B[reached]
        entries[:, TOKENS], entries[:, VALUES] = tokens_B[reached], values_B[reached]
        with open(self._values(site, layer), "ab") as file:
            file.write(np.ascontiguousarray(found.values_VN.cpu().numpy(), dtype="<f4").data)
        with open(self._log(site, layer), "ab") as file:
            file.write(entries.data)

    def truncate(self, site: str, layer: int, width: int, finished: int) -> None:
        """Cut back to the first `finished` batches: what a killed build wrote beyond its last note is dropped."""
        log, values = self._log(site, layer), self._values(site, layer)
        if not finished:
            for path in (log, values):
                path.unlink(missing_ok=True)
            return
        size = log.stat().st_size if log.exists() else 0
        log_L5 = np.fromfile(log, "<i4", count=size // 20 * 5).reshape(-1, 5) if size else np.empty((0, 5), "<i4")
        kept_L5 = log_L5[log_L5[:, BATCH] < finished]
        bytes_of_values = 4 * width * int(kept_L5[:, VALUES].sum(dtype=np.int64))
        if not len(kept_L5) or (values.stat().st_size if values.exists() else 0) < bytes_of_values:
            raise BuildError(f"the scratch file {values.name} of the interrupted build is gone", "Use --restart.")
        os.truncate(log, kept_L5.nbytes)
        os.truncate(values, bytes_of_values)

    def log(self, site: str, layer: int) -> np.ndarray:
        """int32 [L, 5], in the order in which they came."""
        path = self._log(site, layer)
        return np.fromfile(path, "<i4").reshape(-1, 5) if path.exists() else np.empty((0, 5), "<i4")

    def read(self, site: str, layer: int, width: int, log_L5: np.ndarray, expert: int) -> tuple[np.ndarray, np.ndarray]:
        """(text of each row [V], acts_VN) of one expert, in the order of the forward pass; a copy of its rows."""
        n_rows = int(log_L5[:, VALUES].sum(dtype=np.int64))
        ends_L = np.cumsum(log_L5[:, VALUES], dtype=np.int64)
        mine = np.flatnonzero(log_L5[:, EXPERT] == expert)
        counts = log_L5[mine, VALUES]
        rows_V = np.repeat(ends_L[mine] - counts.cumsum(dtype=np.int64), counts) + np.arange(counts.sum())
        if not len(rows_V):
            return np.empty(0, np.int64), np.empty((0, width), np.float32)
        values = np.memmap(self._values(site, layer), dtype="<f4", mode="r", shape=(n_rows, width))
        return np.repeat(log_L5[mine, TEXT].astype(np.int64), counts), values[rows_V]

    def remove(self) -> None:
        """Delete all files."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _values(self, site: str, layer: int) -> Path:
        return self.folder / f"{site}.L{layer}.routed.f32"

    def _log(self, site: str, layer: int) -> Path:
        return self.folder / f"{site}.L{layer}.routed.i32"
