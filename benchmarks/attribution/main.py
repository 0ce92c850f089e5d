"""Does what `explain` names do what it says? Writes docs/results/attribution.md, and beside it the numbers as JSON.

Run: python -m benchmarks.attribution.main [--model smollm2-135m]

For each prompt and rule, the 20 neurons that the rule puts first are set to 0 at the last token, alone and together, by
bare hooks. The target is the logit of the likeliest next token. Rules that `explain` does not have: the largest
|activation|, and neurons drawn at random (the mean of five draws).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, median

import numpy as np
import torch
from scipy.stats import pearsonr

from atlas.live.loading import load
from atlas.live.model import LiveModel
from benchmarks.attribution.plain import logit_after
from benchmarks.attribution.prompts import PROMPTS
from builders.attribution.choose import first
from builders.attribution.edits import Neuron
from builders.attribution.explain import Explanation, explain
from builders.attribution.request import COMPUTED, ExplainRequest, Prompt

TOP, DRAWS, SAMPLE, SEED = 20, 5, 200, 0
GOAL = 0.98
RULES = ("joint", "measured", *COMPUTED, "activation", "random")
RESULTS = Path(__file__).parents[2] / "docs" / "results"


class Bench:
    """One prompt: bare hooks on the model."""

    def __init__(self, live: LiveModel, found: Explanation) -> None:
        self._live, self._found = live, found
        self.value = self._after([])

    def removed(self, neurons: Sequence[Neuron]) -> float:
        """What the logit loses with these at 0."""
        return self.value - self._after(neurons)

    def _after(self, neurons: Sequence[Neuron]) -> float:
        return logit_after(self._live.model, self._found.prompt_ids, self._found.token_id, neurons)


def one_prompt(live: LiveModel, text: str, generator: np.random.Generator) -> dict:
    """Everything that is measured of one prompt."""
    named = {rule: explain(live, [Prompt(text)], ExplainRequest(TOP, TOP, rule))[0] for rule in ("joint", "measured")}
    found = named["joint"]
    scores, bench = found.scores.by_rule, Bench(live, found)
    sets = {
        **{rule: [(each.layer, each.neuron) for each in each_found.neurons] for rule, each_found in named.items()},
        **{rule: first(values_LN, TOP) for rule, values_LN in scores.items()},
        "activation": first(found.scores.acts_LN.abs(), TOP),
    }
    together = {rule: bench.removed(neurons) for rule, neurons in sets.items()}
    places = generator.choice(live.n_layers * live.d_mlp, (DRAWS, TOP))
    draws = [[divmod(int(place), live.d_mlp) for place in draw] for draw in places]
    together["random"] = fmean(map(bench.removed, draws))
    sample = [divmod(int(place), live.d_mlp) for place in generator.choice(live.n_layers * live.d_mlp, SAMPLE)]
    alone = [bench.removed([each]) for each in sample]
    return {
        "prompt": text,
        "token": found.token,
        "logit": bench.value,
        "together": together,
        "said_together": found.holds,
        "measured": _pearson([each.measured for each in found.neurons], [bench.removed([n]) for n in sets["joint"]]),
        "named": {
            rule: _pearson([float(scores[rule][n]) for n in sets[rule]], [bench.removed([n]) for n in sets[rule]])
            for rule in COMPUTED
        },
        "sample": {rule: _pearson([float(scores[rule][n]) for n in sample], alone) for rule in COMPUTED},
    }


def _pearson(said: Sequence[float | None], measured: Sequence[float]) -> float:
    return float(pearsonr(np.asarray(said, float), np.asarray(measured)).statistic)


def page(model: str, rows: Sequence[dict]) -> str:
    """docs/results/attribution.md."""
    best = sum(max(row["together"], key=row["together"].get) == "joint" for row in rows)
    worst = min(row["measured"] for row in rows)
    said = max(abs(row["said_together"] - row["together"]["joint"]) for row in rows)
    computed = {rule: fmean(row["together"][rule] for row in rows) for rule in RULES}
    single = max(COMPUTED, key=lambda rule: computed[rule])
    lines = [
        "# Which neurons hold a logit",
        "",
        f"Model `{model}`, {len(rows)} prompts, float32. Written by `python -m benchmarks.attribution.main`; its "
        "docstring says how.",
        "",
        f"For each prompt, {TOP} neurons are set to 0 at the last token by bare hooks, and the logit of the likeliest "
        "next token is looked at.",
        "",
        "## Is it what `explain` says?",
        "",
        f"`explain` measures the neurons that it names, one by one. Its column `measured` against bare hooks: Pearson "
        f"at least {worst:.4f} in every prompt (the goal was {GOAL}); what it says the set does together is off by at "
        f"most {said:.1g}.",
        "",
        "What is only computed tells less of the neurons that it names, which are the strongest, than of neurons drawn "
        f"at random ({SAMPLE} a prompt). Pearson of the attribution with the measured effect of setting a neuron to 0, "
        f"over prompts; how many of {len(rows)} reach {GOAL}:",
        "",
        "| rule | random neurons, median | least | reach it | its own first 20, median | least | reach it |",
        "|---|---|---|---|---|---|---|",
    ]
    for rule in COMPUTED:
        cells = []
        for kind in ("sample", "named"):
            values = [row[kind][rule] for row in rows]
            cells += [f"{median(values):.3f}", f"{min(values):.3f}", str(sum(v >= GOAL for v in values))]
        lines.append(f"| {rule} | {' | '.join(cells)} |")
    lines += [
        "",
        "So the gradient tells what setting one neuron to 0 does, except for a few that the model's next blocks depend "
        "on too much for one step; the direct effect and RelP tell less of neurons in early layers. This is why "
        "`explain` measures what it names.",
        "",
        "## Which rule removes most?",
        "",
        f"What the logit loses when the first {TOP} of a rule are set to 0 together.",
        "",
        f"| prompt | token | logit | {' | '.join(RULES)} |",
        "|---|---|---|" + "---|" * len(RULES),
    ]
    for row in rows:
        top = max(row["together"].values())
        cells = [
            f"**{row['together'][rule]:.2f}**" if row["together"][rule] == top else f"{row['together'][rule]:.2f}"
            for rule in RULES
        ]
        prompt = json.dumps(row["prompt"])[1:-1]
        lines.append(f"| {prompt} | `{json.dumps(row['token'])}` | {row['logit']:.2f} | {' | '.join(cells)} |")
    means = [f"{computed[rule]:.2f}" for rule in RULES]
    lines += [
        f"| **mean** | | {fmean(row['logit'] for row in rows):.2f} | {' | '.join(means)} |",
        "",
        f"`joint`, the default of `explain`, removes most in {best} of {len(rows)} prompts. It measures the first "
        f"{TOP} of every computed rule and of |activation| as sets, and a few more that it reaches by gradients taken "
        "with the last set at 0; so it cannot be worse than the rules that it begins with. Of the rules that need no "
        f"measuring, {single} removes most on average. `measured` ranks single neurons by their measured effects: "
        "effects of single neurons do not add up.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.manual_seed(SEED)
    live, generator = load(options.model, device="cpu", dtype="float32"), np.random.default_rng(SEED)
    rows = [one_prompt(live, text, generator) for text in PROMPTS]
    (options.output / "attribution.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")
    (options.output / "attribution.md").write_text(page(options.model, rows), encoding="utf-8")


if __name__ == "__main__":
    main()
