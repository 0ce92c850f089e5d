"""The spec builder makes the file that the command makes, keeps its state in its address, and names what is wrong."""

from __future__ import annotations

import html
import re
import shlex
from urllib.parse import urlencode

import pytest

from atlas.__main__ import main
from atlas.spec.text import loads
from queries.specs.make_spec import make_spec

ASKED = {
    "best of a concept": [("concept", "sports"), ("top", "5")],
    "gaussian, damped": [("concept", "sports"), ("top", "4"), ("op", "damp"), ("value", "0.125"), ("tau", "2")],
    "a share of some layers": [("by", "concept"), ("concept", "sports"), ("top", "20%"), ("layers", "1-2")],
    "chosen neurons": [
        ("neuron", "L1N7"),
        ("neuron", "L0N2"),
        ("op", "scale"),
        ("value", "0.5"),
        ("positions", "last"),
    ],
    "neurons in a range": [("neuron", "L1N7"), ("concept", "sports"), ("op", "set"), ("value", "concept-mean")],
    "the whole neuron": [("neuron", "L1N7"), ("concept", "sports"), ("bounds", "none"), ("phase", "generated")],
    "of a word": [("token", "dog"), ("by", "token"), ("top", "1"), ("op", "set"), ("value", "20"), ("sign", "raised")],
}


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
def test_the_file_is_that_of_the_command_shown(client, home, tmp_path, asked):
    query = urlencode(asked)
    page = client.get(f"{home}spec?{query}")
    shown = html.unescape(re.search(r"<pre[^>]*>(neuron-atlas spec .*?)</pre>", page.text)[1])
    words = shlex.split(shown)
    target = tmp_path / "made.json"
    words[words.index("--output") + 1] = str(target)
    assert main(words[1:]) == 0
    file = client.get(f"{home}spec.json?{query}")
    assert file.content == target.read_bytes()
    assert "attachment" in file.headers["content-disposition"]
    # The whole file stands on the page too.
    assert file.text in html.unescape(re.sub(r"</?(pre|i)[^>]*>", "", page.text))


def test_chosen_neurons_with_the_range_of_a_concept(client, home, small):
    made = loads(client.get(f"{home}spec.json?neuron=L1N7&concept=sports").text)
    assert made == make_spec(small, neurons=["L1N7"], concept="sports")
    assert made.edits[0].when is not None


def test_the_address_is_the_whole_state(client, home):
    """What the page calls its own address gives the same page, with what was typed into the box among the neurons."""
    first = client.get(f"{home}spec?neuron=L1N7&add=l0n2, L1N7&op=add&value=2&by=neurons&rule=auc&top=")
    own = first.headers["hx-replace-url"]
    assert "rule" not in own and "add=" not in own.partition("?")[2].replace("op=add", "")
    second = client.get(own)
    assert second.headers["hx-replace-url"] == own
    assert re.findall(r'value="(L\d+N\d+)" id="[^"]*" checked', second.text) == ["L1N7", "L0N2"]

    def file(page):
        return re.search(r'<pre class="json".*?</pre>', page.text, re.DOTALL)[0]

    assert file(first) == file(second)


@pytest.mark.parametrize(
    ("query", "field", "says"),
    [
        ("concept=absent", "concept", "absent"),
        ("concept=sports&op=warp", "op", "set, scale, add, damp"),
        ("concept=sports&op=set&value=much", "value", "no number"),
        ("concept=sports&op=set&value=", "value", "needs a number"),
        ("concept=sports&op=add&value=nan", "value", "nan"),
        ("concept=sports&top=0", "top", "no neuron at all"),
        ("concept=sports&top=900000000", "top", "20,000"),
        ("concept=sports&tau=wide", "tau", "Give a number"),
        ("concept=sports&bounds=interval&tau=2", "tau", "“Tau” is the half-width"),
        ("concept=sports&layers=9-99", "layers", "Layers"),
        ("concept=sports&positions=x", "positions", "Tokens"),
        ("concept=sports&max_leakage=2", "max_leakage", "not a share"),
        ("concept=sports&rule=best", "rule", "interval, auc"),
        ("neuron=L99N0", "neuron", "99"),
        ("neuron=dog", "neuron", "not a neuron address"),
        ("token=zzzzqqqq", "token", "zzzzqqqq"),
        ("neuron=L1N7&bounds=interval", "bounds", "Only inside"),
        ("neuron=L1N7&op=damp&value=0.5", "value", "damp works inside a range"),
        ("concept=sports&family=absent", "family", "absent"),
    ],
)
def test_an_error_stands_beside_its_field_in_one_line(client, home, query, field, says):
    page = client.get(f"{home}spec?{query}")
    assert page.status_code == 200
    wrong = dict(re.findall(r'<span class="wrong" id="wrong-(\w+)"[^>]*>([^<]+)</span>', page.text))
    assert says in html.unescape(wrong[field]), wrong
    assert "--" not in "".join(wrong.values()), "flags of the command line are no words of the form"
    assert '<pre class="json"' not in page.text
    twin = client.get(f"{home}spec.json?{query}")
    assert twin.status_code == 400 and twin.json()["error"]


def test_a_hostile_value_comes_back_as_text(client, home):
    value = '"><script>alert(1)</script>'
    for name in ("concept", "token", "neuron", "add", "value", "top", "layers", "by", "template", "prompt"):
        page = client.get(f"{home}spec", params={"concept": "sports", "op": "set", name: value})
        assert page.status_code == 200 and "<script>alert" not in page.text


def test_only_the_form_is_a_page_without_a_model(client, home):
    assert "formaction" not in client.get(f"{home}spec?concept=sports").text
