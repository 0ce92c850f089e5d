"""A tiny model whose classification is planted by hand, texts for it, and plain hooks as a reference.

L1N7 is +v on texts of pets and -v on those of sport; it writes the label word of pets, and the negative of
that of sport. L1N8 weakly writes the label word of state on every text. The last block writes next to nothing.
So all three are classified right; without L1N7 everything is state; without its positive values only pets
are lost.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.synthetic import make_model

SUBJECTS = {"pets": ("dog", "cat", "dogs"), "sport": ("team", "goal", "match"), "state": ("vote", "minister", "bank")}
ENDINGS = ("is good", "runs in Paris", "was very old", "lost the money", "and my favourite", "played")
TEXTS = {name: [f"the {word} {end}" for word in words for end in ENDINGS] for name, words in SUBJECTS.items()}
EXAMPLES = [(text, name) for name, texts in TEXTS.items() for text in texts]
LABELS = {"pets": " dog", "sport": " team", "state": " vote"}
TEMPLATE = "{text} this text is about"
OTHERS = ["The old government wrote a new text .", "science in France is not bad", "A happy scientist reads"]


def write_corpus(path: Path) -> Path:
    path.write_text("".join(json.dumps({"text": text, "concept": name}) + "\n" for text, name in EXAMPLES))
    return path


def plant(folder: Path) -> Path:
    """Write the model to `folder` and return it."""
    wide = make_model("llama", folder / "raw", hidden_size=64, head_dim=16)  # more dims than texts
    model = AutoModelForCausalLM.from_pretrained(wide, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(wide)
    mlp, last = model.model.layers[1].mlp, model.model.layers[2]
    with torch.no_grad():
        reads: list[torch.Tensor] = []
        hook = mlp.register_forward_pre_hook(lambda module, args: reads.append(args[0][0, -1]))
        for text, _ in EXAMPLES:
            model(**tokenizer(TEMPLATE.replace("{text}", text), return_tensors="pt"))
        hook.remove()
        read_ED = torch.stack(reads).double()
        ones = torch.ones(len(EXAMPLES), 1, dtype=torch.float64)
        signs = torch.tensor([{"pets": 1.0, "sport": -1.0, "state": 0.0}[name] for _, name in EXAMPLES])[:, None]
        spread = 1 + torch.linspace(-0.05, 0.05, len(EXAMPLES), dtype=torch.float64)[:, None]

        def direction(wanted: torch.Tensor) -> torch.Tensor:
            return torch.linalg.lstsq(read_ED, wanted.double()).solution[:, 0].float()

        word = {name: tokenizer(text, add_special_tokens=False)["input_ids"][0] for name, text in LABELS.items()}
        u_VD, gain_D = model.lm_head.weight, model.model.norm.weight
        mlp.gate_proj.weight[7:9] = 20 * direction(ones * spread)
        mlp.up_proj.weight[7] = 20 * direction(signs * spread)
        mlp.up_proj.weight[8] = 20 * direction(ones * spread)
        mlp.down_proj.weight[:, 7] = (u_VD[word["pets"]] - u_VD[word["sport"]]) / gain_D
        mlp.down_proj.weight[:, 8] = 0.3 * (u_VD[word["state"]]) / gain_D
        last.self_attn.o_proj.weight.mul_(1e-2)  # not 0: an adapter check wants every block to do something
        last.mlp.down_proj.weight.mul_(1e-2)
    model.save_pretrained(folder / "planted")
    tokenizer.save_pretrained(folder / "planted")
    return folder / "planted"
