"""What doctor tests set up: servers, TLS and proxies in threads, certificates, and what is installed."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import os
import select
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

import pytest
from raw_serving import serving

T = TypeVar("T")
HERE = "127.0.0.1"
TAKES_PROXIES = int(version("websockets").split(".")[0]) >= 15
NO_PROXIES = "NOT TESTED: proxies, because websockets 14 takes none"


@contextlib.contextmanager
def beside(make: Callable[[], AbstractAsyncContextManager[T]]) -> Iterator[T]:
    """What the context manager of *make* yields, while it runs on an event loop in a thread of its own."""
    entered: concurrent.futures.Future[T] = concurrent.futures.Future()
    running: concurrent.futures.Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = concurrent.futures.Future()

    async def run() -> None:
        leave = asyncio.Event()
        running.set_result((asyncio.get_running_loop(), leave))
        try:
            async with make() as made:
                entered.set_result(made)
                await leave.wait()
            for _ in range(5):  # what was hung up on is closed in the turns of the loop that follow
                await asyncio.sleep(0)
        except BaseException as error:
            if entered.done():
                raise
            entered.set_exception(error)

    thread = threading.Thread(target=asyncio.run, args=(run(),), daemon=True)
    thread.start()
    try:
        yield entered.result(30)
    finally:
        loop, leave = running.result(30)
        loop.call_soon_threadsafe(leave.set)
        thread.join(30)


@contextlib.asynccontextmanager
async def hanging_up() -> AsyncIterator[int]:
    """Port of somebody who hears the first byte and goes."""

    async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.close()
        await writer.wait_closed()

    async with serving(leave) as port:
        yield port


@contextlib.contextmanager
def tls_front(port: int, certificate: tuple[Path, Path], of_clients: Path | None = None) -> Iterator[int]:
    """Port of TLS with *certificate* before the plain *port*; a thread for each connection.

    *of_clients*: the authority of the certificates that clients must have.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    if of_clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(of_clients)
    threads: list[threading.Thread] = []
    opened: list[socket.socket] = []

    def serve(client: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), contextlib.ExitStack() as stack:
            tls = stack.enter_context(context.wrap_socket(client, server_side=True))
            opened.append(tls)
            plain = stack.enter_context(socket.create_connection((HERE, port)))
            other = {tls: plain, plain: tls}
            while True:
                for ready in [tls] if tls.pending() else select.select([tls, plain], [], [])[0]:
                    if not (data := ready.recv(65536)):
                        return
                    other[ready].sendall(data)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                opened.append(client)
                threads.append(threading.Thread(target=_closing, args=(serve, client), daemon=True))
                threads[-1].start()

    with socket.socket() as listener:
        listener.bind((HERE, 0))
        listener.listen(16)
        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        try:
            yield listener.getsockname()[1]
        finally:
            for ended in (listener, *opened):
                with contextlib.suppress(OSError):
                    ended.shutdown(socket.SHUT_RDWR)
            for thread in (accepting, *threads):
                thread.join(30)


def _closing(serve: Callable[[socket.socket], None], client: socket.socket) -> None:
    with client:
        serve(client)


class Authority:
    """A certificate authority that lives as long as a test run."""

    def __init__(self, folder: Path) -> None:
        if shutil.which("openssl") is None:
            if os.environ.get("CI"):
                pytest.fail("openssl is not installed: apt-get install openssl")
            pytest.skip("NOT TESTED: TLS, because openssl is not installed (apt-get install openssl)")
        self._folder = folder
        self.file, self._key = folder / "ca.pem", folder / "ca.key"
        self._openssl(
            f"req -x509 {_EC} {_MAY_SIGN} -subj /CN=doctor-test -days 30 -keyout {self._key} -out {self.file}"
        )
        self._by_whom = folder / "by_whom.cnf"
        self._by_whom.write_text("authorityKeyIdentifier=keyid\n", encoding="utf-8")

    def certificate(self, address: str, days: int) -> tuple[Path, Path]:
        """A certificate for an IP address or the name of a host, and its key."""
        name, kind = f"{address}-{days}", "IP" if address[0].isdigit() else "DNS"
        cert, key, request = (self._folder / f"{name}.{end}" for end in ("pem", "key", "csr"))
        self._openssl(f"req {_EC} -subj /CN=x -addext subjectAltName={kind}:{address} -keyout {key} -out {request}")
        signing = f"-CA {self.file} -CAkey {self._key} -set_serial {abs(hash(name)) % 10**9} -days {days}"
        self._openssl(
            f"x509 -req -in {request} {signing} -copy_extensions copyall -extfile {self._by_whom} -out {cert}"
        )
        return cert, key

    def _openssl(self, arguments: str) -> None:
        subprocess.run(["openssl", *arguments.split()], check=True, capture_output=True)


# What Python 3.13 wants of an authority, as RFC 5280 does, and of what it signs.
_MAY_SIGN = "-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign"
_EC = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
