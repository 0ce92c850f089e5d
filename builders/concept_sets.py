"""Which labelled corpora a build reads: the own concept sets (data/concepts/sets.toml) and what users name."""

from __future__ import annotations

import shlex
import tomllib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from atlas.errors import BuildError, UnknownNameError
from atlas.packaged import data_folder
from builders.config import ConceptSource, parse_template


def own_sets() -> dict[str, ConceptSource]:
    """All sets of data/concepts, in the order of sets.toml. Raises BuildError when the table is missing."""
    folder = data_folder() / "concepts"
    try:
        table = tomllib.loads((folder / "sets.toml").read_text(encoding="utf-8"))
    except OSError as error:
        raise BuildError(f"the project's concept sets are not at {folder}", "Name a file: --concepts FILE.") from error
    return {
        name: ConceptSource(str(folder / row["file"]), family=name, template=row["template"], own_template=True)
        for name, row in table.items()
    }


def own_sets_here() -> dict[str, ConceptSource]:
    """The same, none where the table is missing: whoever names files does without it."""
    try:
        return own_sets()
    except BuildError:
        return {}


def concept_sources(concepts: Sequence[str], templates: Sequence[str] = ()) -> tuple[ConceptSource, ...]:
    """The corpora that '[FAMILY=]SOURCE' name, by default all own sets, with the '[FAMILY=]TEXT' as their templates.

    A template without a family is for all of them. Raises UnknownNameError for a family that is not among them.
    """
    own = own_sets_here() if concepts else own_sets()
    sources = [own[text] if text in own else _source(text) for text in concepts] or list(own.values())
    for text in templates:
        family, template = _split_name(parse_template(text))
        if family is None:
            sources = [replace(source, template=template, own_template=False) for source in sources]
            continue
        families = [source.family or Path(source.source).stem for source in sources]
        if family not in families:
            error = UnknownNameError("family", family, families)
            # It may be no name at all but how the template begins; that is written with the family before it.
            error.hint += f" A template that begins with '{family}=' goes after its family's name: "
            error.hint += f"--template {shlex.quote(f'{families[0]}={text}')}"
            raise error
        index = families.index(family)
        sources[index] = replace(sources[index], template=template, own_template=False)
    return tuple(sources)


def _source(text: str) -> ConceptSource:
    family, source = _split_name(text)
    return ConceptSource(source, family=family)


def _split_name(text: str) -> tuple[str | None, str]:
    """'family=rest' -> (family, rest); a text without a plain name before its first '=' stays whole."""
    name, equals, rest = text.partition("=")
    if equals and name.replace("_", "").replace("-", "").isalnum():
        return name, rest
    return None, text
