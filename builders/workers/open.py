"""From what `--workers` says to a pool of them."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from atlas.errors import UsageError
from builders.progress import Silent
from builders.workers.task import LOOPBACK

if TYPE_CHECKING:
    from atlas.store.staging import Staging
    from builders.activations.storage import Storage
    from builders.build.plan import Plan
    from builders.build.product import Product
    from builders.workers.pool import Pool
    from builders.workers.task import Setup

MOST = 1024


class Workers(NamedTuple):
    """`number`: None, as many as a cluster has room for. `address`: of a Ray cluster; None: processes of this one."""

    number: int | None
    address: str | None


def check_workers(said: str | int | None) -> Workers | None:
    """What is meant. Raises UsageError, or MissingExtraError where Ray is not installed."""
    if said is None:
        return None
    text = str(said)
    if re.fullmatch("[0-9]{1,4}", text) and 1 <= int(text) <= MOST:
        return Workers(int(text), None)
    if text == "ray" or (text.startswith("ray:") and len(text) > 4):
        from builders.workers.on_ray import require_ray

        address = text[4:] or LOOPBACK
        require_ray(address)
        return Workers(None, address)
    raise UsageError(f"--workers {text[:60]!r} is neither 1 to {MOST} nor ray or ray:ADDRESS", "Write --workers 2.")


def import_early(said: str | int | None, device: str) -> None:
    """Where processes of this machine will work on its processor, let them import meanwhile what they need."""
    wanted = check_workers(said)
    if wanted is not None and wanted.address is None and device in ("auto", "cpu"):
        from builders.workers.local import begin_importing

        begin_importing()


@contextmanager
def pool_for(
    said: str | int | None,
    plan: Plan,
    products: Sequence[Product],
    staging: Staging,
    progress: Silent,
    storage: Storage | None = None,
) -> Iterator[Pool | None]:
    """Workers for as long as the context lasts; None where there are to be none."""
    wanted = check_workers(said)
    if wanted is None:
        yield None
        return
    from builders.workers.pool import Pool

    if wanted.address is None:
        import torch

        from builders.workers.local import LocalWorker

        assert wanted.number is not None
        threads = max(1, torch.get_num_threads() // wanted.number) if plan.live.device.type == "cpu" else None
        setup, folder = _setup(plan, products, staging, threads, storage), staging.scratch.absolute()
        # With blocks elsewhere each has a folder of its own, which goes with the build however the worker ends.
        setups = [
            replace(setup, device=_device(plan, index), scratch=folder if storage is None else folder / f".{index + 1}")
            for index in range(wanted.number)
        ]
        with Pool(wanted.number, LocalWorker, setups, progress) as pool:
            yield pool
        return
    from builders.workers.on_ray import cluster

    with cluster(wanted.address) as (number, start):
        setup = _setup(plan, products, staging, None, storage)
        folder = None if storage is not None else staging.scratch.absolute()
        setups = [replace(setup, device=_device(plan, index), scratch=folder) for index in range(number)]
        with Pool(number, start, setups, progress) as pool:
            yield pool


def _setup(
    plan: Plan, products: Sequence[Product], staging: Staging, threads: int | None, storage: Storage | None
) -> Setup:
    """What all workers have in common."""
    from builders.build.inputs import weights_alone
    from builders.workers.task import Setup

    live = plan.live
    return Setup(
        pickle.dumps(replace(plan, live=None)),
        staging.scratch.absolute(),
        str(live.device),
        str(live.dtype).removeprefix("torch."),
        weights_alone(plan.config, products),
        live.fingerprint,
        threads,
        storage,
    )


def _device(plan: Plan, index: int) -> str:
    """Of one worker: with several GPUs they take turns."""
    import torch

    from atlas.live.devices import DEVICE_MAP

    asked, found = plan.config.device, plan.live.device
    if asked.startswith(DEVICE_MAP):
        return asked
    if asked in ("auto", "cuda") and found.type == "cuda":
        return f"cuda:{index % torch.cuda.device_count()}"
    return str(found)
