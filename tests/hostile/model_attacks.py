"""Tiny checkpoints with one thing made hostile, and a process that loads them: `python -m tests.hostile.model_attacks`.

That process has no network, little memory, and ends loudly when anything is unpickled. It writes one JSON line a
case: the class of what `load` raised ("" for nothing), its text, and the seconds.
"""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import socket
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

MEMORY = 6 << 30
WEIGHTS, INDEX, GGUF = "model.safetensors", "model.safetensors.index.json", "model.gguf"

# Where a value may still be meant: a load that succeeds is no fault. (An honest value may also be drawn.)
HUGE = [2**31 - 1, 2**40, 2**63, 10**30, 1_000_000, 100_000]
WRONG = [*HUGE, -1, -7, 0, "8", "", [], [1, 2], {}, {"a": 1}, True, 1e300, 1e-300, 0.5, "x" * 5000, [[[[[[1]]]]]]]


class Foreign(BaseException):
    """What no `except Exception` hides: a network call, an unpickling, a hang."""


def edit(folder: Path, name: str, **fields: Any) -> None:
    path = folder / name
    value = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(value | fields))


def config_number(folder: Path, draw: random.Random) -> None:
    config = json.loads((folder / "config.json").read_text())
    edit(folder, "config.json", **{draw.choice(sorted(config)): draw.choice(WRONG)})


def config_code(folder: Path, draw: random.Random) -> None:
    other = "evil/kernel"
    fields = [
        {"attn_implementation": other},
        {"_attn_implementation": other},
        {"_attn_implementation_internal": other},
        {"attn_implementation": {"": other, "text_config": other}},
        {"experts_implementation": other},
        {"_experts_implementation": other},
        {"text_config": {"attn_implementation": other}},
        {"quantization_config": {"quant_method": "gptq", "auto_map": {"x": "evil--x.Y"}}},
        {"quantization_config": "gptq"},
        {"auto_map": {"AutoConfig": "evil/repo--evil.Config", "AutoModelForCausalLM": "evil/repo--evil.Model"}},
        {"transformers_weights": "weights.bin"},
        {"transformers_weights": "../weights.bin"},
        {"per_layer_config": {"0": {"intermediate_size": 10**9}}},
        {"fusion_config": {"patch_embeddings": True}},
        {"kernel_config": {"RMSNorm": "evil/kernel:RMSNorm"}, "use_kernels": True},
        {"custom_generate": "evil/repo"},
        {"num_labels": 10**9},
        {"id2label": {str(i): "x" for i in range(50_000)}},
        {"name_or_path": "evil/repo", "_name_or_path": "evil/repo", "_commit_hash": "0" * 40},
        {"per_layer_config": "x"},
        {"layer_types": ["full_attention"] * 100_000},
        {"rope_parameters": {"rope_type": "longrope", "long_factor": [1.0] * 9000, "short_factor": [1.0] * 9000}},
        {"rope_scaling": {"type": "no such", "factor": 1e30}},
        {"dtype": "complex64"},
        {"torch_dtype": "bool"},
        {"dtype": "__class__"},
        {"backbone_config": {"model_type": "timm_backbone"}},
    ]
    (folder / "weights.bin").write_bytes(b"cos\nsystem\n(S'touch ran'\ntR.")
    edit(folder, "config.json", **draw.choice(fields))


def config_text(folder: Path, draw: random.Random) -> None:
    path = folder / "config.json"
    text = path.read_text()
    twice = text.replace("{", '{"hidden_size": 1024,', 1)
    path.write_text(
        draw.choice(
            [
                twice,
                text.replace("16", draw.choice(["NaN", "Infinity", "-Infinity", "1" * 5000, "1e999"]), 1),
                '{"a":' * 100_000,
                "[" * 200_000,
                "",
                "null",
                text[: draw.randrange(len(text))],
                text + " " * (3 << 20),
                text.replace('"model_type"', '"model\\u0000type"'),
            ]
        )
    )


def index_places(folder: Path, draw: random.Random) -> None:
    """A decoy beside what the index names."""
    from tests.hostile.headers import names_of

    names = names_of(folder / WEIGHTS)
    (folder / WEIGHTS).rename(folder / "part.safetensors")
    (folder / "sub").mkdir()
    shutil.copy(folder / "part.safetensors", folder / "sub")
    outside = folder.parent / "outside.safetensors"
    shutil.copy(folder / "part.safetensors", outside)
    (folder / "link.safetensors").symlink_to(outside)
    (folder / "null.safetensors").symlink_to("/dev/zero")
    (folder / "loop.safetensors").symlink_to("loop.safetensors")
    os.mkfifo(folder / "pipe.safetensors")
    (folder / "weights.bin").write_bytes(b"cos\nsystem\n(S'touch ran'\ntR.")
    (folder / "weights.safetensors").write_bytes(b"cos\nsystem\n(S'touch ran'\ntR.")
    shard = draw.choice(
        [
            "weights.bin", "pytorch_model.bin", "weights.safetensors", "link.safetensors", "null.safetensors",
            "loop.safetensors", "pipe.safetensors", "sub/part.safetensors", "../x.safetensors", str(outside),
            "sub", "", ".", "missing.safetensors", "a" * 5000 + ".safetensors", "part.safetensors\n", 7, None,
            ["part.safetensors"], "-.safetensors",
        ]
    )  # fmt: skip
    whole = draw.random() < 0.5
    places = {name: shard if whole or name == names[-1] else "part.safetensors" for name in names}
    kind = draw.randrange(6)
    value: Any = {"weight_map": places}
    if kind == 0:
        value = draw.choice([[], None, {}, {"weight_map": []}, {"weight_map": {}}, {"weight_map": "x"}])
    text = json.dumps(value)
    if kind == 1:
        text = text.replace('"weight_map": {', '"weight_map": {' + f'"{names[0]}": "part.safetensors",', 1)
        text = text.replace(f'"{names[0]}": {json.dumps(shard)}', f'"{names[0]}": "weights.bin"')
    if kind == 2:
        text = json.dumps({"weight_map": places | {f"x{i}": "part.safetensors" for i in range(100_000)}})
    (folder / INDEX).write_text(text)


def header(folder: Path, draw: random.Random) -> None:
    path = folder / WEIGHTS
    content = path.read_bytes()
    (length,) = struct.unpack_from("<Q", content)
    entries, data = json.loads(content[8 : 8 + length]), content[8 + length :]
    name = draw.choice([name for name in entries if name != "__metadata__"])
    entry = entries[name]
    start, end = entry["data_offsets"]
    kind = draw.randrange(14)
    if kind == 0:
        entry["data_offsets"] = draw.choice(
            [[start, end + 4], [end, start], [0, 2**62], [-4, end], [start], "ab", None]
        )
    elif kind == 1:
        entry["dtype"] = draw.choice(["BOOL", "C64", "U32", "I64", "F8_E4M3", "F4", "", 7, None, ["F32"]])
    elif kind == 2:
        entry["shape"] = draw.choice([[], [2**40, 2**40], [-1], [1.5], "16", None, [1] * 500, [0], [2**63]])
    elif kind == 3:
        entries[name + "x"] = dict(entry)  # overlap
    elif kind == 4:
        data = data[: len(data) // 2]
    elif kind == 5:
        data += b"\0" * 64
    elif kind == 6:
        del entries[name]
    elif kind == 7:
        entries |= {f"x{i}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for i in range(50_000)}
    elif kind == 8:
        entries["y" * 100_000] = entry
    elif kind == 9:
        entry["dtype"], entry["shape"] = "I32", entry["shape"]
    elif kind == 10:
        entry["shape"] = entry["shape"][::-1] if entry["shape"][::-1] != entry["shape"] else [1, *entry["shape"]]
    elif kind == 11:
        entries["score.weight"] = entries.pop("lm_head.weight", entry)
    text = json.dumps(entries).encode()
    if kind == 12:
        text = draw.choice(
            [b"{" * 100_000, b"[]", b"null", b'{"a": NaN}', text[:-9], text.replace(b"{", b'{"a":1,"a":1,', 1)]
        )
    size = draw.choice([0, 2**63, 2**64 - 1, len(content), len(text) + 1]) if kind == 13 else len(text)
    path.write_bytes(struct.pack("<Q", size) + text + data)


def tokenizer(folder: Path, draw: random.Random) -> None:
    path = folder / "tokenizer.json"
    value = json.loads(path.read_text())
    replace = {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}
    bomb = {"type": "Sequence", "normalizers": [replace] * 40}
    deep: Any = {"type": "Lowercase"}
    for _ in range(100):
        deep = {"type": "Sequence", "normalizers": [deep]}

    def split(pattern: str) -> dict:
        return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}

    def added(i: int, text: str) -> dict:
        flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
        return {"id": i, "content": text, "special": True, **flags}

    several = [{"Sequence": {"id": "A", "type_id": 0}}] * 50_000
    choices: list[dict[str, Any]] = [
        {"normalizer": bomb},
        {"normalizer": {"type": "Replace", "pattern": {"Regex": ""}, "content": "x" * 1999}},
        {"normalizer": {"type": "Prepend", "prepend": "dog " * 1_000_000}},
        {"normalizer": {"type": "Replace", "pattern": {"String": "g"}, "content": "dog " * 1_000_000}},
        {"normalizer": {"type": "Replace", "pattern": {"String": ""}, "content": "ab"}},
        {"normalizer": deep},
        {"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFKD"}] * 10_000}},
        {"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"}},
        {"pre_tokenizer": split("(a+)+$")},
        {"pre_tokenizer": split("(a|aa)+$")},
        {"pre_tokenizer": split("([a-z]+)*\\d")},
        {"pre_tokenizer": split("(?:a{1,1000}){1,1000}")},
        {"pre_tokenizer": split("(" * 500)},
        {"decoder": {"type": "Sequence", "decoders": [replace] * 40}},
        {"post_processor": {"type": "TemplateProcessing", "single": several, "pair": [], "special_tokens": {}}},
        {"padding": {"strategy": {"Fixed": 10**10}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0,
                     "pad_type_id": 0, "pad_token": "x"}},
        {"truncation": {"direction": "Right", "max_length": 0, "strategy": "LongestFirst", "stride": 9}},
        {"added_tokens": [added(1000 + i, f"<{i}>") for i in range(1_000_000)]},
        {"added_tokens": [added(2**31 + 5, "<far>")]},
        {"model": {"type": "WordLevel", "vocab": {"a": 2**32 - 1}, "unk_token": "a"}},
        {"model": {"type": "BPE", "vocab": {}, "merges": ["a b"] * 10}},
        {"model": {"type": "Unigram", "unk_id": 5, "vocab": [["a", float("1e308")]]}},
        {"model": {"type": "no such"}},
        {"model": None},
        {"version": "9"},
    ]  # fmt: skip
    path.write_text(json.dumps(value | draw.choice(choices)))


def other_files(folder: Path, draw: random.Random) -> None:
    """tokenizer_config, generation_config, chat templates, and what lies beside them."""
    far = {str(i): {"content": f"<{i}>", "special": True} for i in range(100_000)}
    tokens = [
        {"auto_map": {"AutoTokenizer": ["evil/repo--evil.T", None]}},
        {"tokenizer_class": "EvilTokenizer"},
        {"tokenizer_file": "/etc/passwd"},
        {"vocab_file": "/etc/passwd", "sp_model_kwargs": {"model_file": "/etc/passwd"}},
        {"fast_tokenizer_files": ["tokenizer.4.0.json", "../x.json"]},
        {"name_or_path": "evil/repo"},
        {"added_tokens_decoder": far},
        {"bos_token": {"content": 7}},
        {"bos_token": ["a"]},
        {"pad_token": "x" * 10_000},
        {"model_max_length": -1},
        {"chat_template": "{{ x" * 500_000},
        {"chat_template": "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}"},
        {"chat_template": {"default": 7}},
        {"extra_special_tokens": 7},
        {"backend": "custom", "processor_class": "evil.P"},
    ]
    kind = draw.randrange(4)
    if kind == 0:
        edit(folder, "tokenizer_config.json", **draw.choice(tokens))
    elif kind == 1:
        value = draw.choice([
            {"custom_generate": "evil/repo"}, {"eos_token_id": 10**30}, {"eos_token_id": [-5]}, {"eos_token_id": "3"},
            {"eos_token_id": list(range(5000))}, {"max_new_tokens": -1}, {"num_beams": 10**9}, {"auto_map": {"x": "y"}},
            {"eos_token_id": 3, "cache_implementation": "evil"},
        ])  # fmt: skip
        edit(folder, "generation_config.json", **value)
    elif kind == 2:
        name = draw.choice(
            ["generation_config.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"]
        )
        (folder / name).unlink(missing_ok=True)
        make: Callable[[], Any] = draw.choice([
            lambda: (folder / name).write_text(draw.choice(["[]", "{", "NaN", "", '{"a":1,"a":2}', '{"a":' * 50_000])),
            lambda: (folder / name).symlink_to("/dev/zero"),
            lambda: (folder / name).symlink_to("/etc/passwd"),
            lambda: os.mkfifo(folder / name),
            lambda: (folder / name).mkdir(),
        ])  # fmt: skip
        make()
    else:
        name = draw.choice(["chat_template.jinja", "config.json", "tokenizer.json", WEIGHTS])
        (folder / name).unlink(missing_ok=True)
        draw.choice([
            lambda: (folder / name).symlink_to("/dev/zero"),
            lambda: os.mkfifo(folder / name),
            lambda: (folder / name).mkdir(),
            lambda: (folder / name).write_bytes(b"x" * (2 << 20)),
        ])()  # fmt: skip


def template(folder: Path, draw: random.Random) -> None:
    """A chat template is rendered by `main` as well, where there is one."""
    (folder / "chat_template.jinja").write_text(
        draw.choice([
            "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
            "{% set x = 'a' * 10**10 %}{{ x }}", "{{ ('a' * 10**5) | center(10**10) }}", "{{ 1 / 0 }}",
            "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}", "{% include '/etc/passwd' %}", "{{ x.y }}", "{% if",
            "{{ cycler.__init__.__globals__.os.system('touch ran') }}", "{{ messages[0].__class__.__mro__ }}",
            "{{ raise_exception('\x1b[2J\n') }}", "{{ messages | tojson(indent=10**9) }}", "{{ 'dog ' * 10**6 }}",
        ])
    )  # fmt: skip


def gguf_file(folder: Path, draw: random.Random) -> None:
    """Some bytes of a GGUF file changed, put in or taken out, most often in its header."""
    from tests.gguf_model import write_gguf

    content = bytearray(write_gguf(folder / GGUF).read_bytes())
    reach = draw.choice([24, 400, 9000, len(content)])
    for _ in range(draw.choice([1, 1, 1, 2, 5])):
        at, way = draw.randrange(min(reach, len(content))), draw.randrange(6)
        if way == 0:
            content[at] ^= 1 << draw.randrange(8)
        elif way == 1:
            content[at : at + 8] = struct.pack("<Q", draw.choice([2**63, 2**64 - 1, 2**40, 0, 1, 2**31]))
        elif way == 2:
            content[at : at + 4] = struct.pack("<I", draw.choice([2**31, 2**32 - 1, 0, 1, 7, 8, 9, 13]))
        elif way == 3:
            del content[at : at + draw.choice([1, 4, 8, 100])]
        elif way == 4:
            content[at:at] = draw.choice([bytes(8), struct.pack("<IIQ", 9, 9, 1) * 2000, b"\xff" * 100])
        elif draw.random() < 0.3:
            del content[at + 1 :]
    (folder / GGUF).write_bytes(content)


ATTACKS = (
    config_number, config_code, config_text, index_places, header, tokenizer, other_files, template, gguf_file,
)  # fmt: skip


def guard() -> None:
    """No network, no unpickling, bounded memory."""
    import pickle

    import torch

    def refused(*args: Any, **kwargs: Any) -> None:
        raise Foreign(f"called with {str(args)[:80]}")

    class Refused(pickle.Unpickler):  # a class, since modules that are imported late derive from it
        load = refused

    socket.socket.connect = socket.create_connection = socket.getaddrinfo = refused  # type: ignore[assignment]
    pickle.load = pickle.loads = torch.load = refused  # type: ignore[assignment]
    pickle.Unpickler = Refused  # type: ignore[misc]
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))

    def too_long(*_: Any) -> None:
        raise Foreign("it hangs")

    signal.signal(signal.SIGALRM, too_long)


def main(base: Path, numbers: list[tuple[int, str]]) -> None:
    """Load the case of each (number, seed) made from the honest checkpoints in `base`."""
    from atlas.live.loading import load
    from atlas.live.prompts import prompt_ids
    from atlas.spec.document import Tokenization

    guard()
    models = sorted(base.iterdir())
    for number, seed in numbers:
        draw = random.Random(f"{seed}/{number}")
        attack = ATTACKS[number % len(ATTACKS)]
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name) / "model"
            shutil.copytree(draw.choice(models), folder)
            attack(folder, draw)
            os.chdir(name)
            started = time.monotonic()
            raised, said = "", ""
            signal.alarm(30)
            try:
                live = load(str(folder / GGUF if (folder / GGUF).exists() else folder), device="cpu")
                if attack is template:
                    prompt_ids(live, Tokenization(add_bos=False, chat_template=True), "The dog")
            except BaseException as error:
                raised = next(
                    (c.__name__ for c in type(error).__mro__ if c.__name__ == "AtlasError"), repr(error)[:300]
                )
                said = str(error)
            finally:
                signal.alarm(0)
            seconds = time.monotonic() - started
            ran = (Path(name) / "ran").exists()
            row = {
                "case": f"{number} {attack.__name__}",
                "raised": raised,
                "said": said,
                "seconds": seconds,
                "ran": ran,
            }
            sys.stdout.write(json.dumps(row) + "\n")
            sys.stdout.flush()
            os.chdir("/")


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
