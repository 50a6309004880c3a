# SPDX-License-Identifier: MIT
"""One call of one provider: provider-call (its path in PROVIDER_CALL) is run with what a worker
links, so that classes, codes and the bytes on the wire are the real ones."""
from __future__ import annotations

import json
import os
import subprocess
import time
import uuid
from typing import Any

import pytest

PROGRAM = os.environ.get("PROVIDER_CALL", "")
needs_program = pytest.mark.skipif(not PROGRAM, reason="PROVIDER_CALL names no program")

UNKNOWN = ("unknown-outcome", "unconfirmed")


def environment(settings: dict[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith("AUTOMAPOST_")}
    return kept | {"AUTOMAPOST_ALLOW_PRIVATE_HOSTS": "yes",
                   # a proxy of the environment must not be asked
                   "http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"} | settings


def call(provider: str, verb: str, settings: dict[str, str] | None = None, **data: Any) -> dict:
    done = subprocess.run([PROGRAM, provider, verb], input=json.dumps(data), text=True,
                          env=environment(settings or {}), capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


def at(offset: float = 0) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + offset))


def a_post(text: str = "Hello", **more: Any) -> dict:
    return {"kind": "post", "id": "post-1", "delivery_id": str(uuid.uuid4()), "text": text,
            "due_at": at()} | more


def failure(result: dict) -> tuple[str, str]:
    assert not result["ok"], result
    return result["error"]["class"], result["error"]["code"]
