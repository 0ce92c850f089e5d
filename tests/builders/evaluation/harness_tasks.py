"""Small tasks of the LM Evaluation Harness in a folder: one of every kind of request, in words of the tiny models."""

from __future__ import annotations

import json
from pathlib import Path

from tests.builders.evaluation.planted import OTHERS, TEXTS

CHOICES = ["dog", "team runs", "vote"]
PICK = [
    {"question": f"{text} this text is about", "choices": CHOICES, "answer": number}
    for number, texts in enumerate(TEXTS.values())
    for text in texts[:4]
]
SCORE = [
    {"before": "the cat runs in", "after": "Paris"},
    {"before": "the team", "after": "lost the money"},
    {"before": "science in France is", "after": "not bad"},
    {"before": "my old cat", "after": "played and my favourite dog"},
]
READ = [{"page": text} for text in OTHERS]
WRITE = [{"before": each["before"], "after": each["after"]} for each in SCORE]

_KINDS = {
    "pick": """
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: "{{choices}}"
doc_to_target: answer
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
  - {metric: acc_norm, aggregation: mean, higher_is_better: true}
""",
    "score": """
output_type: loglikelihood
doc_to_text: "{{before}}"
doc_to_target: " {{after}}"
metric_list:
  - {metric: perplexity, aggregation: perplexity, higher_is_better: false}
  - {metric: acc, aggregation: mean, higher_is_better: true}
""",
    "read": """
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{page}}"
metric_list:
  - {metric: word_perplexity, aggregation: weighted_perplexity, higher_is_better: false}
  - {metric: bits_per_byte, aggregation: bits_per_byte, higher_is_better: false}
""",
    "write": """
output_type: generate_until
doc_to_text: "{{before}}"
doc_to_target: "{{after}}"
generation_kwargs: {until: ["."], max_gen_toks: 5}
metric_list:
  - {metric: exact_match, aggregation: mean, higher_is_better: true}
""",
}
_ROWS = {"pick": PICK, "score": SCORE, "read": READ, "write": WRITE}


def write_task(
    folder: Path, kind: str, name: str | None = None, rows: list[dict] | None = None, more: str = ""
) -> Path:
    """The YAML file of a task of this kind and, beside it, its texts; returns the former."""
    name = name or kind
    texts = folder / f"{name}.jsonl"
    texts.write_text("".join(json.dumps(row) + "\n" for row in (_ROWS[kind] if rows is None else rows)))
    head = f"task: {name}\ndataset_path: json\ndataset_kwargs: {{data_files: {{test: {texts}}}}}\ntest_split: test\n"
    path = folder / f"{name}.yaml"
    path.write_text(head + _KINDS[kind].lstrip() + more + "metadata: {version: 3}\n")
    return path


def write_all(folder: Path) -> Path:
    """All four kinds, a few-shot variant of `pick`, and a group of two; returns the folder."""
    for kind in _KINDS:
        write_task(folder, kind)
    write_task(folder, "pick", "pick_shots", more="num_fewshot: 2\nfewshot_split: test\n")
    (folder / "both.yaml").write_text(
        "group: both\ntask: [pick, pick_shots]\n"
        "aggregate_metric_list: [{metric: acc, aggregation: mean, weight_by_size: true}]\n"
    )
    return folder
