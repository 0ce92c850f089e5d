"""No module imports, through others, itself; and the three packages point one way."""

from __future__ import annotations

from collections.abc import Iterator

from tests.architecture.imports import OURS, ROOT, imports, sources

Graph = dict[str, set[str]]


def graph_of(packages: tuple[str, ...]) -> Graph:
    """Module -> those of `packages` that it imports, also within functions; what is for typing alone is left out."""
    files = {_name(path): path for package in packages for path in sources(package)}
    graph: Graph = {}
    for name, path in files.items():
        found = {_module(each.module, files.keys()) for each in imports(path) if not each.typing_only}
        graph[name] = {module for module in found if module is not None and module != name}
    return graph


def _name(path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _module(imported: str, known) -> str | None:
    """The module that `package.module.name` names."""
    while imported and imported not in known:
        imported = imported.rpartition(".")[0]
    return imported or None


def circles(graph: Graph) -> Iterator[list[str]]:
    """Each set of modules that reach one another (Tarjan's strongly connected components of more than one)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []

    def visit(node: str) -> Iterator[list[str]]:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(graph[node]):
            if other not in index:
                yield from visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            found = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(found) > 1:
                yield found

    for node in graph:
        if node not in index:
            yield from visit(node)


def test_no_module_reaches_itself():
    graph = graph_of((*OURS, "benchmarks"))
    assert len(graph) > 200
    assert list(circles(graph)) == []


def test_circles_are_seen():
    assert list(circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}, "e": set()})) == [["a", "b", "c"]]


def test_packages_point_one_way():
    graph = graph_of(OURS)
    arrows = {(name.partition(".")[0], other.partition(".")[0]) for name, others in graph.items() for other in others}
    between = {(one, other) for one, other in arrows if one != other and "neuron_atlas" not in (one, other)}
    # A sweep of evaluations makes specs as `neuron-atlas spec` does (tests/architecture/layers.py).
    assert between == {("builders", "atlas"), ("queries", "atlas"), ("builders", "queries")}
