"""An extension loads from a folder of any name, under TEN's name for it, and never in a real runtime's way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import ten_packages.extension.openai_asr_python as package
from ten_runtime import AsyncExtensionTester

ROOT = Path(__file__).resolve().parent.parent.parent
LOADER = ROOT / "devkit" / "host" / "loader.py"
INTERFACE = ROOT / "devkit" / "host" / "interface"

ADDON = """
    from ten_runtime import Addon, AsyncExtension, Data, register_addon_as_extension
    from .words import GREETING

    class Greeter(AsyncExtension):
        async def on_start(self, ten_env):
            ten_env.log_info(GREETING)
            await ten_env.send_data(Data.create(GREETING))

    @register_addon_as_extension("greeter")
    class GreeterAddon(Addon):
        def on_create_instance(self, ten_env, name, context):
            ten_env.on_create_instance_done(Greeter(name), context)
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A checkout of an extension called ``greeter`` in a folder whose name is no identifier."""
    folder = tmp_path / "my-clone.v2"
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps({"type": "extension", "name": "greeter", "version": "1.0.0"}))
    (folder / "__init__.py").write_text('if __name__.startswith("ten_packages."):\n    from . import addon as addon\n')
    (folder / "addon.py").write_text(textwrap.dedent(ADDON))
    (folder / "words.py").write_text('GREETING = "hello"\n')
    return folder


def python(code: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | environment
    command = [sys.executable, "-c", textwrap.dedent(code)]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=60, check=False)


LOAD = f"""
    import importlib.util, sys
    spec = importlib.util.spec_from_file_location("loader", {str(LOADER)!r})
    loader = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loader)
"""


def test_contract_the_extension_has_the_import_name_that_ten_gives_it() -> None:
    assert package.__name__ == "ten_packages.extension.openai_asr_python"
    assert Path(package.__path__[0]).resolve() == ROOT
    addon = sys.modules["ten_packages.extension.openai_asr_python.addon"]
    assert Path(addon.__file__).resolve() == ROOT / "addon.py"


def test_the_script_loads_the_extension_of_its_own_checkout_from_anywhere(tmp_path) -> None:
    done = subprocess.run(
        [sys.executable, str(LOADER)], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr) == ("ten_packages.extension.openai_asr_python\n", "")


def test_a_clone_of_any_folder_name_loads_with_its_relative_imports(clone, tmp_path) -> None:
    code = f"""{LOAD}
    module = loader.load_extension({str(clone)!r})
    assert loader.load_extension({str(clone)!r}) is module
    import ten_packages.extension.greeter.words as words
    print(module.__name__, words.GREETING)
    """
    done = python(code, tmp_path)
    assert (done.stdout, done.stderr) == ("ten_packages.extension.greeter hello\n", "")


def test_a_tester_finds_an_extension_in_the_working_directory(clone) -> None:
    code = """
    from ten_runtime import AsyncExtensionTester

    class Tester(AsyncExtensionTester):
        async def on_data(self, ten_env, data):
            print(data.get_name())
            ten_env.stop_test()

    tester = Tester()
    tester.set_test_mode_single("greeter", "{}")
    assert tester.run() is None
    """
    done = python(code, clone, PYTHONPATH=str(INTERFACE))
    assert (done.stdout, done.stderr) == ("hello\n", "")


def test_the_interface_folder_alone_makes_ten_importable(tmp_path) -> None:
    code = """
    import ten_runtime, ten_ai_base
    import ten_runtime.async_ten_env, ten_runtime.audio_frame, ten_runtime.cmd, ten_runtime.cmd_result
    from ten_ai_base.asr import AsyncASRBaseExtension, ASRResult, ASRBufferConfigModeKeep
    import sys
    print([name for name in sys.modules if name.split(".")[0] in ("ten_packages", "openai_asr_python", "devkit")])
    """
    done = python(code, tmp_path, PYTHONPATH=str(INTERFACE))
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_the_openai_addon_is_found_without_being_registered_first(tmp_path) -> None:
    code = """
    from ten_runtime import _AddonManager
    from ten_runtime._finder import _import_addon
    assert _AddonManager._find("openai_asr_python") is None
    print(_import_addon("openai_asr_python").addon.__module__)
    """
    done = python(code, tmp_path, PYTHONPATH=str(INTERFACE))
    assert (done.stdout, done.stderr) == ("ten_packages.extension.openai_asr_python.addon\n", "")


def test_a_real_runtime_is_never_shadowed(clone, tmp_path) -> None:
    real = tmp_path / "real" / "ten_runtime"
    real.mkdir(parents=True)
    (real / "__init__.py").write_text(
        "class Addon: pass\nclass AsyncExtension: pass\nclass Data: pass\n"
        "def register_addon_as_extension(name):\n    return lambda addon: addon\n"
    )
    code = f"""{LOAD}
    loader.load_extension({str(clone)!r})
    import ten_runtime
    print(ten_runtime.__file__ == {str(real / "__init__.py")!r}, {str(INTERFACE)!r} in sys.path)
    """
    done = python(code, tmp_path, PYTHONPATH=str(tmp_path / "real"))
    assert (done.stdout, done.stderr) == ("True False\n", "")


def test_an_extension_inside_an_app_is_the_apps_own(clone, tmp_path) -> None:
    """In a real app the packages are importable already; loading the same folder by path gives the same module."""
    place = tmp_path / "app" / "ten_packages" / "extension"
    place.mkdir(parents=True)
    (place / "greeter").symlink_to(clone, target_is_directory=True)
    code = f"""{LOAD}
    loader.ensure_runtime()
    import ten_packages.extension.greeter as greeter
    assert loader.load_extension({str(clone)!r}) is greeter
    print("same")
    """
    done = python(code, tmp_path, PYTHONPATH=str(tmp_path / "app"))
    assert (done.stdout, done.stderr) == ("same\n", "")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("(folder / 'manifest.json').unlink()", "is no TEN extension"),
        ("(folder / 'manifest.json').write_text('{')", "is not JSON"),
        ("(folder / 'manifest.json').write_text('{\"name\": \"a-b\"}')", "identifier, not 'a-b'"),
        ("(folder / '__init__.py').unlink()", "has no __init__.py"),
        ("(folder / 'words.py').write_text('raise ValueError(\"inside\")')", "inside"),
    ],
)
def test_what_cannot_be_loaded_says_why_and_leaves_nothing_behind(clone, tmp_path, change, words) -> None:
    code = f"""{LOAD}
    from pathlib import Path
    folder = Path({str(clone)!r})
    {change}
    try:
        loader.load_extension(folder)
    except Exception as error:
        print(type(error).__name__, error)
    print([name for name in sys.modules if "greeter" in name])
    """
    done = python(code, tmp_path)
    assert words in done.stdout and done.stdout.endswith("[]\n"), done.stdout + done.stderr


def test_two_folders_cannot_be_one_extension(clone, tmp_path) -> None:
    code = f"""{LOAD}
    import shutil
    loader.load_extension({str(clone)!r})
    shutil.copytree({str(clone)!r}, {str(tmp_path / "second")!r})
    try:
        loader.load_extension({str(tmp_path / "second")!r})
    except ImportError as error:
        print(error)
    """
    done = python(code, tmp_path)
    assert "is loaded already, from" in done.stdout and "my-clone.v2" in done.stdout


def test_an_unknown_addon_says_where_it_was_looked_for() -> None:
    tester = AsyncExtensionTester()
    tester.set_test_mode_single("no_such_addon")
    with pytest.raises(RuntimeError, match=r"no_such_addon.*not registered.*import path.*neither"):
        tester.run()
