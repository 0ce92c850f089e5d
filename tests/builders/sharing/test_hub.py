"""Published to, asked on and pulled from a data set of the hub: a server of our own that answers as the hub does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants

from atlas.errors import AtlasFileError, BuildError
from atlas.store.far import transport
from atlas.store.reader import open_atlas
from builders.sharing.publish import PublishRequest, publish_atlas
from builders.sharing.pull import PullRequest, pull
from queries.card import neuron_card
from tests.end_to_end.workbench import all_rows
from tests.hub_server import HubServer, hub_server

PLACE = "hf://datasets/someone/neurons"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with hub_server() as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        template = f"{server.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setenv("HF_TOKEN", "hf_nobody")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        monkeypatch.setattr(transport, "_AGAIN_S", 0.0)
        huggingface_hub.HfFileSystem.clear_instance_cache()
        yield server
        huggingface_hub.HfFileSystem.clear_instance_cache()


def test_published_asked_and_pulled(hub: HubServer, small: Path, published: Path, tmp_path: Path) -> None:
    publish_atlas(PublishRequest(small, PLACE, with_texts=True))
    files = hub.files["someone/neurons"]
    due = {str(path.relative_to(published)) for path in published.rglob("*") if path.is_file()}
    assert set(files) == due and hub.commits == 1
    with open_atlas(PLACE) as far, open_atlas(small) as near:
        sections = neuron_card(far, "L1N7").sections
        for name, section in neuron_card(near, "L1N7").sections.items():
            assert sections[name].rows == section.rows, name
    pull(PullRequest(PLACE, tmp_path / "pulled.duckdb"))
    assert all_rows(tmp_path / "pulled.duckdb") == all_rows(small)


def test_what_was_published_before_goes_with_the_same_commit(hub: HubServer, small: Path) -> None:
    hub.files["someone/neurons"] = {"tables/old-0.parquet": b"old", "notes.txt": b"not ours"}
    publish_atlas(PublishRequest(small, PLACE))
    files = hub.files["someone/neurons"]
    assert "tables/old-0.parquet" not in files and "manifest.json" in files and files["notes.txt"] == b"not ours"
    assert hub.commits == 1


def test_what_fails_says_so_in_one_line(hub: HubServer, small: Path) -> None:
    hub.refuses = "you may not write here"
    with pytest.raises(BuildError, match=f"cannot publish to {PLACE}") as refused:
        publish_atlas(PublishRequest(small, PLACE))
    with pytest.raises(AtlasFileError, match="hf://datasets/nobody/nothing") as missing:
        open_atlas("hf://datasets/nobody/nothing")
    assert "\n" not in str(refused.value) + str(missing.value)
    assert hub.files["someone/neurons"] == {}
