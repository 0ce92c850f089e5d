"""Which head a checkpoint of an encoder has, and the labels of a classifier: from its config and its tensors' names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from transformers import (
    MODEL_FOR_MASKED_LM_MAPPING,
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    MODEL_MAPPING,
    PretrainedConfig,
    PreTrainedModel,
)

from atlas.errors import ModelError
from atlas.live.adapters.base import Adapter
from atlas.live.adapters.heads import Head
from atlas.live.shards import Weights

_MOST_LABELS = 10_000


def choose_head(adapter: Adapter, architecture: str, weights: Weights, model_id: str) -> Head | None:
    """The head of a checkpoint that was saved as the class `architecture`; None: a language model's LM head.

    Where no class is named, the tensors decide. Raises ModelError for a class with another head.
    """
    if not adapter.heads:
        return None
    for head in adapter.heads:
        if architecture in head.classes:
            return head
    if architecture:
        known = ", ".join(head.classes[0] for head in adapter.heads)
        raise ModelError(
            f"{model_id} was saved as {architecture}, whose head is not supported", f"Supported are {known}."
        )
    named, bare = adapter.heads[:-1], adapter.heads[-1]
    return next((head for head in named if head.own_tensor in weights.tensors), bare)


def class_of(head: Head, config_class: type[PretrainedConfig]) -> type[PreTrainedModel]:
    """transformers' class of a model with this head."""
    mapping = {
        "mlm": MODEL_FOR_MASKED_LM_MAPPING,
        "classifier": MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
        "none": MODEL_MAPPING,
    }[head.kind]
    return cast("type[PreTrainedModel]", mapping[config_class])


def without_spare(weights: Weights, adapter: Adapter, head: Head | None) -> Weights:
    """The weights but those of heads that pretraining had and this one has not."""
    if head is None or not head.spare:
        return weights
    base = adapter.block.partition(".")[0]
    starts = tuple(f"{start}." for name in head.spare for start in (name, f"{base}.{name}"))
    kept = {name: tensor for name, tensor in weights.tensors.items() if not name.startswith(starts)}
    return replace(weights, tensors=kept, packed={name: weights.packed[name] for name in kept & weights.packed.keys()})


def labels_of(raw: Mapping[str, Any], model_id: str) -> list[str]:
    """The names of a classifier's labels, in the order of its outputs, by its config.json (`raw`).

    Raises ModelError for names that are no list, and for outputs that are no choice among labels.
    """
    named, count = raw.get("id2label"), raw.get("num_labels")
    if named is None:
        named = {number: f"LABEL_{number}" for number in range(2 if count is None else _count(count, model_id))}
    if not isinstance(named, dict) or len(named) > _MOST_LABELS:
        raise _damaged(model_id, "id2label is no list of labels")
    by_number = {str(number): label for number, label in named.items()}
    labels = [by_number.get(str(number)) for number in range(len(by_number))]
    if not all(isinstance(label, str) and 0 < len(label) <= 200 for label in labels):
        raise _damaged(model_id, f"id2label does not name the labels 0 to {len(labels) - 1}")
    if len(set(labels)) < len(labels):
        raise _damaged(model_id, "two labels have the same name")
    kind = raw.get("problem_type")
    if len(labels) < 2 or kind not in (None, "single_label_classification"):
        what = "gives one number" if len(labels) < 2 else f"is of problem_type {str(kind)[:40]}"
        raise ModelError(
            f"{model_id} {what}: it does not choose one of several labels", "Use a classifier of a single label."
        )
    return [str(label) for label in labels]


def _count(count: Any, model_id: str) -> int:
    if type(count) is not int or not 0 < count <= _MOST_LABELS:
        raise _damaged(model_id, f"num_labels is {str(count)[:40]}")
    return count


def _damaged(model_id: str, what: str) -> ModelError:
    return ModelError(f"cannot load the config of {model_id}: {what}", "The file may be damaged.")
