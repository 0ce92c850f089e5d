"""Do best intervals hold on other texts and under other templates? Writes docs/results/transfer.md.

Run: python -m benchmarks.ranges.transfer --datasets FOLDER [--work FOLDER] [--report]

Neurons (mlp_post, all layers, last token) and intervals are found on one set and judged on another: the project's
topics against AG News, both ways, and the project's sets under one template against the same texts under another.
Nothing is judged on a text that it was found on: at home, and under another template, in five parts, each judged by
what the other four give. What was measured goes into transfer.json beside the page; --report only writes the page.
"""

from __future__ import annotations

import argparse
import functools
import json
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from atlas.errors import BuildError
from atlas.live.loading import load
from atlas.packaged import data_folder
from benchmarks.common.cache import cached
from benchmarks.common.labelled_text import ag_news, balanced, datasets_folder
from benchmarks.ranges.activations import Live, last_token
from benchmarks.ranges.best_interval import FOLDS, folds_of, parts
from benchmarks.ranges.detectors import ARMS, Detector, detectors
from benchmarks.ranges.masking import means_by_class
from benchmarks.ranges.report_transfer import page
from builders.corpora.registry import load_corpus
from builders.evaluation.bootstrap import interval

ROOT = Path(__file__).parents[2]
TOPICS, FEELING = "{text}\nThis text is about", "{text}\nThe feeling here is"
OTHER_TEMPLATES = {
    "topics": ("{text}", "{text}\nTopic:", "{text}\nThis news article is about"),
    "emotions": ("{text}\nEmotion:",),
}
CLASS_OF = {
    "sports": "sports",
    "business": "business",
    "technology": "technology",
    "science": "technology",
    "politics": "politics",
}
"""Topic -> the class of AG News (politics: World, technology: Sci/Tech)."""
log = logging.getLogger("transfer")


@dataclass(frozen=True)
class TextSet:
    """Labelled texts under a template; `labels_E` are places in `concepts`."""

    name: str
    template: str
    texts: tuple[str, ...]
    labels_E: np.ndarray
    concepts: tuple[str, ...]

    def under(self, template: str) -> TextSet:
        return TextSet(self.name, template, self.texts, self.labels_E, self.concepts)


class Bench:
    """Activations and detectors of sets, each made once."""

    def __init__(self, live: Live, work: Path, model: str) -> None:
        self._live, self._work, self._model = live, work, model

    def acts(self, texts: TextSet) -> np.ndarray:
        """acts_EN of mlp_post, all layers."""
        found = last_token(self._live, self._work, self._model, texts.name, texts.texts, texts.template)
        return found["mlp_post"].reshape(len(texts.texts), -1)

    def detectors(self, texts: TextSet) -> list[list[Detector]]:
        """[part][concept]: those found without each part (folds_of), and at last those of all texts."""

        def find() -> dict[str, np.ndarray]:
            log.info("detectors of %s, %r", texts.name, texts.template)
            acts_EN = self.acts(texts)
            kept = [kept_E for kept_E, _ in parts(folds_of(texts.labels_E))]
            kept.append(np.ones(len(texts.texts), bool))
            found = detectors(acts_EN, texts.labels_E, len(texts.concepts), kept)
            return {
                field: np.array([[getattr(each, field) for each in part] for part in found])
                for field in Detector.__dataclass_fields__
            }

        identity = [self._model, list(texts.texts), texts.template, texts.labels_E.tolist()]
        kept = cached(self._work, f"{texts.name}-detectors", identity, find)
        return [
            [Detector(*(kept[field][part, concept] for field in Detector.__dataclass_fields__)) for concept in range(n)]
            for part, n in enumerate([len(texts.concepts)] * len(kept["three"]))
        ]

    def own(self, texts: TextSet, seen_under: TextSet | None = None) -> np.ndarray:
        """[C, arm, E]: every text judged by the detectors of the other parts, as it is under another template."""
        acts_EN = self.acts(seen_under or texts)
        found = self.detectors(texts)
        values = np.empty((len(texts.concepts), len(ARMS), len(acts_EN)))
        for (_, out_E), part in zip(parts(folds_of(texts.labels_E)), found[:-1], strict=True):
            for concept, detector in enumerate(part):
                values[concept][:, out_E] = detector.arms(acts_EN[out_E])
        return values


def across_templates(bench: Bench, home: TextSet, away: TextSet, options: argparse.Namespace) -> dict:
    """The same texts under another template."""
    found = bench.detectors(home)
    at_home, there, native = bench.own(home), bench.own(home, away), bench.own(away)
    rows = []
    for c, name in enumerate(home.concepts):
        again_AE = found_again(bench.acts(away), away.labels_E, c, [part[c] for part in found[:-1]])
        judged = {"home": at_home[c], "away": there[c], "again": again_AE, "native": native[c]}
        # One seed: the texts are the same, so the draws are too, and ratios are paired.
        rows.append(_row(name, name, {key: (each, home.labels_E, c, 0) for key, each in judged.items()}, options))
    return _pair(home, away, rows)


def across_sets(bench: Bench, home: TextSet, away: TextSet, pairs: list[tuple[str, str]], options) -> dict:
    """Other texts, for pairs of (concept at home, concept away)."""
    acts_EN, at_home, native = bench.acts(away), bench.own(home), bench.own(away)
    rows = []
    for source, target in pairs:
        c, d = home.concepts.index(source), away.concepts.index(target)
        detector = bench.detectors(home)[-1][c]
        judged = {
            "home": (at_home[c], home.labels_E, c, 1),
            "away": (detector.arms(acts_EN), away.labels_E, d, 0),
            "again": (found_again(acts_EN, away.labels_E, d, [detector] * FOLDS), away.labels_E, d, 0),
            "native": (native[d], away.labels_E, d, 0),
        }
        rows.append(_row(source, target, judged, options))
    return _pair(home, away, rows)


def found_again(acts_EN: np.ndarray, labels_E: np.ndarray, concept: int, by_part: list[Detector]) -> np.ndarray:
    """[arm, E]: the neurons of each part's detector, with intervals of these texts that have not seen that part."""
    values_AE = np.empty((len(ARMS), len(acts_EN)))
    for (kept_E, out_E), detector in zip(parts(folds_of(labels_E)), by_part, strict=True):
        refitted = detector.found_again(acts_EN[kept_E], labels_E[kept_E] == concept)
        values_AE[:, out_E] = refitted.arms(acts_EN[out_E])
    return values_AE


def _pair(home: TextSet, away: TextSet, rows: list[dict]) -> dict:
    """With the means over the rows, resampled together."""
    series = {key: np.mean([row["series"][key] for row in rows], axis=0) for key in rows[0]["series"]}
    rows.append({"home": "mean", "away": "", "series": series})
    return {
        "home": {"name": home.name, "template": home.template, "texts": len(home.texts)},
        "away": {"name": away.name, "template": away.template, "texts": len(away.texts)},
        "rows": [{"home": row["home"], "away": row["away"], "arms": _summed_up(row["series"])} for row in rows],
    }


def _row(source: str, target: str, judged: dict, options: argparse.Namespace) -> dict:
    """`series`: what was judged where -> [coverage or leakage, R, arm]; row 0 of R are the texts as they are."""
    series = {}
    for key, (values_AE, labels_E, concept, seed) in judged.items():
        own, others = means_by_class(values_AE, labels_E, labels_E.max() + 1, options.bootstrap, options.seed + seed)
        series[key] = np.stack([own[..., concept], others[..., concept]])
    return {"home": source, "away": target, "series": series}


def _summed_up(series: dict[str, np.ndarray]) -> dict:
    """arm -> numbers with their intervals."""
    found = {}
    for number, arm in enumerate(ARMS):
        told = {key: each[0, :, number] - each[1, :, number] for key, each in series.items()}
        found[arm] = {
            key: {
                "coverage": float(each[0, 0, number]),
                "leakage": float(each[1, 0, number]),
                "told": list(vars(interval(told[key])).values()),
            }
            for key, each in series.items()
        }
        found[arm]["survives"] = list(vars(interval(told["away"] / told["home"])).values())
        found[arm]["of native"] = list(vars(interval(told["away"] / told["native"])).values())
    return found


def measure(options: argparse.Namespace) -> dict:
    folder, work = datasets_folder(options.datasets), Path(options.work)
    bench = Bench(functools.cache(lambda: load(options.model, device="cpu")), work, options.model)
    sets = {name: _packaged(name, template) for name, template in (("topics", TOPICS), ("emotions", FEELING))}
    task = ag_news(folder)
    examples = balanced(task, options.per_concept, options.seed)
    labels_E = np.array([task.concepts.index(concept) for _, concept in examples])
    news = TextSet("ag_news", task.template, tuple(text for text, _ in examples), labels_E, task.concepts)
    topics = sets["topics"]
    as_classes = _merged(topics)  # on the way back one class stands for two topics
    forth = list(CLASS_OF.items())
    back = [(name, name) for name in news.concepts]
    found = {
        "topics to AG News": [
            across_sets(bench, topics, news.under(topics.template), forth, options),
            across_sets(bench, topics, news, forth, options),
        ],
        "AG News to topics": [
            across_sets(bench, news, as_classes.under(news.template), back, options),
            across_sets(bench, news, as_classes, back, options),
        ],
    }
    for name, home in sets.items():
        found[f"{name}, another template"] = [
            across_templates(bench, home, home.under(template), options) for template in OTHER_TEMPLATES[name]
        ]
    return {"options": _shown(options), "measured": found}


def _packaged(name: str, template: str) -> TextSet:
    corpus = load_corpus(str(data_folder() / "concepts" / f"{name}.jsonl"))
    return TextSet(name, template, tuple(corpus.texts), np.array(corpus.labels), tuple(corpus.concepts))


def _merged(topics: TextSet) -> TextSet:
    """With every topic under the name of its class of AG News, if it has one."""
    names = [CLASS_OF.get(topic, topic) for topic in topics.concepts]
    concepts = tuple(dict.fromkeys(names))
    labels_E = np.array([concepts.index(names[label]) for label in topics.labels_E])
    return TextSet(topics.name, topics.template, topics.texts, labels_E, concepts)


def _shown(options: argparse.Namespace) -> dict:
    return {key: getattr(options, key) for key in ("model", "per_concept", "bootstrap", "seed")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--datasets", help="folder with ag_news_test.csv (benchmarks/common/labelled_text.py)")
    parser.add_argument("--work", default=str(ROOT / "build" / "benchmarks"), help="folder for what is slow to make")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "transfer.md")
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--per-concept", type=int, default=150, help="texts of a class of AG News")
    parser.add_argument("--bootstrap", type=int, default=2000, help="resamples")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--report", action="store_true", help="write the page from the numbers that are kept")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    kept = options.out.with_suffix(".json")
    if not options.report:
        kept.write_text(json.dumps(measure(options), indent=1), encoding="utf-8")
    if not kept.exists():
        raise BuildError(f"there is no {kept}", "Run without --report first.")
    options.out.write_text(page(json.loads(kept.read_text(encoding="utf-8"))), encoding="utf-8")


if __name__ == "__main__":
    main()
