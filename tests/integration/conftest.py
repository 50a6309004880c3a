# SPDX-License-Identifier: MIT
"""What the integration tests share: one server for all, a migrated template, a database of its own
for each test, and two builds: the release (BUILD), and the one with stop points (BUILD_STOP)."""

import itertools
import os
import tempfile
from pathlib import Path

import pytest

from harness.postgres import Cluster

from . import cli_fixtures, releases
from . import world as w

_numbers = itertools.count(1)


def _build(variable: str, name: str, *options: str) -> w.Build:
    given = os.environ.get(variable)
    if given:
        return w.Build(Path(given))
    return w.make_build(Path(tempfile.gettempdir()) / f"automapost-integration-{name}", *options)


@pytest.fixture(scope="session")
def build() -> w.Build:
    return _build("BUILD", "release", "--buildtype=release")


@pytest.fixture(scope="session")
def build_stop() -> w.Build:
    return _build("BUILD_STOP", "stop", "--buildtype=debugoptimized", "-Dstop-points=true")


@pytest.fixture(scope="session")
def next_release(tmp_path_factory) -> w.Build:
    """The release after this one."""
    return releases.make(tmp_path_factory.mktemp("next-release"), releases.NEXT)


@pytest.fixture(scope="session")
def far_release(tmp_path_factory) -> w.Build:
    """One that neither works with this one's schema nor bears this one beside it."""
    return releases.make(tmp_path_factory.mktemp("far-release"), releases.FAR, releases.far)


@pytest.fixture(scope="session")
def cluster(build):
    with Cluster(settings={"max_connections": 200}) as running:
        w.make_template(running, "template_automapost", build)
        yield running


@pytest.fixture
def make_world(cluster, build, build_stop):
    """Further worlds of one test; closed when it ends."""
    made = []

    def make(on: Cluster = cluster, template: str = "template_automapost") -> w.World:
        name = on.create_database(f"world_{next(_numbers)}", template)
        folder = Path(tempfile.mkdtemp(prefix="automapost-world-"))
        made.append(w.World(on, name, build, build_stop, folder))
        return made[-1]

    yield make
    for world in made:
        world.close()


@pytest.fixture
def world(make_world) -> w.World:
    return make_world()


@pytest.fixture
def webhooks(world):
    """A receiver of webhooks that belongs to the world."""
    with w.WebhookReceiver() as fake:
        yield world.receiver(w.Webhooks(fake))


# The command, on a database of its own (cli_fixtures.py).


@pytest.fixture(scope="session")
def program(build):
    return build.program("automapost")


@pytest.fixture(scope="session")
def template(cluster, program):
    cli_fixtures.make_template(cluster, program, "template_cli")
    return "template_cli"


@pytest.fixture
def db(cluster, template):
    name = cluster.create_database(f"cli_{next(_numbers)}", template)
    database = cli_fixtures.Database(cluster, name)
    yield database
    cluster.drop_database(database.name)


@pytest.fixture
def cli(db, program):
    return cli_fixtures.Command(program, {"AUTOMAPOST_DATABASE_URL": db.url("cli_operator")})


@pytest.fixture
def bare(program):
    """The command without any setting."""
    return cli_fixtures.Command(program)
