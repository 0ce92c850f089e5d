"""Pages that no server draws: one file that opens from a disk, and a folder for any web host."""

from __future__ import annotations

import base64
import hashlib
import json
import posixpath
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from atlas.errors import AtlasError, QuestionError, UsageError
from atlas.fit_choice import FitChoice
from queries.card import neuron_tokens
from queries.cli.page import page as page_command
from queries.cli.site import site as site_command
from queries.neurons import neurons_for_concept
from queries.web import static_site
from queries.web.render import STATIC
from queries.web.saved import SiteFiles, SiteLinks, one_page, subject
from queries.web.static_site import make_site
from tests.atlas_factory import changed_by_hand
from tests.commands import invoke
from tests.queries.web.parsed import Parsed

HOSTILE = '<script>alert("1")</script>/../../x'


@pytest.mark.parametrize("what", ["L1N7", "concept/sports", "token/dog", "layer/1", "layer", "atlas"])
def test_a_page_is_one_file_that_loads_nothing(full, client, home, what):
    content = one_page(full, what)
    parsed = Parsed(content.decode())
    assert [
        value for tag, value in parsed.refers if value not in ("#main", "#bell") and not value.startswith("data:")
    ] == []
    policy = parsed.meta["Content-Security-Policy"]
    hashes = {
        base64.b64encode(hashlib.sha256((STATIC / name).read_bytes()).digest()).decode()
        for name in ("style.css", "explorer.js")
    }
    assert policy.startswith("default-src 'none'") and set(re.findall(r"'sha256-([^']+)'", policy)) == hashes
    assert (STATIC / "style.css").read_text() in content.decode() and "url(" not in (STATIC / "style.css").read_text()
    assert not any(
        end in (STATIC / name).read_text() for name in ("style.css", "explorer.js") for end in ("</s", "<!--")
    )
    assert str(full.path.parent) not in content.decode() and f"-a {full.path.name}" in parsed.text
    assert one_page(full, what) == content


def test_the_page_says_what_the_server_says(small, client, home):
    def main(text: str) -> str:
        """Without spaces: a link begins a word, and the same words without one do not."""
        return "".join(Parsed(text[text.index("<h1>") : text.index('<details class="asked">')]).text.split())

    saved, served = one_page(small, "L1N7").decode(), client.get(f"{home}neuron/L1N7").text
    assert main(saved) == re.sub(r"(←L1N6|L1N8→|Makeaspec)", "", main(served))


@pytest.mark.parametrize(
    "what", ["sports", "L1", "concept/", "layer/x", "layer/99", "token", "sql/x", "", "neuron/L99N0", "concept/absent"]
)
def test_what_names_no_page_is_refused(small, what):
    with pytest.raises(AtlasError):
        one_page(small, what)
    assert subject("concept/a/b") == ("concept", "a/b")


@pytest.fixture(scope="module")
def site(full, tmp_path_factory) -> Path:
    """A site of two neurons and the best two of each concept."""
    folder = tmp_path_factory.mktemp("site") / "pages"
    make_site(full, folder, neurons=["L1N7", "L2N3"], top_per_concept=2)
    return folder


def _pages(folder: Path) -> dict[str, Parsed]:
    return {str(path.relative_to(folder)): Parsed(path.read_text()) for path in sorted(folder.rglob("*.html"))}


def test_every_link_of_a_site_leads_to_a_file_of_it(site):
    pages = _pages(site)
    reached = {"index.html"}
    for name, parsed in pages.items():
        for _, value in parsed.refers:
            parts = urlsplit(value)
            assert not parts.scheme and not parts.netloc, value
            if parts.path:
                target = posixpath.normpath(posixpath.join(posixpath.dirname(name), unquote(parts.path)))
                assert (site / target).is_file(), (name, value)
                reached.add(target)
    assert reached >= pages.keys()
    assert all(parsed.meta["Content-Security-Policy"].startswith("default-src 'none'") for parsed in pages.values())


def test_a_site_has_the_neurons_that_were_chosen_all_concepts_and_layers(site, full):
    expected = {"L1N7", "L2N3"}
    for concept, family in full.query("SELECT concept, family FROM concept")[1]:
        expected |= set(neurons_for_concept(full, concept, fit=FitChoice(family=family), limit=2).column("address"))
    assert {path.stem for path in (site / "neuron").iterdir()} == expected
    assert len(list((site / "concept").iterdir())) == full.query("SELECT count(*) FROM fit_concept")[1][0][0]
    assert {path.stem for path in (site / "layer").iterdir()} == set(map(str, range(full.manifest.n_layers)))


def test_the_index_finds_addresses_concepts_and_tokens(site, full):
    parsed = Parsed((site / "search.html").read_text())
    index = json.loads(next(text for text in parsed.scripts if text.startswith("{")))
    assert {each["name"] for each in index["concepts"]} == {"sports", "politics", "animals", "joy", "anger"}
    place = next(place for place, each in enumerate(index["neurons"]) if each["name"] == "L1N7")
    found = {(token, does, sign) for token, places in index["tokens"] for at, does, sign in places if at == place}
    does = {"up_proj": "reads", "gate_proj": "reads", "down_proj": "writes"}
    assert found == {(row["token"], does[row["weight"]], row["sign"]) for row in neuron_tokens(full, "L1N7")}
    for each in index["neurons"] + index["concepts"]:
        assert (site / each["to"]).is_file()


def test_a_site_goes_on_where_it_was_broken_off_and_forgets_what_is_not_chosen(full, tmp_path, monkeypatch):
    folder, real, left = tmp_path / "site", static_site.draw, 4

    def breaks(*arguments, **options):
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        return real(*arguments, **options)

    monkeypatch.setattr(static_site, "draw", breaks)
    with pytest.raises(KeyboardInterrupt):
        make_site(full, folder, neurons=["L0N0", "L1N7"])
    assert not (folder / "index.html").exists()
    there = {path: path.stat().st_mtime_ns for path in folder.rglob("*.html")}
    assert len(there) == 4 and not [path for path in folder.rglob(".*")]
    monkeypatch.setattr(static_site, "draw", real)
    made = make_site(full, folder, neurons=["L0N0", "L1N7"])
    assert made.kept == 4 and all(path.stat().st_mtime_ns == when for path, when in there.items())
    assert (folder / "index.html").is_file() and made.first == folder / "index.html"
    (folder / "neuron" / "notes.html").write_text("<p>mine</p>")
    (folder / "CNAME").write_text("example")
    again = make_site(full, folder, neurons=["L1N7"])
    assert again.kept == 0  # other pages are there to lead to
    assert {path.name for path in (folder / "neuron").iterdir()} == {"L1N7.html", "notes.html"}
    assert (folder / "CNAME").read_text() == "example"


def test_a_file_of_somebody_else_is_not_replaced(full, tmp_path):
    (tmp_path / "index.html").write_text("<p>mine</p>")
    with pytest.raises(UsageError, match="no page of a site"):
        make_site(full, tmp_path, neurons=["L1N7"])
    assert (tmp_path / "index.html").read_text() == "<p>mine</p>"
    assert [path.name for path in tmp_path.rglob("*")] == ["index.html"]
    with pytest.raises(UsageError):
        make_site(full, tmp_path / "absent" / "below", neurons=["L1N7"])


@pytest.mark.parametrize("neurons", [["L99N0"], ["L0N99"], ["x"]])
def test_a_neuron_that_is_not_there_is_refused_before_anything_is_written(full, tmp_path, neurons):
    with pytest.raises((QuestionError, UsageError)):
        make_site(full, tmp_path / "site", neurons=neurons)
    assert not (tmp_path / "site").exists()


def test_hostile_names_stay_texts(full, tmp_path):
    path = tmp_path / "hostile.duckdb"
    path.write_bytes(full.path.read_bytes())
    with changed_by_hand(path) as connection:
        connection.execute("UPDATE concept SET concept = ? WHERE concept = 'sports'", [HOSTILE])
        connection.execute("UPDATE concept SET concept = 'POLITICS!' WHERE concept = 'animals'")
        connection.execute("UPDATE vocab SET token = ? WHERE token_id = 3", ["</script><script>alert(1)</script>"])
    result = invoke(site_command, ["-o", str(tmp_path / "site"), "--neurons", "L1N7,L2N3", "-a", str(path)])
    assert result.exit_code == 0, result.output
    folder = tmp_path / "site"
    names = {path.name for path in (folder / "concept").iterdir()}
    assert names == {"script-alert-1-script-x.html", "politics.html", "politics-2.html", "joy.html", "anger.html"}
    for parsed in _pages(folder).values():
        assert all(text.startswith("{") or not text.strip() for text in parsed.scripts)
    index = next(text for text in Parsed((folder / "search.html").read_text()).scripts if text.startswith("{"))
    assert HOSTILE in [each["name"] for each in json.loads(index)["concepts"]]
    alone = Parsed(one_page_of(path, f"concept/{HOSTILE}"))
    assert HOSTILE in alone.text and len([text for text in alone.scripts if text.strip()]) == 1


def one_page_of(path: Path, what: str) -> str:
    """By the command."""
    target = path.with_name("alone.html")
    result = invoke(page_command, [what, "-o", str(target), "-a", str(path)])
    assert result.exit_code == 0, result.output
    return target.read_text()


def test_a_concept_of_several_fits_has_a_page_for_each():
    files = SiteFiles()
    for site, path in (("mlp_post", "concept/joy.html"), ("mlp_pre", "concept/joy-2.html")):
        files.add("concept", "joy", path, FitChoice(family="moods", site=site, position="last", template="{text}"))
    links = SiteLinks("neuron/L1N7.html", files)
    assert links.page("concept", "joy") == "../concept/joy.html" == links.page("concept", "joy", layer=3)
    assert links.page("concept", "joy", family="moods", site="mlp_pre") == "../concept/joy-2.html"
    assert links.page("concept", "joy", family="others") is None is links.page("concept", "anger")
    assert links.page("token", "dog", exact="on") is None
