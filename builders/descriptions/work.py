"""The descriptions of one neuron after the other, each with its measured score."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from atlas.manifest import utc_now
from atlas.schema.description_tables import MEASURES_OF
from atlas.schema.tables import TABLES
from atlas.sites import parse_neuron
from atlas.store.reader import open_atlas
from builders.arrow import rows_of
from builders.build.product import Activations, Tables, Work
from builders.descriptions.authors import AUTHORS
from builders.descriptions.choice import SIDES, Neuron, Side, parse_describer
from builders.descriptions.evidence import SITE, Evidence, Source
from builders.descriptions.held_out import cases_of
from builders.descriptions.score import Score, detection
from builders.descriptions.token_change import TokenChange

if TYPE_CHECKING:
    from builders.build.plan import Plan

Texts = dict[Side, str]


class Describe(Work):
    """`ids`: {"order": [address], "written": {address: [[side, sign, text]]}}, the latter of units that are done.

    The control of a score is the description of the neuron before it in that order, of the first the one after it.
    """

    def __init__(self, plan: Plan, ids: dict[str, Any]) -> None:
        describer = parse_describer(plan.config.describer)
        self._plan, self._config = plan, plan.config
        self._order = [parse_neuron(address) for address in ids["order"]]
        self._source = Source(open_atlas(plan.config.target))
        self._author, self._name = AUTHORS[describer.kind](describer, plan), describer.author
        self._written: dict[Neuron, Texts] = {
            parse_neuron(address): {Side(side, sign): text for side, sign, text in texts}
            for address, texts in ids["written"].items()
        }
        self._ahead: dict[Neuron, list[dict[str, Any]]] = {}
        self._change: TokenChange | None = None
        self._unscored = 0

    def run(self, unit: str, activations: Activations | None = None) -> Tables:
        """All sides of the neuron at address `unit`."""
        neuron = parse_neuron(unit)
        evidence = self._source.of(neuron)
        rows = self._described(neuron, evidence)
        if self._config.scores:
            control = self._control(neuron)
            for row in rows:
                side = Side(row["side"], row["sign"])
                found = self._score(side, row["text"], control.get(side), evidence)
                self._unscored += found is None
                if found is not None:
                    row |= {"measure": MEASURES_OF[side.side], "score": found.score, "score_n": found.n}
                    row |= {"control": found.control}
        return {"description": rows_of(TABLES["description"], rows)}

    def notes(self) -> list[str]:
        """What the atlas lacks, and what could not be measured."""
        found = [*self._source.notes(), *self._author.notes()]
        if self._unscored:
            found.append(f"{self._unscored} descriptions have no score: there is nothing stored to measure them on")
        return found

    def _described(self, neuron: Neuron, evidence: Evidence) -> list[dict[str, Any]]:
        """Rows without scores; kept where they were written ahead of their unit."""
        rows = self._ahead.pop(neuron, None)
        if rows is None:
            rows = []
            for side in SIDES:
                written = self._author.describe(side, evidence, self._source)
                if written is not None:
                    said = {"layer": neuron[0], "neuron": neuron[1], **side._asdict(), "author": self._name}
                    said |= {"text": written.text, "evidence": ", ".join(written.evidence), "site": SITE}
                    rows.append(said | {"prompt_sha256": written.prompt_sha256, "created_at": utc_now()})
        self._written[neuron] = {Side(row["side"], row["sign"]): row["text"] for row in rows}
        return rows

    def _control(self, neuron: Neuron) -> Texts:
        """The descriptions of another neuron, by side."""
        place = self._order.index(neuron)
        other = self._order[place - 1] if place else self._order[1] if len(self._order) > 1 else self._next(neuron)
        if other not in self._written:
            rows = self._described(other, self._source.of(other))
            if other in self._order:
                self._ahead[other] = rows
        return self._written[other]

    def _next(self, neuron: Neuron) -> Neuron:
        """The control of a neuron that is described alone."""
        layer, index = neuron
        return layer, (index + 1) % self._source.atlas.manifest.d_mlp

    def _score(self, side: Side, text: str, control: str | None, evidence: Evidence) -> Score | None:
        if side.side == "input":
            return detection(text, control, cases_of(side, evidence, self._source), self._author.judge)
        value = evidence.extreme(side.sign)
        if value is None:
            return None
        if self._change is None:
            self._change = TokenChange(self._plan.live, self._plan.tokens)
        return self._change.score(text, control, self._change.changes(*evidence.neuron, value))
