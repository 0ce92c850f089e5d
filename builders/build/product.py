"""What a product of a build is: rows of some tables, made unit by unit, and nothing about files.

A build asks each product that is wanted for its parts, a part for its units, and has each unit computed and committed
(builders/build/make.py). Which parts and units there are, and what a unit gives, follows from the plan alone, the ids
that a part was given and the name of the unit: a killed build computes what is missing, and workers
(builders/workers) and shards (builders/shards) compute some of the units. A new product is one Product in a folder of
its own and one line in builders/build/products.py. What needs torch is imported when work begins.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from torch import Tensor

    from atlas.manifest import Manifest
    from atlas.store.reader import Atlas
    from builders.build.plan import Plan, Reading
    from builders.config import BuildConfig

Tables = dict[str, "pa.Table"]
"""Rows by the name of their table."""
Ask = Callable[..., list[tuple[Any, ...]]]
"""(sql, parameters) -> rows: what the atlas that is being built holds so far."""
Noted = Callable[[str], "pa.Table"]
"""The name of a passing table (atlas/schema/tables.py, PASSING) -> the rows of it that a last unit is made of."""


class Needs(Enum):
    """What a product is computed from. Builds make products in this order."""

    WEIGHTS = "the weights alone"
    ACTIVATIONS = "activations of a labelled corpus: one forward pass for all products that read the same corpus"
    RUNNING_TEXT = "activations over running text, by passes of its own"
    GRADIENTS = "gradients, by passes of its own"
    ROWS = "other rows of the atlas"


class Place(NamedTuple):
    """Where activations were read."""

    site: str
    layer: int


@dataclass(frozen=True)
class Activations:
    """Every activation of one corpus at one place. Axes: E values of a neuron, N neurons.

    The order of the values is that of the forward pass. At position `all` several come from one text.
    """

    place: Place
    acts_EN: np.ndarray | Tensor
    """float32; memory-mapped, or on the device."""
    labels_E: np.ndarray
    """int64: index of each value's concept."""
    examples_E: np.ndarray
    """int64: index of the text that each value comes from."""
    hashes_E: np.ndarray
    """uint64: that text's hash, equal for texts that differ only in case or white space."""
    first_neuron: int = 0
    """Of column 0."""
    concepts: tuple[int, ...] | None = None
    """The concepts that `labels_E` are indexes of, where an expert has too few values of others; None: all."""
    routed: bool = False
    """Whether only some of the corpus's values are there: those of tokens that were routed to an expert."""

    def parts(self) -> Iterator[Activations]:
        """What statistics are made of one after the other: neurons that have the same values."""
        yield self


@dataclass(frozen=True)
class ExpertCounts:
    """How much of each concept reaches each expert of a layer. Axes: X experts, C concepts."""

    values_XC: np.ndarray
    texts_XC: np.ndarray
    tokens_XC: np.ndarray
    texts_C: np.ndarray
    tokens_C: np.ndarray
    """int64: values, texts with a routed token that counts, such tokens; and all texts and tokens that count."""
    fitted_XC: np.ndarray
    """bool: whether the neurons of the expert have statistics of the concept."""


@dataclass(frozen=True)
class LayerOfParts:
    """Activations of a layer whose neurons have not all the same values, or that is narrower than others."""

    place: Place
    counts: ExpertCounts
    read: Callable[[], Iterator[Activations]]
    logits_RX: np.ndarray | Tensor | None = None
    """What the router says of each routed expert, a row for each value of the corpus; None without a router."""
    labels_R: np.ndarray | None = None
    """int64: the concept of each of these rows."""

    def parts(self) -> Iterator[Activations]:
        """Those of one expert at a time, of the experts that have enough."""
        return self.read()


@dataclass(frozen=True)
class Part:
    """What one row of `run` says. `name` tells the parts of a product apart; '' where there is one.

    `parameters`: every option that decides its rows (JSON values). `reading`: the corpus of a part that needs
    activations; its units then end in "/SITE/LAYER".
    """

    name: str
    parameters: dict[str, Any]
    reading: Reading | None = None


@dataclass(frozen=True)
class Replaced:
    """What a part makes anew of the atlas that it is added to.

    `about`: WEIGHT, NEURON, FIT, FAMILY, TEXTS or DESCRIPTION (atlas/schema/table.py); `things`: which weights, layers
    of neurons, fit_ids, families, neurons of the running text (SITE/L29N808), or "AUTHOR LAYER NEURON" of descriptions.
    Rows about them in the product's own tables go; if the things themselves are made anew, `whole`, those of all tables
    do. `layers`: of weights, those whose rows go; None: all.
    """

    about: str
    things: Sequence[Any]
    whole: bool = False
    layers: Sequence[int] | None = None


@dataclass(frozen=True)
class Basis:
    """What one of `Product.last_units` is made of, beside the plan and activations.

    `noted`: passing table -> column -> values: the rows that have one of the values in each column; of all rows where
    no column is named. `after`: they are also of last units before it, which therefore have to be there.
    """

    noted: Mapping[str, Mapping[str, Collection[Any]]]
    after: bool = False


class Work(ABC):
    """A part that is being made: what its units have in common is prepared once."""

    @abstractmethod
    def run(self, unit: str, activations: Activations | LayerOfParts | None = None) -> Tables:
        """The rows of one unit, of the product's tables only; where `Product.at_once` allows it, by several threads.

        `activations`: those of the unit's place, for a product that needs them; LayerOfParts only for one that is made
        of mixtures of experts (`Product.no_experts`).
        """

    def run_last(self, unit: str, noted: Noted, read: Callable[[Place], Activations]) -> Tables:
        """The rows of one of `Product.last_units`: from its basis, and activations of any place of the corpus."""
        raise NotImplementedError

    def notes(self) -> list[str]:
        """What the user should know of the units that were run. Of several processes they are put together: where one
        begins with a number, the numbers are added up."""
        return []


class Product(ABC):
    """One thing that builds make. Raises AtlasError subclasses wherever something cannot be built."""

    name: ClassVar[str]
    """As in `run.builder`, and unique."""
    needs: ClassVar[Needs]
    label: ClassVar[str]
    """In the progress: what is being made."""
    no_experts: ClassVar[str] = "it takes every neuron to have an activation on every token"
    """Why it is not made of models with mixtures of experts; '' where it is."""
    passing: ClassVar[tuple[str, ...]] = ()
    """The tables that its units note rows in for its last units, names in atlas.schema.tables.PASSING."""

    splits: ClassVar[bool] = True
    """Whether workers and shards may make its units; else the process that publishes does."""

    @abstractmethod
    def wanted(self, config: BuildConfig) -> bool:
        """Whether a build of these options makes it."""

    @abstractmethod
    def tables(self, config: BuildConfig) -> Sequence[str]:
        """The tables that it writes rows of, names in atlas.schema.tables.TABLES."""

    @abstractmethod
    def parts(self, plan: Plan) -> list[Part]:
        """One for each row of `run`."""

    @abstractmethod
    def units(self, plan: Plan, part: Part) -> list[str]:
        """Names of what is computed and committed at a time, in order; each small enough to do again after a kill."""

    def last_units(self, plan: Plan, part: Part) -> Sequence[str]:
        """Names of units that are made when all others of the part are there.

        So that choices among all places can be made without holding what was read at each: the other units note what
        the choice needs in passing tables, which no atlas holds, and what was chosen is read once more. Only a product
        that needs activations can read a place again.
        """
        return ()

    def basis(self, plan: Plan, part: Part, ids: Any, unit: str) -> Basis:
        """What one of them is made of. As it stands: all that is noted, by the last units before it too.

        Who says less has its last units made by several workers at once, each of which is given no more.
        """
        return Basis({name: {} for name in self.passing}, after=True)

    @abstractmethod
    def work(self, plan: Plan, part: Part, ids: Any) -> Work:
        """Begin to compute units, any of them in any order. `ids`: what `self.ids` says."""

    def require_base(self, config: BuildConfig, atlas: Atlas) -> None:  # noqa: B027
        """Refuse to be added to an atlas where it would not fit to the other rows."""

    def left_out(self, config: BuildConfig, base: Manifest) -> Sequence[str]:
        """Tables whose rows, in the atlas that one adds to, are all made anew."""
        return ()

    def described(self, config: BuildConfig) -> dict[str, Any]:
        """Fields of the row of the atlas that say how it was made."""
        return {}

    def check(self, plan: Plan) -> None:  # noqa: B027
        """Meet whatever this model cannot do before hours of work. The plan has no readings yet."""

    def replaces(self, plan: Plan, part: Part, ask: Ask) -> list[Replaced]:
        """What goes before the first row of a part is written."""
        return []

    def register(self, plan: Plan, part: Part, run_id: int, ask: Ask) -> Tables:
        """Rows that must be there before any unit, such as those that give ids to what its rows are about."""
        return {}

    def ids(self, plan: Plan, part: Part, run_id: int, ask: Ask) -> Any:
        """What units have to know beside the plan, as JSON values: asked when `register`'s rows are there."""
        return None

    def at_once(self, plan: Plan, part: Part) -> int:
        """How many threads may compute units while others are written; 0: each is written before the next begins."""
        return 0


def place_of(unit: str) -> Place:
    """The place in the name of a unit that needs activations: it ends in "/SITE/LAYER"."""
    _, site, layer = unit.rsplit("/", 2)
    return Place(site, int(layer))
