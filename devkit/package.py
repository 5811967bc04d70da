"""Builds the TEN package: the files `manifest.json` includes, as a folder and as an archive of it.

Run by ``make package``. The archive unpacks to one folder with the package's name, ready for an app's
``ten_packages/extension``. One file without relative imports, so that it runs in a bare clone.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_PIECES = re.compile(r"(\*+|\?)")


def include_pattern(glob: str) -> re.Pattern[str]:
    """The paths a glob of ``package.include`` names, as TEN's tools read it.

    ``/`` is a hard separator: ``*`` and ``?`` stay inside a folder. Only ``**`` that is a whole part of the path
    (``**/x``, ``a/**/b``, ``a/**``) stands for any folders; anywhere else, as in ``**.py``, it is a plain ``*``.
    Raises ValueError for a glob with characters that need not mean the same to every tool.
    """
    folders = glob.split("/")
    if re.search(r"[\[\]{}\\!]", glob) or {"", ".", ".."} & set(folders):
        raise ValueError(
            f"manifest.json, package.include: '{glob}': write a path from the root, with *, ** and ? alone"
        )
    last = folders.pop()
    above = ["(?:.+/)?" if folder == "**" else f"{_part_pattern(folder)}/" for folder in folders]
    return re.compile("".join(above) + (".+" if last == "**" else _part_pattern(last)))


def _part_pattern(part: str) -> str:
    """What a part of a path may be, between two slashes."""
    pieces = _PIECES.split(part)
    return "".join("[^/]" if piece == "?" else "[^/]*" if piece[:1] == "*" else re.escape(piece) for piece in pieces)


def package_files(root: Path = ROOT) -> list[Path]:
    """Paths, relative to *root*, of the files in the TEN package, sorted.

    Hidden folders and caches are never part of it. Raises FileNotFoundError when an entry of the include list
    names nothing: a typing error there would ship a package that lacks a file.
    """
    globs: list[str] = json.loads((root / "manifest.json").read_text(encoding="utf-8"))["package"]["include"]
    hidden_or_cache = re.compile(r"(^|/)(\.|__pycache__/|build/|dist/)")
    paths: list[str] = []
    for top in sorted(root.iterdir()):
        found = [top] if top.is_file() else [] if top.name.startswith(".") else top.rglob("*")
        paths += [path.relative_to(root).as_posix() for path in found if path.is_file()]
    paths = [path for path in paths if not hidden_or_cache.search(path)]
    chosen: set[str] = set()
    for glob in globs:
        matched = [path for path in paths if include_pattern(glob).fullmatch(path)]
        if not matched:
            raise FileNotFoundError(f"manifest.json, package.include: '{glob}' names no file")
        chosen.update(matched)
    return [Path(path) for path in sorted(chosen)]


def copy_package(target: Path, root: Path = ROOT) -> Path:
    """Copy the package's files into the new folder *target* and return it."""
    for path in package_files(root):
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / path, target / path)
    return target


def build(dist: Path, root: Path = ROOT) -> Path:
    """Make ``<dist>/<name>-<version>-ten.tar.gz`` and return its path."""
    manifest = json.loads((root / "manifest.json").read_text(encoding="utf-8"))
    name, version = manifest["name"], manifest["version"]
    staging = dist / "ten"
    shutil.rmtree(staging, ignore_errors=True)
    copy_package(staging / name, root)
    archive = shutil.make_archive(str(dist / f"{name}-{version}-ten"), "gztar", staging, name)
    shutil.rmtree(staging)
    return Path(archive)


if __name__ == "__main__":
    print(build(Path(sys.argv[1] if len(sys.argv) > 1 else "dist").resolve()))
