# SPDX-License-Identifier: MIT
"""A copy never publishes, a restore never repeats: PostgreSQL is dumped and restored, put back in
time, rolled back and failed over for real, and the receivers' own logs judge. Hosts are this machine
in mount namespaces with another /etc/machine-id, boot id and host name, each with a state folder of
its own: what tells them apart on real machines."""

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
import uuid
from pathlib import Path
from typing import Optional

import pytest

from harness import app
from harness.postgres import Cluster
from harness.process import privilege_options

from . import world as w
from .command import administrator, shell

STANDBY = {"wal_level": "replica", "max_wal_senders": "5", "hot_standby": "on"}


class Host:
    """A machine: programs started with its prefix() and env see it as theirs."""

    def __init__(self, folder: Path, name: str, machine: Optional[str] = None):
        self.name = name
        self.folder = folder / name
        self.state = self.folder / "state"
        self.state.mkdir(parents=True)
        (self.folder / "machine-id").write_text((machine or uuid.uuid4().hex) + "\n")
        self.boot()

    def boot(self) -> None:
        (self.folder / "boot_id").write_text(f"{uuid.uuid4()}\n")

    def clone(self, name: str) -> "Host":
        """Another machine with the same disk."""
        made = Host(self.folder.parent, name, (self.folder / "machine-id").read_text().strip())
        shutil.copytree(self.state, made.state, dirs_exist_ok=True)
        return made

    @property
    def prefix(self) -> list:
        mounts = (f"mount --bind {self.folder}/machine-id /etc/machine-id && mount --bind"
                  f" {self.folder}/boot_id /proc/sys/kernel/random/boot_id && hostname {self.name}")
        return ["unshare", "--mount", "--uts", "--", "sh", "-c", mounts + ' && exec "$@"', "sh"]

    @property
    def env(self) -> dict:
        return {"AUTOMAPOST_STATE_DIR": str(self.state)}

    @property
    def mark(self) -> Optional[str]:
        files = [path.read_text() for path in self.state.glob("begun-*")]
        assert len(files) <= 1
        return files[0] if files else None


@pytest.fixture
def hosts(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root can give a process another /etc/machine-id")
    return lambda name: Host(tmp_path, name)


@pytest.fixture
def clusters():
    """Further servers of a test."""
    with contextlib.ExitStack() as stack:
        def make(**arguments) -> Cluster:
            return stack.enter_context(contextlib.closing(Cluster(**arguments)))
        yield make


@pytest.fixture
def receiver():
    with w.WebhookReceiver(tolerance=86400) as fake:
        yield w.Webhooks(fake)


@pytest.fixture
def make_place(build, build_stop):
    """A world on a server of the test's own, whose database may be swapped under it."""
    made = []

    def make(cluster: Cluster, receiver: w.Webhooks, migrated: bool = True) -> w.World:
        if migrated:
            w.make_template(cluster, "app", build)
        folder = Path(tempfile.mkdtemp(prefix="automapost-world-"))
        made.append(w.World(cluster, "app", build, build_stop, folder))
        made[-1].receiver(receiver)
        return made[-1]

    yield make
    for world in made:
        for process in world.processes:
            if process.returncode is None:
                process.kill()
        world.db.close()
        shutil.rmtree(world.folder, ignore_errors=True)


def run(world: w.World, host: Host, status: int = 0, service: str = "social-media") -> w.Process:
    return world.run(service, status=status, env=host.env, prefix=host.prefix)


def post(world: w.World, account: w.Account, **options) -> w.Post:
    """What the application will try to schedule; expected once wherever the database is."""
    return world.post(account, **options)


def published(world: w.World, *posts: w.Post) -> list:
    seen = world.seen()
    return [seen[p.text] for p in posts]


def as_postgres(cluster: Cluster, *command, **options) -> None:
    done = subprocess.run(["setpriv", *privilege_options(cluster.user), "--", *map(str, command)],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120,
                          cwd=cluster.folder, text=True, check=False, **options)
    assert done.returncode == 0, f"{command[0]}: {done.stdout}"


def dump(world: w.World) -> Path:
    file = world.cluster.folder / f"dump-{uuid.uuid4().hex}"
    as_postgres(world.cluster, world.cluster.bindir / "pg_dump", "-Fc", "-f", file,
                world.cluster.url(world.dbname))
    return file


def restore(file: Path, cluster: Cluster, dbname: str = "app") -> None:
    cluster.create_database(dbname)
    shutil.chown(file, cluster.user)
    file.chmod(0o644)
    as_postgres(cluster, cluster.bindir / "pg_restore", "-d", cluster.url(dbname), file)


def make_roles(cluster: Cluster, build: w.Build) -> None:
    """What pg_dumpall --roles-only would bring."""
    w.make_template(cluster, "roles", build)


def judge(world: w.World, posts: int) -> None:
    """By the receiver's log alone: every post that was promised is there, and none twice."""
    seen = world.seen()
    assert sorted(seen.values()) == [1] * posts, seen
    for receiver in world.receivers:
        receiver.check()


def typed(world: w.World, host: Host, command: str):
    """A printed command, as it is printed, by root on that host."""
    words = command.removeprefix("sudo ")
    return shell(world, " ".join([*map(_quote, host.prefix), words]),
                 {**administrator(world), **host.env})


def _quote(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'"


def printed(process: w.Process) -> str:
    """The command at the end of a refusal."""
    line = next(line for line in process.stderr.splitlines() if "sudo automapost setup" in line)
    return line[line.index("sudo automapost"):]


# Dumps.


def test_dump_restored_elsewhere(make_place, clusters, hosts, receiver, build):
    """The original goes on; the copy on another server sends nothing, not even what is due there,
    by no service and for no host, and says what to type."""
    original, copy = clusters(), clusters()
    original.start()
    copy.start()
    world = make_place(original, receiver)
    host, elsewhere = hosts("one"), hosts("elsewhere")
    account = receiver.account(world)
    before = post(world, account)
    run(world, host)
    due = post(world, account)
    file = dump(world)
    make_roles(copy, build)
    restore(file, copy)
    there = make_place(copy, receiver, migrated=False)

    for machine in (elsewhere, host):
        for service in ("social-media", "queue", "cleanup"):
            refused = run(there, machine, 78, service)
            assert "this database is a copy: it is on another server" in refused.stderr
            assert printed(refused) == "sudo automapost setup --adopt"
    assert published(world, before, due) == [1, 0]
    assert there.value("SELECT count(*) FROM automapost.post_deliveries WHERE state = 'sent'") == 1
    status = shell(there, "automapost status", host.env)
    assert "this database is a copy, and nothing is published from it" in status.stdout
    assert status.status != 0

    run(world, host)
    assert published(world, before, due) == [1, 1]
    for machine in (elsewhere, host):
        run(there, machine, 78)
    judge(world, 2)


def test_database_from_a_template(make_place, clusters, hosts, receiver):
    """A copy made by CREATE DATABASE … TEMPLATE has the same tables down to their OIDs."""
    cluster = clusters()
    cluster.start()
    world = make_place(cluster, receiver)
    host = hosts("one")
    account = receiver.account(world)
    run(world, host)
    due = post(world, account)
    world.db.close()
    cluster.create_database("staging", "app")
    world.reconnect()
    env = {**host.env, "AUTOMAPOST_DATABASE_URL": cluster.url("staging", w.SERVICE_ROLE)}
    refused = world.run(status=78, env=env, prefix=host.prefix)
    assert "it is in another database of the server" in refused.stderr
    assert published(world, due) == [0]
    run(world, host)
    judge(world, 1)
