"""Specs of strangers: taken as what they say, or refused in one line; never taken as something else."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from atlas.__main__ import main
from atlas.errors import SpecError
from atlas.spec.text import dumps, loads, spec_hash
from tests.atlas.spec.test_malformed import text_with
from tests.hostile.counts import count, generator
from tests.hostile.spec_attacks import attack
from tests.hostile.spec_meaning import meaning

_HANG_S = 10


def read(content: str | bytes) -> str | None:
    """What the program has understood, written anew; None when it refused, in one printable line."""
    started = time.monotonic()
    try:
        spec = loads(content)
    except SpecError as error:
        assert error.message and error.message.isprintable() and len(error.message) < 250, content
        assert error.hint.isprintable(), content
        return None
    finally:
        assert time.monotonic() - started < _HANG_S, content
    text = dumps(spec)
    assert spec_hash(loads(text)) == spec_hash(spec), content
    return text


def test_every_document_is_taken_for_what_it_says_or_refused() -> None:
    random, taken, refused = generator("specs"), 0, 0
    for _ in range(count(1_500, 10_000)):
        content = attack(random)
        said, understood = meaning(content), read(content)
        if understood is None:
            assert said is None, f"refused, though valid: {content!r}"
            refused += 1
        else:
            assert said is not None, f"taken, though invalid: {content!r}"
            assert meaning(understood) == said, f"taken for something else: {content!r}"
            taken += 1
    assert taken > refused / 20 and refused > taken / 20, "one side alone proves little"


@pytest.mark.parametrize("literal", ["1e-400", "-1e-400", "0." + "0" * 400 + "1", "4e-324"])
def test_a_number_that_a_double_cannot_tell_from_zero_is_no_zero(literal: str) -> None:
    with pytest.raises(SpecError, match=r"edits\[2\]\.value: .* is too small for float32"):
        loads(text_with('"value": 20.0', f'"value": {literal}'))
    assert loads(text_with('"value": 20.0', '"value": -0.000e-999')).edits[2].value == 0.0


def test_the_commands_that_read_specs_refuse_what_the_reader_refuses(tmp_path: Path, capfd) -> None:
    random, spec, out = generator("spec files"), tmp_path / "a.spec.json", tmp_path / "out.py"
    for _ in range(count(15, 150)):
        content = attack(random)
        while meaning(content) is not None:
            content = attack(random)
        spec.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
        lines = (
            ["run", str(spec), "--prompt", "x", "--write-check"],
            ["export", str(spec), "--to", "hooks", "-o", str(out)],
            ["evaluate", str(spec), "-a", str(tmp_path / "no.duckdb")],
        )
        before = spec.read_bytes()
        for line in lines:
            assert main(line) in (1, 2, 3), (line, content)
            err = capfd.readouterr().err.splitlines()
            assert 1 <= len(err) <= 2 and err[0].startswith("error: ") and "unexpected" not in err[0], (
                line,
                content,
                err,
            )
        assert os.listdir(tmp_path) == [spec.name] and spec.read_bytes() == before
