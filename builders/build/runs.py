"""What a part of a build writes before and after its units: its row of `run`, and what it makes anew goes."""

from __future__ import annotations

import json

from atlas.manifest import utc_now, versions
from atlas.schema.table import DESCRIPTION, FAMILY, FIT, NEURON, TEXTS, WEIGHT
from atlas.schema.tables import about
from atlas.store.staging import Staging
from builders.build.plan import Plan
from builders.build.product import Part, Product, Replaced

_KEYS = {
    WEIGHT: "weight::VARCHAR",
    NEURON: "layer",
    FIT: "fit_id",
    FAMILY: "family",
    TEXTS: "site || '/L' || layer || 'N' || neuron",  # the running text goes as a whole; what is made anew is a neuron
    DESCRIPTION: "author || ' ' || layer || ' ' || neuron",
}
"""What a row is about: a column, or SQL over columns."""


def step_of(product: Product, part: Part) -> str:
    """A name for the part among those of all products."""
    return f"{product.name}/{part.name}" if part.name else product.name


def forget(staging: Staging, plan: Plan, product: Product, part: Part) -> None:
    """Drop, once, the rows that this part replaces."""
    step = f"forget/{step_of(product, part)}"
    if staging.done(step):
        return
    own = product.tables(plan.config)
    statements = [
        statement for replaced in product.replaces(plan, part, staging.rows) for statement in _deletes(replaced, own)
    ]
    staging.execute_once(step, statements)


def _deletes(replaced: Replaced, own: object) -> list[tuple[str, list]]:
    tables = [table for table in about(replaced.about) if replaced.whole or table in own]
    where, values = f"{_KEYS[replaced.about]} IN (SELECT unnest(?))", [list(replaced.things)]
    if replaced.layers is not None:
        where, values = f"{where} AND layer IN (SELECT unnest(?))", [*values, list(replaced.layers)]
    return [(f"DELETE FROM {table} WHERE {where}", values) for table in tables if replaced.things]


def begin_run(staging: Staging, plan: Plan, product: Product, part: Part) -> int:
    """A row of `run`, written once per build; returns its id."""
    step = f"run/{step_of(product, part)}"
    state = staging.read_state(step)
    if state is not None:
        return int(state)
    run_id = staging.rows("SELECT coalesce(max(run_id) + 1, 1) FROM run")[0][0]
    row = [
        run_id,
        product.name,
        json.dumps(part.parameters),
        json.dumps(versions("torch", "transformers", "duckdb", "numpy")),
        str(plan.live.device),
        str(plan.live.dtype).removeprefix("torch."),
        utc_now(),
    ]
    insert = ("INSERT INTO run VALUES (?, ?, ?, ?, ?, ?, ?, NULL)", row)
    staging.execute_once(step, [insert], state=(step, str(run_id)))
    return run_id


def end_run(staging: Staging, product: Product, part: Part, run_id: int) -> None:
    """Note, once, when the part was finished."""
    statement = ("UPDATE run SET finished_at = ? WHERE run_id = ?", [utc_now(), run_id])
    staging.execute_once(f"end/{step_of(product, part)}", [statement])
