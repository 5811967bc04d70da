"""The command line `openai-asr`: commands, options, exit codes."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from ..transcription.failure import DONE, FAILED, INTERRUPTED, CommandError
from ..transcription.formats import FORMATS
from ..version import version
from .display import Display
from .stdout import NO_ROOM, escape_what_stdout_lacks, give_stdout_up

PROGRAM = "openai-asr"

app = typer.Typer(
    name=PROGRAM,
    help="Speech to text through a TEN graph, the OpenAI Realtime protocol and the extension openai_asr_python.",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Verbose = Annotated[int, typer.Option("--verbose", "-v", count=True, help="Log to stderr; twice: also what is heard.")]
Url = Annotated[str | None, typer.Option(help="Base URL of a server, e.g. ws://127.0.0.1:8765/v1")]
Model = Annotated[str | None, typer.Option(help="Model to ask for.")]
DialectOption = Annotated[str | None, typer.Option("--dialect", help="Kind of server: azure, vllm, ...")]
Language = Annotated[str | None, typer.Option(help="Language spoken, e.g. en-US.")]
Local = Annotated[bool, typer.Option("--local", help="Use a local server even if there is a key.")]
_RECOGNIZERS = "pocketsphinx (offline), faster-whisper or scripted (tests)."
Recognizer = Annotated[str, typer.Option(help=f"What listens: {_RECOGNIZERS}")]
LocalRecognizer = Annotated[
    str | None, typer.Option(help=f"Use a local server with this one: {_RECOGNIZERS} [default: pocketsphinx]")
]
ModelPath = Annotated[
    str | None, typer.Option(help="Model of faster-whisper: a folder, or a name such as small, fetched once.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Nothing on stderr but errors.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"{PROGRAM} {version()}")
        raise typer.Exit(DONE)


class _Common:
    """-v and -q, which may stand before the command or behind it."""

    verbose = 0
    quiet = False

    @classmethod
    def take(cls, verbose: int, quiet: bool) -> None:
        cls.verbose = max(cls.verbose, verbose)
        cls.quiet = cls.quiet or quiet


@app.callback()
def _main(
    verbose: Verbose = 0,
    quiet: Quiet = False,
    show_version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    _Common.verbose, _Common.quiet = verbose, quiet


def _run(command: Callable[[], int], display: Display) -> None:
    """Run *command* to an exit code, whatever happens in it."""
    escape_what_stdout_lacks()
    try:
        code = command()
        sys.stdout.flush()
    except CommandError as error:
        display.error(str(error))
        code = error.code
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        give_stdout_up()  # whoever read our output has enough
        code = FAILED
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        give_stdout_up()
        display.error(f"what there is to say cannot be written: {error.strerror}.")
        code = FAILED
    raise typer.Exit(code)


def _start_logging() -> None:
    level = (logging.ERROR, logging.INFO, logging.DEBUG)[min(_Common.verbose, 2)]
    handler = logging.StreamHandler(sys.stderr)
    if not _Common.verbose:
        # What an error of the graph means for the user is said by the command; the host's own lines are for -v.
        handler.addFilter(lambda record: record.name != "ten")
    logging.basicConfig(level=level, format="%(asctime)s %(levelname).1s %(name)s: %(message)s", handlers=[handler])


@app.command("transcribe")
def _transcribe(
    files: Annotated[list[str], typer.Argument(metavar="FILE", help="WAV, FLAC, OGG or MP3; - is stdin.")],
    format: Annotated[str, typer.Option(help=f"One of {', '.join(FORMATS)}.")] = "text",
    url: Url = None,
    model: Model = None,
    dialect: DialectOption = None,
    language: Language = None,
    graph: Annotated[
        str | None, typer.Option(help="Graph to use: an app's folder or property.json, or a graph alone.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Which graph of --graph.")] = None,
    timeout: Annotated[
        float | None, typer.Option(help="Seconds to wait for the last words. [default: 60 + 2 x the recording]")
    ] = None,
    speed: Annotated[
        float | None, typer.Option(help="Times real time. [default: as fast as nothing can be lost]")
    ] = None,
    local: Local = False,
    recognizer: LocalRecognizer = None,
    model_path: ModelPath = None,
    partials: Annotated[
        bool | None, typer.Option("--partials/--no-partials", help="Show on stderr what is heard meanwhile.")
    ] = None,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Transcribe recordings; the words go to stdout, everything else to stderr."""
    from .transcribe import Request, transcribe

    _Common.take(verbose, quiet)
    if format not in FORMATS:
        raise typer.BadParameter(f"{format!r} is none of {', '.join(FORMATS)}.", param_hint="--format")
    _start_logging()
    display = Display(quiet=_Common.quiet, partials=partials)
    request = Request(
        files=tuple(files),
        format=format,
        url=url,
        model=model,
        dialect=dialect,
        language=language,
        graph=graph,
        graph_name=name,
        timeout_s=timeout,
        speed=speed,
        local=local,
        recognizer=recognizer,
        model_path=model_path,
        debug=_Common.verbose > 1,
    )
    _run(lambda: transcribe(request, display), display)


@app.command("mic")
def _mic(
    device: Annotated[
        str | None,
        typer.Option(metavar="NAME|NUMBER", help="Input device, or a part of its name."),
    ] = None,
    list_devices: Annotated[bool, typer.Option("--list-devices", help="Show the input devices and end.")] = False,
    file_as_mic: Annotated[
        str | None, typer.Option(metavar="FILE", help="Play a recording in place of a microphone, in real time.")
    ] = None,
    output: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE.{txt,srt,vtt,json}", help="Also write the captions there; repeatable."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace --output files that exist.")] = False,
    seconds: Annotated[float | None, typer.Option(help="End by itself after so much audio.")] = None,
    url: Url = None,
    model: Model = None,
    dialect: DialectOption = None,
    language: Language = None,
    local: Local = False,
    recognizer: LocalRecognizer = None,
    model_path: ModelPath = None,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Show live captions of a microphone; Ctrl-C ends it with the last words."""
    from .mic import MicRequest, mic

    _Common.take(verbose, quiet)
    _start_logging()
    display = Display(quiet=_Common.quiet)
    request = MicRequest(
        device=device,
        list_devices=list_devices,
        file=file_as_mic,
        outputs=tuple(output or ()),
        overwrite=overwrite,
        seconds=seconds,
        url=url,
        model=model,
        dialect=dialect,
        language=language,
        local=local,
        recognizer=recognizer,
        model_path=model_path,
        debug=_Common.verbose > 1,
    )
    _run(lambda: mic(request, display), display)


@app.command("serve")
def _serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 is any free one.")] = 8765,
    api_key: Annotated[
        str | None,
        typer.Option(envvar="OPENAI_ASR_SERVE_API_KEY", help="Key that clients must send; without it any is taken."),
    ] = None,
    recognizer: Recognizer = "pocketsphinx",
    model_path: ModelPath = None,
    session_seconds: Annotated[
        float | None, typer.Option(help="Sessions end after this long (default: the dialect's, an hour for openai).")
    ] = None,
    dialect: Annotated[
        str, typer.Option(help="openai, azure, azure_ephemeral, beta, speaches or vllm (docs/dialects.md).")
    ] = "openai",
    seed: Annotated[int, typer.Option(help="The same seed gives the same ids and faults.")] = 0,
    fault: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME[:KEY=VALUE,…]", help="Something that goes wrong; repeatable (docs/faults.md)."),
    ] = None,
    fault_script: Annotated[
        str | None, typer.Option(metavar="FILE", help="Faults as a JSON list, or one JSON object a line.")
    ] = None,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Run a local Realtime server."""
    from .serve import ServeRequest, serve

    _Common.take(verbose, quiet)
    _start_logging()
    display = Display(quiet=_Common.quiet)
    request = ServeRequest(
        host, port, api_key, recognizer, session_seconds, seed, tuple(fault or ()), fault_script, dialect, model_path
    )
    _run(lambda: serve(request, display), display)


@app.command("playground")
def _playground(
    host: Annotated[str, typer.Option(help="Address to listen on; others than loopback want a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 is any free one.")] = 8770,
    url: Url = None,
    model: Model = None,
    dialect: DialectOption = None,
    language: Language = None,
    local: Local = False,
    recognizer: LocalRecognizer = None,
    model_path: ModelPath = None,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="OPENAI_ASR_PLAYGROUND_TOKEN",
            help="What a browser must bring, 16 characters or more. [default: made up unless on loopback]",
        ),
    ] = None,
    tls_cert: Annotated[str | None, typer.Option(metavar="FILE", help="Certificate (chain) in PEM, for https.")] = None,
    tls_key: Annotated[str | None, typer.Option(metavar="FILE", help="Its key in PEM.")] = None,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Show live captions in a browser: microphone or file, settings, cuts, figures."""
    from .playground import PlaygroundRequest, playground

    _Common.take(verbose, quiet)
    _start_logging()
    display = Display(quiet=_Common.quiet)
    request = PlaygroundRequest(
        version=version(),
        host=host,
        port=port,
        url=url,
        model=model,
        dialect=dialect,
        language=language,
        local=local,
        recognizer=recognizer,
        model_path=model_path,
        token=token,
        tls_cert=tls_cert,
        tls_key=tls_key,
        debug=_Common.verbose > 1,
    )
    _run(lambda: playground(request, display), display)


@app.command("run")
def _run_graph(
    graph: Annotated[str, typer.Argument(help="An app's folder or property.json, or a file with a graph alone.")],
    name: Annotated[str | None, typer.Option(help="Which graph of the file.")] = None,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Run a graph on the embedded host until it ends."""
    from .run import run

    _Common.take(verbose, quiet)
    _start_logging()
    display = Display(quiet=_Common.quiet)
    _run(lambda: run(graph, name, display), display)


@app.command("doctor")
def _doctor(
    url: Url = None,
    model: Model = None,
    dialect: DialectOption = None,
    language: Language = None,
    graph: Annotated[
        str | None, typer.Option(help="Graph whose recogniser to look at: an app's folder or property.json.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Which graph of --graph.")] = None,
    local: Local = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for a program.")] = False,
    timeout: Annotated[
        float | None,
        typer.Option(help="Seconds to wait for each answer; unset is as long as the extension, at least 5."),
    ] = None,
    speech: Annotated[bool, typer.Option("--speech/--no-speech", help="Send a spoken sample.")] = True,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Say what would go wrong and what to do about it; the exit code says whether it would work."""
    from .doctor import DoctorRequest, doctor

    _Common.take(verbose, quiet)
    _start_logging()
    display = Display(quiet=_Common.quiet)
    request = DoctorRequest(
        url=url,
        model=model,
        dialect=dialect,
        language=language,
        graph=graph,
        graph_name=name,
        local=local,
        as_json=as_json,
        timeout_s=timeout,
        speech=speech,
        debug=_Common.verbose > 1,
    )
    _run(lambda: doctor(request, display), display)


@app.command("models")
def _models(
    as_json: Annotated[bool, typer.Option("--json", help="Every combination, for a program.")] = False,
) -> None:
    """Show what each model does with each setting, and when it ends."""
    from .models import show

    _run(lambda: show(as_json=as_json), Display(quiet=_Common.quiet))


def main(arguments: list[str]) -> int:
    """Run the command line with *arguments* and return its exit code."""
    try:
        app(args=arguments, prog_name=PROGRAM)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    return DONE
