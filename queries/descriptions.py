"""What has been written about a neuron, by whom, and how well it does."""

from __future__ import annotations

from atlas.answers.kinds import Prose
from atlas.answers.result import Result
from atlas.sites import parse_neuron
from atlas.store.reader import Atlas
from queries.answering import question
from queries.require import require_neuron
from queries.session.filled import has_rows
from queries.sqlfile import load_sql

DESCRIPTIONS = "descriptions"
"""The section of a card."""
_SHOWN = "side sign author text measure score control".split()
_COLUMNS = "side sign author text measure score score_n control evidence prompt_sha256 created_at".split()
_TEXT = 3


@question
def neuron_descriptions(atlas: Atlas, address: str) -> Result:
    """What has been written about a neuron (`build --describe`): one row a side, sign and author, with its score.

    side: input, what it responds to, or output, what it promotes; sign: of its activation. The score of an input is
    detection: balanced accuracy at telling `score_n` held-out texts, firing ones and near misses; that of an output is
    token_change: the mean change of the probability of the named tokens under a clamp. control is the same of another
    neuron's description.
    """
    layer, neuron = parse_neuron(address)
    require_neuron(atlas, layer, neuron, atlas.manifest.d_mlp)
    return _written(atlas, layer, neuron)


def on_card(atlas: Atlas, layer: int, neuron: int) -> dict[str, Result]:
    """The section of the card; none where nothing is written."""
    if "description" in atlas.lacking.tables:
        return {}
    found = _written(atlas, layer, neuron)
    return {DESCRIPTIONS: found} if found.rows else {}


def _written(atlas: Atlas, layer: int, neuron: int) -> Result:
    asked = [load_sql("neuron_descriptions")] if has_rows(atlas, "description") else []
    (rows,) = atlas.rows(asked, layer=layer, neuron=neuron) or ([],)
    return Result(_COLUMNS, [(*row[:_TEXT], Prose(row[_TEXT]), *row[_TEXT + 1 :]) for row in rows], shown=_SHOWN)
