"""Authors that answer prompts: models behind an endpoint, and local ones."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Sequence

from atlas.endpoint import Endpoint, EndpointError
from atlas.live.chat_template import in_chat_template
from atlas.live.generation import Decoding, continuation
from atlas.live.model import LiveModel
from atlas.live.token_ids import token_ids
from builders.descriptions.author import Author, Sentence
from builders.descriptions.choice import Side
from builders.descriptions.evidence import Evidence, Source
from builders.descriptions.held_out import Case
from builders.descriptions.prompts import MOST_CASES, describing, judged, judging, sentence

MOST_NEW_TOKENS = 80
"""Of a reply."""


class Answering(Author):
    """Whoever is asked in words."""

    def __init__(self) -> None:
        self._silent = self._unread = 0

    @abstractmethod
    def answer(self, prompt: str) -> str:
        """What it says to a prompt."""

    def describe(self, side: Side, evidence: Evidence, source: Source) -> Sentence | None:
        """Its answer as a sentence; None where there is nothing to show it, or it says nothing."""
        asked = describing(side, evidence, source)
        if asked is None:
            return None
        prompt, kinds = asked
        text = sentence(self.answer(prompt))
        self._silent += not text
        return Sentence(text, kinds, hashlib.sha256(prompt.encode()).hexdigest()) if text else None

    def judge(self, text: str, cases: Sequence[Case]) -> list[bool | None]:
        """Its answer which of the texts fit, a few at a time, in an order that goes by their words alone."""
        order = sorted(range(len(cases)), key=lambda i: hashlib.sha256("".join(cases[i].words).encode()).digest())
        said: list[bool | None] = [None] * len(cases)
        for start in range(0, len(order), MOST_CASES):
            part = order[start : start + MOST_CASES]
            reply = self.answer(judging(text, [cases[index] for index in part]))
            for index, fits in zip(part, judged(reply, len(part)), strict=True):
                said[index] = fits
                self._unread += fits is None
        return said

    def notes(self) -> list[str]:
        """What it did not say."""
        found = [f"{self._silent} sides are not described: the answer was empty"] if self._silent else []
        if self._unread:
            found.append(f"{self._unread} texts are not judged: the answer named no numbers")
        return found


class Remote(Answering):
    """A chat endpoint."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__()
        self._endpoint = endpoint

    def answer(self, prompt: str) -> str:
        """Its first choice. Raises EndpointError for an answer that is no chat completion."""
        messages = [{"role": "user", "content": prompt}]
        asked = {"messages": messages, "max_tokens": MOST_NEW_TOKENS, "temperature": 0}
        reply = self._endpoint.ask("chat/completions", asked)
        try:
            content = reply["choices"][0]["message"]["content"]
        except (KeyError, IndexError, TypeError):
            raise EndpointError("the endpoint answers no chat completion") from None
        if content is not None and not isinstance(content, str):
            raise EndpointError("the endpoint answers a chat completion that is no text")
        return content or ""


class Local(Answering):
    """A model on this machine, in its chat template, greedily."""

    def __init__(self, live: LiveModel) -> None:
        super().__init__()
        self._live = live

    def answer(self, prompt: str) -> str:
        """Raises ModelError for a model without a chat template."""
        text = in_chat_template(self._live.tokenizer, prompt, self._live.model_id)
        ids = token_ids(self._live, [text])[0]
        longest = self._live.max_positions
        if longest is not None:  # the end of a prompt is where the answer begins
            ids = ids[-max(1, longest - MOST_NEW_TOKENS) :]
        return continuation(self._live, ids, Decoding(max_new_tokens=MOST_NEW_TOKENS))
