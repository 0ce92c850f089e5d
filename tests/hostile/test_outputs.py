"""What -o, --plot and --write-check may name, and what must survive it.

The expected is said by what was there before, told apart by inode, link and content; none of it asks atlas.whole_file.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import stat
import subprocess
import sys
import threading
from pathlib import Path

import duckdb
import pytest

from atlas.__main__ import main
from atlas.errors import EXIT_USAGE
from atlas.store.evaluations import append_evaluations, sidecar_of
from tests.architecture.imports import ROOT
from tests.atlas_factory import write_small_atlas
from tests.builders.evaluation.test_sidecar import rows
from tests.hostile.counts import count, generator

WRITERS = {
    "info": "info",
    "concepts": "concepts",
    "token": "token dog",
    "concept": "concept sports",
    "neuron": "neuron L1N7",
    "layer": "layer 1",
    "sql": "sql|SELECT 1 AS one",
    "spec": "spec --concept sports --top 2",
    "evaluations": "evaluations",
}
SOME = list(dict.fromkeys(["token", "spec", "sql", *WRITERS]))[: count(3, len(WRITERS))]


def words(line: str) -> list[str]:
    return line.split("|") if "|" in line else line.split()


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Path:
    path = write_small_atlas(tmp_path_factory.mktemp("template") / "small.duckdb")
    append_evaluations(sidecar_of(path), rows("one"))
    return path.parent


@pytest.fixture
def small(template: Path, tmp_path: Path) -> Path:
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    return tmp_path / "small.duckdb"


@pytest.fixture
def ask(small: Path, capfd):
    """ask(line, output) -> (exit code, stderr), on the small atlas."""

    def call(line: str, output: object, *more: str) -> tuple[int, str]:
        code = main([*words(line), "-a", str(small), "-o", str(output), *more])
        return code, capfd.readouterr().err

    return call


def assert_one_line(code: int, err: str) -> None:
    """Wrong use in one line with a hint; a question may have said a note before its answer found no room."""
    lines = [line for line in err.splitlines() if not line.startswith("note: ")]
    assert code == EXIT_USAGE, err
    assert [line.partition(":")[0] for line in lines] == ["error", "hint"], err


@pytest.mark.parametrize("name", SOME)
def test_the_atlas_and_its_evaluations_survive_every_name_of_theirs(name: str, small: Path, ask) -> None:
    folder = small.parent
    (folder / "link").symlink_to(small)
    (folder / "far").symlink_to("link")
    os.link(small, folder / "hard")
    shutil.copy(small, folder / "another.duckdb")
    kept = {path.name: path.read_bytes() for path in folder.iterdir()}
    names = [
        "small.duckdb",
        "link",
        "far",
        "hard",
        "another.duckdb",
        sidecar_of(small).name,
        "../" + folder.name + "/far",
    ]
    for output in names:
        assert_one_line(*ask(WRITERS[name], folder / output))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == kept
    assert (folder / "link").is_symlink() and (folder / "far").is_symlink()


@pytest.mark.parametrize("name", SOME)
def test_a_link_stays_a_link_and_its_target_is_replaced(name: str, ask, tmp_path: Path) -> None:
    away = tmp_path / "away"
    away.mkdir()
    (away / "real.json").write_text("old")
    (away / "real.json").chmod(0o640)
    before = os.stat(away / "real.json").st_ino
    (tmp_path / "link.json").symlink_to("away/real.json")
    (tmp_path / "dangling.json").symlink_to("away/new.json")
    for link, target in (("link.json", "real.json"), ("dangling.json", "new.json")):
        code, err = ask(WRITERS[name], tmp_path / link)
        assert code == 0, err
        assert (tmp_path / link).is_symlink()
        json.loads((away / target).read_text())
    assert os.stat(away / "real.json").st_ino != before, "written in place, so a reader could see half of it"
    assert stat.S_IMODE(os.stat(away / "real.json").st_mode) == 0o640
    assert sorted(os.listdir(away)) == ["new.json", "real.json"]


@pytest.mark.parametrize("name", SOME)
def test_devices_and_fifos_stay_what_they_are(name: str, ask, tmp_path: Path) -> None:
    null = os.stat("/dev/null")
    fifo, got = tmp_path / "fifo", []
    os.mkfifo(fifo)
    (tmp_path / "null").symlink_to("/dev/null")
    (tmp_path / "to-fifo").symlink_to(fifo)
    for output in ("/dev/null", tmp_path / "null"):
        code, err = ask(WRITERS[name], output)
        assert code == 0, err
    for output in (fifo, tmp_path / "to-fifo"):
        reader = threading.Thread(target=lambda: got.append(fifo.read_bytes()))
        reader.start()
        code, err = ask(WRITERS[name], output)
        reader.join(10)
        assert code == 0 and not reader.is_alive(), err
    assert len(got[0]) > 1 and got[0] == got[1]
    assert os.stat("/dev/null") == null or stat.S_ISCHR(os.stat("/dev/null").st_mode)
    assert stat.S_ISFIFO(os.lstat(fifo).st_mode) and (tmp_path / "null").is_symlink()


def shell(line: str, small: Path, **options) -> subprocess.CompletedProcess:
    text = line.replace("ATLAS", f'"{sys.executable}" -m atlas').replace("SMALL", f'"{small}"')
    return subprocess.run(["bash", "-c", text], cwd=ROOT, capture_output=True, text=True, timeout=60, **options)


@pytest.mark.skipif(not os.path.exists("/dev/fd"), reason="needs /dev/fd")
def test_what_stands_behind_stdout_is_written_through(small: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("kept\n")
    piped = shell("ATLAS concepts -a SMALL --format json -o /dev/stdout | cat", small)
    assert len(json.loads(piped.stdout)) == 5
    appended = shell(f'ATLAS concepts -a SMALL --format jsonl -o /dev/fd/1 >> "{log}"', small)
    assert appended.returncode == 0, appended.stderr
    assert log.read_text().splitlines()[0] == "kept" and len(log.read_text().splitlines()) == 6
    other = shell(f'ATLAS concepts -a SMALL --format json -o >(cat > "{tmp_path}/out") ; sleep 0.5', small)
    assert other.returncode == 0, other.stderr
    assert len(json.loads((tmp_path / "out").read_text())) == 5
    closed = shell("ATLAS concepts -a SMALL -o /dev/fd/57", small)
    assert_one_line(closed.returncode, closed.stderr)


@pytest.mark.skipif(not os.path.exists("/proc/thread-self/fd"), reason="needs /proc")
def test_descriptors_under_other_names_and_those_of_a_database(small: Path, tmp_path: Path) -> None:
    log, kept = tmp_path / "log", small.read_bytes()
    line = "(echo before; ATLAS concepts -a SMALL --format jsonl -o /proc/thread-self/fd/1; echo after)"
    done = shell(f'{line} > "{log}"', small)
    assert done.returncode == 0, done.stderr
    first, *rest, last = log.read_text().splitlines()
    assert (first, len(rest), last) == ("before", 5, "after")
    refused = shell("ATLAS concepts -a SMALL -o /dev/fd/6 6>> SMALL", small)
    assert_one_line(refused.returncode, refused.stderr)
    assert small.read_bytes() == kept


@pytest.mark.parametrize("line", ["concept sports", "neuron L1N7 --family topics"])
def test_an_answer_and_its_picture_are_two_files(line: str, ask, tmp_path: Path) -> None:
    os.symlink("x.png", tmp_path / "link.png")
    for name in ("x.png", "../" + tmp_path.name + "/x.png", "link.png"):
        code, err = ask(line, tmp_path / "x.png", "--plot", str(tmp_path / name))
        assert_one_line(code, err)
        assert not (tmp_path / "x.png").exists()


def test_the_name_of_a_log_of_the_atlas_is_refused(small: Path, ask) -> None:
    assert_one_line(*ask("concepts", f"{small}.wal"))
    assert ask("concepts", small.with_name("other.wal"))[0] == 0


BAD_NAMES = ["x" * 300, "é" * 200, "no/such/x", "file/x", "folder", "circle", "a\0b", "no\0such/x"]


@pytest.mark.parametrize("name", [*SOME, "plot", "neuron plot"])
def test_names_that_cannot_be_written_are_one_line(name: str, small: Path, ask, tmp_path: Path, capfd) -> None:
    (tmp_path / "file").write_text("kept")
    (tmp_path / "folder").mkdir()
    (tmp_path / "circle").symlink_to("circle")
    before = sorted(os.listdir(tmp_path))
    for bad in BAD_NAMES:
        if "plot" in name:
            line = ["concept", "sports"] if name == "plot" else ["neuron", "L1N7", "--family", "topics"]
            code = main(
                [*line, "-a", str(small), "--plot", f"{tmp_path}/{bad}.png" if bad[0] in "xé" else f"{tmp_path}/{bad}"]
            )
            err = capfd.readouterr().err
        else:
            code, err = ask(WRITERS[name], f"{tmp_path}/{bad}")
        assert_one_line(code, err)
    assert sorted(os.listdir(tmp_path)) == before and (tmp_path / "file").read_text() == "kept"


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_file_that_is_read_only_is_kept(ask, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("old")
    (tmp_path / "x.json").chmod(0o444)
    assert_one_line(*ask("concepts", tmp_path / "x.json"))
    assert (tmp_path / "x.json").read_text() == "old"


@pytest.mark.parametrize("name", SOME)
def test_no_room_leaves_the_old_file(name: str, small: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    out.write_text("old")
    program = "import resource, sys; from atlas.__main__ import main; "
    program += f"resource.setrlimit(resource.RLIMIT_FSIZE, (3, {resource.RLIM_INFINITY})); sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", program, *words(WRITERS[name]), "-a", str(small), "-o", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert_one_line(done.returncode, done.stderr)
    assert "Make room" in done.stderr
    assert out.read_text() == "old"
    assert sorted(os.listdir(tmp_path)) == sorted(["out.json", small.name, sidecar_of(small).name])
    if os.path.exists("/dev/full"):
        full = subprocess.run(
            [
                *command[:2],
                "import sys; from atlas.__main__ import main; sys.exit(main(sys.argv[1:]))",
                *command[3:-1],
                "/dev/full",
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert_one_line(full.returncode, full.stderr)


def test_the_file_with_the_question_is_kept(small: Path, tmp_path: Path, capfd) -> None:
    (tmp_path / "q.sql").write_text("SELECT 1")
    assert_one_line(
        main(["sql", "--file", f"{tmp_path}/q.sql", "-a", str(small), "-o", f"{tmp_path}/q.sql"]),
        capfd.readouterr().err,
    )
    assert (tmp_path / "q.sql").read_text() == "SELECT 1"


def test_a_foreign_database_is_no_place_for_an_answer(ask, tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "own.db")) as connection:
        connection.execute("CREATE TABLE thesis AS SELECT 42 AS answer")
    before = (tmp_path / "own.db").read_bytes()
    assert_one_line(*ask("concepts", tmp_path / "own.db"))
    assert (tmp_path / "own.db").read_bytes() == before


def test_any_tree_of_links_and_files_keeps_all_but_the_one_that_was_named(small: Path, ask, tmp_path: Path) -> None:
    """Random trees: links to links, to files, to the atlas, to nothing, in circles; any of them as -o."""
    random, lines = generator("outputs"), list(WRITERS.values())
    for case in range(count(12, 400)):
        tree = tmp_path / f"tree{case}"
        tree.mkdir()
        names = [f"n{index}" for index in range(6)]
        for name in names:
            kind = random.choice(["file", "link", "link", "folder", "nothing", "atlas", "hard"])
            if kind == "file":
                (tree / name).write_text(f"old {name}")
            elif kind == "link":
                (tree / name).symlink_to(random.choice([*names, "nowhere", "../" + small.name, "/dev/null"]))
            elif kind == "folder":
                (tree / name).mkdir()
            elif kind == "atlas":
                (tree / name).symlink_to(small)
            elif kind == "hard":
                os.link(small, tree / name)
        chosen = tree / random.choice(names)
        links = {path.name: os.readlink(path) for path in tree.iterdir() if path.is_symlink()}
        files = {path.name: path.read_bytes() for path in tree.iterdir() if path.is_file() and not path.is_symlink()}
        whole = small.read_bytes()
        code, err = ask(random.choice(lines), chosen)
        if code:
            assert_one_line(code, err)
        assert {path.name: os.readlink(path) for path in tree.iterdir() if path.is_symlink()} == links
        assert small.read_bytes() == whole
        end = chosen
        for _ in range(20):  # where the links lead, by hand
            if not end.is_symlink():
                break
            end = Path(os.path.normpath(end.parent / os.readlink(end)))
        after = {path.name: path.read_bytes() for path in tree.iterdir() if path.is_file() and not path.is_symlink()}
        written = {name for name in after if after[name] != files.get(name)}
        assert files.keys() <= after.keys()
        assert written <= {end.name}
        if not code and str(end) != "/dev/null":
            assert written == {end.name}
