"""Prompts, tokens and files of prompts from strangers: `explain` answers, or says in one line why not."""

from __future__ import annotations

import json
import math

import pytest

from atlas.__main__ import main
from tests.hostile.counts import count, generator
from tests.synthetic import make_model

ODD = [
    "\x00",
    "\ud800",
    "\u202e",
    "🧠",
    "\n",
    "\r\n",
    "<s>",
    "</s>",
    "<unk>",
    "▁",
    " ",
    "dog",
    "'",
    "\\",
    "{text}",
    "a" * 9,
]
VALUES = [*ODD, None, 3, -1.5, True, [], ["dog"], {}, {"a": 1}]
ALLOWED = {0, 1, 2, 5}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(make_model("gpt2", tmp_path_factory.mktemp("prompts") / "gpt2"))


def asked(capsys, *options):
    code = main(["explain", *options, "--top", "2", "--verify", "1", "--format", "json"])
    out, err = capsys.readouterr()
    assert code in ALLOWED and "Traceback" not in err and "unexpected" not in err, err
    if code:
        assert not out and err.startswith("error: ") and len(err.splitlines()) <= 2
        return None
    found = json.loads(out)
    numbers = [row[name] for row in found["neurons"] for name in ("gradient", "direct", "relp")]
    assert numbers and all(map(math.isfinite, numbers))
    return found


@pytest.mark.parametrize("number", range(count(12, 400)))
def test_a_prompt_of_odd_pieces(capsys, model, number):
    random = generator(f"prompts/{number}")
    text = "".join(random.choice(ODD) for _ in range(random.randint(0, 12)))
    options = [
        name for name in ("--token", "--against") if random.random() < 0.3 for name in (name, random.choice(ODD))
    ]
    found = asked(capsys, text, "--model", model, *options)
    assert found is None or found["prompts"][0]["prompt"] == text


@pytest.mark.parametrize("number", range(count(8, 300)))
def test_a_file_of_odd_rows(capsys, model, tmp_path, number):
    random = generator(f"prompt files/{number}")
    path = tmp_path / "prompts.jsonl"
    rows = [
        {name: random.choice(VALUES) for name in ("text", "token", "against", "x") if random.random() < 0.7}
        for _ in range(random.randint(0, 3))
    ]
    lines = [json.dumps(row) for row in rows]
    if random.random() < 0.3:
        lines.insert(
            random.randint(0, len(lines)), random.choice(["{", "[]", "null", '{"text": "a", "text": "b"}', "\x00"])
        )
    path.write_text("\n".join(lines))
    before = path.read_bytes()
    found = asked(capsys, "--file", str(path), "--model", model)
    assert path.read_bytes() == before
    if found is not None:
        assert [row["prompt"] for row in found["prompts"]] == [row["text"] for row in rows]
