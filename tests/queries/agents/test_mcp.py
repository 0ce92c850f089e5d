"""The tools, asked by the SDK's own client: in this process, and over the streams of the command."""

from __future__ import annotations

import json
import shutil
import sys

import pytest

pytest.importorskip("mcp", reason="the extra mcp is not installed")

import anyio
from mcp.client.client import Client

from atlas.spec.text import dumps
from atlas.store.reader import open_atlas
from builders.sharing.publish import PublishRequest, publish_atlas
from queries.agents.server import make_server
from queries.agents.tools import MOST_ROWS, TOOLS
from queries.neurons import neurons_for_concept
from queries.specs.make_spec import make_spec
from tests.range_server import range_server


def ask(atlas, name: str, /, **arguments):
    """(whether it is an error, text) of one tool call."""

    async def call():
        async with Client(make_server(atlas, "test")) as client:
            return await client.call_tool(name, arguments)

    answer = anyio.run(call)
    (content,) = answer.content
    return bool(answer.is_error), content.text


def test_every_question_is_a_tool_that_only_reads(small) -> None:
    async def listed():
        async with Client(make_server(small, "test")) as client:
            return (await client.list_tools()).tools

    found = {tool.name: tool for tool in anyio.run(listed)}
    assert found.keys() == TOOLS.keys()
    assert all(tool.annotations.read_only_hint and tool.description for tool in found.values())
    assert "atlas" not in found["concept"].input_schema["properties"]
    assert found["concept"].input_schema["required"] == ["name"]


def test_a_concept_is_answered_as_by_the_question(small) -> None:
    wrong, text = ask(small, "concept", name="sports", limit=3)
    expected = neurons_for_concept(small, "sports", limit=3)
    assert not wrong
    answer = json.loads(text)
    assert [row["address"] for row in answer["rows"]] == expected.column("address")
    assert answer["notes"] == expected.notes and answer["truncated_by"] == "limit"


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("info", {}, "small-synthetic"),
        ("concepts", {}, "sports"),
        ("neuron", {"address": "L1N7"}, "L1N7"),
        ("token", {"word": "dog"}, "L2N3"),
        ("search", {"text": "dog"}, "L2N3"),
        ("sql", {"statement": "SELECT count(*) AS n FROM vocab"}, '"n"'),
    ],
)
def test_tools_answer(small, name, arguments, says) -> None:
    wrong, text = ask(small, name, **arguments)
    assert not wrong and says in text


def test_a_spec_is_that_of_the_command_line(small) -> None:
    wrong, text = ask(small, "spec", concept="sports", top=2, op="scale=0.5")
    assert not wrong and text == dumps(make_spec(small, concept="sports", top=2, op="scale=0.5"))


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("neuron", {"address": "L99N1"}, "no layer 99"),
        ("concept", {"name": "absent"}, "absent"),
        ("weights", {"by": "norm"}, "no norm of down_proj"),
        ("concept", {"name": "sports", "limit": MOST_ROWS + 1}, "rows"),
        ("sql", {"statement": "DROP TABLE vocab"}, ""),
        ("sql", {"statement": "SELECT * FROM read_csv('/etc/passwd')"}, ""),
    ],
)
def test_what_cannot_be_answered_is_an_error_of_one_line(small, name, arguments, says) -> None:
    wrong, text = ask(small, name, **arguments)
    assert wrong and says in text and "Traceback" not in text and "root:" not in text


def test_the_command_speaks_over_its_streams(small) -> None:
    from mcp.client.stdio import StdioServerParameters, stdio_client

    async def call():
        command = StdioServerParameters(command=sys.executable, args=["-m", "atlas", "mcp", "-a", str(small.path)])
        async with Client(stdio_client(command)) as client:
            return await client.call_tool("neuron", {"address": "L1N7"})

    answer = anyio.run(call)
    assert not answer.is_error and json.loads(answer.content[0].text)["address"] == "L1N7"


@pytest.mark.parametrize("end", ["published", "small.duckdb"])
def test_an_atlas_at_a_url_answers_as_the_file(small, end: str, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    shutil.copy(small.path, tmp_path / "small.duckdb")
    publish_atlas(PublishRequest(tmp_path / "small.duckdb", str(tmp_path / "published")))
    with range_server(tmp_path) as server, open_atlas(f"{server.url}/{end}") as atlas:
        for name, arguments in {
            "neuron": {"address": "L1N7"},
            "concept": {"name": "sports"},
            "sql": {"statement": "SELECT token FROM vocab ORDER BY token_id LIMIT 3"},
        }.items():
            assert ask(atlas, name, **arguments) == ask(small, name, **arguments)
        server.cut_from = 0
        found = ask(atlas, "token", word="dog")
        assert found == ask(small, "token", word="dog") or (found[0] and server.url in found[1])
