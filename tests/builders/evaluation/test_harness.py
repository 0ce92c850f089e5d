"""Tasks of the LM Evaluation Harness under the arms, against hooks and full passes written here."""

from __future__ import annotations

import copy
import json
import math
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from atlas.__main__ import main
from atlas.errors import CorpusError, QuestionError, UsageError
from atlas.live.loading import load
from atlas.live.model import LiveModel
from builders.evaluation.config import HarnessRequest
from builders.evaluation.edited import Budget
from builders.evaluation.evaluate import evaluate
from builders.evaluation.harness.tasks import load_tasks
from tests.architecture.imports import ROOT
from tests.builders.evaluation.harness_tasks import CHOICES, PICK, READ, SCORE, WRITE, write_all, write_task
from tests.builders.evaluation.planted import EXAMPLES, LABELS, TEMPLATE
from tests.builders.evaluation.reference import make_spec, plain_log_probs
from tests.synthetic import make_model

pytestmark = pytest.mark.skipif(
    find_spec("lm_eval") is None, reason="the LM Evaluation Harness is not installed: pip install -e '.[lm-eval]'"
)
WHEN = (100.0, 1000.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_all(tmp_path_factory.mktemp("tasks"))


def planted_spec(live: LiveModel, when=WHEN, **options):
    return make_spec(live, [("mlp_post", 1, 7, "set", 0.0, when)], concept="pets", **options)


def run(live: LiveModel, folder: Path, *tasks: str, limit: int | None = None, **options):
    harness = load_tasks(HarnessRequest(tasks, folder, limit))
    options = {"bootstrap": 50, "labels": LABELS, "template": TEMPLATE, "specs": [planted_spec(live)], **options}
    return evaluate(live, options.pop("specs"), EXAMPLES, harness=harness, **options)


def ids_of(live: LiveModel, text: str) -> list[int]:
    return live.tokenizer(text, add_special_tokens=False)["input_ids"]


def plain_score(live: LiveModel, before: list[int], whole: list[int], spec) -> tuple[float, bool]:
    """log-probability of what follows `before`, the prompt, by one full pass; and whether all are first choices."""
    logprob_TV = plain_log_probs(live, whole, spec, len(before))
    places = range(len(before) - 1, len(whole) - 1)
    return (
        sum(logprob_TV[t, whole[t + 1]].item() for t in places),
        all(logprob_TV[t].argmax().item() == whole[t + 1] for t in places),
    )


def plain_pair(live: LiveModel, before: str, after: str, spec) -> tuple[float, bool]:
    return plain_score(live, ids_of(live, before), ids_of(live, f"{before} {after}"), spec)


def arms_of(live: LiveModel, **options) -> dict:
    return {
        "baseline": None,
        "whole_neuron": planted_spec(live, None, **options),
        "range": planted_spec(live, **options),
    }


@pytest.mark.parametrize("options", [{}, {"positions": "last"}, {"phase": "generated"}, {"phase": "prompt"}])
def test_every_metric_of_every_arm_equals_a_plain_loop(live: LiveModel, folder: Path, options: dict) -> None:
    spec = planted_spec(live, **options)
    [found] = run(live, folder, "pick", "score", "read", specs=[spec], budget=Budget(batch_tokens=40))
    for arm, edits in arms_of(live, **options).items():

        def value(task: str, metric: str, arm: str = arm) -> float:
            return found.score(arm, metric, f"lm-eval:{task}").value.value

        scores = np.array([[plain_pair(live, row["question"], c, edits)[0] for c in CHOICES] for row in PICK])
        gold = np.array([row["answer"] for row in PICK])
        assert value("pick", "acc") == pytest.approx((scores.argmax(1) == gold).mean())
        letters = np.array([len(choice) for choice in CHOICES])
        assert value("pick", "acc_norm") == pytest.approx(((scores / letters).argmax(1) == gold).mean())
        pairs = [plain_pair(live, row["before"], row["after"], edits) for row in SCORE]
        mean = sum(logprob for logprob, _ in pairs) / len(pairs)
        assert value("score", "perplexity") == pytest.approx(math.exp(-mean), rel=1e-4)
        assert value("score", "acc") == pytest.approx(sum(greedy for _, greedy in pairs) / len(pairs))
        # A text that is read from its beginning comes after the token that begins a sequence, which is its prompt.
        first = [live.tokenizer.bos_token_id]
        losses = [-plain_score(live, first, first + ids_of(live, row["page"]), edits)[0] for row in READ]
        words = sum(len(row["page"].split()) for row in READ)
        n_bytes = sum(len(row["page"].encode()) for row in READ)
        assert value("read", "word_perplexity") == pytest.approx(math.exp(sum(losses) / words), rel=1e-4)
        assert value("read", "bits_per_byte") == pytest.approx(sum(losses) / n_bytes / math.log(2), rel=1e-4)
    assert {score.n for score in found.scores if score.group == "lm-eval:pick"} == {len(PICK)}


def test_drops_are_baseline_minus_arm_with_paired_intervals(live: LiveModel, folder: Path) -> None:
    report = run(live, folder, "pick", "score", bootstrap=400)
    [found] = report
    arms = ("baseline", "whole_neuron", "range")
    for metric, task in (("acc", "pick"), ("perplexity", "score")):
        base, whole, ranged = (found.score(arm, metric, f"lm-eval:{task}") for arm in arms)
        assert base.drop is None
        assert whole.drop.value == pytest.approx(base.value.value - whole.value.value)
        for score in (base, whole, ranged):
            assert score.value.low <= score.value.value <= score.value.high
        assert whole.drop.low <= whole.drop.value <= whole.drop.high
    # Whole neurons lose pets and sport, the range loses pets alone; the intervals of a drop know the pairs.
    acc = {arm: found.score(arm, "acc", "lm-eval:pick") for arm in arms}
    assert acc["whole_neuron"].value.value < acc["range"].value.value < acc["baseline"].value.value
    [note] = report.notes
    assert note.startswith("lm-eval ") and note.endswith(" ran pick (version 3), score (version 3)")


@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt2"])
def test_what_is_asked_is_scored_under_the_edits_whatever_its_length(
    family: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    from lm_eval.api.instance import Instance

    from atlas.live.harness_model import EditedModel

    live = load(str(make_model(family, tmp_path_factory.mktemp(family), add_bos=family == "gemma2")), device="cpu")
    pairs = [
        ("the dog", " is good"),
        ("the old cat runs in", " Paris"),
        ("the old cat runs in", " France"),
        ("science", " is not bad and the team won"),
        ("the team played in Paris and the dog was", " very old"),
        ("the old cat", " runs in Paris"),
    ]
    asked = [Instance("loglikelihood", {}, pair, number) for number, pair in enumerate(pairs)]
    before = {name: tensor.clone() for name, tensor in live.tensors().items()}
    tokenizer = copy.deepcopy(vars(live.tokenizer).get("_special_tokens_map"))
    for positions in ("all", "last", (0, 2, 3)):
        for phase in ("all", "prompt", "generated"):
            spec = make_spec(live, [("mlp_post", 1, n, "add", 2.0, (-0.5, 9.0)) for n in range(8)], positions, phase)
            for edits in (None, spec):
                for room in (1, 30, 4096):
                    found = EditedModel(live, edits, room).harness.loglikelihood(asked)
                    for (context, more), (logprob, greedy) in zip(pairs, found, strict=True):
                        first = [live.tokenizer.bos_token_id] if live.add_bos else []
                        ids = first + ids_of(live, context)
                        expected, first_choice = plain_score(live, ids, ids + ids_of(live, more), edits)
                        assert logprob == pytest.approx(expected, abs=1e-4)
                        assert greedy == first_choice
    assert all(torch.equal(tensor, before[name]) for name, tensor in live.tensors().items())
    assert vars(live.tokenizer).get("_special_tokens_map") == tokenizer


def test_a_context_that_is_too_long_loses_its_beginning(live: LiveModel) -> None:
    from lm_eval.api.instance import Instance

    from atlas.live.harness_model import EditedModel

    spec = planted_spec(live, None, positions="last")
    context, more = "the dog " * 40 + "this text is about", " dog runs in Paris"
    [(found, _)] = EditedModel(live, spec, 2048).harness.loglikelihood(
        [Instance("loglikelihood", {}, (context, more), 0)]
    )
    before, after = ids_of(live, context), ids_of(live, more)
    kept = (before + after)[-(live.max_positions + 1) :]
    expected, _ = plain_score(live, kept[: -len(after)], kept, spec)
    assert len(before) > live.max_positions
    assert found == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("options", [{}, {"positions": "last"}, {"phase": "generated"}])
def test_what_is_written_is_written_under_the_edits(live: LiveModel, options: dict) -> None:
    from lm_eval.api.instance import Instance

    from atlas.live.harness_model import EditedModel

    settings = {"until": ["qwertz"], "max_gen_toks": 4, "do_sample": False}
    asked = [Instance("generate_until", {}, (row["before"], settings), n) for n, row in enumerate(WRITE)]
    for edits in arms_of(live, **options).values():
        for room in (10, 4096):
            found = EditedModel(live, edits, room).harness.generate_until(asked)
            for row, text in zip(WRITE, found, strict=True):
                ids = ids_of(live, row["before"])
                n_prompt = len(ids)
                for _ in range(4):
                    ids = [*ids, int(plain_log_probs(live, ids, edits, n_prompt)[-1].argmax())]
                    if ids[-1] == live.tokenizer.eos_token_id:
                        break
                assert text.split() == live.tokenizer.decode(ids[n_prompt:], skip_special_tokens=True).split()


def test_groups_shots_and_limits(live: LiveModel, folder: Path) -> None:
    [found] = run(live, folder, "both", "write", limit=7)
    scores = {(s.arm, s.metric, s.group): s for s in found.scores if s.group.startswith("lm-eval:")}
    assert {group for _, _, group in scores} == {f"lm-eval:{name}" for name in ("pick", "pick_shots", "both", "write")}
    for arm in ("baseline", "whole_neuron", "range"):
        parts = [scores[arm, "acc", f"lm-eval:{name}"].value.value for name in ("pick", "pick_shots")]
        whole = scores[arm, "acc", "lm-eval:both"]
        assert whole.value.value == pytest.approx(sum(parts) / 2)
        assert (whole.n, whole.value.low) == (14, None)
        assert scores[arm, "acc", "lm-eval:pick_shots"].n == 7
    # The same examples are shown to all arms: an edit that does nothing changes nothing, and a seed decides.
    idle = make_spec(live, [("mlp_post", 1, 7, "scale", 1.0, None)], concept="pets")
    one, two = (run(live, folder, "pick_shots", specs=[idle], seed=5).evaluations[0] for _ in range(2))
    assert one.scores == two.scores
    for metric in ("acc", "acc_norm"):
        assert one.score("spec", metric, "lm-eval:pick_shots").drop.value == 0


def test_equal_arms_are_run_once(live: LiveModel, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import builders.evaluation.evaluate as module

    runs: list = []
    plain = module.run_tasks
    monkeypatch.setattr(module, "run_tasks", lambda *args, **named: runs.append(args[2]) or plain(*args, **named))
    report = run(live, folder, "pick", specs=[planted_spec(live), planted_spec(live, (90.0, 2000.0))])
    assert len(runs) == 4 and runs[0] is None  # baseline and whole neuron are shared
    assert len(report.evaluations) == 2


def test_edits_that_leave_the_numbers_are_refused(live: LiveModel) -> None:
    from lm_eval.api.instance import Instance

    from atlas.live.harness_model import EditedModel

    wild = make_spec(live, [("mlp_post", 1, n, "scale", 3e38, None) for n in range(32)], concept="pets")
    with pytest.raises(QuestionError, match="no finite numbers"):
        EditedModel(live, wild, 2048).harness.loglikelihood([Instance("loglikelihood", {}, ("the dog", " runs"), 0)])


def write_broken(folder: Path) -> Path:
    good = write_task(folder, "pick").read_text()
    (folder / "broken.yaml").write_text("task: broken\n x: [1")
    for name, change in {
        "no_texts": (str(folder / "pick.jsonl"), str(folder / "missing.jsonl")),
        "no_filter": ("{{question}}", "{{question | nothing}}"),
        "no_field": ("{{choices}}", "{{nothing}}"),
        "no_python": ('"{{question}}"', "!function nowhere.text"),
    }.items():
        assert change[0] in good
        (folder / f"{name}.yaml").write_text(good.replace("task: pick", f"task: {name}").replace(*change))
    write_task(folder, "pick", "empty", rows=[])
    return folder


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("broken", UsageError, r"broken\.yaml cannot be read"),
        ("no_texts", CorpusError, "no_texts cannot be loaded"),
        ("no_filter", CorpusError, "no_filter cannot be loaded"),
        ("no_python", CorpusError, "cannot be loaded.*nowhere"),
        ("empty", CorpusError, "empty"),
        ("no_field", CorpusError, "no_field cannot be"),
    ],
)
def test_tasks_that_are_refused(live: LiveModel, tmp_path: Path, name: str, error: type, message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        run(live, write_broken(tmp_path), name)
    assert caught.value.hint and "\n" not in str(caught.value)


@pytest.fixture
def ask(atlas_file: Path, planted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """ask(options...) -> (exit code, stdout, stderr) of `evaluate` of a spec."""
    spec = str(tmp_path / "pets.spec.json")
    assert main(["spec", "-a", str(atlas_file), "--concept", "pets", "--neurons", "L1N7", "-o", spec]) == 0
    labels = [option for word in ("pets= dog", "sport= team", "state= vote") for option in ("--label", word)]
    fast = ["--bootstrap", "10", "--other-limit", "0", "--device", "cpu"]
    capsys.readouterr()

    def call(*options: str) -> tuple[int, str, str]:
        code = main(["evaluate", "-a", str(atlas_file), spec, "--model", str(planted), *labels, *fast, *options])
        streams = capsys.readouterr()
        return code, streams.out, streams.err

    return call


def test_the_command_has_them_in_every_format_and_keeps_them(ask, folder: Path, atlas_file: Path, capsys) -> None:
    options = ["--lm-eval", f"score,{folder / 'pick.yaml'}", "--lm-eval-path", str(folder), "--lm-eval-limit", "3"]
    code, out, err = ask(*options, "--format", "json")
    assert code == 0, err
    rows = [row for row in json.loads(out) if row["text_group"].startswith("lm-eval:")]
    assert {(row["arm"], row["metric"], row["text_group"], row["n"]) for row in rows} == {
        (arm, metric, f"lm-eval:{task}", 3)
        for arm in ("baseline", "whole_neuron", "range")
        for task, metrics in (("pick", ("acc", "acc_norm")), ("score", ("perplexity", "acc")))
        for metric in metrics
    }
    assert len([line for line in err.splitlines() if "lm-eval" in line and "version 3" in line]) == 1
    assert "examples/s" not in err and "Task:" not in err  # the harness itself says nothing
    for name in ("table", "jsonl", "csv"):
        code, out, _ = ask(*options, "--no-store", "--format", name)
        assert (code, out.count("lm-eval:")) == (0, len(rows))
    assert main(["evaluations", "-a", str(atlas_file), "--format", "json"]) == 0
    kept = [row for row in json.loads(capsys.readouterr().out) if row["text_group"].startswith("lm-eval:")]
    key = lambda row: (row["arm"], row["metric"], row["text_group"], row["value"], row["drop_value"])  # noqa: E731
    assert set(map(key, kept)) == set(map(key, rows))
    assert main(["verify", str(atlas_file)]) == 0


def test_names_and_files_that_are_not_there(ask, folder: Path) -> None:
    code, out, err = ask("--lm-eval", "pikc", "--lm-eval-path", str(folder))
    assert (code, out) == (1, "")
    lines = err.splitlines()
    assert lines[0].startswith("error: unknown lm-eval task 'pikc'") and "pick" in lines[1] and len(lines) == 2
    code, _, err = ask("--lm-eval", str(folder / "nothing.yaml"))
    assert (code, err.splitlines()[0]) == (2, f"error: there is no lm-eval task at {folder / 'nothing.yaml'}")
    kept = (folder / "pick.yaml").read_bytes()
    code, _, err = ask("--lm-eval", str(folder / "pick.yaml"), "-o", str(folder / "pick.yaml"))
    assert code == 2 and (folder / "pick.yaml").read_bytes() == kept


def test_a_task_that_wants_the_network_says_so_in_a_line(tmp_path: Path) -> None:
    text = write_task(tmp_path, "pick").read_text().splitlines()
    text = [line for line in text if not line.startswith("dataset_")]
    (tmp_path / "pick.yaml").write_text("\n".join([*text, "dataset_path: owner/name"]))
    code = (
        "import sys; from atlas.errors import AtlasError; from pathlib import Path\n"
        "from builders.evaluation.config import HarnessRequest\n"
        "from builders.evaluation.harness.tasks import load_tasks\n"
        "try: load_tasks(HarnessRequest(('pick',), Path(sys.argv[1])))\n"
        "except AtlasError as error: print(type(error).__name__, error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0 and done.stderr == "", done.stderr
    [line] = done.stdout.splitlines()
    assert line.startswith("CorpusError the lm-eval tasks pick cannot be loaded") and "--lm-eval-path" in line
