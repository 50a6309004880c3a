# SPDX-License-Identifier: MIT
"""Worlds as in the integration tests, and a folder with the application's side, compiled."""

import os
import subprocess
from pathlib import Path

import pytest

from integration.conftest import build, build_stop, cluster, make_world, world  # noqa: F401

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def compiled() -> Path:
    """Everything by tsc in strict mode; what it says fails every test."""
    done = subprocess.run([HERE / "install"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=540, check=False)
    assert done.returncode == 0, done.stdout[-4000:]
    return Path(done.stdout.splitlines()[-1])


@pytest.fixture
def node(world, compiled):  # noqa: F811
    """Runs a file of tests of Node's own; what it says is this test's."""
    from integration import world as w

    def run(name: str, **env: str) -> None:
        done = subprocess.run(
            ["node", "--test", "--test-reporter=spec", compiled / "out" / name], cwd=compiled,
            env={**os.environ, "DATABASE_URL": world.cluster.url(world.dbname, w.APP_ROLE),
                 "FOLDER": str(compiled), **env},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=240, check=False)
        assert done.returncode == 0, done.stdout[-6000:]
        assert "ℹ fail 0" in done.stdout and "ℹ pass 0" not in done.stdout, done.stdout

    return run
