"""What do the methods say of 30 neurons drawn by a rule, and do they agree? Writes docs/results/neurons.md.

Run: neuron-atlas build smollm2-135m -o FILE --holdout 0.25 --texts topics
     neuron-atlas build smollm2-135m -o FILE --add --no-decode --no-concepts --graphs $(python -m benchmarks.neurons.drawn FILE)
     neuron-atlas build smollm2-135m -o FILE --add --no-decode --no-concepts --describe $(python -m benchmarks.neurons.drawn FILE)
     neuron-atlas build smollm2-135m -o OTHER --no-decode --concepts topics --limit-per-concept 5 --gradients
     python -m benchmarks.neurons.main FILE --attributions OTHER

neurons.json beside the page is what was read; `--report` alone writes the page from it.
"""  # noqa: E501

from __future__ import annotations

import argparse
import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from atlas.errors import AtlasFileError
from atlas.store.reader import Atlas, open_atlas
from benchmarks.neurons.drawn import LAYERS, READABLE, drawn
from benchmarks.neurons.report import page
from benchmarks.neurons.said import Atlases, Reader
from queries.running_text import text_set
from queries.weight_run import weight_run

PAGE = Path(__file__).parents[2] / "docs" / "results" / "neurons.md"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("atlas", type=Path, nargs="?")
    parser.add_argument("--weights", type=Path, help="another atlas of the model, with facts of weights")
    parser.add_argument("--attributions", type=Path, help="another atlas of the model, with gradients")
    parser.add_argument("--report", action="store_true", help="only write the page")
    parser.add_argument("-o", "--output", type=Path, default=PAGE)
    chosen = parser.parse_args()
    if chosen.atlas is None and not chosen.report:
        parser.error("an atlas, or --report")
    stored = chosen.output.with_suffix(".json")
    if not chosen.report:
        with ExitStack() as opened:
            paths = (chosen.atlas, chosen.weights or chosen.atlas, chosen.attributions or chosen.atlas)
            found = measured(Atlases(*(opened.enter_context(open_atlas(path)) for path in paths)))
        stored.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    chosen.output.write_text(page(json.loads(stored.read_text(encoding="utf-8"))), encoding="utf-8")


def measured(atlases: Atlases) -> dict[str, Any]:
    """Everything that the page shows. Raises AtlasFileError for atlases of different models."""
    atlas, facts, attributions = atlases
    if len({each.manifest.fingerprint for each in atlases}) > 1:
        raise AtlasFileError("these atlases are of different models", "Build them from the same one.")
    reader, groups, texts = Reader(atlases), drawn(facts), text_set(atlas)
    null = weight_run(facts)["random_kurtosis_95"]
    sql = (
        "SELECT count(*), count_if(cosine_kurtosis > ?) FROM weight_fact "
        "WHERE weight = 'down_proj' AND layer BETWEEN ? AND ?"
    )
    _, [(neurons, readable)] = facts.query(sql, [null, *LAYERS])
    _, sources = atlas.query("SELECT DISTINCT source FROM exemplar_text ORDER BY source")
    return {
        "model": atlas.manifest.model_id,
        "texts": {"texts": texts.texts, "tokens": texts.tokens, "sources": ", ".join(name for (name,) in sources)},
        "random_kurtosis_95": null,
        "neurons": neurons,
        READABLE: readable,
        "attributions": _attributed(attributions),
        "rows": [{"group": group, **reader.of(*each)} for group, found in groups.items() for each in found],
    }


def _attributed(atlas: Atlas) -> dict[str, Any] | None:
    """Of what the attributions are; None where there are none."""
    sql = (
        "SELECT family, count(DISTINCT concept_id) AS concepts, max(texts) AS texts FROM concept_attribution "
        "WHERE layer = 0 AND neuron = 0 GROUP BY family ORDER BY family"
    )
    columns, rows = atlas.query(sql)
    return dict(zip(columns, rows[0], strict=True)) if rows else None


if __name__ == "__main__":
    main()
