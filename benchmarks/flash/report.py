"""docs/results/flash.md from what benchmarks/flash/main.py measured; every sentence about a result follows it."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.flash.report_steering import steering_section

PAPER_FLOP = 32 * 14_336 * 4_096 * 128_256 * 2  # up_proj of Llama 3.1 8B through its LM head
PAPER_SECONDS = 10
PAPER_AGREEMENT = 0.754


def page(work: Path) -> str:
    """The whole page; parts without a measurement are left out and named as missing."""
    sections = {
        "steering": (steering_section, "steering.json"),
        "time": (_time_section, "time.json"),
        "agreement": (_agreement_section, "agreement.json"),
    }
    lines = [
        "# Flash Interpretability on a small model",
        "",
        "What Davies (arXiv 2501.02688) reports for Llama 3.1 8B, redone on SmolLM2-135M-Instruct. Written by "
        "`python -m benchmarks.flash.main --datasets DIR` from its measurements; intervals are 95 %.",
    ]
    missing = []
    for name, (section, file) in sections.items():
        if (work / file).is_file():
            measured = json.loads((work / file).read_text(encoding="utf-8"))
            lines += ["", *section(measured, work)]
        else:
            missing.append(name)
    if missing:
        lines += ["", f"Not measured: {', '.join(missing)}."]
    return "\n".join(lines) + "\n"


def _time_section(found: dict, work: Path) -> list[str]:
    flop = found["neurons"] * found["d_model"] * found["d_vocab"] * 2
    wall, processor = found["decode"]
    bare_wall, bare_processor = found["product"]
    return [
        "## Map time",
        "",
        "`python -m benchmarks.flash.main --part time`",
        "",
        f"All {found['neurons']:,} up-projection neurons over {found['d_vocab']:,} tokens, exact top 32 "
        "of both signs, by "
        f"the builder (`neuron-atlas build --weights up_proj --no-concepts`); beside it the bare float32 "
        "product U w, in "
        f"blocks as large, nothing kept. {found['machine']}, {found['cores']} cores, {found['threads']} "
        "threads; one run "
        f"each, on a machine with other work (load average {found['load']:.1f}), so processor seconds say more than "
        "wall seconds.",
        "",
        "| | wall seconds | processor seconds |",
        "|---|---|---|",
        f"| decoding, with search, checks and rows | {wall:.0f} | {processor:.0f} |",
        f"| bare product | {bare_wall:.0f} | {bare_processor:.0f} |",
        f"| ratio | {wall / bare_wall:.1f} | {processor / bare_processor:.1f} |",
        "",
        f"The whole command, with loading and publishing, took {found['whole_build']:.0f} s. In a processor second the "
        f"builder did {flop / processor / 1e9:.0f} GFLOP of the product, the bare product "
        f"{flop / bare_processor / 1e9:.0f}.",
        "",
        f"The paper says under {PAPER_SECONDS} s for the 458,752 neurons of an 8B model. That is "
        f"{PAPER_FLOP / flop:.0f} times the products ({PAPER_FLOP:.1e} against {flop:.1e} FLOP) and takes at least "
        f"{PAPER_FLOP / PAPER_SECONDS / 1e12:.0f} TFLOP/s, a GPU. By its FLOP, the 8B model would take the builder "
        f"{PAPER_FLOP / flop * processor / 3600:.1f} hours of one such core; at the paper's rate our model would take "
        f"{flop / (PAPER_FLOP / PAPER_SECONDS):.2f} s. The hardware of the paper is not known to us, so this compares "
        "amounts of work, not methods.",
    ]


def _agreement_section(found: dict, work: Path) -> list[str]:
    training = found["training"]
    fell = training["loss_after"] < training["loss_before"]
    lines = [
        "## Agreement with a fine-tuned copy",
        "",
        f"`python -m benchmarks.flash.main --datasets DIR --part agreement --steps {found['steps']}`",
        "",
        f"The copy: all parameters, {found['steps']} steps of AdamW on {training['examples']} AG News "
        f"articles followed by their topic, the last 40 tokens of each. Loss on {training['held_out']} held-out "
        f"articles: {training['loss_before']:.3f} nats per token before, {training['loss_after']:.3f} after, "
        + ("so it did learn." if fell else "so it did not learn, and the agreement below is that of a damaged copy."),
        "",
        "| weight | neurons | same top token | shuffled in the layer | mean cosine | lowest cosine | change |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in found["rows"]:
        lines.append(
            f"| {row['weight']} | {row['neurons']:,} | {row['same_token']:.4f} | {row['shuffled']:.4f} | "
            f"{row['mean_cosine']:.6f} | {row['min_cosine']:.6f} | {row['change']:.5f} |"
        )
    lowest = min(found["layers"], key=lambda row: row["same_token"])
    highest = max(found["layers"], key=lambda row: row["same_token"])
    lines += [
        "",
        "Every neuron is counted, so the shares have no sampling error for this one copy; how far another copy would "
        "differ is not measured. Shuffled: the share expected when the copy's neurons are permuted "
        "within each layer, exact. Mean "
        "cosine: of a neuron's vector in both models. Change: norm of the difference over norm of the weights. The "
        f"tied embedding, through which everything is decoded, was trained too: mean cosine "
        f"{found['unembedding_cosine']:.6f}, change {found['unembedding_change']:.5f}.",
        "",
        f"By layer, the lowest agreement is {lowest['same_token']:.4f} ({lowest['weight']}, layer "
        f"{lowest['layer']}) and "
        f"the highest {highest['same_token']:.4f} ({highest['weight']}, layer {highest['layer']}).",
        "",
        _verdict(found),
    ]
    return lines


def _verdict(found: dict) -> str:
    up = next((row for row in found["rows"] if row["weight"] == "up_proj"), found["rows"][0])
    text = (
        f"The paper reports {PAPER_AGREEMENT:.1%} between the pre-trained and the instruct model, "
        "without a control; its "
        "tuning was far longer than this one, so the two shares are not to be compared as better or worse. "
    )
    if up["mean_cosine"] > 0.99:
        text += (
            f"With a mean cosine of {up['mean_cosine']:.6f} the vectors are nearly the same ones, so "
            "agreement says that "
            "training moved the weights little, not that the labels are right."
        )
    return text.strip()
