"""All that a GPU has to show, in eight minutes: tests of every device path, then speed, then the pages made from it.

Run: make gpu, or python -m benchmarks.gpu.main [--device cuda] [--tiny] [--minutes 8]

`--device cpu --tiny` rehearses every step on a processor in a minute and keeps nothing. A step is a process of its own,
ended where the time is up; those before it have kept what they found.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time

LEFT_FOR_PAGES = 10
"""Seconds."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true", help="small shapes; nothing is kept")
    parser.add_argument("--minutes", type=float, default=8)
    options = parser.parse_args()
    if options.device.startswith("cuda"):
        import torch

        if not torch.cuda.is_available():
            parser.error("no CUDA device is here; --device cpu --tiny rehearses the script")
    elif not options.tiny:
        parser.error("on a processor only a rehearsal makes sense: add --tiny")
    end = time.monotonic() + 60 * options.minutes
    failed = [name for name, command in _steps(options).items() if not _done(name, command, end, options.device)]
    if not options.tiny:
        for page in ("benchmarks.gpu.pages", "benchmarks.common.report"):
            _done("pages", ["-m", page], end + LEFT_FOR_PAGES, options.device)
    sys.stdout.write(f"{', '.join(failed)}: failed\n" if failed else "all steps done\n")
    raise SystemExit(bool(failed))


def _steps(options: argparse.Namespace) -> dict[str, list[str]]:
    """Step -> arguments of Python. What is worth most comes first."""
    device = ["--device", options.device]
    whole = ["-m", "benchmarks.gpu.whole", *device]
    if options.tiny:
        whole += ["--shape", "tiny", "--per-concept", "20", "--tokens", "3000", "--rehearse"]
        topk = ["-m", "benchmarks.speed.topk", *device, "--shape", "tiny", "--rounds", "1", "--rehearse"]
    else:
        topk = ["-m", "benchmarks.speed.topk", *device, "--shape", "llama-3.1-8b"]
    return {"tests": ["-m", "pytest", "-q", "tests/gpu"], "top-k": topk, "whole build": whole}


def _done(name: str, command: list[str], end: float, device: str) -> bool:
    """Run a step in what is left of the time; whether it succeeded."""
    left, start = end - time.monotonic(), time.monotonic()
    if left <= 0:
        sys.stdout.write(f"{name}: no time left\n")
        return False
    environment = {**os.environ, "NEURON_ATLAS_GPU_DEVICE": device}
    try:
        code = subprocess.run([sys.executable, *command], env=environment, timeout=left, check=False).returncode
    except subprocess.TimeoutExpired:
        sys.stdout.write(f"{name}: ended after {left:.0f} s, as the time is up\n")
        return False
    sys.stdout.write(f"{name}: {'done' if code == 0 else 'failed'} in {time.monotonic() - start:.0f} s\n")
    sys.stdout.flush()
    return code == 0


if __name__ == "__main__":
    main()
