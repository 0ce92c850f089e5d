"""Builds by actors of Ray: the rows of one process, also where a node of the cluster goes in the middle.

Ray is an extra that the other tests do not need: to run these, `pip install --target FOLDER -c constraints.txt ray s3fs
'moto[server,s3]'`, then `PYTHONPATH=FOLDER pytest tests/builders/workers/test_on_ray.py`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from atlas.errors import BuildError
from builders.build.pipeline import build
from tests.builders.workers.conftest import Heard
from tests.builders.workers.options import OPTIONS
from tests.end_to_end.workbench import all_rows, config
from tests.s3_server import bucket

pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="the extra `ray` is not installed")


@pytest.fixture
def two_nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A cluster on loopback of a node for each of two workers; `second`: the one that can go."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # read when it is imported: loopback alone
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        cluster.second = cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()


def descendants() -> set[int]:
    """All processes that this one has begun, and theirs."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found = {os.getpid()}
    while new := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= new
    return found


def heard_on() -> set[str]:
    """The addresses that they listen on, as /proc/net/tcp and tcp6 write them."""
    inodes = set()
    for pid in descendants():
        try:
            inodes |= {os.readlink(entry.path) for entry in os.scandir(f"/proc/{pid}/fd")}
        except OSError:
            continue
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
                found.add(fields[1].rpartition(":")[0])
    return found


LOOPBACK = {"0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F"}


def test_a_cluster_of_this_machine(model: Path, corpus: Path, alone: dict, tmp_path: Path) -> None:
    addresses: set[str] = set()

    class Looking(Heard):
        def event(self, text: str) -> None:
            super().event(text)
            if "decode" in text:
                addresses.update(heard_on())

    options, heard = config(model, tmp_path / "b.duckdb", corpus, texts=(str(corpus),), **OPTIONS), Looking()
    found = all_rows(build(options, workers="ray", progress=heard).path)
    assert [table for table in alone if found[table] != alone[table]] == []
    assert addresses and addresses <= LOOPBACK, "others can reach it"
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
    for what in ("decode ", "words, batches ", "words/mlp_post/", "exemplars "):
        assert any(f": {what}" in event for event in heard.events), what


def test_a_node_goes_in_the_middle(two_nodes: Any, model: Path, corpus: Path, alone: dict, tmp_path: Path) -> None:
    class Removing(Heard):
        def event(self, text: str) -> None:
            super().event(text)
            both = all(any(", batches" in event for event in self.by(worker)) for worker in (1, 2))
            if both and two_nodes.second is not None:
                node, two_nodes.second = two_nodes.second, None
                two_nodes.remove_node(node, allow_graceful=False)

    options, heard = config(model, tmp_path / "b.duckdb", corpus, texts=(str(corpus),), **OPTIONS), Removing()
    found = all_rows(build(options, workers=f"ray:{two_nodes.address}", progress=heard).path)
    assert [table for table in alone if found[table] != alone[table]] == []
    assert two_nodes.second is None
    assert sum("started again" in event for event in heard.events) == 1, heard.events


def test_two_nodes_meet_in_a_bucket_alone(
    monkeypatch: pytest.MonkeyPatch, model: Path, corpus: Path, alone: dict, tmp_path: Path, request: Any
) -> None:
    """The variables of the bucket have to be there before the nodes are."""
    with bucket(monkeypatch, "blocks") as files:
        nodes = request.getfixturevalue("two_nodes")
        seen: set[str] = set()

        class Looking(Heard):
            def event(self, text: str) -> None:
                super().event(text)
                files.invalidate_cache()
                seen.update(files.find("blocks"))

        options, heard = config(model, tmp_path / "b.duckdb", corpus, texts=(str(corpus),), **OPTIONS), Looking()
        how = {"workers": f"ray:{nodes.address}", "blocks": "s3://blocks/here"}
        found = all_rows(build(options, progress=heard, **how).path)
        assert [table for table in alone if found[table] != alone[table]] == []
        assert any(name.endswith("/mlp_post.L1.f32") for name in seen)
        files.invalidate_cache()
        assert files.find("blocks") == []
    assert all(any("words/mlp_post/" in event for event in heard.by(worker)) for worker in (1, 2)), heard.events


def test_a_ray_that_others_could_reach_is_refused(model: Path, tmp_path: Path) -> None:
    """Ray asks for it when it is imported: a program may have done that before."""
    script = tmp_path / "imported_before.py"
    script.write_text(
        "import ray\nfrom pathlib import Path\nfrom builders.build.pipeline import build\n"
        "from tests.end_to_end.workbench import config\n"
        f"build(config(Path({str(model)!r}), Path({str(tmp_path / 'b.duckdb')!r}), None), workers='ray')\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path.cwd()), *sys.path])}
    environment.pop("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", None)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode != 0 and "BuildError: Ray listens on" in done.stderr


def test_no_cluster_at_an_address(model: Path, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="no Ray cluster at 127"):
        build(config(model, tmp_path / "b.duckdb", None, weight_facts=False), workers="ray:127.0.0.1:1")
