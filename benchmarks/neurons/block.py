"""What the methods say of one neuron, a line each."""

from __future__ import annotations

from benchmarks.neurons.agree import Row
from benchmarks.neurons.cells import LONGEST_TEXT, NOTHING, code, counted, listed, number, small

LONGEST_SENTENCE = 400
LABELS = 4


def block(row: Row) -> list[str]:
    """The lines of one neuron's table, with its heading."""
    farthest = NOTHING if row["extreme"] is None else f"{row['extreme']:+.1f}"
    said = {
        "fires at": f"{counted(row['fires_at'])}; farthest {farthest}",
        "first exemplar": _shown(row["shown"]),
        "next tokens": counted(row["next"]),
        "reads (gate_proj, up_proj)": listed(row["reads"]),
        "graph": _graph(row["graph"]),
        "raises (down_proj)": listed(row["writes"]),
        "lowers (down_proj)": listed(row["lowers"]),
        "weights": _weights(row["weights"]),
        **{f"best interval, {family}": _concept(found) for family, found in row["concepts"].items()},
        "labels of exemplars": _labels(row["labels"]),
        "attribution": _attribution(row["attribution"]),
        "description, input": _description(row["descriptions"].get("input"), "input"),
        "description, output": _description(row["descriptions"].get("output"), "output"),
    }
    heading = f"### {row['address']}" + ("" if row["sign"] > 0 else ", below 0")
    return [heading, "", "| method | says |", "| --- | --- |", *(f"| {name} | {said[name]} |" for name in said), ""]


def signed(value: float, side: str) -> str:
    """A score of a description: an accuracy, or a change of probability."""
    return f"{value:.2f}" if side == "input" else f"{value:+.4f}"


def _shown(shown: list[str] | None) -> str:
    if shown is None:
        return NOTHING
    before, token, after = shown
    parts = (before and code(before, LONGEST_TEXT), f"**{code(token)}**", after and code(after, LONGEST_TEXT))
    return " ".join(filter(None, parts))


def _graph(graph: Row | None) -> str:
    if graph is None:
        return NOTHING
    scores = f"precision {number(graph['precision'])}, recall {number(graph['recall'])}, F1 {number(graph['f1'])}"
    return f"{listed(graph['tokens'])}; held out: {scores} (fires at {graph['fires']} of {graph['n']} tokens)"


def _weights(facts: Row | None) -> str:
    if facts is None:
        return NOTHING
    kurtosis = number(facts["cosine_kurtosis"])
    return f"{facts['io_class'] or NOTHING}; cos(in, out) {number(facts['cos_in_out'])}; vocabulary kurtosis {kurtosis}"


def _concept(concept: Row | None) -> str:
    if concept is None:
        return NOTHING
    expected = ""
    if concept["expected_coverage"] is not None:
        expected = f"; expected {concept['expected_coverage']:.2f}, {concept['expected_leakage']:.2f}"
    side = "larger" if concept["end"] == "top" else "smaller"
    q = NOTHING if concept["q"] is None else small(concept["q"])
    return (
        f"{concept['concept']}, {side} values; held out: coverage "
        f"{concept['held_out_coverage']:.2f}, leakage {concept['held_out_leakage']:.2f}{expected}; q {q}, "
        f"n {concept['n']}"
    )


def _labels(labels: list[list[str]]) -> str:
    names = ["/".join(label) for label in labels]
    order = sorted(set(names), key=lambda name: (-names.count(name), name))
    more = ", …" if len(order) > LABELS else ""
    return ", ".join(f"{name} ×{names.count(name)}" for name in order[:LABELS]) + more or NOTHING


def _attribution(attribution: Row | None) -> str:
    if attribution is None:
        return NOTHING
    return (
        f"{code(attribution['token'])} ({attribution['family']}/{attribution['concept']}): "
        f"{attribution['attribution']:+.4f} ± {attribution['attribution_std']:.4f} logits, n {attribution['texts']}"
    )


def _description(found: Row | None, side: str) -> str:
    if found is None:
        return NOTHING
    text = code(found["text"], LONGEST_SENTENCE, quote=False)
    if found["score"] is None:
        return f"{text}; no score"
    control = NOTHING if found["control"] is None else signed(found["control"], side)
    return f"{text}; {found['measure']} {signed(found['score'], side)}, control {control}, n {found['score_n']}"
