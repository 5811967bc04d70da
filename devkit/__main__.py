"""Starts the command line from wherever it lies: the wheel, an editable install or a bare clone.

``openai-asr``, ``python -m openai_asr_python.devkit`` and ``python devkit`` all end up here. Whatever name
this file runs under, the extension is loaded under the name TEN gives it and the command line is imported
below that name, so that there is one copy of every class in the process.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).resolve().parent


def _loader() -> ModuleType:
    """The module `host/loader.py`, executed by path: nothing of the project is importable yet."""
    spec = importlib.util.spec_from_file_location("_openai_asr_loader", HERE / "host" / "loader.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _cli() -> ModuleType:
    """Load the extension, then import the command line below its name."""
    # `python devkit` puts this folder on the path, where `host` and `server` become top-level names.
    sys.path[:] = [entry for entry in sys.path if not entry or Path(entry).resolve() != HERE]
    extension = _loader().load_extension(HERE.parent)
    return importlib.import_module(f"{extension.__name__}.devkit.cli.app")


def main() -> None:
    """Run the command line with the arguments of the process, and exit with its code."""
    try:
        cli = _cli()
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if not missing or missing in ("ten_packages", "ten_runtime", "ten_ai_base"):
            raise
        print(
            f"openai-asr: the Python package '{missing}' is not installed; "
            "run `make setup` in the clone, or install openai_asr_python[devkit] with pip.",
            file=sys.stderr,
        )
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(cli.main(sys.argv[1:]))


if __name__ == "__main__":
    main()
