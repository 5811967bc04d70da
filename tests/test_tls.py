"""The authorities to trust are read once, however many clients dial, and again when they have changed."""

from __future__ import annotations

import asyncio
import os
import ssl
from pathlib import Path

import pytest
from ten_packages.extension.openai_asr_python import tls


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """Files whose authorities were read, in this order."""
    files: list[str | None] = []

    def load(*, cafile: str | None) -> ssl.SSLContext:
        files.append(cafile)
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    monkeypatch.setattr(ssl, "create_default_context", load)
    monkeypatch.setattr(tls, "_loaded", {})
    return files


async def test_clients_that_dial_at_once_share_what_one_of_them_reads(read: list[str | None]) -> None:
    contexts = await asyncio.gather(*(tls.tls_context(None) for _ in range(50)))
    assert (len(set(map(id, contexts))), read) == (1, [None])


async def test_a_file_that_was_changed_is_read_again(read: list[str | None], tmp_path: Path) -> None:
    file = tmp_path / "authorities.pem"
    file.write_text("")
    first = await tls.tls_context(str(file))
    assert await tls.tls_context(str(file)) is first
    os.utime(file, (1, 1))
    assert await tls.tls_context(str(file)) is not first
    assert read == [str(file)] * 2


async def test_files_that_change_for_ever_do_not_fill_the_memory(read: list[str | None], tmp_path: Path) -> None:
    file = tmp_path / "authorities.pem"
    file.write_text("")
    for second in range(50):
        os.utime(file, (second, second))
        await tls.tls_context(str(file))
    assert (len(read), len(tls._loaded)) == (50, 8)
