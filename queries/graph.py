"""The pattern graph of a neuron: which tokens, after which others, fire it, and how well that predicts new text."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from atlas.answers.cells import number
from atlas.answers.kinds import Prose
from atlas.answers.result import Document, Result
from atlas.errors import AtlasFileError, QuestionError
from atlas.graph import ANY, FIRES, ROOT, Counts, Graph, Node
from atlas.printable import shortened
from atlas.sites import DEFAULT_SITE, format_neuron, parse_neuron
from atlas.sites import site as site_of
from atlas.store.reader import Atlas
from queries.answering import question
from queries.require import require_neuron
from queries.session.filled import has_rows
from queries.session.resident import present, token_texts
from queries.sqlfile import load_sql

NODES, SCORES = SECTIONS = ("nodes", "scores")
ANY_TOKEN = "any token"
NODE_COLUMNS = "node parent depth token_id token value n pattern".split()
SCORE_COLUMNS = "texts precision recall f1 found wrong missed tokens".split()
_WIDTH = 40


@dataclass(frozen=True)
class StoredGraph:
    """A graph as it is stored. `texts`: the text of each token in it. `train`, `held`: what it reaches."""

    address: str
    site: str
    sign: int
    largest: float
    exemplars: int
    held_exemplars: int
    held_random: int
    held: Counts
    train: Counts
    graph: Graph
    texts: dict[int, str]

    def word(self, node: Node) -> str:
        """The token of a node in quotes, or that any will do."""
        if node.token == ANY:
            return ANY_TOKEN
        return shortened(self.texts.get(node.token, f"<{node.token}>"), _WIDTH, quote=True)


@question
def stored_graph(atlas: Atlas, address: str, *, site: str = DEFAULT_SITE) -> StoredGraph:
    """The graph of one neuron.

        stored_graph(atlas, "L29N808").graph.predict(token_ids)

    Raises QuestionError where the neuron has none, or is none; UsageError for a malformed address, UnknownNameError for
    a site, AtlasFileError for what is stored and no graph.
    """
    width = getattr(atlas.manifest, site_of(site).width)
    layer, neuron = parse_neuron(address)
    require_neuron(atlas, layer, neuron, width)
    asked = [load_sql("graph")] if has_rows(atlas, "_graph") else []
    (rows,) = atlas.rows(asked, site=site, layer=layer, neuron=neuron) or ([],)
    if not rows:
        raise QuestionError(
            f"there is no graph of {address} at {site} here",
            f"`neuron-atlas build --add --no-decode --no-concepts --graphs {address}` makes one, from exemplars.",
        )
    *numbers, tokens, parents, values, counts = rows[0]
    sign, largest, *counted = numbers
    try:
        if sign not in (-1, 1) or not math.isfinite(largest) or sign * largest <= 0 or min(counted) < 0:
            raise ValueError("its numbers are none")
        nodes = zip(tokens, parents, values, counts, strict=True)
        graph = Graph([Node(token, parent, value if n else None, n) for token, parent, value, n in nodes])
        if not graph.nodes or not all(math.isfinite(node.value or 0.0) and node.n >= 0 for node in graph.nodes):
            raise ValueError("its nodes are none")
    except (ValueError, TypeError) as error:
        raise AtlasFileError(
            f"the graph of {address} in {atlas.path} is damaged: {error}", "`neuron-atlas verify` says more."
        ) from error
    exemplars, held_exemplars, held_random = counted[:3]
    held, train = Counts(*counted[3:7]), Counts(*counted[7:])
    ids = {node.token for node in graph.nodes if node.token != ANY}
    texts = {token: text for token, (text, _) in token_texts(atlas, present(atlas), ids).items()} if ids else {}
    return StoredGraph(address, site, sign, largest, exemplars, held_exemplars, held_random, held, train, graph, texts)


@question
def neuron_graph(atlas: Atlas, address: str, *, site: str = DEFAULT_SITE) -> Document:
    """What fires a neuron, as a tree that is read backwards from the token at which it does: the SECTIONS.

    nodes has a row for each: its parent is the token after it in the text (-1: the neuron fires at this one), token_id
    -1 stands for any token, value is the mean activation of the patterns that end here, as a part of `largest` (None:
    none does), pattern the same as a line of a tree. scores says how well the graph tells the tokens at which the
    neuron reaches half of `largest`: on texts of exemplars that it was not made from and texts drawn at random (held
    out), and on those that it was made from. Raises as `stored_graph`.
    """
    found = stored_graph(atlas, address, site=site)
    fields = {
        "address": format_neuron(*parse_neuron(address)),
        "site": site,
        "model": atlas.manifest.model_id,
        "side": "largest" if found.sign > 0 else "smallest",
        "largest": found.largest,
        "exemplars": found.exemplars,
    }
    held = f"{found.held_exemplars} other exemplars, {found.held_random} random"
    scores = [(held, *_scores(found.held)), (f"{found.exemplars} exemplars that made it", *_scores(found.train))]
    sections = {
        NODES: Result(NODE_COLUMNS, _rows(found), shown=["pattern", "value", "n"]),
        SCORES: Result(SCORE_COLUMNS, scores),
    }
    notes = [
        f"it fires where the activation is at least {FIRES * found.largest:.4g}"
        if found.sign > 0
        else f"it fires where the activation is at most {FIRES * found.largest:.4g}",
        "read a pattern backwards: what stands further right has to come before",
    ]
    return Document(fields, sections, notes)


def _scores(counts: Counts) -> tuple[Any, ...]:
    return (counts.precision, counts.recall, counts.f1, *counts)


def _rows(found: StoredGraph) -> list[tuple[Any, ...]]:
    nodes = found.graph.nodes
    last: dict[int, int] = {node.parent: place for place, node in enumerate(nodes)}
    lines: list[str] = []
    rows = []
    for place, node in enumerate(nodes):
        lines.append("" if node.parent == ROOT else _rail(node.parent, nodes, last, lines))
        branch = "" if node.parent == ROOT else "└─ " if last[node.parent] == place else "├─ "
        depth = found.graph.depths[place]
        text = None if node.token == ANY else found.texts.get(node.token)
        pattern = Prose(f"{lines[place]}{branch}{found.word(node)}")
        rows.append((place, node.parent, depth, node.token, text, node.value, node.n, pattern))
    return rows


def _rail(parent: int, nodes: list[Node], last: dict[int, int], lines: list[str]) -> str:
    """What stands before the branch of a child: its parent's, and a line down where the parent has a next sibling."""
    above = nodes[parent].parent
    if above == ROOT:
        return ""
    return lines[parent] + ("·  " if last[above] == parent else "│  ")


def dot(found: StoredGraph) -> str:
    """The graph in the language of Graphviz: edges run from a token to the one after it."""
    lines = ["digraph {", "  rankdir=RL;", "  node [shape=box];"]
    for place, node in enumerate(found.graph.nodes):
        said = found.word(node) if node.value is None else f"{found.word(node)} {number(node.value, 2)}"
        style = ", style=dashed" if node.token == ANY else ", style=bold" if node.parent == ROOT else ""
        lines.append(f"  n{place} [label={_quoted(said)}{style}];")
        if node.parent != ROOT:
            lines.append(f"  n{place} -> n{node.parent};")
    return "\n".join([*lines, "}"]) + "\n"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") + '"'
