"""Label words: the share of the probability that they hold, and the case and spacing that hold more."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from atlas.__main__ import main
from atlas.errors import UsageError
from atlas.live.model import LiveModel
from builders.evaluation import ways as module
from builders.evaluation.evaluate import evaluate
from builders.evaluation.label_words import LITTLE, LabelWords, spellings
from tests.builders.evaluation.planted import EXAMPLES, LABELS, TEMPLATE
from tests.builders.evaluation.reference import make_spec, plain_log_probs

TWO = [(text, "pets" if name == "pets" else "lab") for text, name in EXAMPLES]
WRONG_CASE = {"pets": " Dog", "lab": " Science"}


def spec_of(live: LiveModel):
    return make_spec(live, [("mlp_post", 1, 7, "set", 0.0, (100.0, 1000.0))], concept="pets")


def run(live: LiveModel, labels: dict[str, str], examples=TWO):
    return evaluate(live, [spec_of(live)], examples, labels=labels, template=TEMPLATE, bootstrap=20)


def plain_share(live: LiveModel, words, spec, texts) -> float:
    """By one full pass a text, and one softmax: sum of the probabilities of the words' tokens, mean over texts."""
    ids_of = lambda text: live.tokenizer(text, add_special_tokens=False)["input_ids"]  # noqa: E731
    tokens = [ids_of(word)[0] for word in words]
    prompts = [ids_of(TEMPLATE.replace("{text}", text)) for text in texts]
    shares = [plain_log_probs(live, ids, spec, len(ids))[-1].exp()[tokens].sum().item() for ids in prompts]
    return sum(shares) / len(shares)


@pytest.mark.parametrize("labels", [LABELS, {**LABELS, "sport": " dogs"}])
def test_the_share_of_every_arm_and_group_equals_a_plain_loop(live: LiveModel, labels: dict[str, str]) -> None:
    [found] = run(live, labels, EXAMPLES)
    whole = make_spec(live, [("mlp_post", 1, 7, "set", 0.0, None)])
    for arm, edits in (("baseline", None), ("range", spec_of(live)), ("whole_neuron", whole)):
        for group in ("target", "complement"):
            texts = [text for text, name in EXAMPLES if (name == "pets") == (group == "target")]
            score = found.score(arm, "label_share", group)
            assert score.value.value == pytest.approx(plain_share(live, labels.values(), edits, texts), abs=1e-4)
            assert score.n == len(texts)
    drop = found.score("whole_neuron", "label_share", "target").drop
    assert drop.value != 0 and drop.low <= drop.value <= drop.high


def test_a_wrong_case_is_told_and_the_best_spelling_named(live: LiveModel) -> None:
    report = run(live, WRONG_CASE)
    texts = [text for text, _ in TWO]
    own = plain_share(live, WRONG_CASE.values(), None, texts)
    # The tokenizer has both words in lower case after a space; without one, or in upper case, it knows neither.
    right = plain_share(live, (" dog", " science"), None, texts)
    assert own < LITTLE < right
    assert report.label_words.share == pytest.approx(own, abs=1e-5)
    assert report.label_words.best == {"pets": " dog", "lab": " science"}
    assert report.label_words.best_share == pytest.approx(right, abs=1e-4)
    [note] = report.notes
    assert "\n" not in note
    assert f"hold {own:.2%} of the probability" in note
    assert note.endswith(f"which would hold {right:.2%}")
    flags = shlex.split(note[note.index("--label") : note.index(", which")])
    assert flags == ["--label", "pets= dog", "--label", "lab= science"]
    # What it says to do mends it.
    again = run(live, {"pets": " dog", "lab": " science"})
    assert again.label_words.share == pytest.approx(right, abs=1e-4)
    assert again.notes == []


def test_no_further_pass_is_run_for_the_other_spellings(live: LiveModel, monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[tuple[int, ...]] = []
    hook = live.model.base_model.register_forward_pre_hook(
        lambda module, args, kwargs: passes.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True
    )
    try:
        with_others = run(live, WRONG_CASE)
        seen, passes[:] = list(passes), []
        monkeypatch.setattr(module, "spellings", lambda *arguments: [])
        without = run(live, WRONG_CASE)
    finally:
        hook.remove()
    assert seen == passes and seen
    assert with_others.evaluations[0].scores == without.evaluations[0].scores
    assert (without.label_words.best, without.label_words.best_share) == (None, None)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (LabelWords(LITTLE, {"a": " A"}, 0.9), None),
        (
            LabelWords(0.002, None, None),
            r"hold 0\.20% .* no other case or spacing holds more; show examples \(--shots\)",
        ),
        (LabelWords(0.002, {"a": " A"}, 0.001), "no other case or spacing holds more"),
        (LabelWords(0.002, {"a": " A", "b": " B"}, 0.345), r"--label 'a= A' --label 'b= B', which would hold 34\.50%$"),
        (LabelWords(0.002, {f"c{n}": f" C{n}" for n in range(400)}, 0.3), r"'c11= C11' and so on, which"),
    ],
)
def test_the_note(words: LabelWords, expected: str | None) -> None:
    note = words.note()
    assert note is None if expected is None else re.search(expected, note)


PIECES = "<unk> ▁about ▁sports ▁Sports ▁SP ##ORTS Sports ▁art ▁Art ▁ART ▁AR Art ▁pl ##ay ##aying ▁Pl ▁PL ▁gym ▁GYM ▁Gym"


@pytest.fixture
def pieces() -> SimpleNamespace:
    """Enough of a live model for a tokenizer that breaks up what it has no piece for."""
    tokenizer = Tokenizer(models.WordPiece({piece: n for n, piece in enumerate(PIECES.split())}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Metaspace(prepend_scheme="never")])
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="never")
    return SimpleNamespace(
        model_id="pieces", tokenizer=PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")
    )


def spelled(live, labels: dict[str, str]) -> set[tuple[str, ...]]:
    return {tuple(spelling.words.values()) for spelling in spellings(live, "{text} about", labels)}


def test_a_piece_of_a_word_does_not_stand_for_more_than_the_word_given(pieces) -> None:
    # " SP" begins more than " SPORTS": no rival of " sports", which is one token.
    assert spelled(pieces, {"s": " sports", "a": " art"}) == {(" Sports", " Art")}
    # Given in pieces itself, the whole words are rivals, and another word in as small pieces too.
    assert spelled(pieces, {"s": " SPORTS", "a": " ART"}) == {(" sports", " art"), (" Sports", " Art")}
    # A word that the tokenizer does not know in a case takes that case from all labels.
    assert spelled(pieces, {"s": " sports", "g": " gym"}) == {(" Sports", " Gym")}
    # Every one is scored by the token that the word begins with after the template.
    [found] = spellings(pieces, "{text} about", {"s": " sports", "a": " art"})
    assert pieces.tokenizer.convert_ids_to_tokens(found.tokens) == ["▁Sports", "▁Art"]


def test_two_labels_with_one_first_token_are_refused_with_the_token(live: LiveModel, pieces) -> None:
    with pytest.raises(UsageError, match="pets and sport begin with the same token, ' dog'"):
        run(live, {**LABELS, "sport": " dog"}, EXAMPLES)
    with pytest.raises(UsageError, match="a and b begin with the same token, ' SP'"):
        spellings(pieces, "{text} about", {"a": " SP", "b": " SPORTS"})


def test_the_command_says_it_in_every_format(
    atlas_file: Path, planted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = str(tmp_path / "pets.spec.json")
    ask = ["-a", str(atlas_file), "--concept", "pets", "--neurons", "L1N7", "--positions", "last", "-o", spec]
    assert main(["spec", *ask]) == 0
    labels = [option for word in ("pets= Dog", "sport= France", "state= Science") for option in ("--label", word)]
    command = [
        "evaluate",
        "-a",
        str(atlas_file),
        spec,
        "--model",
        str(planted),
        "--device",
        "cpu",
        "--other-limit",
        "0",
    ]
    command += ["--other-limit", "0", "--bootstrap", "10", *labels]
    assert main([*command, "--format", "json"]) == 0
    streams = capsys.readouterr()
    rows = [row for row in json.loads(streams.out) if row["metric"] == "label_share"]
    assert {(row["arm"], row["text_group"]) for row in rows} == {
        (arm, group) for arm in ("baseline", "whole_neuron", "range") for group in ("target", "complement")
    }
    assert len([line for line in streams.err.splitlines() if "the label words hold" in line]) == 1
    for name in ("table", "jsonl", "csv"):
        assert main([*command, "--no-store", "--format", name]) == 0
        assert capsys.readouterr().out.count("label_share") == len(rows)
    assert main(["evaluations", "-a", str(atlas_file), "--metric", "label_share", "--format", "json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == len(rows)
