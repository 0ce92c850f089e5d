"""What a spec is asked to be: all options in one place, with the contradictions between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from atlas.errors import UnknownNameError, UsageError
from atlas.fit_choice import ANY_FIT, FitChoice

# Beyond this a range holds everything; what is meant is a whole-neuron edit.
MAX_TAU = 1000.0
INTERVAL, GAUSSIAN, CONTRAST = "interval", "gaussian", "contrast"
BOUNDS = {
    INTERVAL: "the stored interval with the largest coverage - leakage",
    GAUSSIAN: "mean -+ tau std of the concept",
    CONTRAST: "one-sided, cut between bins of the histogram where coverage - leakage is largest",
}


@dataclass(frozen=True, kw_only=True)
class SpecRequest:
    """Which neurons, and what to do with them. Exactly one of three things chooses the neurons:

    - `neurons`: addresses, as ["L29N808", "L3N5"] or "L29N808,L3N5";
    - `token`: the best `top` neurons whose `weight` holds a form of these words (see neurons_for_token;
      `exact`, `weight`, `sign` as there, weight down_proj by default);
    - else `concept`: the best `top` of its neurons by `rule`, as a count or as a share ("30%") of all
      neurons of the `layers`.

    A concept beside `neurons` or `token` lends its ranges. `use_range` limits the edits to the concept's
    range, by default exactly when there is a concept. `bounds` says which range: "interval" is the stored interval with
    the largest coverage - leakage; "gaussian" is mean -+ `tau` std, any tau > 0; "contrast" is one-sided, cut between
    bins of the histogram. None: see choose_bounds; intervals as a rule. `rule` is then "interval" by default, else
    "auc". `max_leakage` and `min_coverage` keep neurons with such shares: of intervals the held-out ones, else those
    of the range at a measured tau. `fit` chooses the fit; its site is also where the edits are.
    `op` is "set=0", "set=mean", "set=concept-mean", "set=rest-mean", "set=contrast:2", "scale=0.5", "add=3" or
    "damp=0.125".
    `layers` and `positions` take "12-29,3" or numbers.
    """

    concept: str | None = None
    token: str | Sequence[str] | None = None
    neurons: str | Sequence[str] | None = None
    rule: str | None = None
    top: int | str | None = None
    layers: str | Sequence[int] | None = None
    exact: bool = False
    weight: str | None = None
    sign: int = 0
    fit: FitChoice = ANY_FIT
    tau: float | None = None
    bounds: str | None = None
    max_leakage: float | None = None
    min_coverage: float | None = None
    op: str = "set=0"
    use_range: bool | None = None
    phase: str = "all"
    positions: str | Sequence[int] = "all"

    def __post_init__(self) -> None:
        """Raise UsageError for options that contradict each other."""
        explicit, by_token = bool(self.neurons), bool(self.token)
        if not (explicit or by_token or self.concept):
            raise UsageError("nothing chooses the neurons", "Give --concept, --token or --neurons.")
        if self.bounds is not None and self.bounds not in BOUNDS:
            raise UnknownNameError("bounds", self.bounds, BOUNDS)
        not_gaussian = self.bounds not in (None, GAUSSIAN)
        filtered = self.max_leakage is not None or self.min_coverage is not None
        for wrong, problem, hint in (
            (
                not_gaussian and not self.with_range,
                f"--bounds {self.bounds} is a range of a concept",
                "Add --concept NAME, without --whole-neuron.",
            ),
            (
                not_gaussian and self.tau is not None and self.rule != "low_leakage",
                f"--tau is the half-width of gaussian bounds, and --bounds {self.bounds} has none",
                "Leave out one of them.",
            ),
            (
                filtered and (explicit or by_token),
                "--max-leakage and --min-coverage go with the neurons of a concept, but others are chosen here",
                "Leave them out, or --token and --neurons.",
            ),
            (
                filtered and self.bounds == CONTRAST,
                "--max-leakage and --min-coverage have no shares to go by with --bounds contrast",
                "Use --bounds interval or gaussian.",
            ),
            (explicit and by_token, "--token and --neurons both choose neurons", "Give one of them."),
            (explicit and self.top is not None, "--top does not apply to --neurons", "They are all taken."),
            (explicit and self.layers is not None, "--layers does not apply to --neurons", ""),
            (
                (explicit or by_token) and self.rule is not None,
                "--rule ranks neurons of a concept, but others are chosen here",
                "Leave out --rule, or --token and --neurons.",
            ),
            (
                not by_token and (self.weight is not None or self.sign != 0 or self.exact),
                "--weight, --sign and --exact go with --token",
                "",
            ),
            (self.use_range and not self.concept, "a range belongs to a concept", "Add --concept NAME."),
            (self.tau is not None and not self.concept, "--tau goes with --concept", ""),
            (
                self.tau is not None and not 0 < self.tau <= MAX_TAU,
                f"tau {self.tau} is not in (0, {MAX_TAU:g}]",
                "The paper takes 2.5. For no range at all use --whole-neuron.",
            ),
        ):
            if wrong:
                raise UsageError(problem, hint)
        for name in ("max_leakage", "min_coverage"):
            share = getattr(self, name)
            if share is not None and not 0 <= share <= 1:
                raise UsageError(f"--{name.replace('_', '-')} {share:g} is not a share", "Give a number from 0 to 1.")

    @property
    def with_range(self) -> bool:
        """Whether the edits carry a range."""
        return bool(self.concept) if self.use_range is None else self.use_range
