# SPDX-License-Identifier: MIT
"""Versions meet: package and migration go in either order, hosts may differ by one release, and what
does not fit says so and touches nothing. The other releases are real builds (releases.py)."""

import re

import pytest

from . import world as w
from .command import administrator, shell
from .test_status import assert_said, assert_well, status, the_command, type_it

pytestmark = pytest.mark.usefixtures("build")

UPGRADE = "apt-get install --only-upgrade automapost-jobs"


def installed(build) -> dict:
    """The environment of a shell once that release's package is the one that is installed."""
    return {"PATH": f"{build.folder / 'src'}:/usr/bin:/bin"}


def migrate(world, build) -> None:
    w.migrate(world.cluster, world.dbname, build)


def judge(world) -> None:
    world.assert_exactly_once()
    assert world.in_state("sent") == {post.text for post in world.posts}
    world.assert_nothing_running()


def test_migrated_before_the_package_of_this_host(world, webhooks, next_release):
    migrate(world, next_release)
    said = status(world)
    assert_said(said, 1, "Something waits for a person: this version is older than the "
                "database's schema.", r"the database has schema \d+, this version was made for \d+")
    assert the_command(said).endswith(UPGRADE)

    world.post(webhooks.account(world))
    world.settle_down()
    judge(world)
    assert_said(status(world), said.status, said.first_line, r"the database has schema \d+, .*")

    assert_well(world, installed(next_release))
    refused = shell(world, "automapost migrate", administrator(world))
    assert refused.status == 78 and "to-come" in refused.stderr and "HINT:" in refused.stderr


def test_the_package_before_the_migration(world, webhooks, next_release):
    env = installed(next_release)
    said = status(world, env)
    assert_said(said, 1, "Something waits for a person: the database's schema is older than this "
                "version.", "1 of this version's migrations has not been applied")
    assert the_command(said) == "automapost migrate"

    world.post(webhooks.account(world))
    world.settle_down(build=next_release)
    judge(world)

    type_it(world, the_command(said), env | administrator(world))
    assert_well(world, env)
    world.post(webhooks.account(world))
    world.settle_down(build=next_release)
    judge(world)


def test_a_schema_that_is_too_old_for_it(world, webhooks, far_release):
    """It begins nothing, says what to do, and that helps."""
    env = installed(far_release)
    world.post(webhooks.account(world))
    tick = world.run(build=far_release, status=78)
    assert "HINT: run automapost migrate" in tick.stderr
    assert world.seen().total() == 0 and world.value("SELECT count(*) FROM automapost.workers") == 0

    said = status(world, env)
    assert_said(said, 2, "Posts are not going out: this version and the database's schema do not "
                "fit together.", r"the database has schema \d+, this binary needs .*")
    assert the_command(said) == "automapost migrate"
    type_it(world, the_command(said), env | administrator(world))
    world.settle_down(build=far_release)
    assert_well(world, env)
    judge(world)


def test_a_schema_that_no_longer_bears_it(world, webhooks, far_release):
    world.post(webhooks.account(world))
    migrate(world, far_release)
    tick = world.run(status=78)
    assert "HINT: upgrade the package on this host" in tick.stderr
    assert world.seen().total() == 0

    said = status(world)
    assert_said(said, 2, "Posts are not going out: this version and the database's schema do not "
                "fit together.", r"the database's schema needs automapost-jobs 9\.0\.0 or newer, .*")
    assert the_command(said).endswith(UPGRADE)
    world.settle_down(build=far_release)
    assert_well(world, installed(far_release))
    judge(world)


@pytest.mark.parametrize("point", ["claim", "prepare", "begin", "first-byte", "last-byte",
                                   "answer-read", "settled"])
def test_migrated_under_way(world, webhooks, next_release, point):
    """At any point of a worker of this release; the next one's goes on beside it."""
    for _ in range(3):
        world.post(webhooks.account(world))
    worker = world.tick(env={"AUTOMAPOST_ACTORS": "1"}, stop_point=point)
    worker.wait_stopped()
    migrate(world, next_release)
    world.run(build=next_release)
    worker.cont()
    assert worker.wait() == 0, worker.stderr
    world.settle_down(build=next_release)
    judge(world)


def test_two_hosts_differ_by_one(world, webhooks, next_release):
    """For as long as an operator takes for the second."""
    migrate(world, next_release)
    accounts = [webhooks.account(world) for _ in range(20)]
    webhooks.fake.delay = 0.1
    for account in accounts:
        world.post(account)
    ticks = [world.tick(env={"AUTOMAPOST_ACTORS": "2"}, build=build)
             for build in (world.build, next_release)]
    for tick in ticks:
        assert tick.wait() == 0
        assert re.search(r"Finished: .*published \d+", tick.stderr)
    world.settle_down(build=next_release)
    judge(world)
