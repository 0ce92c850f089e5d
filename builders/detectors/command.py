"""`detect --text` without its flags: find the model of an atlas, and have a detector label texts."""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields
from pathlib import Path

from atlas.answers.result import Result
from atlas.detector import Detector
from atlas.manifest import Manifest
from atlas.whole_file import require_output
from builders.detectors.label import Labelled, label
from builders.spec_model import files_of, load_wanted, require_model_of, wanted_of

_BATCH_TOKENS = 2048


@dataclass(frozen=True)
class LabelRequest:
    """The texts and the model that is to read them. `model`: None means where the atlas says that it is.

    `dtype`: "auto" takes that of the run that made the detector. `output`: where the answer goes, if to a file.
    """

    texts: list[str]
    model: str | None = None
    device: str = "auto"
    dtype: str = "auto"
    output: Path | None = None


def label_texts(manifest: Manifest, atlas: Path, detector: Detector, request: LabelRequest) -> Result:
    """One row a text. Raises ModelError for a model that is not the atlas's, and as `label` and `load_wanted`."""
    wanted = wanted_of(manifest, atlas)
    if request.output is not None:
        require_output(request.output, inputs=files_of(wanted, request.model))
    dtype = detector.reading.dtype if request.dtype == "auto" else request.dtype
    live = load_wanted(wanted, request.model, device=request.device, dtype=dtype)
    require_model_of(manifest, live)
    reading = detector.reading
    labelled, n_cut = label(live, detector, request.texts, batch_tokens=max(_BATCH_TOKENS, reading.max_tokens))
    notes = [
        f"{detector.concept} by {len(detector.neurons)} neurons, {detector.form}: yes where the score is at least "
        f"{detector.threshold:.4g}",
        f"read at {reading.site}, position {reading.position}, in {dtype}, with the template {reading.template!r}",
    ]
    if n_cut:
        notes.append(f"{n_cut} texts were cut to {reading.max_tokens} tokens")
    return Result([field.name for field in fields(Labelled)], [astuple(each) for each in labelled], notes)
