"""`fires`: which neurons are farthest out in their own distribution at each token of somebody's text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from atlas.answers.result import Result
from atlas.errors import UnknownNameError, UsageError
from atlas.fit_choice import ANY_FIT, FitChoice
from atlas.schema.exemplar_tables import PROBABILITIES
from atlas.store.reader import Atlas
from atlas.whole_file import require_output
from queries.distributions import Distributions, distributions
from queries.fired import COLUMNS, DEFAULT_LEAST, SHOWN, bounds_of, described, telling_fit, telling_fits

if TYPE_CHECKING:
    from atlas.live.model import LiveModel
    from builders.fires.best import Spread

ORDERS = ("percentile", "value")
DEFAULT_TOP, MOST_TOP = 10, 1000
_BATCH_TOKENS = 2048


@dataclass(frozen=True)
class FiresRequest:
    """What is asked of each token. `top`: neurons a token. `layers`: None for all that were read.

    `by`: "percentile" (farthest out in their own distribution first) or "value" (the largest absolute activations).
    `concept`: only neurons that are inside their interval of this concept. `fit`: which fits' intervals are meant; its
    site is also where activations are read, None for all that the running text was read at. `least`: coverage -
    leakage, held out, of the intervals that count. `model`: None means where the atlas says that it is.
    `dtype`: "auto" takes that of the run that read the running text. `output`: where the answer goes, if to a file.
    """

    top: int = DEFAULT_TOP
    layers: tuple[int, ...] | None = None
    by: str = ORDERS[0]
    concept: str | None = None
    fit: FitChoice = ANY_FIT
    least: float = DEFAULT_LEAST
    model: str | None = None
    device: str = "auto"
    dtype: str = "auto"
    output: Path | None = None

    def __post_init__(self) -> None:
        if self.by not in ORDERS:
            raise UnknownNameError("order", self.by, ORDERS)
        if not 1 <= self.top <= MOST_TOP:
            raise UsageError(f"--top {self.top} is outside 1 to {MOST_TOP}")
        if not -1 <= self.least <= 1:
            raise UsageError(f"--min-youden {self.least:g} is outside -1 to 1")


def fires(
    atlas: Atlas, texts: Sequence[str], request: FiresRequest | None = None, *, live: LiveModel | None = None
) -> Result:
    """The neurons of each token of each text: one row a neuron, in the order of texts, tokens, rank.

        fires(atlas, ["The dog ran after the cat."], FiresRequest(top=5))

    Columns: text (from 1), position (of the token as the model reads the text, from 0; special tokens have no rows),
    token_id, token, rank, address, site, layer, neuron, value (the activation), percentile (0 to 100, of the running
    text of the atlas), beyond (standard deviations above the largest stored value, negative below the smallest; None
    between them), mean, std, n and sampled of the running text, concepts (whose intervals the value is inside, best
    first), concept_youden_j (coverage - leakage of each, held out), writes (tokens that the neuron makes likelier).

    `live`: a model that is loaded already. Raises QuestionError for an atlas without running text; ModelError for a
    model that is not the atlas's; UsageError, UnknownNameError and CorpusError for what is not there or too much.
    """
    request = request or FiresRequest()
    fit, bounds = request.fit, None
    if request.concept is not None:
        telling = telling_fit(atlas, request.concept, fit)
        fit = FitChoice(family=fit.family, site=telling.site, position=fit.position, template=fit.template)
        bounds = bounds_of(atlas, request.concept, telling, request.least)
    stored = distributions(atlas, fit.site, request.layers)
    fits = telling_fits(atlas, fit, stored)
    live, dtype = _model(atlas, stored, request, live)
    from builders.fires.rank import rank

    fired, n_cut = rank(
        live,
        _spreads(stored, bounds, live),
        texts,
        top=request.top,
        by=request.by,
        max_tokens=stored.read.max_tokens,
        batch_tokens=_BATCH_TOKENS,
    )
    rows = described(atlas, fired, stored, fit, request.least)
    notes = [_of_percentiles(stored, dtype)]
    if live.has_experts:
        notes.append(
            "a neuron of an expert has a value at tokens that are routed there, and percentiles of n such tokens "
            "(sampled: drawn of them); those of experts that no token of the running text reached are left out"
        )
    if n_cut:
        notes.append(f"{n_cut} texts were cut to {stored.read.max_tokens} tokens, as those of the running text were")
    if fits:
        notes.append(f"concepts: intervals with coverage − leakage of {request.least:g} or more, held out")
        if last := sorted({each.family for each in fits if each.position == "last"}):
            notes.append(
                f"the intervals of {', '.join(last)} were found at the last token of a template, and are applied here "
                "to every token: take them for a hint"
            )
    else:
        notes.append("no concepts: the atlas has no intervals at these sites")
    shown = ["text", *SHOWN] if len(texts) > 1 else [*SHOWN]
    if len({site for site, _ in stored.of}) > 1:
        shown.insert(shown.index("address") + 1, "site")
    return Result(list(COLUMNS), rows, notes, shown=shown)


def _of_percentiles(stored: Distributions, dtype: str) -> str:
    read = stored.read
    return (
        f"percentiles are of {read.sampled:,} sampled of {read.tokens:,} tokens of running text (read in {dtype}; "
        f"linear between {len(PROBABILITIES)} stored quantiles): a share p of them has the standard error "
        f"√(p(1 − p) / {read.sampled:,}), and texts of another kind have other shares"
    )


def _model(atlas: Atlas, stored: Distributions, request: FiresRequest, live: LiveModel | None) -> tuple[LiveModel, str]:
    """The model of the atlas, and the type that it computes in."""
    from builders.spec_model import files_of, load_wanted, require_model_of, wanted_of  # torch: only now

    manifest = atlas.manifest
    wanted = wanted_of(manifest, atlas.path)
    if request.output is not None:
        require_output(request.output, inputs=files_of(wanted, request.model))
    if live is None:
        dtype = stored.dtype if request.dtype == "auto" else request.dtype
        live = load_wanted(wanted, request.model, device=request.device, dtype=dtype)
    require_model_of(manifest, live)
    return live, str(live.dtype).removeprefix("torch.")


def _spreads(stored: Distributions, bounds: dict | None, live: LiveModel) -> dict[tuple[str, int], Spread]:
    import torch

    from builders.fires.best import Spread

    def on_device(values: object, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        return torch.as_tensor(values, dtype=dtype, device=live.device)

    probabilities_P = on_device(PROBABILITIES, torch.float64)
    spreads = {}
    for place, each in stored.of.items():
        between = None if bounds is None else tuple(map(on_device, bounds[place]))
        spreads[place] = Spread(on_device(each.quantiles_NP), probabilities_P, on_device(each.std_N), between)
    return spreads
