"""What is in an atlas."""

from __future__ import annotations

from atlas.answers.result import Document, Result
from atlas.schema.tables import TABLES, built
from atlas.schema.views import views
from atlas.store.reader import Atlas
from queries.answering import question
from queries.decoded import notes_on_all
from queries.gradients import gradient_checks
from queries.patches import image_folders, of_images
from queries.sqlfile import load_sql
from queries.weight_run import HOW_TO_ADD


@question
def info(atlas: Atlas) -> Document:
    """The manifest as fields (with the file, its bytes and `built_with`), and the SECTIONS; `texts` where there are."""
    sections = {name: ask(atlas) for name, ask in SECTIONS.items()}
    if not sections[TEXTS].rows:
        del sections[TEXTS]
    fields = {
        "file": str(atlas.path),
        "bytes": atlas.far.bytes if atlas.far is not None else atlas.path.stat().st_size,
        **atlas.manifest._asdict(),
        "built_with": built_with(sections["runs"]),
    }
    return Document(fields, sections)


def built_with(executions: Result) -> str:
    """Versions, as 'python: 3.11.9, torch: 2.13.0'; where runs differ, the others follow after '; '."""
    # Shown, not parsed: it is JSON of names and versions where we wrote it.
    return "; ".join(text.strip("{}").replace('"', "") for text in dict.fromkeys(executions.column("versions")))


@question
def fits(atlas: Atlas) -> Result:
    """One row a fit: family, site, position, template, n examples, n concepts, width, measured taus."""
    shown = ["fit_id", "family", "site", "position", "template", "n", "concepts", "taus"]
    return Result(*atlas.query(load_sql("info_fits")), shown=shown)


@question
def texts(atlas: Atlas) -> Result:
    """The running text, if the atlas has any: its sources, how many texts and tokens that count, at which sites.

    Of an image tower the images: `sources` are their folders, as the build named them.
    """
    columns, rows = atlas.query(load_sql("info_texts"))
    if of_images(atlas):
        place, run = columns.index("sources"), columns.index("run_id")
        rows = [(*row[:place], image_folders(atlas, row[run]), *row[place + 1 :]) for row in rows]
    return Result(columns, rows, shown="sources texts tokens max_tokens words sites layers".split())


@question
def runs(atlas: Atlas) -> Result:
    """One row an execution of a builder: device, dtype, times in UTC, seconds, parameters, versions."""
    shown = ["run_id", "builder", "device", "dtype", "started_at", "seconds"]
    return Result(*atlas.query(load_sql("info_runs")), shown=shown)


@question
def row_counts(atlas: Atlas) -> Result:
    """Rows of each public table or view, counted in the tables below them; views where the tables stand they show.

    A note names the layers that there are where not all are there (`build --layers`).
    """
    shown = {view.of: view for view in views().values() if view.counted}
    counted = {table.name: f"SELECT count(*) FROM {table.name}" for table in built() if table.public and table.counted}
    statements = [
        (shown[name].name, shown[name].rows) if name in shown else (name, counted[name])
        for name in TABLES
        if name in shown or name in counted
    ]
    counts = " UNION ALL ".join(f"SELECT '{name}' AS \"table\", ({sql}) AS rows" for name, sql in statements)
    return Result(*atlas.query(counts), notes_on_all(atlas))


@question
def io_classes(atlas: Atlas) -> Result:
    """One row an IO class that neurons are of (docs/methods.md): io_class, neurons, share of all."""
    return Result(*atlas.query(load_sql("io_classes")))


@question
def weight_runs(atlas: Atlas) -> Result:
    """One row a run over the weights: what their facts are measured with, and what random vectors reach."""
    shown = ["run_id", "mode", "null_directions", "frequency_source", "random_cosine_95", "random_kurtosis_95"]
    found = Result(*atlas.query("SELECT * FROM weight_run ORDER BY run_id"), shown=shown)
    found.notes = [] if found.rows else [HOW_TO_ADD]
    return found


TEXTS = "texts"
SECTIONS = {
    **{"fits": fits, TEXTS: texts, "runs": runs, "weights": weight_runs, "io_classes": io_classes, "rows": row_counts},
    "gradients": gradient_checks,
}
"""name -> its question: the parts of `info`."""
