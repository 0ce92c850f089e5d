"""From flags to the configuration of an evaluation: the same names and values, and what is refused with which words."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from atlas.errors import UsageError
from atlas.fit_choice import FitChoice
from atlas.store.evaluations import sidecar_of
from builders.cli import evaluate as cli
from builders.evaluation.config import EvaluateConfig, SweepRequest, TaskRequest
from tests.commands import context_of

ATLAS, SPEC = Path("a.duckdb"), Path("s.spec.json")


def config_of(*arguments: str) -> EvaluateConfig:
    """The configuration that a command line makes."""
    context = context_of(cli.evaluate, "evaluate", ["-a", str(ATLAS), *arguments])
    return cli.config_from(context.params)


def test_the_flags_have_the_defaults_of_the_dataclasses() -> None:
    assert config_of(str(SPEC)) == EvaluateConfig(ATLAS, (SPEC,))
    assert config_of("--sweep", "--concept", "pets") == EvaluateConfig(ATLAS, sweep=SweepRequest("pets"))


def test_every_flag_reaches_its_field() -> None:
    task = ["--corpus", "c.csv", "--text-column", "t", "--concept-column", "c", "--split", "test", "--target", "pets"]
    task += ["--template", r"{text}\nIt is", "--label", "pets= dog", "--label", "b=c=d", "--shots", "2"]
    task += ["--limit-per-concept", "9", "--other-text", "o.txt", "--other-limit", "3", "--seed", "4"]
    model = ["--model", "m", "--device", "cpu", "--dtype", "float16", "--override-model", "--max-tokens", "8"]
    more = ["--batch-tokens", "64", "--memory", "3MB", "--range-only", "--bootstrap", "5", "--no-store", "-o", "x.csv"]
    assert config_of(str(SPEC), "b.json", *task, *model, *more) == EvaluateConfig(
        atlas=ATLAS,
        specs=(SPEC, Path("b.json")),
        task=TaskRequest(
            corpus="c.csv",
            text_column="t",
            concept_column="c",
            split="test",
            template="{text}\nIt is",
            labels={"pets": " dog", "b": "c=d"},
            target="pets",
            shots=2,
            limit_per_concept=9,
            other_text="o.txt",
            other_limit=3,
            seed=4,
        ),
        whole_neuron=False,
        bootstrap=5,
        max_tokens=8,
        batch_tokens=64,
        memory=3 * 10**6,
        model="m",
        device="cpu",
        dtype="float16",
        override_model=True,
        store=False,
        output=Path("x.csv"),
    )
    lists = ["--rule", "auc, overlap,auc", "--top", "1,10%", "--tau", "2,2.5", "--bounds", "contrast", "--op", "add=3"]
    common = ["--family", "f", "--site", "mlp_post", "--layers", "1-2", "--positions", "last", "--plot", "x.png"]
    assert config_of("--sweep", "--concept", "pets", *lists, *common) == EvaluateConfig(
        ATLAS,
        sweep=SweepRequest(
            "pets",
            rules=("auc", "overlap"),
            tops=("1", "10%"),
            taus=(2.0, 2.5),
            bounds=("contrast",),
            ops=("add=3",),
            fit=FitChoice(family="f", site="mlp_post"),
            common={"layers": "1-2", "positions": "last"},
        ),
        plot=Path("x.png"),
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"specs": ()}, "no spec given"),
        ({"sweep": SweepRequest("pets")}, "--sweep makes its own specs"),
        ({"plot": Path("x.png")}, "--plot goes with --sweep"),
        ({"bootstrap": -1}, "--bootstrap -1 is outside 0 to 100000"),
        ({"bootstrap": 100_001}, "--bootstrap"),
        ({"max_tokens": 1}, "--max-tokens 1 is outside 2"),
        ({"batch_tokens": 0}, "--batch-tokens"),
        ({"memory": -1}, "--memory"),
        ({"memory": float("nan")}, "--memory"),
    ],
)
def test_values_out_of_their_domain(change: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        EvaluateConfig(**{"atlas": ATLAS, "specs": (SPEC,), **change})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("template", "no place"),
        ("template", "{text}{text}"),
        ("shots", -1),
        ("limit_per_concept", 0),
        ("other_limit", -1),
        ("seed", -1),
        ("seed", 2**32 + 1),
    ],
)
def test_a_task_that_cannot_be(field: str, value: object) -> None:
    with pytest.raises(UsageError):
        TaskRequest(**{field: value})


def test_a_sweep_that_cannot_be() -> None:
    with pytest.raises(UsageError, match="needs a concept"):
        SweepRequest("")
    for name in ("rules", "tops", "taus", "bounds", "ops"):
        with pytest.raises(UsageError, match=f"no {name}"):
            SweepRequest("pets", **{name: ()})


@pytest.mark.parametrize("flag", ["--rule", "--top", "--tau", "--bounds", "--op", "--family", "--site", "--concept"])
def test_what_only_a_sweep_has(flag: str) -> None:
    with pytest.raises(UsageError, match=f"{flag} goes with --sweep"):
        config_of(str(SPEC), flag, "2")


@pytest.mark.parametrize("flag", ["--max-tokens", "--batch-tokens", "--memory", "--bootstrap", "--seed", "--template"])
def test_a_wrong_number_is_refused_before_any_file_is_read(flag: str, capsys) -> None:
    from atlas.__main__ import main

    assert main(["evaluate", "no.spec.json", "-a", "no.duckdb", flag, "-1"]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_a_config_is_not_changed_and_knows_its_files() -> None:
    config = EvaluateConfig(ATLAS, (SPEC,), task=TaskRequest(corpus="c.csv", other_text="o.txt"), model="m.gguf")
    with pytest.raises(FrozenInstanceError):
        config.seed = 1
    named = [SPEC, ATLAS, sidecar_of(ATLAS), Path("c.csv"), Path("o.txt"), Path("m.gguf")]
    assert config.inputs() == named
