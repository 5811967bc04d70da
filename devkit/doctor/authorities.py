"""Whom the environment tells OpenSSL to trust. What it cannot read there it passes over without a word."""

from __future__ import annotations

import os
import re
import ssl
from pathlib import Path
from typing import NamedTuple

from .report import Finding
from .troubles import trouble

_FILE, _FOLDER = "SSL_CERT_FILE", "SSL_CERT_DIR"
_HASHED = re.compile(r"[0-9a-f]{8}\.\d+")


class CaFileUnusable(Exception):
    """The authorities to trust cannot be read."""


class _Unusable(NamedTuple):
    variable: str
    value: str
    why: str


def untrusted(otherwise: Finding) -> Finding:
    """The finding where a certificate is of nobody we trust: *otherwise*, unless the environment trusts in vain."""
    found = _unusable_file() if os.environ.get(_FILE) else _unusable_folder()
    if found is None:
        return otherwise
    return trouble("ca_file_unusable", f"{found.variable}={found.value}: {found.why}", place=found.variable)


def why_unusable(error: OSError) -> str:
    """Why a file of certificates could not be loaded."""
    return "it holds no certificate" if isinstance(error, ssl.SSLError) else error.strerror or "it cannot be read"


def _unusable_file() -> _Unusable | None:
    path = os.environ[_FILE]
    try:
        Path(path).open("rb").close()  # OpenSSL's own error for a folder says that it holds no certificate
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except OSError as error:
        return _Unusable(_FILE, path, why_unusable(error))
    return None


def _unusable_folder() -> _Unusable | None:
    paths = os.environ.get(_FOLDER)
    if not paths:
        return None
    folders = [Path(path) for path in paths.split(os.pathsep) if Path(path).is_dir()]
    if not folders:
        return _Unusable(_FOLDER, paths, "there is no such folder")
    if any(_HASHED.fullmatch(name) for folder in folders for name in os.listdir(folder)):
        return None
    return _Unusable(_FOLDER, paths, "no certificate is there under the name OpenSSL looks for (openssl rehash)")
