"""What turns texts into vectors: a packaged model on this machine, or an endpoint."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from atlas.endpoint import Endpoint, EndpointError, EndpointName, parse_endpoint
from atlas.errors import ModelError, UnknownNameError, UsageError
from atlas.packaged import model_file, packaged_models
from atlas.schema.description_tables import MOST_DIMENSIONS

LOCAL, ENDPOINT = "local", "openai"
AT_ONCE = 256
"""Texts of one request."""


class Embedder(ABC):
    """`name`: as the atlas says it, local:MODEL or openai:MODEL."""

    name: str

    @abstractmethod
    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors [texts, D], float32, in order."""


class Remote(Embedder):
    """An endpoint for embeddings."""

    def __init__(self, name: EndpointName, requests_per_minute: float | None = None) -> None:
        self.name = f"{ENDPOINT}:{name.model}"
        self._endpoint = Endpoint(name, requests_per_minute)

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Raises EndpointError for vectors that are none, or not one a text."""
        found: list[list[float]] = []
        for start in range(0, len(texts), AT_ONCE):
            part = list(texts[start : start + AT_ONCE])
            found += _vectors(self._endpoint.ask("embeddings", {"input": part}), len(part))
        if len({len(vector) for vector in found}) != 1:
            raise EndpointError("the endpoint answers embeddings of different lengths")
        return _unit(np.asarray(found, np.float64))


class Local(Embedder):
    """A packaged model."""

    def __init__(self, model: str) -> None:
        file = model_file(model)
        if file is None:
            raise ModelError(f"the embedder {model} is not on this machine yet", f"Run: neuron-atlas fetch {model}")
        from atlas.live.sentence_model import SentenceModel  # torch: only now

        self.name, self._model = f"{LOCAL}:{model}", SentenceModel(file.parent)

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """By the model."""
        vectors: np.ndarray = self._model.embed(texts).numpy()
        return vectors


def check_embedder(text: str) -> tuple[str, str | EndpointName]:
    """('local', packaged name) or ('openai', endpoint) of 'local:MODEL' or 'openai:URL#MODEL'.

    Raises UsageError, or UnknownNameError for a packaged embedder that there is not.
    """
    kind, _, rest = text.partition(":")
    if kind == ENDPOINT and rest:
        return kind, parse_endpoint(rest)
    if kind != LOCAL or not rest:
        raise UsageError(f"{text[:60]!r} is no embedder", "Write local:minilm, or openai:URL#MODEL.")
    known = [name for name, model in packaged_models().items() if model.kind == "embedder"]
    if rest not in known:
        raise UnknownNameError("packaged embedder", rest, known)
    return kind, rest


def name_of(text: str) -> str:
    """The name of an embedder without the address of its endpoint. Raises as `check_embedder`."""
    kind, found = check_embedder(text)
    return f"{kind}:{found.model if isinstance(found, EndpointName) else found}"


def embedder_named(text: str, requests_per_minute: float | None = None) -> Embedder:
    """The embedder, ready. Raises as `check_embedder`, and ModelError for one that is not on this machine."""
    _, found = check_embedder(text)
    return Remote(found, requests_per_minute) if isinstance(found, EndpointName) else Local(found)


def _vectors(answer: Any, count: int) -> list[list[float]]:
    """The vectors of an answer, by their index; EndpointError where it is not one a text."""
    try:
        rows = {row["index"]: row["embedding"] for row in answer["data"]}
    except (KeyError, TypeError):
        raise EndpointError("the endpoint answers no embeddings") from None
    vectors: list[Any] = [rows.get(index) for index in range(count)]
    for vector in vectors:
        is_vector = isinstance(vector, list) and 1 <= len(vector) <= MOST_DIMENSIONS
        if not is_vector or not all(type(number) in (int, float) for number in vector):
            raise EndpointError(f"the endpoint answers no embedding of some of {count} texts")
    return vectors


def _unit(vectors_RD: np.ndarray) -> np.ndarray:
    length_R = np.linalg.norm(vectors_RD, axis=1, keepdims=True)
    if not np.isfinite(length_R).all() or not (length_R > 0).all():
        raise EndpointError("the endpoint answers an embedding without a direction")
    return (vectors_RD / length_R).astype(np.float32)
