"""Which packages there are, and whether they suit the extension and those it shares an environment with."""

from __future__ import annotations

import importlib.metadata
import platform
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from ..version import version
from .report import Finding, ok
from .troubles import trouble

if TYPE_CHECKING:
    from .case import Case

ROOT = Path(__file__).resolve().parent.parent.parent
OUR_NAME = "openai-asr-python"
OLDEST_PYTHON, NEWEST_PYTHON = (3, 10), (3, 13)
_NUMBER = re.compile(r"\d+(?:\.\d+)*")


class Package(NamedTuple):
    """An installed distribution."""

    name: str
    version: str
    requires: tuple[str, ...] = ()


class Wish(NamedTuple):
    """What somebody else wants of a package we need as well."""

    who: str
    requirement: Requirement
    file: str = ""
    "Where it is written, if an extension of the app says so."


def installed_packages() -> dict[str, Package]:
    """All distributions of this environment, by canonical name."""
    found: dict[str, Package] = {}
    for distribution in importlib.metadata.distributions():
        name: str | None = distribution.metadata["Name"]
        if name and distribution.version:
            package = Package(name, distribution.version, tuple(distribution.requires or ()))
            found.setdefault(canonicalize_name(name), package)
    return found


def our_requirements(root: Path = ROOT) -> dict[str, Requirement]:
    """What the extension needs, by canonical name: from `requirements.txt`, in a wheel from its metadata."""
    try:
        lines = (root / "requirements.txt").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        lines = importlib.metadata.requires(OUR_NAME) or []
    return {canonicalize_name(one.name): one for one in _requirements(lines)}


def _requirements(lines: Iterable[str]) -> Iterator[Requirement]:
    """Those that count here: no options of pip, no extras, no other platform's."""
    for line in lines:
        text = line.partition(" #")[0].strip()
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield requirement


# The checks ---------------------------------------------------------------------------------------------------


def check_python(case: Case) -> Finding:
    """The interpreter."""
    version = case.world.python
    detail = f"{'.'.join(map(str, version))} ({platform.python_implementation()}, {platform.system()})"
    if version[:2] < OLDEST_PYTHON:
        return trouble("python_too_old", detail)
    return trouble("python_untested", detail) if version[:2] > NEWEST_PYTHON else ok(detail)


def check_packages(case: Case) -> Finding:
    """Our own requirements."""
    installed = case.world.packages()
    ours = our_requirements()
    missing = [one for name, one in ours.items() if name not in installed]
    wrong = [one for name, one in ours.items() if name in installed and not _suits(one, installed[name].version)]
    if not missing and not wrong:
        there = ", ".join(f"{one.name} {installed[name].version}" for name, one in ours.items())
        return ok(f"openai_asr_python {version()} with {there}")
    said = [f"{one.name} is not installed" for one in missing]
    said += [f"{one.name} {installed[canonicalize_name(one.name)].version} is not {one.specifier}" for one in wrong]
    name = "package_missing" if missing else "package_range"
    return trouble(name, "; ".join(said), requirements=_quoted([*missing, *wrong]))


def check_siblings(case: Case) -> Finding:
    """What others in the same environment want of the packages we share."""
    installed, ours = case.world.packages(), our_requirements()
    wishes = [*_of_packages(installed), *_of_app(case.app)]
    wishes = [wish for wish in wishes if canonicalize_name(wish.requirement.name) in ours]
    apart: list[Wish] = []
    broken: list[Wish] = []
    for wish in wishes:
        name = canonicalize_name(wish.requirement.name)
        if wish.file and not can_meet(wish.requirement.specifier, ours[name].specifier):
            apart.append(wish)
        elif name in installed and not _suits(wish.requirement, installed[name].version):
            broken.append(wish)
    if not apart and not broken:
        who = len({wish.who for wish in wishes})
        return ok(f"{who} others share packages with us, all suited" if who else "no other package shares ours")
    said = "; ".join(f"{wish.who} wants {wish.requirement}" for wish in (*apart, *broken))
    there = {wish.requirement.name: canonicalize_name(wish.requirement.name) for wish in (*apart, *broken)}
    here = ", ".join(f"{name} {installed[key].version}" for name, key in there.items() if key in installed)
    detail = f"{said}; installed: {here or 'none of them'}"
    if apart:
        wish = apart[0]
        needed = ours[canonicalize_name(wish.requirement.name)].specifier
        theirs = wish.requirement
        return trouble("pins_apart", detail, file=wish.file, package=theirs.name, theirs=theirs.specifier, ours=needed)
    return trouble("sibling_broken", detail, advice="; ".join(dict.fromkeys(_advice(wish, ours) for wish in broken)))


def _advice(wish: Wish, ours: Mapping[str, Requirement]) -> str:
    name = wish.requirement.name
    needed = ours[canonicalize_name(name)].specifier
    if can_meet(wish.requirement.specifier, needed):
        return f'pip install "{name}{wish.requirement.specifier & needed}"'
    return f"Upgrade {wish.who}: no version of {name} is both {wish.requirement.specifier} and {needed}."


def _of_packages(installed: Mapping[str, Package]) -> Iterator[Wish]:
    for name, package in installed.items():
        if name != OUR_NAME:
            for requirement in _requirements(package.requires):
                yield Wish(f"{package.name} {package.version}", requirement)


def _of_app(app: Path | None) -> Iterator[Wish]:
    """What extensions of *app* write into their `requirements.txt`, which TEN installs one after the other."""
    if app is None:
        return
    for file in sorted((app / "ten_packages").glob("*/*/requirements.txt")):
        if file.parent.resolve() != ROOT and file.parent.name != "openai_asr_python":
            try:
                lines = file.read_text(encoding="utf-8").splitlines()
            except (OSError, UnicodeDecodeError):
                continue
            for requirement in _requirements(lines):
                yield Wish(file.parent.name, requirement, file.relative_to(app).as_posix())


# Versions -----------------------------------------------------------------------------------------------------


def _suits(requirement: Requirement, version: str) -> bool:
    try:
        return requirement.specifier.contains(Version(version), prereleases=True)
    except InvalidVersion:
        return True  # nobody can tell


def can_meet(one: SpecifierSet, other: SpecifierSet) -> bool:
    """Whether some version satisfies both: if any does, one at, just below or just above a version they name."""
    both = one & other
    numbers = [_NUMBER.findall(specifier.version) for specifier in both]
    if not any(numbers):
        return True
    return any(
        both.contains(Version(text), prereleases=True)
        for (number, *_) in filter(None, numbers)
        for text in (number, f"{number}.0.1", _just_below(number))
    )


def _just_below(number: str) -> str:
    """A version a little below: 15 → 14.9999, 1.2.3 → 1.2.2.9999."""
    parts = [int(part) for part in number.split(".")]
    while len(parts) > 1 and parts[-1] == 0:
        parts.pop()
    parts[-1] = max(0, parts[-1] - 1)
    return ".".join(map(str, [*parts, 9999]))


def _quoted(requirements: Iterable[Requirement]) -> str:
    return " ".join(f'"{requirement}"' for requirement in requirements)
