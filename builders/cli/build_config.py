"""From the flags of `build` to its options."""

from __future__ import annotations

from typing import Any

from atlas.errors import UsageError
from builders.amounts import parse_bytes
from builders.concept_sets import concept_sources
from builders.config import BuildConfig, parse_layers
from builders.gradients.targets import parse_targets


def _graphs(options: dict[str, Any]) -> tuple[str, ...]:
    """The items of --graphs. UsageError where there is no atlas that could have exemplars."""
    if options["graphs"] is None:
        return ()
    if options["existing"] != "add":
        raise UsageError("--graphs are made from exemplars that an atlas has", "Build --texts first, then --add.")
    return tuple(item.strip() for item in options["graphs"].split(","))


def config_from(options: dict[str, Any]) -> BuildConfig:
    """The dataclass behind the flags. Raises UsageError where they do not fit together."""
    if options["no_concepts"] and options["concepts"]:
        raise UsageError("--concepts and --no-concepts contradict each other")
    for name in ("describe", "embed"):
        if options[name] is not None and options["existing"] != "add":
            raise UsageError(f"--{name} is of an atlas to add to", "Give it with --add, --no-decode and --no-concepts.")
    if options["no_concepts"] and options["templates"]:
        raise UsageError("--template and --no-concepts contradict each other", "A template is for texts of concepts.")
    corpus_options = {"text_column": options["text_column"], "concept_column": options["concept_column"]}
    if options["split"]:
        corpus_options["split"] = options["split"]
    of_images = options["tower"] == "image"
    no_sources = options["no_concepts"] or (of_images and not options["concepts"])  # own sets are texts
    sources = () if no_sources else concept_sources(options["concepts"], options["templates"])
    return BuildConfig(
        model=options["model"],
        target=options["target"],
        tower=options["tower"],
        word_list=options["words"],
        images=options["images"],
        second_order=parse_layers(options["second_order"]) if options["second_order"] else (),
        concepts=sources,
        weights=tuple(dict.fromkeys(options["weights"])),
        decode=not options["no_decode"],
        mode=options["mode"],
        top=options["top"],
        keep_vectors=options["vectors"],
        weight_facts=options["weight_facts"],
        neighbours=options["neighbours"],
        sites=tuple(dict.fromkeys(options["site_names"])),
        layers=parse_layers(options["layers"]) if options["layers"] else None,
        position=options["position"] or ("cls" if of_images else "last"),
        pool=options["pool"],
        taus=tuple(sorted(set(options["taus"]))),
        bins=options["bins"],
        max_tokens=options["max_tokens"],
        batch_tokens=options["batch_tokens"],
        limit_per_concept=options["limit_per_concept"],
        holdout=options["holdout"],
        folds=options["folds"],
        permutations=options["permutations"],
        seed=options["seed"],
        detectors=options["detectors"],
        describe=options["describe"],
        describer=options["describer"],
        scores=not options["no_scores"],
        embed=options["embed"],
        requests_per_minute=options["requests_per_minute"],
        spend=options["yes"],
        texts=options["texts"],
        context_length=options["context_length"],
        max_tokens_total=options["max_tokens_total"],
        words=not options["no_texts"],
        gradients=options["gradients"],
        targets=parse_targets(options["targets"]),
        graphs=_graphs(options),
        device=options["device"],
        dtype=options["dtype"],
        memory=parse_bytes(options["memory"]),
        corpus_options=corpus_options,
    )
