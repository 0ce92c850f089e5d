"""docs/results/transfer.md from the numbers in transfer.json."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.common.claim import Table

ARMS = {
    "top 1": "the best neuron",
    "top 20": "the 20 best neurons, mean over them",
    "3 together": "three neurons together (two of three intervals hold)",
}


def page(kept: dict) -> str:
    """The whole page, markdown."""
    options = kept["options"]
    lines = [
        "# Do best intervals transfer?",
        "",
        f"`python -m benchmarks.ranges.transfer --datasets FOLDER --per-concept {options['per_concept']} "
        f"--bootstrap {options['bootstrap']} --seed {options['seed']} --model {options['model']}`",
        "",
        "An interval says that a neuron's activation lies between two bounds; the best one of a concept has the "
        "largest coverage - leakage (share of the concept's texts inside minus share of all others). Here neurons "
        "(`mlp_post`, all layers, last token) and their intervals are found on one set of texts and judged on another, "
        "or on the same texts under another prompt template. Numbers come from [transfer.json](transfer.json), which "
        "the command writes; with `--report` it only writes this page again.",
        "",
        "- *home*: coverage - leakage on texts of the set that they were found on, held out: five parts, each judged "
        "by neurons and intervals that the other four gave, the choice of neurons included.",
        "- *away*: the same neurons and intervals on the other texts, nothing fitted there.",
        "- *again*: the same neurons, with intervals found again on the other texts (held out). Where this is high and "
        "*away* low, the neuron carries over and its interval does not.",
        "- *native*: neurons and intervals found on the other texts, held out: what can be had there.",
        "- *survives*: away / home; *of native*: away / native. The others of a concept differ between two sets, so "
        "home alone is no fair measure of what could have survived.",
        "- Brackets: 95 % bootstrap intervals over the texts, drawn within each class; concepts were not resampled.",
        "",
        "## In short",
        "",
        *_words(kept["measured"]),
        "",
        *_summary(kept["measured"]),
        "",
        "Means over the concepts. Every concept is below.",
        "",
    ]
    for title, pairs in kept["measured"].items():
        lines += [f"## {title[0].upper()}{title[1:]}", ""]
        for pair in pairs:
            lines += [f"### {_what(pair)}", ""]
            for arm, words in ARMS.items():
                table = Table(_HEAD, [_cells(row, arm) for row in pair["rows"]], f"{words[0].upper()}{words[1:]}.")
                lines += [table.markdown(), ""]
    return "\n".join(lines).rstrip() + "\n"


_HEAD = [
    "found for",
    "judged on",
    "home",
    "away",
    "coverage / leakage away",
    "again",
    "native",
    "survives",
    "of native",
]


def _words(measured: dict) -> Iterable[str]:
    """A sentence for each direction: what survives, lowest and highest of its pairs of templates."""
    for title, pairs in measured.items():
        parts = []
        for arm, words in ARMS.items():
            survives, native = ([pair["rows"][-1]["arms"][arm][key][0] for pair in pairs] for key in _RATIOS)
            parts.append(f"{words}: {_from_to(survives)} of home, {_from_to(native)} of native")
        yield f"- **{title[0].upper()}{title[1:]}**: {'; '.join(parts)}."
    everything = [pair["rows"][-1]["arms"]["top 1"] for pairs in measured.values() for pair in pairs]
    again = sum(each["again"]["told"][0] > each["away"]["told"][0] for each in everything)
    yield (
        f"- In {again} of {len(everything)} pairs the best neuron tells more once its interval is found again on the "
        "other texts: part of what is lost is the interval, the rest the choice of the neuron."
    )


_RATIOS = ("survives", "of native")


def _from_to(values: list[float]) -> str:
    low, high = f"{min(values):.2f}", f"{max(values):.2f}"
    return low if low == high else f"{low} to {high}"


def _summary(measured: dict) -> Iterable[str]:
    head = ["", "arm", "home", "away", "again", "native", "survives", "of native"]
    rows = []
    for pairs in measured.values():
        for pair in pairs:
            for arm in ARMS:
                told = _cells(pair["rows"][-1], arm)
                rows.append([_what(pair), arm, *told[2:4], *told[5:]])
    yield Table(head, rows).markdown()


def _what(pair: dict) -> str:
    home, away = pair["home"], pair["away"]
    from_template, to_template = (each["template"].replace("\n", "\\n") for each in (home, away))
    if home["name"] == away["name"]:
        return f"{home['name']}: `{from_template}` to `{to_template}`"
    if from_template == to_template:
        return f"{home['name']} to {away['name']}, both `{from_template}`"
    return f"{home['name']} `{from_template}` to {away['name']} `{to_template}`"


def _cells(row: dict, arm: str) -> list[str]:
    found = row["arms"][arm]
    home, away, again, native = (_shown(found[key]["told"]) for key in ("home", "away", "again", "native"))
    both = f"{found['away']['coverage']:.2f} / {found['away']['leakage']:.2f}"
    return [
        row["home"],
        row["away"] or "",
        home,
        away,
        both,
        again,
        native,
        _shown(found["survives"]),
        _shown(found["of native"]),
    ]


def _shown(each: list[float]) -> str:
    value, low, high = each
    return f"{value:.2f} [{low:.2f}, {high:.2f}]"
