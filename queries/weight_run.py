"""What the facts of weights in an atlas were measured with, and what random vectors reach."""

from __future__ import annotations

from typing import Any

from atlas.store.reader import Atlas
from queries.session.session import session_of
from queries.sqlfile import load_sql

HOW_TO_ADD = "no facts of weights here: `neuron-atlas build --add --weight-facts` adds them"


class WeightRun(dict[str, Any]):
    """The last row of the table weight_run by column; empty where there is none."""

    @property
    def nbytes(self) -> int:
        """Bytes in memory, about."""
        return 2000 + 40 * len(self.get("singular_values") or ())


def weight_run(atlas: Atlas) -> WeightRun:
    """Read once per open atlas."""

    def read() -> WeightRun:
        columns, rows = atlas.query(load_sql("weight_run"))
        return WeightRun(zip(columns, rows[0], strict=True)) if rows else WeightRun()

    return session_of(atlas).read("weight run", read)


def no_tokens(atlas: Atlas) -> str | None:
    """Why no fact is about tokens, where the model's head gives none; None where it does."""
    what = {
        "classifier": "labels and no vocabulary",
        "words": "a projection that words are compared in, and no vocabulary",
        "none": "no head",
    }.get(atlas.manifest.head or "lm")
    return None if what is None else f"the model has {what} behind its last block, so no fact here is about tokens"


def remarks(atlas: Atlas) -> list[str]:
    """What a person should know beside the facts of one neuron."""
    run = weight_run(atlas)
    if not run:
        return [HOW_TO_ADD]
    if (without := no_tokens(atlas)) is not None:
        return [
            f"of random vectors of {atlas.manifest.d_model} numbers 95 % reach at most |cosine| of two "
            f"{run['random_cosine_95']:.2g}",
            without,
        ]
    kurtosis, frequent = run["random_kurtosis_95"], run["random_frequency_95"]
    return [
        f"of random vectors of {atlas.manifest.d_model} numbers 95 % reach at most: |cosine| of two "
        f"{run['random_cosine_95']:.2g}, cosine_kurtosis {_number(kurtosis)}, null_share "
        f"{run['random_null_share_95']:.2g}, |frequency_correlation| {_number(frequent)}",
        f"null_share is of the {run['null_directions']} directions that the unembedding (mode {run['mode']}) sees "
        f"least; token frequency from {run['frequency_source']}, {run['frequency_tokens']:,} tokens",
    ]


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2g}"
