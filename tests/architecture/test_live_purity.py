"""The live side alone touches torch modules, and adapters alone know families.

Read off the syntax trees: who registers hooks, looks into a model or its config, or writes the name of a family.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from atlas.live.adapters.registry import FAMILIES, find_adapter
from tests.architecture.imports import OURS, ROOT, sources

ADAPTERS = "atlas/live/adapters/"
# What only writes files out of a live model is no part of the live side, wherever it lies.
LIVE, NOT_LIVE = "atlas/live/", "builders/export/weights/"

# Attributes that belong to modules, whatever they are asked of.
OF_MODULES = re.compile(
    r"register_\w*hooks?|register_(buffer|parameter|module)|get_submodule|named_modules|(named_)?children"
    r"|named_parameters|get_(in|out)put_embeddings|base_model|base_model_prefix|(load_)?state_dict"
    r"|generation_config|config"
)
# Of a LiveModel: what gives a module to whoever asks.
OF_LIVE_MODELS = {"model", "base", "submodule", "parameter"}

# (file, literal) -> why it may name a family.
NAMED = {
    ("atlas/live/tokenizer.py", "fix_mistral_regex"): "a field of tokenizer_config.json, whatever the model is",
    ("atlas/live/token_bound.py", "BertNormalizer"): "a normaliser of the tokenizers library, whatever the model is",
    ("atlas/live/token_bound.py", "BertPreTokenizer"): "a part of the tokenizers library, whatever the model is",
}

# A runtime, a library and no family.
RUNTIMES = re.compile(r"llama\.cpp", re.IGNORECASE)


def stem(model_type: str) -> str:
    """'gemma3_text' -> 'gemma', 'gpt_neox' -> 'gptneox'; what is too short for a word of its own keeps its number."""
    plain = plainly(model_type)
    letters = re.match("[a-z]+", plain)[0]
    return letters if len(letters) >= 4 else plain


def plainly(text: str) -> str:
    return re.sub("[-_]", "", RUNTIMES.sub("", text).lower())


STEMS = {
    stem(name) for model_type in FAMILIES for name in (model_type, find_adapter({"model_type": model_type}).family)
}
# Parts of ordinary words (option, empty, graphic, coherent, Kolmogorov) and of the packaged model's name: names of a
# family only where they stand as such.
AS_WORDS = {
    "opt": r"\bOPT\b",
    "mpt": r"\bMPT\b",
    "phi": r"(?i)\bphi-?\d",
    "ctrl": r"\bCTRL\b",
    "cohere": r"(?i)\bcohere2?\b",
    "olmo": r"(?i)\bolmo\d?\b",
    "smollm": r"(?i)\bsmollm-?3",
}


def names_a_family(text: str) -> bool:
    """Whether it names a family or a model type."""
    plain = plainly(text)
    alone = any(re.search(pattern, text) for pattern in AS_WORDS.values())
    return alone or any(name in plain for name in STEMS - AS_WORDS.keys())


def touches(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, attribute) of everything that reaches into a torch module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            owner = node.value
            name = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
            is_live = name.strip("_") == "live" and node.attr in OF_LIVE_MODELS
            # `live.tap(...).register` is a hook as well.
            is_tap = node.attr == "register" and ("tap" in name or "tap" in ast.unparse(owner))
            if name in ("plan", "self") and node.attr == "config":  # a BuildConfig: no class outside is a module
                continue
            if OF_MODULES.fullmatch(node.attr) or is_live or is_tap:
                yield node.lineno, f"{name}.{node.attr}" if is_live else node.attr
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("getattr", "setattr", "hasattr"):
            attribute = node.args[1]
            if isinstance(attribute, ast.Constant) and OF_MODULES.fullmatch(str(attribute.value)):
                yield node.lineno, attribute.value


def families(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, text) of every literal, docstrings too, that names a family or a model type."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if names_a_family(node.value):
                yield node.lineno, node.value


def files(*without: str) -> list[Path]:
    found = [path for package in OURS for path in sources(package)]
    return [path for path in found if not str(path.relative_to(ROOT)).startswith(without)]


def tree_of(path: Path) -> ast.AST:
    return ast.parse(path.read_text(encoding="utf-8"))


def test_only_the_live_side_reaches_into_modules():
    outside = [*files(LIVE), *[path for path in files() if str(path.relative_to(ROOT)).startswith(NOT_LIVE)]]
    found = [
        f"{path.relative_to(ROOT)}:{line} touches {what}" for path in outside for line, what in touches(tree_of(path))
    ]
    assert found == []


def test_only_adapters_name_families():
    found = {
        (str(path.relative_to(ROOT)), text): f"{path.relative_to(ROOT)}:{line} says {text[:80]!r}"
        for path in files(ADAPTERS)
        for line, text in families(tree_of(path))
    }
    assert [said for place, said in found.items() if place not in NAMED] == []
    assert NAMED.keys() <= found.keys(), "an exception that nothing needs"


def test_no_emitted_code_names_families():
    """What is written into exports stands in text files, and holds for every family."""
    texts = [path for package in OURS for path in (ROOT / package).rglob("*.txt")]
    assert texts
    assert [path.name for path in texts if names_a_family(path.read_text("utf-8"))] == []


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("module.register_forward_hook(f)", "register_forward_hook"),
        ("self._block(3).register_forward_pre_hook(f)", "register_forward_pre_hook"),
        ("torch.nn.modules.module.register_module_forward_hook(f)", "register_module_forward_hook"),
        ("x.register_full_backward_hook(f)", "register_full_backward_hook"),
        ("live.model.config.sliding_window", "config"),
        ("getattr(live.model.config, 'sliding_window', None)", "config"),
        ("getattr(network, 'config')", "config"),
        ("self.network.config.n_layer", "config"),
        ("self._live.model(ids)", "_live.model"),
        ("live.submodule('model.layers.0')", "live.submodule"),
        ("live.tap('mlp_post', 3).register(f)", "register"),
        ("tap.register(f).remove()", "register"),
        ("dict(net.named_modules())", "named_modules"),
    ],
)
def test_the_first_rule_sees(source, what):
    assert what in [found for _, found in touches(ast.parse(source))]


@pytest.mark.parametrize(
    "source",
    [
        "spec.model.id",
        "connection.register('_rows', t)",
        "live.tap('a', 1).path",
        "config",
        "self.plan.config.top",
        "self.config.top",
    ],
)
def test_the_first_rule_lets_pass(source):
    assert list(touches(ast.parse(source))) == []


MENTIONS = [
    "gpt_neox",
    "GPT-NeoX",
    "gptneox",
    "gemma",
    "Gemma 2",
    "gemma3_text",
    "CodeLlamaTokenizer",
    "Phi-3",
    "qwen2",
    "OPT",
    "like MPT",
    "Cohere's",
    "phi-2",
    "olmo2",
]


@pytest.mark.parametrize("text", [*MENTIONS, "GPT-2's", "like mistral"])
def test_the_second_rule_sees(text):
    assert list(families(ast.parse(f"x = {text!r}"))) and list(families(ast.parse(f'"""About {text}."""')))


@pytest.mark.parametrize(
    "text", ["a file for llama.cpp", "Phi((x - mean) / std)", "gpt", "model_type", "0.3", "an option"]
)
def test_the_second_rule_lets_pass(text):
    assert list(families(ast.parse(f"x = {text!r}"))) == []
