"""Copies of GGUF files: the same model without parsing, from whole and bounded copies, or none at all."""

from __future__ import annotations

import json
import os
import shutil
from collections import namedtuple
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

pytest.importorskip("gguf")
pytest.importorskip("accelerate")

import gguf

from atlas.__main__ import main
from atlas.errors import ModelError, UsageError
from atlas.live import gguf_copies
from atlas.live.loading import load
from atlas.spec.document import Edit
from atlas.spec.text import write_spec
from tests.amount import some
from tests.atlas.live.plain_edits import a_spec
from tests.gguf_model import write_gguf


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """The folder that copies are kept in."""
    monkeypatch.setenv(gguf_copies.FOLDER_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.delenv(gguf_copies.LIMIT_VARIABLE, raising=False)
    return tmp_path / "cache" / "neuron-atlas" / "gguf"


@pytest.fixture
def parsings(monkeypatch):
    """Grows by one with every GGUF file that is parsed."""
    seen = []

    class Counted(gguf.GGUFReader):
        def __init__(self, *args, **kwargs):
            seen.append(args)
            super().__init__(*args, **kwargs)

    monkeypatch.setattr(gguf, "GGUFReader", Counted)
    return seen


def read(path: Path, **options):
    return load(str(path), device="cpu", **options)


def copies(kept: Path) -> set[str]:
    return {path.name for path in kept.iterdir()} if kept.exists() else set()


def size_of_copy(kept: Path) -> int:
    [copy] = kept.iterdir()
    return sum(path.stat().st_size for path in copy.iterdir())


def same(one, other) -> bool:
    ids = torch.arange(20)[None]
    texts = ["the dog", " the dog ☃\n", "<s> a </s>"]
    return (
        one.fingerprint == other.fingerprint
        and torch.equal(one.model(ids).logits, other.model(ids).logits)
        and [one.tokenizer(text)["input_ids"] for text in texts]
        == [other.tokenizer(text)["input_ids"] for text in texts]
        and one.tokenizer.get_vocab() == other.tokenizer.get_vocab()
        and (one.model_id, one.add_bos, one.source) == (other.model_id, other.add_bos, other.source)
        and (one.dtype, one.max_positions, one.hidden_act) == (other.dtype, other.max_positions, other.hidden_act)
        and one.tokenizer.eos_token_id == other.tokenizer.eos_token_id
    )


@pytest.mark.parametrize("dtype", some(["auto", "bfloat16"], ["bfloat16"]))
def test_the_second_time_it_is_the_same_model_without_parsing(original, kept, parsings, monkeypatch, dtype):
    first = read(original, dtype=dtype)
    assert len(parsings) == 1 and len(copies(kept)) == 1
    second = read(original, dtype=dtype)
    assert len(parsings) == 1 and same(first, second)
    monkeypatch.setenv(gguf_copies.LIMIT_VARIABLE, "0")
    assert same(read(original, dtype=dtype), second) and len(parsings) == 2


def test_a_header_of_other_shapes_names_the_first_tensor(kept, tmp_path):
    with pytest.raises(ModelError) as error:
        read(write_gguf(tmp_path / "wrong.gguf", stated_mlp=40))
    assert "layers.0.mlp.down_proj.weight has shape [16, 32], and the config asks for [16, 40]" in str(error.value)
    assert "report" not in str(error.value) and copies(kept) == set()


def test_dtypes_have_copies_of_their_own(original, kept):
    assert read(original).fingerprint != read(original, dtype="bfloat16").fingerprint
    assert len(copies(kept)) == 2


def test_another_file_of_that_name_is_another_model(original, kept, tmp_path, parsings):
    path = tmp_path / "tiny.gguf"
    shutil.copy(original, path)
    first = read(path)
    before = path.stat()
    write_gguf(path, seed=1)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert read(path).fingerprint != first.fingerprint
    shutil.copy(original, tmp_path / "renamed.gguf")
    again = read(tmp_path / "renamed.gguf")
    assert (again.fingerprint, again.model_id) == (first.fingerprint, "renamed") and len(parsings) == 2


def _other_weights(copy: Path) -> None:
    state = {name: tensor.clone() for name, tensor in load_file(copy / "model.safetensors").items()}
    state["model.embed_tokens.weight"][3, 3] += 1
    save_file(state, copy / "model.safetensors", {"format": "pt"})


def _cut(copy: Path) -> None:
    os.truncate(copy / "model.safetensors", 2000)


def _flip(copy: Path) -> None:
    content = bytearray((copy / "model.safetensors").read_bytes())
    content[-5] ^= 64
    (copy / "model.safetensors").write_bytes(content)


def _link(copy: Path) -> None:
    outside = copy.parents[3] / "outside.json"
    shutil.move(copy / "config.json", outside)
    (copy / "config.json").symlink_to(outside)


DAMAGES = [
    _other_weights,
    _cut,
    _flip,
    _link,
    *(
        lambda copy, name=name: (copy / name).write_text("{")
        for name in ("config.json", "tokenizer.json", "neuron-atlas.json")
    ),
    *(
        lambda copy, name=name: (copy / name).unlink()
        for name in ("config.json", "model.safetensors", "tokenizer.json")
    ),
]


# The weights, in every way; a link; a file that says something else; a file that is gone.
@pytest.mark.parametrize("damage", some(DAMAGES, [*DAMAGES[:5], DAMAGES[8]]))
def test_a_damaged_copy_changes_nothing(original, kept, parsings, damage):
    first = read(original)
    [copy] = kept.iterdir()
    damage(copy)
    assert same(read(original), first) and len(parsings) == 2
    assert same(read(original), first) and len(parsings) == 2  # it was made anew


def test_the_copy_that_was_not_used_for_longest_goes(kept, tmp_path, monkeypatch, parsings):
    files = [write_gguf(tmp_path / f"{seed}.gguf", seed) for seed in range(3)]
    read(files[0])
    monkeypatch.setenv(gguf_copies.LIMIT_VARIABLE, f"{2.5 * size_of_copy(kept) / 1e9:.9f}")
    read(files[1])
    read(files[0])  # from its copy
    assert len(parsings) == 2
    read(files[2])
    assert len(copies(kept)) == 2
    read(files[0])
    assert len(parsings) == 3
    read(files[1])
    assert len(parsings) == 4


@pytest.mark.parametrize("limit", ["0", "0.00001"])
def test_no_copy_beyond_the_limit(original, kept, monkeypatch, limit):
    monkeypatch.setenv(gguf_copies.LIMIT_VARIABLE, limit)
    read(original)
    assert copies(kept) == set()


@pytest.mark.parametrize("limit", some(["lots", "-1", "nan", "1e3", "inf", "\u0663"], ["lots", "-1", "nan"]))
def test_a_limit_is_a_number(original, kept, monkeypatch, limit):
    monkeypatch.setenv(gguf_copies.LIMIT_VARIABLE, limit)
    with pytest.raises(UsageError, match=gguf_copies.LIMIT_VARIABLE):
        read(original)


def test_a_disk_without_room(original, kept, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**12, 10**12, 1000))
    read(original)
    assert copies(kept) == set()


def test_a_writer_that_fails_leaves_nothing(original, kept, monkeypatch):
    def full(state, path, metadata):
        Path(path).write_bytes(b"begun")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(gguf_copies, "save_file", full)
    read(original)
    assert copies(kept) == set()


def test_what_a_killed_writer_left_goes_first(original, kept, tmp_path, monkeypatch, parsings):
    read(original)
    size = size_of_copy(kept)
    left = kept / "unfinished-x"
    left.mkdir()
    (left / "model.safetensors").write_bytes(b"0" * size)
    os.utime(left, (0, 0))
    monkeypatch.setenv(gguf_copies.LIMIT_VARIABLE, f"{2.5 * size / 1e9:.9f}")
    read(write_gguf(tmp_path / "other.gguf", 1))
    assert left.name not in copies(kept) and len(copies(kept)) == 2


def test_a_tokenizer_that_does_not_come_back_is_not_kept(original, kept, monkeypatch):
    monkeypatch.setattr(gguf_copies, "prepends_bos", id)
    read(original)
    assert copies(kept) == set()


def test_where_it_is(original, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(gguf_copies.FOLDER_VARIABLE, "relative")
    read(original)
    assert len(copies(tmp_path / ".cache" / "neuron-atlas" / "gguf")) == 1
    monkeypatch.setenv(gguf_copies.FOLDER_VARIABLE, "/dev/null")  # nothing can be there
    assert read(original).fingerprint == read(original).fingerprint


def test_the_option_is_for_one_command(original, kept, tmp_path, capsys, parsings):
    live = read(original)
    shutil.rmtree(kept)
    spec = tmp_path / "s.spec.json"
    write_spec(a_spec(live, Edit("mlp_post", 1, 3, "set", 5.0), positions="last"), spec)
    command = ["run", str(spec), "--model", str(original), "--prompt", "the dog", "--max-new-tokens", "0"]
    answers = []
    for options in (["--no-cache"], [], []):
        assert main([*command, "--format", "json", *options]) == 0
        answers.append(json.loads(capsys.readouterr().out))
        if options:
            assert copies(kept) == set() and gguf_copies.LIMIT_VARIABLE not in os.environ
    assert len(copies(kept)) == 1 and len(parsings) == 3
    assert answers[0] == answers[1] == answers[2]
