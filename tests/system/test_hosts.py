# SPDX-License-Identifier: MIT
"""Two hosts and what comes between them: one has the database and publishes, the other publishes too
and reaches the database over the network. The power of one is cut, the network breaks; whatever is in
somebody's hands is there once, and both go on as soon as they can."""

import re

import pytest

from harness import machine as m

from . import site as s

DATABASE_HOST, OTHER_HOST = "10.99.0.1", "10.99.0.2"


class Other(s.Site):
    """The second host, whose database is the first one's."""

    def configure(self, **settings: str) -> None:
        super().configure(**{"DATABASE_URL":
                             f"postgresql://{s.USER}@{DATABASE_HOST}/{s.DATABASE}", **settings})


@pytest.fixture(scope="module")
def hosts(make_site, package, next_package):
    bind = [package.parent, next_package.parent]
    with m.Switch() as switch:
        first = make_site(switch=switch, address=DATABASE_HOST, bind=bind)
        other = Other(make_site(switch=switch, address=OTHER_HOST, bind=bind).machine)
        for host in (first, other):
            host.install(package)
            host.hold_timers()
        other.machine.run("systemctl", "disable", "--now", "postgresql")
        first.machine.run("sh", "-euc", f"""
            cd /etc/postgresql/*/main
            echo "listen_addresses = 'localhost, {DATABASE_HOST}'" >conf.d/network.conf
            echo "host {s.DATABASE} {s.USER} {OTHER_HOST}/32 trust" >>pg_hba.conf
            systemctl restart postgresql""")
        first.make_database()
        first.configure()
        other.configure()
        first.scale(5)
        first.start("social-media")         # the first host of the installation
        other.switch = switch
        yield first, other


@pytest.fixture
def doors(hosts):
    """One platform that both hosts reach whatever is between them: it has a door on the loopback of
    each, under the same address."""
    first, other = hosts
    here = first.receiver_inside(s.w.WebhookReceiver)
    there = other.receiver_inside(s.w.WebhookReceiver, port=here.port)
    there.deliveries, there._by_id, there._keys = here.deliveries, here._by_id, here._keys
    with here, there:
        yield here, there
    first.receivers.clear()
    first.posts.clear()


def posts(first, door, count: int) -> None:
    receiver = first.receivers[0] if first.receivers else first.receiver(s.w.Webhooks(door))
    for _ in range(count):
        first.post(receiver.account(first))


def hung(first, other, doors):
    """A post that the platform has from the other host, which waits for the answer."""
    posts(first, doors[0], 1)
    hang = doors[1].fault(lambda e: e.method == "POST", "hang-after")
    other.start("social-media", wait=False)
    assert hang.reached.wait(30), other.unit_journal("social-media")
    return hang


def judge(first) -> None:
    first.settle_down()
    first.assert_exactly_once()
    assert first.in_state("sent") == {post.text for post in first.posts}


def both_publish(first, other, doors) -> None:
    """At the same time, and each something."""
    for door in doors:
        door.log.clear()
        door.delay = 0.05
    posts(first, doors[0], 30)
    for host in (first, other):
        host.configure(ACTORS="2")
        host.start("social-media", wait=False)
    for host in (first, other):
        host.wait_idle()
        host.configure()
    assert all(door.log for door in doors), "one of them did it all"
    judge(first)


def test_the_other_joins(hosts, doors):
    """By the command that its own refusal prints; from then on both publish, each post once."""
    first, other = hosts
    posts(first, doors[0], 1)
    other.start("social-media")
    assert other.machine.show("automapost-social-media.service", "ExecMainStatus") \
        == {"ExecMainStatus": "78"}
    assert len(doors[0].log) == 0
    said = " ".join(other.machine.messages("--unit=automapost-social-media.service"))
    command = re.search(r"sudo (automapost setup --join [0-9a-f-]{36})", said)[1]
    other.machine.run(*command.split())
    other.hold_timers()

    both_publish(first, other, doors)


def test_the_network_between_them_breaks(hosts, doors):
    """Packets vanish. The host that is cut off says so and stops; the other takes over what it had."""
    first, other = hosts
    hang = hung(first, other, doors)
    posts(first, doors[0], 3)
    other.switch.unplug(other.machine)
    try:
        judge(first)
        said = other.automapost("status", check=False, user="root")
        assert said.returncode == 3, said.stdout
        assert said.stdout.startswith("Cannot tell: the database does not answer.\n"), said.stdout
    finally:
        other.switch.plug_again(other.machine)
        hang.release()
    other.wait_idle()
    posts(first, doors[0], 1)
    other.start("social-media")
    judge(first)
    assert any(e.path for e in doors[1].log[1:]), "it publishes again"


def test_the_power_of_the_other_is_cut(hosts, doors):
    first, other = hosts
    hang = hung(first, other, doors)
    other.machine.power_cut()
    hang.release()
    judge(first)
    other.machine.boot()
    other.hold_timers()
    posts(first, doors[0], 1)
    other.start("social-media")
    judge(first)


def test_the_power_of_the_database_is_cut(hosts, doors):
    """Under the other's hands, which goes on when the database is back."""
    first, other = hosts
    hang = hung(first, other, doors)
    first.machine.power_cut()
    first.machine.boot()
    first.hold_timers()
    first.db.close()
    first.db = first.machine.connect(s.DATABASE)
    hang.release()
    judge(first)
    other.wait_idle()
    posts(first, doors[0], 2)
    other.start("social-media")
    judge(first)


def version(host) -> str:
    return host.automapost("--version").stdout.split()[1]


def test_rolling_upgrade_and_back(hosts, doors, package, next_package):
    """Package by package, the migration in between, work all the while; then an operator changes their
    mind: this release works with the next one's schema, and says that it is the older one."""
    first, other = hosts
    first.install(next_package)
    first.hold_timers()
    assert (version(first), version(other)) == ("0.2.0", "0.1.0")
    both_publish(first, other, doors)
    first.migrate()
    both_publish(first, other, doors)
    other.install(next_package)
    other.hold_timers()
    assert version(other) == "0.2.0"
    both_publish(first, other, doors)

    for host in (first, other):
        host.machine.run("apt-get", "install", "-y", "--allow-downgrades",
                         f"/mnt/{package.parent.name}/{package.name}")
        host.hold_timers()
        assert version(host) == "0.1.0"
        both_publish(first, other, doors)
    said = first.automapost("status", check=False)
    assert "this version was made for" in said.stdout, said.stdout
