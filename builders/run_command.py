"""The command `run` without its flags: load the model of a spec, verify or make its check, and compare."""

from __future__ import annotations

import sys

from atlas.answers.result import Document
from atlas.live.check import with_check
from atlas.live.intervene import check_model
from atlas.printable import say
from atlas.spec.document import InterventionSpec
from atlas.spec.text import write_spec
from atlas.whole_file import require_output
from builders.before_after import Decoding, check_is_blind, compare, require_check
from builders.run_config import RunConfig
from builders.run_report import document
from builders.spec_model import load_for, model_files


def run(config: RunConfig, spec: InterventionSpec) -> Document:
    """The prompt before and after the edits of `spec`, which is that of the config's file.

    Its file has a check afterwards if the config asks for one. Raises what `load_for`, `require_check` and `compare`
    raise, and UsageError, before minutes of work, for an answer that would replace the model.
    """
    if config.output is not None:
        require_output(config.output, inputs=model_files(spec, config.model))
    if sys.stderr.isatty():
        say("note", f"loading {config.model or spec.model.id}")
    live = load_for(spec, config.model, device=config.device, dtype=config.dtype)
    check_model(live, spec, override_model=config.override_model)
    notes = []
    if config.write_check:
        spec = with_check(live, spec, config.prompt)
    elif spec.check is not None and config.override_model:
        notes.append("check not verified, because of --override-model")
    elif spec.check is not None:
        notes.append(require_check(live, spec))
    comparison = compare(
        live,
        spec,
        config.prompt,
        top=config.top,
        decoding=Decoding(config.max_new_tokens, config.temperature, config.seed),
        override_model=config.override_model,
    )
    if config.write_check:
        write_spec(spec, config.spec)
        notes.append(f"check written to {config.spec}")
    if spec.check is not None and check_is_blind(spec):
        notes.append("the edits change nothing at the prompt of the check, so it cannot tell whether they work")
    return document(comparison, notes)
