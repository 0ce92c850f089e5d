"""How much memory decoding takes of a model that no memory here holds. Writes docs/results/streamed_decoding.md.

Run: python -m benchmarks.memory.streamed FOLDER [--layers 2] [--neurons 64] [--vocabulary 128256]

Makes in FOLDER (6 GB of disk) a checkpoint with the shapes of a Llama of 70B, but few layers, and U tied to the
embedding: bfloat16, random, one shard a layer. Another process then does what a build does that needs weights alone
(`build --layers`, of the last layer): it opens the model, checks it, hashes all of it, and decodes each weight of the
layer; of its vectors, which it reads and converts whole, the first --neurons are searched, as all would take hours on
two cores. Reported is the largest memory that the process held
by itself at any time (RssAnon of /proc/PID/status, read 50 times a second): pages of mapped files are the system's to
drop, and are reported apart. The process runs under a limit (RLIMIT_DATA) below the weights of the whole model:
whatever it asked for beyond would end it.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

REPORT = Path(__file__).parents[2] / "docs" / "results" / "streamed_decoding.md"
D_MODEL, D_MLP, D_VOCAB, HEADS, KEYS = 8192, 28672, 128_256, 64, 8
FULL_LAYERS = 80
_TILE = 1 << 24  # random numbers that are written again and again: no two rows of a matrix are alike


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--neurons", type=int, default=64)
    parser.add_argument("--memory", type=int, default=500_000_000)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--vocabulary", type=int, default=D_VOCAB, help="128256 as Llama 3.1 has, 32000 as Llama 2")
    options = parser.parse_args()
    globals()["D_VOCAB"] = options.vocabulary
    if options.inside:
        sys.stdout.write(json.dumps(measure(options.folder, options.neurons, options.memory)) + "\n")
        return
    if not (options.folder / "config.json").exists():
        write_checkpoint(options.folder, options.layers)
    limit = bound(options.memory) + largest_shard(options.folder)  # a mapped file counts for this limit
    command = [sys.executable, "-m", "benchmarks.memory.streamed", str(options.folder), "--inside"]
    command += ["--neurons", str(options.neurons), "--memory", str(options.memory)]
    command += ["--vocabulary", str(options.vocabulary)]
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (limit, limit)),
    )
    REPORT.write_text(report(json.loads(done.stdout), options, limit), encoding="utf-8")
    sys.stdout.write(f"{REPORT}\n")


def bound(memory: int) -> int:
    """U and one weight of one layer in float32, what the options allow the search, and the libraries."""
    return 4 * D_MODEL * (D_VOCAB + D_MLP) + memory + LIBRARIES


LIBRARIES = 1_500_000_000
"""What torch, transformers and threads take of the limit, which counts memory that is reserved and never touched."""


def write_checkpoint(folder: Path, n_layers: int) -> None:
    """Shards of random bfloat16 numbers with the names of Llama, the config, and a tokenizer of so many words."""
    import torch
    from safetensors.torch import save_file
    from tokenizers import Tokenizer, models
    from transformers import LlamaConfig, PreTrainedTokenizerFast

    folder.mkdir(parents=True)
    generator = torch.Generator().manual_seed(0)
    tile = (torch.randn(2 * _TILE, generator=generator) * 0.02).bfloat16()

    def random(*shape: int) -> torch.Tensor:
        flat = torch.empty(shape[0] * shape[1], dtype=torch.bfloat16)
        for number, part in enumerate(flat.split(_TILE)):  # each begins elsewhere in the same numbers
            part.copy_(tile[4099 * number :][: len(part)])
        return flat.view(shape)

    width = D_MODEL // HEADS
    shards = {"model-embedding.safetensors": {"model.embed_tokens.weight": (D_VOCAB, D_MODEL)}}
    shards["model-norm.safetensors"] = {"model.norm.weight": (D_MODEL,)}
    for layer in range(n_layers):
        shapes = {
            "self_attn.q_proj": (D_MODEL, D_MODEL),
            "self_attn.k_proj": (KEYS * width, D_MODEL),
            "self_attn.v_proj": (KEYS * width, D_MODEL),
            "self_attn.o_proj": (D_MODEL, D_MODEL),
            "mlp.gate_proj": (D_MLP, D_MODEL),
            "mlp.up_proj": (D_MLP, D_MODEL),
            "mlp.down_proj": (D_MODEL, D_MLP),
            "input_layernorm": (D_MODEL,),
            "post_attention_layernorm": (D_MODEL,),
        }
        named = {f"model.layers.{layer}.{name}.weight": shape for name, shape in shapes.items()}
        shards[f"model-layer-{layer}.safetensors"] = named
    for file, named in shards.items():
        tensors = {name: torch.ones(shape, dtype=torch.bfloat16) if len(shape) == 1 else random(*shape)
                   for name, shape in named.items()}  # fmt: skip
        save_file(tensors, folder / file, {"format": "pt"})
    places = {name: file for file, named in shards.items() for name in named}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    LlamaConfig(
        vocab_size=D_VOCAB, hidden_size=D_MODEL, intermediate_size=D_MLP, num_hidden_layers=n_layers,
        num_attention_heads=HEADS, num_key_value_heads=KEYS, max_position_embeddings=131_072, tie_word_embeddings=True,
        dtype="bfloat16", bos_token_id=0, eos_token_id=1,
    ).save_pretrained(folder)  # fmt: skip
    words = Tokenizer(models.WordLevel({f"w{token}": token for token in range(D_VOCAB)}, unk_token="w0"))
    PreTrainedTokenizerFast(tokenizer_object=words, unk_token="w0", bos_token="w0", eos_token="w1").save_pretrained(
        folder
    )


def model_bytes() -> int:
    """Of all parameters of the whole model in float32, its LM head apart from the embedding as Llama's is."""
    attention = D_MODEL * (2 * D_MODEL + 2 * KEYS * D_MODEL // HEADS)
    return 4 * (FULL_LAYERS * (attention + 3 * D_MODEL * D_MLP) + 2 * D_VOCAB * D_MODEL)


def largest_shard(folder: Path) -> int:
    return max(file.stat().st_size for file in folder.glob("*.safetensors"))


class Peak:
    """The largest RssAnon and RssFile of this process between entering and leaving, in bytes."""

    def __enter__(self) -> Peak:
        self.anonymous = self.mapped = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.is_set():
            anonymous, mapped = held()
            self.anonymous, self.mapped = max(self.anonymous, anonymous), max(self.mapped, mapped)
            time.sleep(0.02)


def held() -> tuple[int, int]:
    """(RssAnon, RssFile) of this process, bytes."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
    return tuple(int(fields[name].split()[0]) * 1024 for name in ("RssAnon", "RssFile"))  # type: ignore[return-value]


def measure(folder: Path, n_neurons: int, memory: int) -> dict[str, Any]:
    """The inside: peaks by stage."""
    import torch

    from atlas.live.loading import load
    from atlas.live.vocabulary import vocabulary
    from builders.build.plan import Plan
    from builders.config import BuildConfig
    from builders.decoding.decode import Decoder, require_finite

    libraries = held()[0]
    stages: list[tuple[str, int, int, float]] = []

    def stage(name: str, work: Any) -> Any:
        start = time.perf_counter()
        with Peak() as peak:
            result = work()
        stages.append((name, peak.anonymous, peak.mapped, time.perf_counter() - start))
        sys.stderr.write(f"{stages[-1]}\n")
        return result

    live = stage("open, check, hash", lambda: load(str(folder), device="cpu", dtype="float32", weights_only=True))
    last = live.n_layers - 1
    config = BuildConfig(str(folder), Path("none.duckdb"), mode="raw", layers=(last,), memory=memory)
    tokens = vocabulary(live.tokenizer, live.d_vocab)
    decoder = stage("prepare U", lambda: Decoder(Plan(config, live, tokens, [last])))
    whole = type(live).weight_parts

    def some(self: Any, name: str, layer: int) -> Any:
        for first, part_ND in whole(self, name, layer):
            require_finite(name, layer, part_ND)
            # A slice of a matrix that was read and converted whole, and that it keeps in memory.
            yield first, part_ND[:n_neurons]

    type(live).weight_parts = some  # type: ignore[method-assign]
    rows = 0
    for weight in live.weights():
        made = stage(f"decode {weight}", lambda weight=weight: decoder.run(f"{weight}/{last}"))
        rows += made["_decoding"].num_rows
    return {
        "libraries": libraries, "stages": stages, "rows": rows, "fingerprint": live.fingerprint,
        "n_layers": live.n_layers, "torch": torch.__version__,
        "weights": sum(file.stat().st_size for file in folder.glob("*.safetensors")),
    }  # fmt: skip


def report(found: dict[str, Any], options: argparse.Namespace, limit: int) -> str:
    """docs/results/streamed_decoding.md."""

    def gigabytes(n_bytes: float) -> str:
        return f"{n_bytes / 1e9:.2f} GB"

    u, weight = 4 * D_VOCAB * D_MODEL, 4 * D_MLP * D_MODEL
    peak = max(stage[1] for stage in found["stages"])
    lines = [f"| {name} | {gigabytes(held)} | {gigabytes(mapped)} | {seconds:.0f} s |"
             for name, held, mapped, seconds in found["stages"]]  # fmt: skip
    together = gigabytes(u + weight + options.memory + found["libraries"])
    stages = "\n".join(lines)
    return f"""# Memory of a streamed decode

Shapes of a Llama of 70B: d_model {D_MODEL:,}, {D_MLP:,} neurons a layer, {D_VOCAB:,} tokens, bfloat16, computed
in float32. On disk are {gigabytes(found["weights"])}, {options.layers} of the {FULL_LAYERS} layers of such a model:
neither U nor one weight depends on their number.
**Loaded, the whole model would take {gigabytes(model_bytes())} in float32**, half of it in bfloat16.

Written by `python -m benchmarks.memory.streamed FOLDER --layers {options.layers} --neurons {options.neurons}`,
whose docstring says how it measures; FOLDER is made, and can go afterwards.

| stage | held by the process, peak | mapped files, peak | took |
| --- | ---: | ---: | ---: |
{stages}

| what | bytes |
| --- | ---: |
| U in float32 | {gigabytes(u)} |
| one weight of one layer in float32 | {gigabytes(weight)} |
| what the search was allowed (`--memory`) | {gigabytes(options.memory)} |
| what libraries hold before anything of the model is read | {gigabytes(found["libraries"])} |
| together | {together} |
| **the most that was held** | **{gigabytes(peak)}** |
| limit of the process, with its largest shard, as mapped files count for it | {gigabytes(limit)} |

Of each weight {options.neurons} neurons were searched ({found["rows"]} decodings). Times are of a busy
machine.
"""


if __name__ == "__main__":
    main()
