"""A model for the pages that ask one: it answers from what it is asked, so that a page that mixes things up shows."""

from __future__ import annotations

from atlas.answers.result import Document, Result
from atlas.errors import QuestionError
from atlas.schema.exemplar_tables import PROBABILITIES

HOSTILE = "<script>alert(1)</script>"


class StubLive:
    """Words are its tokens; the activation of a neuron on a word is (length of the word) × (−1) ** place."""

    name = "stub-model"

    def __init__(self) -> None:
        self.fitting, self.closed, self.asked = True, False, []
        self.wait = None
        """A function of `stopped` that a question waits in."""

    def fits(self, manifest):
        return self.fitting

    def close(self):
        self.closed = True

    def _begin(self, what, stopped):
        self.asked.append(what)
        if self.wait is not None:
            self.wait(stopped)

    def fires(self, atlas, text, *, top, concept, stopped):
        self._begin(("fires", text, top, concept), stopped)
        if "nothing" in text:
            raise QuestionError("the atlas has no running text", "`build --texts` reads some.")
        columns = ["position", "token", "address", "site", "value", "percentile", "beyond", "concepts", "writes"]
        rows = [
            (place, word, f"L1N{rank}", "mlp_post", 1.5, 99.5, None if rank else 2.25, ["animals/dog"], [HOSTILE])
            for place, word in enumerate(text.split())
            for rank in range(top)
        ]
        return Result(columns, rows, [f"percentiles between {len(PROBABILITIES)} quantiles"])

    def activations(self, text, *, layer, neuron, site, stopped):
        self._begin(("activations", text, layer, neuron, site), stopped)
        words = text.split()
        rows = [(0, 0, "<s>", None)]
        rows += [(place, 9, f" {word}", float(len(word) * (-1) ** place)) for place, word in enumerate(words, 1)]
        return Result(["position", "token_id", "token", "value"], rows)

    def next_tokens(self, prompt, *, top, stopped):
        self._begin(("next_tokens", prompt, top), stopped)
        return Result(["token_id", "token", "probability"], [(1, " Paris", 0.75), (2, HOSTILE, 0.125)])

    def explain(self, atlas, prompt, *, token, against, top, stopped):
        self._begin(("explain", prompt, token, against, top), stopped)
        if token == "none":
            raise QuestionError("no token is 'none'")
        target = Result(
            ["prompt", "token", "against", "logit", "together"], [(prompt, token or " Paris", None, 9.5, 4)]
        )
        names = ["address", "activation", "measured", "gradient", "direct", "relp", "concept", "held_out_j", "writes"]
        rows = [
            ("L1N7", 2.0, 1.5, 1.0, 1.0, 1.0, "topics/sports", 0.5, ["dog"]),
            ("L0N2", -2.0, -0.75, 1.0, 1.0, 1.0, None, None, [HOSTILE]),
        ]
        return Document({}, {"prompts": target, "neurons": Result(names, rows[:top])}, ["computed and measured"])

    def run(self, spec, prompt, *, tokens, told, stopped):
        self._begin(("run", len(spec.edits), prompt, tokens), stopped)
        columns = ["token_id", "token", "probability_before", "probability_after", "rank_before", "rank_after"]
        table = Result(columns, [(1, HOSTILE, 0.5, 0.25, 1, 2)])
        told("next_token", table)
        for what in ("before", "after"):
            for number in range(tokens):
                told(what, f" {what}{number}\n")
        texts = tuple("".join(f" {what}{number}\n" for number in range(tokens)) for what in ("before", "after"))
        return Document(
            {"prompt": prompt}, {"next_token": table, "generated": Result(["before", "after"], [texts], single=True)}
        )

    def evaluate(self, atlas, spec, *, texts, others, labels, told, stopped):
        self._begin(("evaluate", len(spec.edits), texts, others, *labels), stopped)
        for share in (0.0, 0.5, 1.0):
            told("classification", share)
        columns = ["spec", "target", "arm", "metric", "text_group", "value", "ci_low", "ci_high"]
        columns += ["drop_value", "drop_low", "drop_high", "n"]
        rows = [
            ("sha256:0", "sports", "baseline", "accuracy", "target", 0.8125, 0.5, 1.0, None, None, None, 16),
            ("sha256:0", "sports", "range", "accuracy", "target", 0.25, 0.1, 0.5, 0.5625, 0.25, 0.75, 16),
        ]
        return Result(columns, rows, ["held out"])
