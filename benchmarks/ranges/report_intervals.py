"""docs/results/intervals.md from the numbers in intervals.json."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.common.claim import Table
from benchmarks.ranges.compared import COMPLEMENT, PERPLEXITY, TARGET

_PROTOCOLS = {
    "answered": "texts that the model without edits answers right (the paper's protocol)",
    "all": "all texts, right or wrong",
}


def page(kept: dict) -> str:
    """The whole page, markdown."""
    options, tasks = kept["options"], kept["tasks"]
    given = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in options.items())
    if not any(task["fresh"] for task in tasks.values()):
        given += " --dev-only"
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
        if task["fresh"]:
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
        for role in ("chosen", BLIND):
            if role in arms:
                yield f"- **{name}, fresh texts, {_RULES[role]}: {_goal(arms[role])}.** {_numbers(arms[role])}"
        if "paper" in arms:
            yield f"- {name}, fresh texts, the paper's range masking: {_numbers(arms['paper'])}"
        for role, key in (("chosen", "any rule"), (BLIND, BLIND)):
            for part, row in zip(("one half", "the other half"), task["halves"][key], strict=True):
                yield (
                    f"- {name}, dev, {_RULES[role]}, chosen on a half of dev and measured on {part} of it: "
                    f"{_goal(row['answered'])}. {_numbers(row['answered'])} ({row['arm']})"
                )


BLIND = "without label words"
_RULES = {"chosen": "any rule", BLIND: "rules that do not know the label words"}


def _goal(found: dict) -> str:
    met = {
        "target drop": found["target"][0] >= TARGET,
        "drop of the others": found["of paper"][0] <= COMPLEMENT,
        "perplexity": found["perplexity"][0] <= PERPLEXITY,
    }
    missed = [what for what, well in met.items() if not well]
    return f"the goal is missed by {' and '.join(missed)}" if missed else "the goal is met"


def _numbers(found: dict) -> str:
    return (
        f"Target drop {_shown(found['target'])}, the others' {_shown(found['complement'])}, "
        f"{_shown(found['of paper'])} of the paper's; perplexity elsewhere {_shown(found['perplexity'])} times the "
        "baseline's."
    )


def _set_up(tasks: dict, options: dict) -> Iterable[str]:
    for name, task in tasks.items():
        sizes, base = task["sizes"], task["baseline"]
        answered = ", ".join(f"{concept} {n} of {base['texts'][concept]}" for concept, n in base["answered"].items())
        template = task["template"].replace("\n", "\\n")
        yield (
            f"- **{name}** (template `{template}`): {sizes['statistics']} texts for neurons and intervals, "
            f"{sizes['dev']} to compare arms (dev), {_measured(sizes, task)}. Without edits "
            f"{base['accuracy']:.2f} of those are answered right ({answered}), and {base['other texts']} "
            f"texts of {task['other']} without a template have perplexity {base['perplexity']:.1f}."
        )
    yield (
        "- Intervals and means are those of the last token of the prompt. *Interval against text*: 600 tokens of "
        "running text (the project's own sentences on topics, no template) count among the others when the interval is "
        "found; *running text at most x*: of 600 other such tokens at most that share is inside. None of the texts "
        "whose perplexity is measured is among them; they are of another corpus."
    )
    yield (
        "- Rules: *coverage - leakage*, held out; *coverage - leakage - running text*, less the share of such tokens "
        "inside; *joint leakage at most x*: greedily the most coverage while at most that share of the other texts and "
        "of running text sees any edit at all; *auc*; *mean_abs*, the paper's; *push on the label*: coverage - leakage "
        "times what the class's mean activation, beyond the others' mean, adds to the logit of the label word over the "
        "other labels by the neuron's output weights. The last **knows the label words** that the answer is read from: "
        "it shows that a class can be made unanswerable, not that the model no longer knows the class."
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


def _measured(sizes: dict, task: dict) -> str:
    if task["fresh"]:
        return f"{sizes['fresh']} fresh ones that nothing was chosen on"
    return (
        "**no fresh ones yet**: what follows is measured on dev, where choosing and measuring are kept apart by halves"
    )


def _fresh(task: dict, protocol: str) -> Table:
    head = ["arm", "setting", "target drop", "others' drop", "of paper", "perplexity"]
    rows = []
    for row in task["fresh"]:
        found = row["protocols"][protocol]
        cells = [_shown(found[key]) for key in ("target", "complement", "of paper", "perplexity")]
        rows.append([row["role"], row["arm"], *cells])
    return Table(head, rows)


def _dev(task: dict) -> Table:
    rows = []
    for row in sorted(task["dev"], key=lambda row: row["shortfall"]):
        pairs = [
            f"{found['target']:.2f} / {found['complement']:.3f}"
            for found in (row["protocols"][name] for name in _PROTOCOLS)
        ]
        ratio = row["protocols"]["all"]["perplexity"]
        rows.append([row["arm"], *pairs, f"{ratio:.3g}", _short(row["shortfall"])])
    return Table(["arm", "answered", "all", "perplexity", "shortfall"], rows)


def _short(shortfall: float) -> str:
    return f"{shortfall:.2f}" if shortfall < 100 else "over 100"


def _shown(each: list) -> str:
    value, low, high = (f"{number:.3g}" if abs(number) >= 10 else f"{number:.2f}" for number in each)
    return f"{value} [{low}, {high}]"
