"""THE table of layers: who may import whom. docs/architecture.md shows it: python -m tests.architecture.layers"""

from __future__ import annotations

from dataclasses import dataclass

from tests.architecture.imports import ROOT

PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- layers -->\n", "<!-- end of layers -->\n"


@dataclass(frozen=True)
class Layer:
    """`path`: file or folder. `ours`: module prefixes it may import. `top`: third parties at module level.

    `never`: what it may not import even inside a function. `why`: the reason of a row that looks odd.
    """

    path: str
    ours: tuple[str, ...]
    top: tuple[str, ...]
    never: tuple[str, ...] = ()
    why: str = ""


LAYERS = (
    Layer(
        "atlas/__main__.py",
        ("atlas",),
        (),
        ("torch", "duckdb", "builders", "queries"),
        "the front door names every command by text",
    ),
    # These run where the names of the three packages may be somebody else's.
    Layer("atlas/neuron_atlas.py", ("atlas.__main__",), (), (), "it reads `atlas/name_clash.py` by its path first"),
    Layer("atlas/name_clash.py", (), (), (), "it tells whether the three packages are ours"),
    Layer("builders/__init__.py", (), (), (), "it reads `atlas/name_clash.py` by its path"),
    Layer("queries/__init__.py", (), (), (), "it reads `atlas/name_clash.py` by its path"),
    Layer("atlas/answers", ("atlas",), ("rich",), ("torch", "duckdb", "click", "atlas.store", "atlas.live")),
    Layer("atlas/cli", ("atlas",), ("click",), ("torch", "duckdb", "atlas.store", "atlas.live")),
    Layer(
        "atlas/store/far/filesystem.py",
        ("atlas",),
        ("duckdb", "fsspec"),
        ("torch", "transformers", "click", "atlas.live"),
        "DuckDB reads what is elsewhere through a filesystem of this class",
    ),
    Layer("atlas/store", ("atlas",), ("duckdb",), ("torch", "transformers", "click", "atlas.live")),
    Layer(
        "atlas/live",
        ("atlas",),
        ("torch", "transformers", "tokenizers", "safetensors"),  # headers are checked before transformers sees the file
        ("duckdb", "click", "atlas.store", "builders", "queries"),
    ),
    Layer("atlas", ("atlas",), (), ("torch", "numpy", "pyarrow", "duckdb", "click", "atlas.store", "atlas.live")),
    Layer(
        "builders/cli/detect.py",
        ("atlas", "builders", "queries.detectors"),
        ("click",),
        ("torch",),
        "it asks what is stored, and only with `--text` runs the model",
    ),
    Layer(
        "builders/cli/search.py",
        ("atlas", "builders", "queries.search", "queries.session.vectors"),
        ("click",),
        ("torch",),
        "it asks what is stored; the words of the question may need a model to be embedded",
    ),
    Layer(
        "builders/cli/serve.py",
        ("atlas", "builders", "queries.web"),
        ("click",),
        ("torch",),
        "it serves what questions answer, and hands the server a model, and what embeds a search, where asked for",
    ),
    Layer("builders/cli", ("atlas", "builders"), ("click",), ("queries", "torch")),
    Layer(
        "builders/fires/question.py",
        ("atlas", "builders", "queries.distributions", "queries.fired"),
        (),
        ("click",),
        "it places what a live model does among what is stored, and asking for that only reads",
    ),
    Layer(
        "builders/evaluation/sweep.py",
        ("atlas", "builders", "queries.specs.make_spec"),
        (),
        ("torch", "transformers", "click"),
        "a sweep asks what `neuron-atlas spec` asks, many times, and making a spec only reads",
    ),
    Layer(
        "builders/decoding/topk/cuda.py",
        ("builders",),
        ("torch", "triton"),
        ("queries", "click"),
        "kernels are decorated when the module is read, which happens on a GPU alone",
    ),
    Layer(
        "builders/descriptions",
        ("atlas", "builders", "queries.card", "queries.running_text", "queries.wordforms"),
        ("torch", "numpy", "pyarrow"),
        ("click",),
        "a description is made of what the card of a neuron says, and questions only read",
    ),
    Layer("builders", ("atlas", "builders"), ("torch", "numpy", "scipy", "pyarrow"), ("queries", "click")),
    Layer("queries/cli", ("atlas", "queries"), ("click",), ("builders", "atlas.live", "torch", "transformers")),
    Layer(
        "queries/agents",
        ("atlas", "queries"),
        ("mcp", "mcp_types"),
        ("builders", "atlas.live", "torch", "transformers", "click", "rich"),
    ),
    Layer(
        "queries/web",
        ("atlas", "queries"),
        ("starlette", "jinja2", "markupsafe", "anyio", "uvicorn"),
        ("builders", "atlas.live", "torch", "transformers", "click", "rich", "duckdb"),
    ),
    Layer(
        "queries",
        ("atlas", "queries"),
        (),
        ("builders", "atlas.live", "torch", "transformers", "click", "rich"),
    ),
)


def markdown() -> str:
    """The table as the page shows it."""
    head = "| what | may import of ours | third parties at module level | never, not even in a function |"
    lines = [head, "|---|---|---|---|"]
    for row in sorted(LAYERS, key=lambda row: row.path):
        cells = (", ".join(f"`{name}`" for name in names) or "nothing" for names in (row.ours, row.top, row.never))
        lines.append(f"| `{row.path}`{': ' + row.why if row.why else ''} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def page(text: str) -> str:
    """The page with its table made anew."""
    before, _, rest = text.partition(BEGIN)
    return before + BEGIN + "\n" + markdown() + "\n" + END + rest.partition(END)[2]


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
