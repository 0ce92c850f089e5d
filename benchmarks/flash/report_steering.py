"""The steering section of docs/results/flash.md."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from benchmarks.flash.concepts import CONCEPTS, Concept
from benchmarks.flash.sampling import TEMPERATURE
from benchmarks.flash.statistics import difference_interval, distinct_share, perplexity_interval, share_interval
from benchmarks.flash.steering import CONTROL_DRAWS, MAX_PERPLEXITY, MIN_DISTINCT, TOP, VALUES, summary

EXAMPLE = 160  # characters of an answer that are shown


def steering_section(found: dict, work: Path) -> list[str]:
    """Lines of the section; concepts whose test is not complete are named as missing."""
    folder = work / found["folder"]
    arms = {concept: _arms(folder / concept.name) for concept in CONCEPTS}
    done = {concept: of for concept, of in arms.items() if {"before", "after", "control"} <= of.keys()}
    lines = [
        "## Steering",
        "",
        "`python -m benchmarks.flash.main --part steering`",
        "",
        f"For each concept the {TOP} best neurons of `neurons_for_token` for its word, of both signs, are clamped at "
        "every token of prompt and answer: `mlp_post` for neurons found by down_proj (what they write), "
        "`mlp_pre_linear` by up_proj (what they read, as in the paper); "
        "a neuron whose weight lowers the word gets the negative value. "
        "Which weight and value is chosen on four development questions, 4 answers each, that are not among the test "
        "questions: the largest share of answers that speak of the concept while perplexity is at most "
        f"{MAX_PERPLEXITY:g} times and the share of different words at least {MIN_DISTINCT:g} times "
        "those of the unedited model.",
        "",
        f"Test: 10 wordings of a question, sampled at temperature {TEMPERATURE} from the chat template, "
        f"{found['tokens']} new tokens, {found['dtype']}. An answer counts when it holds a word of the concept's list "
        "(benchmarks/flash/concepts.py; the list for dogs holds puppies, hounds and some breeds). Near: the same for "
        "words of a neighbouring concept. Perplexity: of the answers under the unedited model, given the question, for "
        "the first seeds of each wording (n answers); a low one can also be a repetition, so the mean share of "
        "different words in an answer stands beside it. Control: as many random neurons of the same layers, without "
        f"the word in their lists, at the same values, {CONTROL_DRAWS} draws that share the seeds among them. "
        "Intervals: bootstrap over wordings, seeds in them and draws; where all or no answers count, Wilson, "
        "which takes the answers for independent and is too narrow. "
        "The four concepts are tested apart, without a correction for four.",
        "",
        "| concept | arm | answers | speak of it | interval | near | perplexity (n) | interval | different words |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for concept, of in done.items():
        lines += [_row(concept.name, label, of[name]) for label, name in _LABELS.items()]
    lines.append("")
    for concept, of in done.items():
        lines += _verdict(concept, of, json.loads((folder / concept.name / "chosen.json").read_text(encoding="utf-8")))
    if left := [concept.name for concept in CONCEPTS if concept not in done]:
        lines += ["", f"Not measured to the end: {', '.join(left)}."]
    return [*lines, "", *_development(folder)]


_LABELS = {"unedited": "before", "clamped": "after", "random neurons": "control"}


def _arms(folder: Path) -> dict[str, list[dict]]:
    """Test arms that are complete: name -> raw arms (several for the control)."""
    found = {}
    for name in ("before", "after"):
        if (folder / f"test {name}.json").is_file():
            found[name] = [_read(folder / f"test {name}.json")]
    controls = [folder / f"test control {draw}.json" for draw in range(CONTROL_DRAWS)]
    if all(path.is_file() for path in controls):
        found["control"] = [_read(path) for path in controls]
    return found


def _read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def hits(raw: dict, key: str = "hit") -> np.ndarray:
    """[wordings, seeds] of one raw arm, in the order in which answers were sampled."""
    n_wordings = len({answer["question"] for answer in raw["answers"]})
    return np.array([answer[key] for answer in raw["answers"]]).reshape(n_wordings, -1)


def _row(concept: str, label: str, arms: list[dict]) -> str:
    share, low, high = share_interval(np.stack([hits(raw) for raw in arms]))
    near = np.mean([hits(raw, "near").mean() for raw in arms])
    answers = [answer for raw in arms for answer in raw["answers"]]
    scored = [[answer for answer in raw["answers"] if answer["loss"] is not None] for raw in arms]
    loss_WS, tokens_WS = (
        np.concatenate(
            [
                np.array([a[key] for a in rows]).reshape(hits(raw).shape[0], -1)
                for raw, rows in zip(arms, scored, strict=True)
            ],
            1,
        )
        for key in ("loss", "tokens")
    )
    fluency, low_f, high_f = perplexity_interval(loss_WS, tokens_WS)
    distinct = distinct_share([answer["text"] for answer in answers])
    return (
        f"| {concept} | {label} | {len(answers)} | {share:.3f} | {low:.3f} to {high:.3f} | {near:.3f} | "
        f"{fluency:.2f} ({loss_WS.size}) | {low_f:.2f} to {high_f:.2f} | {_number(distinct)} |"
    )


def _verdict(concept: Concept, of: dict[str, list[dict]], chosen: dict) -> list[str]:
    before, after = hits(of["before"][0]), hits(of["after"][0])
    gain, low, high = difference_interval(before, after)
    control = float(np.mean([hits(raw).mean() for raw in of["control"]]))
    near = hits(of["after"][0], "near").mean() - hits(of["before"][0], "near").mean()
    fluency = [summary(of[name][0])["perplexity"] for name in ("before", "after")]
    if low > 0:
        said = f"the share rises by {gain:.3f} ({low:.3f} to {high:.3f})"
    elif high < 0:
        said = (
            f"the share falls by {-gain:.3f} ({low:.3f} to {high:.3f}): the clamp does the opposite of what it should"
        )
    else:
        said = f"no effect that can be told from none ({gain:+.3f}, {low:.3f} to {high:.3f})"
    what = f"{chosen['name']}: {'; '.join(chosen['edits'])}"
    text = f"- **{concept.name}** ({what}): {said}; random neurons reach {control:.3f}."
    if gain > 0 and near >= gain:
        text += f" The neighbour ({concept.near_name}) rises as much or more, by {near:.3f}."
    elif abs(near) >= 0.05:
        text += f" The neighbour ({concept.near_name}) changes by {near:+.3f}."
    if fluency[1] > MAX_PERPLEXITY * fluency[0]:
        text += f" Perplexity is {fluency[1] / fluency[0]:.1f} times as high, beyond the bound of development."
    if after.mean() < 0.9:
        text += ' Not the "always" that the paper says of its dog neuron.'
    one = [_shown(of[name][0]["answers"][0]["text"]) for name in ("before", "after")]
    return [text, f'  "{concept.test[0]}" before: "{one[0]}" After: "{one[1]}"']


def _shown(text: str) -> str:
    return " ".join(text.split())[:EXAMPLE].replace("|", "/").replace("*", "")


def _development(folder: Path) -> list[str]:
    lines = [
        "### Development",
        "",
        f"16 answers an arm, so only a choice, not a result. `down_proj 20` clamps the {TOP} neurons at 20 (or -20). "
        "The values 6, 7, 8 and 3 were added after the others had been seen, on these questions alone. "
        "Words are made of letters: an answer of dollar signs speaks of nothing, and one without words has no share "
        "of different words.",
        "",
        "| concept | clamp | speak of it | near | perplexity | different words | chosen |",
        "|---|---|---|---|---|---|---|",
    ]
    for concept in CONCEPTS:
        place = folder / concept.name
        chosen = _read(place / "chosen.json")["name"] if (place / "chosen.json").is_file() else None
        for path in sorted(place.glob("development *.json"), key=lambda path: _order(path.stem)):
            name, row = path.stem.removeprefix("development "), summary(_read(path))
            lines.append(
                f"| {concept.name} | {name} | {row['share']:.2f} | {row['near']:.2f} | {row['perplexity']:.2f} | "
                f"{_number(row['distinct'])} | {'yes' if name == chosen else ''} |"
            )
    return [*lines, "", *_by_weight(folder)]


def _by_weight(folder: Path) -> list[str]:
    """What each weight reached at best on the development questions, and at what cost."""
    said = []
    for weight in VALUES:
        best = []
        for concept in CONCEPTS:
            arms = {path.stem: summary(_read(path)) for path in (folder / concept.name).glob("development *.json")}
            if of_weight := [arm for name, arm in arms.items() if f" {weight} " in name]:
                arm = max(of_weight, key=lambda arm: (arm["share"], -arm["perplexity"]))
                times = arm["perplexity"] / arms["development none"]["perplexity"]
                different = _number(arm["distinct"]) or "none"
                best.append(
                    f"{concept.name} {arm['share']:.2f} (perplexity x {times:.1f}, different words {different})"
                )
        if best:
            said.append(f"The largest share by {weight}, whatever the fluency: {', '.join(best)}.")
    return [" ".join(said)]


def _number(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.2f}"


def _order(stem: str) -> tuple[str, int]:
    _, name, *value = stem.split()
    return ("" if name == "none" else name, int(value[0]) if value else 0)
