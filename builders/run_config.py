"""The options of `run`, in one frozen dataclass. Nothing here loads torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from atlas.errors import UsageError
from atlas.whole_file import replaceable, require_output
from builders.config import require_within

SECTIONS = ("next_token", "generated")
"""The tables of the answer (builders.run_report)."""


@dataclass(frozen=True)
class RunConfig:
    """A prompt that is read without and with the edits of a spec, and what is shown of both."""

    spec: Path
    prompt: str
    top: int = 10
    """Likeliest next tokens of either run to show."""
    max_new_tokens: int = 30
    """Length of the two texts; 0: none."""
    temperature: float | None = None
    """None: greedy; else tokens are drawn, from all of them."""
    seed: int = 0
    """Decides what is drawn."""
    model: str | None = None
    """None: where the spec says that it is."""
    device: str = "auto"
    dtype: str = "auto"
    write_check: bool = False
    """Whether log-probabilities at the prompt are stored in the spec, by which others can verify it."""
    override_model: bool = False
    """Whether other weights of the same dims will do."""
    output: Path | None = None
    """Where the answer goes, if to a file; never over one that is read."""

    def __post_init__(self) -> None:
        if self.write_check and self.override_model:
            raise UsageError(
                "--write-check and --override-model contradict each other", "A check is of the spec's model."
            )
        require_within("--top", self.top, 1, 10**9)
        require_within("--max-new-tokens", self.max_new_tokens, 0, 10**9)
        require_within("--seed", self.seed, 0, 2**63 - 1)
        if self.temperature is not None and not 0 < self.temperature < float("inf"):
            raise UsageError(f"--temperature {self.temperature} is not above 0")

    def inputs(self) -> list[Path]:
        """The files that are read, where these options name files."""
        return [self.spec, *([Path(self.model)] if self.model else [])]

    def require_outputs(self) -> None:
        """Raise UsageError for a file that must not or cannot be written; before any work, and before SPEC is read."""
        if self.output is not None:
            require_output(self.output, inputs=self.inputs())
        if self.write_check:
            require_output(self.spec)
            if not replaceable(self.spec):
                raise UsageError(
                    f"{self.spec} is no regular file, so no check can be kept in it", "Save it as a file first."
                )
