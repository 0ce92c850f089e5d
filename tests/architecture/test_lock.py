"""The lock names exactly one version of everything that a set-up command installs, and nothing of one machine."""

from __future__ import annotations

import os
import re
import tomllib
from importlib import metadata

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.architecture.imports import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
LINES = [
    line
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    if line.strip() and not line.lstrip().startswith("#")
]
under_the_lock = pytest.mark.skipif(
    os.environ.get("PIP_CONSTRAINT") != str(ROOT / "constraints.txt"), reason="not an environment of `make test`"
)


def _pins() -> dict[str, list[tuple[Version, Marker | None]]]:
    """Package name -> its versions, each with the environments that it is for."""
    pins: dict[str, list[tuple[Version, Marker | None]]] = {}
    for line in LINES:
        requirement = Requirement(line)
        ((specifier),) = requirement.specifier
        pins.setdefault(canonicalize_name(requirement.name), []).append(
            (Version(specifier.version), requirement.marker)
        )
    return pins


PINS = _pins()


def _pinned(name: str, environment: dict[str, str] | None = None) -> list[Version]:
    found = PINS.get(canonicalize_name(name), [])
    return [version for version, marker in found if marker is None or marker.evaluate(environment)]


def test_every_line_is_one_exact_version():
    wrong = [line for line in LINES if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+( ; .+)?", line)]
    assert len(LINES) > 50 and wrong == []


def test_the_lock_names_no_machine():
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    assert not re.search(r"https?://|file://|--index|--find-links|--hash| /", text)


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
@pytest.mark.parametrize("platform", [("linux", "Linux", "x86_64"), ("darwin", "Darwin", "arm64")])
def test_what_we_declare_is_pinned_within_its_range(python, platform):
    environment = {
        "python_version": python,
        "python_full_version": f"{python}.1",
        "sys_platform": platform[0],
        "platform_system": platform[1],
        "platform_machine": platform[2],
    }
    declared = [Requirement(text) for texts in (PROJECT["dependencies"], *EXTRAS.values()) for text in texts]
    for requirement in declared:
        versions = _pinned(requirement.name, environment)
        assert len(versions) == 1, (requirement.name, versions)
        assert requirement.specifier.contains(versions[0]), requirement


@under_the_lock  # other versions bring other packages
@pytest.mark.parametrize("extra", ["", *EXTRAS])
def test_all_that_an_extra_brings_is_pinned(extra):
    """Followed through what the installed packages say of their own requirements; one not installed brings nothing."""
    todo = [Requirement(text) for text in (EXTRAS[extra] if extra else PROJECT["dependencies"])]
    seen: set[tuple[str, str]] = set()
    missing = set()
    while todo:
        requirement = todo.pop()
        for wanted in ("", *requirement.extras):
            key = (canonicalize_name(requirement.name), wanted)
            if key in seen:
                continue
            seen.add(key)
            if not _pinned(requirement.name):
                missing.add(requirement.name)
            try:
                further = metadata.requires(requirement.name) or []
            except metadata.PackageNotFoundError:
                continue
            for text in further:
                inner = Requirement(text)
                if inner.marker is None or inner.marker.evaluate({"extra": wanted}):
                    todo.append(inner)
    assert missing == set()


@under_the_lock
def test_what_is_installed_is_the_lock():
    installed = {canonicalize_name(package.name): Version(package.version) for package in metadata.distributions()}
    differing = {
        name: (str(version), [str(pin) for pin in _pinned(name)])
        for name, version in installed.items()
        if name in PINS and version.public not in {pin.public for pin in _pinned(name)}
    }
    assert differing == {}
