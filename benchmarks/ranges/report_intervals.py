"""docs/results/intervals.md from the numbers in intervals.json."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.common.claim import Table
from benchmarks.ranges.compared import COMPLEMENT, PERPLEXITY, TARGET

_PROTOCOLS = {
    "answered": "texts that the model without edits answers right (the paper's protocol)",
    "all": "all fresh texts, right or wrong",
}


def page(kept: dict) -> str:
    """The whole page, markdown."""
    options, tasks = kept["options"], kept["tasks"]
    given = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in options.items())
    lines = [
        "# Best intervals against the paper's ranges",
        "",
        f"`python -m benchmarks.ranges.intervals --datasets FOLDER {given}`",
        "",
        "*Neurons Speak in Ranges* (arXiv 2502.06809) sets the neurons with the largest mean |activation| on a class "
        "to 0 wherever they are inside mean -+ 2.5 std. Here neurons are changed inside their **best interval**, the "
        "one with the largest coverage - leakage (share of the class's texts inside minus share of the others), and "
        "are chosen by what that is on texts held out from finding it. Zero-shot classification as in "
        "[ranges.md](ranges.md). Numbers come from [intervals.json](intervals.json), which the command writes; with "
        "`--report` it only writes this page again.",
        "",
        f"**The goal**: at a target drop of at least {TARGET}, a drop of the others of at most {COMPLEMENT} of what it "
        f"is under the paper's range masking, and the perplexity of other text at most {PERPLEXITY} times that of the "
        "model without edits, on both corpora, on `mlp_post` neurons.",
        "",
        *_verdicts(tasks),
        "",
        *_set_up(tasks, options),
        "",
    ]
    for name, task in tasks.items():
        lines += [f"## {name}: fresh texts", ""]
        for protocol, words in _PROTOCOLS.items():
            lines += [f"{words[0].upper()}{words[1:]}.", "", _fresh(task, protocol).markdown(), ""]
    for name, task in tasks.items():
        lines += [
            f"## {name}: everything that was tried on dev",
            "",
            f"{task['sizes']['dev']} texts, too few for fine differences. Drops of accuracy, target / others, "
            "answered and all; perplexity as a multiple of the baseline's; *shortfall*: how far the worst of the "
            "three numbers of the goal is from its bound, 1 or less where all are met (answered). Best first.",
            "",
            _dev(task).markdown(),
            "",
        ]
    return "\n".join(lines).rstrip() + "\n"


def _verdicts(tasks: dict) -> Iterable[str]:
    """Sentences that follow from the numbers alone."""
    for name, task in tasks.items():
        arms = {row["role"]: row["protocols"]["answered"] for row in task["fresh"]}
        found = arms["chosen"]
        met = {
            "target drop": found["target"][0] >= TARGET,
            "drop of the others": found["of paper"][0] <= COMPLEMENT,
            "perplexity": found["perplexity"][0] <= PERPLEXITY,
        }
        missed = [what for what, well in met.items() if not well]
        yield (
            f"- **{name}: the goal is {'missed by ' + ', '.join(missed) if missed else 'met'}.** Texts answered right: "
            f"target drop {_shown(found['target'])}, the others' {_shown(found['complement'])}, which is "
            f"{_shown(found['of paper'])} of the paper's range masking (its target drop "
            f"{_shown(arms['paper']['target'])}, the others' {_shown(arms['paper']['complement'])}); perplexity "
            f"elsewhere {_shown(found['perplexity'])} times the baseline's (paper's range masking: "
            f"{_shown(arms['paper']['perplexity'])})."
        )


def _set_up(tasks: dict, options: dict) -> Iterable[str]:
    for name, task in tasks.items():
        sizes, base = task["sizes"], task["baseline"]
        answered = ", ".join(f"{concept} {n} of {base['texts'][concept]}" for concept, n in base["answered"].items())
        template = task["template"].replace("\n", "\\n")
        yield (
            f"- **{name}** (template `{template}`): {sizes['statistics']} texts for neurons and intervals, "
            f"{sizes['dev']} to compare arms (dev), {sizes['fresh']} fresh ones that nothing was chosen on. Without "
            f"edits {base['accuracy']:.2f} of the fresh are answered right ({answered}), and {base['other texts']} "
            f"texts of {task['other']} without a template have perplexity {base['perplexity']:.1f}."
        )
    yield (
        "- Intervals and means are those of the last token of the prompt. *Interval against text*: 600 tokens of "
        "running text (the project's own sentences on topics, no template) count among the others when the interval is "
        "found; *running text at most x*: of 600 other such tokens at most that share is inside. None of the texts "
        "whose perplexity is measured is among them; they are of another corpus."
    )
    yield (
        "- *contrast S*: the activation is set S times the way from the class's mean to the others' mean, so 1 is the "
        "others' mean. *Last token*: edits at the last token of the prompt; perplexity is that of text while it is "
        "written, so that every token is edited whichever it is."
    )
    yield (
        f"- Brackets: 95 % bootstrap intervals over the texts, {options['bootstrap']} resamples within each class, the "
        "same for all arms; the classes were not resampled. Means over the classes as targets, each with at least 5 "
        "texts. *Of paper*: the drop of the others as a share of it under the paper's range masking."
    )


def _fresh(task: dict, protocol: str) -> Table:
    head = ["arm", "setting", "target drop", "others' drop", "of paper", "perplexity", "edits"]
    rows = []
    for row in task["fresh"]:
        found = row["protocols"][protocol]
        cells = [_shown(found[key]) for key in ("target", "complement", "of paper", "perplexity")]
        edits = sorted({min(row["edits"]), max(row["edits"])})
        rows.append([row["role"], row["arm"], *cells, " to ".join(map(str, edits))])
    return Table(head, rows)


def _dev(task: dict) -> Table:
    rows = []
    for row in sorted(task["dev"], key=lambda row: row["shortfall"]):
        pairs = [
            f"{found['target']:.2f} / {found['complement']:.3f}"
            for found in (row["protocols"][name] for name in _PROTOCOLS)
        ]
        ratio = row["protocols"]["all"]["perplexity"]
        rows.append([row["arm"], *pairs, f"{ratio:.3g}", f"{row['shortfall']:.2f}"])
    return Table(["arm", "answered", "all", "perplexity", "shortfall"], rows)


def _shown(each: list) -> str:
    value, low, high = (f"{number:.3g}" if abs(number) >= 10 else f"{number:.2f}" for number in each)
    return f"{value} [{low}, {high}]"
