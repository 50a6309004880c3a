# SPDX-License-Identifier: MIT
"""A database that was put back, on booted machines: an older dump in place of the newer one, and a
dump restored on a machine of its own, as for a trial. Neither publishes what is out already; each says
what it is, and goes on by the command that it prints."""

import re

import pytest

from . import site as s

DUMP = "/var/tmp/app.dump"
UNIT = "automapost-social-media.service"


@pytest.fixture(scope="module")
def original(make_site, package):
    made = make_site()
    made.install(package)
    made.hold_timers()
    made.make_database()
    made.configure(**s.AS_ROOT)
    # The other host may come for so long; here nobody waits for it.
    made.as_owner("UPDATE automapost.engine SET compare_wait = '2 s'")
    return made


@pytest.fixture
def platform(original):
    """Its receiver, for what the copy would publish as well: nothing there is doubled by it."""
    with original.receiver_inside(s.w.WebhookReceiver, ignore_ids=True) as fake:
        yield original.receiver(s.w.Webhooks(fake))
    original.receivers.clear()
    original.posts.clear()


def dump(site) -> None:
    site.machine.run("pg_dump", "--format=custom", f"--file={DUMP}", s.DATABASE, user="postgres")


def restore(site) -> None:
    site.machine.run("createdb", s.DATABASE, user="postgres")
    site.machine.run("pg_restore", "--exit-on-error", f"--dbname={s.DATABASE}", DUMP,
                     user="postgres")
    site.db = site.machine.connect(s.DATABASE)


def refused(site) -> str:
    """What it is told to type, by the service's last line and by status, which agree."""
    site.start("social-media")
    unit = site.machine.show(UNIT, "ExecMainStatus")
    assert unit == {"ExecMainStatus": "78"}, site.machine.messages(f"--unit={UNIT}", "-n20")
    said = site.automapost("status", user="root", check=False)
    assert said.returncode == 2 and "copy" in said.stdout, said.stdout
    lines = " ".join(site.machine.messages(f"--unit={UNIT}", "-n20"))
    command = re.search(r"sudo (automapost setup --adopt)", lines)[1]
    assert command in said.stdout
    return command


def test_an_older_dump_in_place(original, platform):
    site = original
    account = platform.account(site)
    known = site.post(account)
    site.start("social-media")
    forgotten = site.post(account)
    dump(site)
    site.start("social-media")
    assert site.seen() == {known.text: 1, forgotten.text: 1}

    site.db.close()
    site.machine.run("dropdb", "--force", s.DATABASE, user="postgres")
    restore(site)
    command = refused(site)
    site.machine.run(*command.split())
    site.hold_timers()
    site.start("social-media")
    assert site.seen() == {known.text: 1, forgotten.text: 1}, "a restore repeats"
    assert site.in_state("held") == {forgotten.text}

    # A person has looked: it is there. From then on all goes its way.
    site.automapost("resolve", "restored", "sent", user="root")
    site.post(account)
    site.settle_down()
    site.assert_exactly_once()
    site.assert_nothing_running()


def test_a_dump_elsewhere(original, platform, make_site, package):
    """With the settings of the original, as a copied disk brings them along."""
    due = original.post(platform.account(original))
    dump(original)
    copy = make_site()
    copy.install(package)
    copy.hold_timers()
    copy.machine.path(DUMP).write_bytes(original.machine.path(DUMP).read_bytes())
    roles = original.machine.read("pg_dumpall", "--roles-only", user="postgres")
    copy.machine.run("psql", "--quiet", user="postgres",
                     stdin=roles.replace("CREATE ROLE postgres;", ""))
    restore(copy)
    copy.configure(**s.AS_ROOT)
    copy.posts.append(due)
    with copy.receiver_inside(s.w.WebhookReceiver, port=platform.fake.port) as outside:
        refused(copy)
        copy.start("queue")
        copy.start("cleanup")
        assert outside.log == []
    original.start("social-media")
    original.assert_exactly_once()
    assert original.in_state("sent") >= {due.text}
