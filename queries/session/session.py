"""A session: what the questions to one open atlas keep in memory for the next ones.

Each open atlas has one, made by the first question that keeps something; every question takes the atlas or the session,
which is the same. A server opens one itself, to say how much memory it may take:

    with open_session("smollm2-135m.duckdb", memory=512 * 2**20, timeout_s=5) as session:
        neurons_for_token(session, "dog")

Any number of threads may ask it. It ends with its atlas, and a closed one keeps nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import ref

from atlas.errors import QuestionError, UsageError
from atlas.store.reader import Atlas, open_atlas
from queries.session.kept import Item, Kept, Value

if TYPE_CHECKING:
    from queries.sandbox.children import Children

DEFAULT_MEMORY = 2 * 2**30
_one_at_a_time = threading.Lock()


class Session:
    """The memory of the questions to one atlas, at most `memory` bytes, and the process that waits for some SQL.

    On top of `memory` come what a question that runs holds itself, DuckDB's own memory (a quarter of the machine's at
    most), and the process that waits, which there is only once SQL was asked (queries/sandbox/children.py).
    """

    def __init__(self, atlas: Atlas, memory: int = DEFAULT_MEMORY) -> None:
        """Makes this the session of the atlas, in the place of one that it had. UsageError for a memory below 0."""
        if memory < 0:
            raise UsageError(f"memory is {memory}", "Give bytes, 0 to keep nothing.")
        self.memory = memory
        self._atlas = ref(atlas)  # the atlas holds its session: both go when nobody holds the atlas
        self._kept = Kept(memory)
        self._children: Children | None = None
        self._closed = False
        self._guard = threading.Lock()
        before, atlas.session = atlas.session, self
        if before is not None:
            before.close()
        if atlas.closed:
            self.close()

    @property
    def atlas(self) -> Atlas:
        """The atlas that is asked. QuestionError once it is gone."""
        atlas = self._atlas()
        if atlas is None:
            raise QuestionError("the session is closed", "Open the atlas again.")
        return atlas

    @property
    def path(self) -> Path:
        """The file of the atlas."""
        return self.atlas.path

    @property
    def processes(self) -> Children:
        """The processes that answer SQL for this session; QuestionError when it is closed."""
        from queries.sandbox.children import Children  # few sessions are asked SQL

        atlas = self.atlas
        with self._guard:
            if self._closed:
                raise QuestionError("the session is closed", "Open the atlas again.")
            if self._children is None:
                self._children = Children(atlas.path, atlas.manifest.atlas_id, atlas.far)
            return self._children

    def prepare_sql(self) -> None:
        """Have a process wait for the first statement in SQL as well; without this, the second finds one."""
        self.processes.prepare()

    @property
    def nbytes(self) -> int:
        """Bytes in memory now."""
        return self._kept.nbytes

    def kept(self) -> list[Item]:
        """What is in memory: name, bytes, hits, misses, seconds it took; the longest unasked first."""
        return self._kept.items()

    def has_room(self, nbytes: int) -> bool:
        """Whether a value of so many bytes would leave a third of the memory to others."""
        return 3 * nbytes <= 2 * self.memory

    def get(self, key: Hashable) -> Any | None:
        """The value that a question keeps under `key`, or None while it is not in memory."""
        return self._kept.get(key)

    def put(self, key: Hashable, value: Any) -> None:
        """Keep a value, which has `nbytes`, under a key that no other question uses."""
        self._kept.put(key, value)

    def read(self, key: Hashable, read: Callable[[], Value]) -> Value:
        """The value of `key`, read where it is not in memory."""
        return self._kept.read(key, read)

    def read_if_often(self, key: Hashable, read: Callable[[], Value], patience: int) -> Value | None:
        """The same, but None for the first `patience` questions, and for a value that is larger than the memory.

        None always of an atlas that is far away: what is read for many questions is most of it.
        """
        if self.atlas.far is not None:
            return None
        return self._kept.read_if_often(key, read, patience)

    def clear(self) -> None:
        """Forget what is in memory; the session goes on."""
        self._kept.clear()

    def close(self) -> None:
        """Forget everything for good, and end the SQL that runs. The atlas stays open, and keeps nothing any more."""
        self._kept.close()
        with self._guard:
            self._closed = True
        if self._children is not None:
            self._children.close()


@contextmanager
def open_session(path: str | Path, memory: int = DEFAULT_MEMORY, timeout_s: float | None = None) -> Iterator[Session]:
    """Open an atlas as `open_atlas` does, with a session that keeps at most `memory` bytes; both end with the block.

    Raises as `open_atlas`, and UsageError for a memory below 0.
    """
    with open_atlas(path, timeout_s) as atlas:
        yield Session(atlas, memory)


def session_of(asked: Atlas | Session) -> Session:
    """The session of an open atlas: the one that it has, else a new one."""
    if isinstance(asked, Session):
        return asked
    session = asked.session
    if isinstance(session, Session):
        return session
    with _one_at_a_time:
        if not isinstance(asked.session, Session):
            Session(asked)
    return session_of(asked)
