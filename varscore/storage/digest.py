"""SHA-256 of what varscore reads, writes and remembers: bytes, files, and values that JSON can hold."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path


def sha256(content: bytes) -> str:
    """Hex digest."""
    return hashlib.sha256(content).hexdigest()


def file_sha256(path: Path | str) -> str:
    """Hex digest of a file's bytes. Raises OSError."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def json_sha256(value: object) -> str:
    """Hex digest of a value as JSON with sorted keys. Raises TypeError for what JSON cannot hold."""
    return sha256(json.dumps(value, sort_keys=True).encode())
