"""A classifier of AG News from a sentence encoder without a head: its last blocks and a new head, trained briefly."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedTokenizerFast

Example = tuple[str, str]
BATCH, LONGEST = 32, 64


def train(
    encoder: Path, examples: Sequence[Example], labels: Sequence[str], out: Path, *, blocks: int, epochs: int, seed: int
) -> None:
    """Write the trained checkpoint to the folder `out`: AdamW on pooler, head and the last `blocks` blocks.

    `encoder`: a folder with a BERT-like encoder, its tokenizer beside it; what lies below stays as it is.
    """
    torch.manual_seed(seed)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(encoder / "tokenizer.json"),
        cls_token="[CLS]",
        sep_token="[SEP]",
        pad_token="[PAD]",
        mask_token="[MASK]",
        unk_token="[UNK]",
    )
    named = {"id2label": dict(enumerate(labels)), "label2id": {label: n for n, label in enumerate(labels)}}
    config = AutoConfig.from_pretrained(encoder, local_files_only=True, **named)
    model = AutoModelForSequenceClassification.from_pretrained(encoder, config=config, local_files_only=True)
    last = [f"encoder.layer.{config.num_hidden_layers - 1 - place}." for place in range(blocks)]
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(any(part in name for part in (*last, "pooler", "classifier")))
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    steps = epochs * -(-len(examples) // BATCH)
    optimizer = torch.optim.AdamW(learning, lr=2e-4, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.05, steps)
    model.train()
    for epoch in range(epochs):
        order = random.Random(seed + epoch).sample(range(len(examples)), len(examples))
        for start in range(0, len(order), BATCH):
            batch = [examples[place] for place in order[start : start + BATCH]]
            texts = [text for text, _ in batch]
            inputs = tokenizer(texts, padding=True, truncation=True, max_length=LONGEST, return_tensors="pt")
            gold = torch.tensor([labels.index(label) for _, label in batch])
            loss = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], labels=gold).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    model.config.problem_type = None
    model.eval().save_pretrained(out)
    tokenizer.save_pretrained(out)
