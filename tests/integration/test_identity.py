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
from datetime import timedelta
from pathlib import Path
from typing import Optional

import pytest

from harness import app
from harness.postgres import Cluster
from harness.process import privilege_options

from . import world as w
from .command import shell

SOON = timedelta(seconds=8)     # after a backup was made, on a slow machine too


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


def wait_due(world: w.World) -> None:
    """Until the last of the posts that were made by soon() is due."""
    left = world.last_due - w.utc_now()
    time.sleep(max(0.0, left.total_seconds() + 0.05))


def soon(world: w.World, account: w.Account, **options) -> w.Post:
    """A post that the backup of this moment knows as scheduled, and that is published after it."""
    made = world.post(account, due=w.utc_now() + SOON, **options)
    world.last_due = w.utc_now() + SOON
    return made


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
    return shell(world, " ".join([*map(_quote, host.prefix), words]), host.env)


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
    before = world.post(account)
    run(world, host)
    due = world.post(account)
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
    due = world.post(account)
    world.db.close()
    cluster.create_database("staging", "app")
    world.reconnect()
    env = {**host.env, "AUTOMAPOST_DATABASE_URL": cluster.url("staging", w.SERVICE_ROLE)}
    refused = world.run(status=78, env=env, prefix=host.prefix)
    assert "it is in another database of the server" in refused.stderr
    assert published(world, due) == [0]
    run(world, host)
    judge(world, 1)


def test_dump_restored_in_place(make_place, clusters, hosts, receiver):
    """Last hour's dump comes back under the same name while two hosts publish. Both stop; taken over
    as printed, what they sent since the dump is held, and the rest goes on once a person has said
    which is which, in two lines for all of it."""
    cluster = clusters()
    cluster.start()
    world = make_place(cluster, receiver)
    one, two = hosts("one"), hosts("two")
    accounts = [receiver.account(world) for _ in range(4)]
    first = world.post(accounts[0])
    run(world, one)
    join(world, two)
    lost = [soon(world, a, comment=f"comment {n}") for n, a in enumerate(accounts)]
    file = dump(world)
    wait_due(world)
    run(world, one)
    more = world.post(accounts[0])       # of which the dump knows nothing at all
    run(world, two)
    assert published(world, first, *lost, more) == [1] * 6
    put_in_place(world, file)

    for host in (one, two):
        refused = run(world, host, 78)
        assert "its tables were made anew" in refused.stderr or "in another database" in refused.stderr
    said = typed(world, one, printed(refused))
    assert said.status == 0, said
    assert "This database is installation" in said.stdout
    assert typed(world, one, printed(refused)).stdout.startswith("Nothing to take over")

    due = world.post(accounts[1])        # after the restore: nobody can have sent it
    assert "before two has looked" in run(world, one).stderr
    assert published(world, due) == [0]
    run(world, two)
    run(world, one)
    world.settle_down(env=one.env, prefix=one.prefix)
    assert published(world, first, *lost, more, due) == [1] * 7
    assert world.value("SELECT count(*) FROM automapost.post_deliveries"
                       " WHERE state = 'held' AND in_doubt") == 8
    status = shell(world, "automapost status", one.env).stdout
    assert "8 deliveries held: the database was put back to what it knew" in status
    listed = shell(world, "automapost held", one.env).stdout
    assert all(f"comment {n}" in listed for n in range(4))
    commands = [line.strip() for line in listed.splitlines() if "resolve restored" in line]
    until = (world.last_due + timedelta(seconds=0.5)).strftime("%Y-%m-%d %H:%M:%S.%f+00:00")
    assert commands == ["automapost resolve restored sent --until TIME",
                        "automapost resolve restored not-sent"]
    said = shell(world, commands[0].replace("TIME", f"'{until}'"), one.env)
    assert said.stdout == "8 deliveries of 4 posts are sent.\n", said
    assert shell(world, commands[1], one.env).stdout.startswith("0 deliveries of 0 posts")
    world.settle_down(env=one.env, prefix=one.prefix)
    judge(world, 7 + 4)


def test_running_while_the_database_is_swapped(make_place, clusters, hosts, receiver, monkeypatch):
    """A worker has its job prepared when a dump takes the database's place under it: it begins
    nothing in the copy, and ends as one that an operator must help."""
    cluster = clusters()
    cluster.start()
    world = make_place(cluster, receiver)
    host = hosts("one")
    account = receiver.account(world)
    run(world, host)
    due = world.post(account)
    file = dump(world)
    process = world.tick(stop_point="prepare", env=host.env, prefix=host.prefix)
    process.wait_stopped()
    put_in_place(world, file)
    process.cont()
    assert process.wait() == 78, process.stderr
    assert "this database is a copy" in process.stderr
    assert published(world, due) == [0]
    assert typed(world, host, printed(process)).status == 0
    run(world, host)
    judge(world, 1)


# Back in time on the same server.


def test_point_in_time_recovery(make_place, clusters, hosts, receiver):
    """Recovered to a moment between two posts: the later one is out, and is held."""
    archive = Path(tempfile.mkdtemp(prefix="automapost-wal-"))
    cluster = clusters(settings={"wal_level": "replica", "archive_mode": "on",
                                 "archive_command": f"cp %p {archive}/%f"})
    archive.chmod(0o777)
    try:
        cluster.start()
        world = make_place(cluster, receiver)
        host = hosts("one")
        account = receiver.account(world)
        backup = cluster.folder / "backup"
        as_postgres(cluster, cluster.bindir / "pg_basebackup", "-h", cluster.socket_dir, "-p",
                    cluster.port, "-U", "postgres", "-D", backup, "--checkpoint=fast")
        first = world.post(account)
        run(world, host)
        lost = soon(world, account)
        moment = world.value("SELECT clock_timestamp()")
        world.rows("SELECT 1 FROM pg_create_restore_point('after the moment')")
        wait_due(world)
        run(world, host)
        world.rows("SELECT pg_switch_wal()")
        world.db.close()
        cluster.stop()
        shutil.rmtree(cluster.data)
        backup.rename(cluster.data)
        with open(cluster.data / "postgresql.conf", "a", encoding="utf-8") as conf:
            conf.write(f"restore_command = 'cp {archive}/%f %p'\nrecovery_target_time = '{moment}'\n"
                       "recovery_target_action = 'promote'\n")
        as_postgres(cluster, "touch", cluster.data / "recovery.signal")
        cluster.start()
        world.reconnect()
        world.wait_until(lambda: not world.value("SELECT pg_is_in_recovery()"))
        assert world.value("SELECT count(*) FROM automapost.post_deliveries") == 1
        due = world.post(account)
        held = run(world, host)
        assert "1 deliveries that may be out already are held" in held.stderr
        run(world, host)
        assert published(world, first, lost, due) == [1, 1, 1]
        assert shell(world, "automapost resolve restored sent", host.env).status == 0
        world.settle_down(env=host.env, prefix=host.prefix)
        judge(world, 3)
    finally:
        shutil.rmtree(archive)


def test_snapshot_rolled_back(make_place, clusters, hosts, receiver):
    """The disk of the server comes back as it was: same timeline, same numbers. The host that sent
    nothing in between comes first, and waits for the one that did."""
    cluster = clusters()
    cluster.start()
    world = make_place(cluster, receiver)
    one, two = hosts("one"), hosts("two")
    account = receiver.account(world)
    first = world.post(account)
    run(world, one)
    join(world, two)
    run(world, two)
    lost = soon(world, account)
    before = one.mark
    with server_down(world):
        as_postgres(cluster, "cp", "-a", cluster.data, cluster.folder / "snapshot")
    run(world, two)
    wait_due(world)
    run(world, one)
    assert int(one.mark.split()[0]) > int(before.split()[0])
    with server_down(world):
        shutil.rmtree(cluster.data)
        (cluster.folder / "snapshot").rename(cluster.data)
    waiting = run(world, two)
    assert "its server was started anew" in waiting.stderr and "before one has" in waiting.stderr
    assert "1 deliveries that may be out already are held" in run(world, one).stderr
    due = world.post(account)
    run(world, two)
    assert published(world, first, lost, due) == [1, 1, 1]
    assert shell(world, "automapost resolve restored sent", one.env).status == 0
    world.settle_down(env=one.env, prefix=one.prefix)
    judge(world, 3)


# Failover.


@pytest.mark.parametrize("sender", ["alive", "dead"])
def test_asynchronous_failover(make_place, clusters, hosts, receiver, sender):
    """The primary dies with a begin that the standby never heard of. The host that sent it says so;
    or it died too, and then what was due until the failover waits for a person, because nobody else
    knows."""
    primary = clusters(settings={"wal_level": "replica", "max_wal_senders": "5"})
    primary.start()
    world = make_place(primary, receiver)
    world.rows("UPDATE automapost.engine SET compare_wait = '6 s'")
    one, two = hosts("one"), hosts("two")
    account = receiver.account(world)
    standby = make_standby(primary, clusters())
    standby.start()
    first = world.post(account)
    run(world, one)
    join(world, two)
    run(world, two)
    lost = soon(world, account)
    caught_up(primary)
    standby.stop()

    wait_due(world)
    run(world, one)
    assert published(world, first, lost) == [1, 1]
    lease = world.value("SELECT last_value FROM automapost.leases")
    primary.kill9()
    standby.start()
    standby.execute("SELECT pg_promote(true, 20)")
    world.cluster = standby
    world.reconnect()
    world.env["AUTOMAPOST_DATABASE_URL"] = (
        f"postgresql://{w.SERVICE_ROLE}@127.0.0.1:{primary.port},127.0.0.1:{standby.port}/app"
        "?target_session_attrs=read-write")
    assert world.value("SELECT count(*) FROM automapost.post_deliveries WHERE state = 'sent'") == 1
    assert world.value("SELECT last_value FROM automapost.leases") >= lease, \
        "the sequence tells of nothing lost"

    waiting = run(world, two)
    assert "failover or point-in-time recovery" in waiting.stderr
    assert "before one has looked" in waiting.stderr
    if sender == "alive":
        assert "1 deliveries that may be out already are held" in run(world, one).stderr
    else:
        world.wait_until(lambda: world.value(
            "SELECT clock_timestamp() > compare_since + interval '6 s'"
            " FROM automapost.installation"))
        assert "1 deliveries that may be out already are held" in run(world, two).stderr
    due = world.post(account)
    run(world, two)
    world.settle_down(env=two.env, prefix=two.prefix)
    assert published(world, first, lost, due) == [1, 1, 1]
    run(world, one)                     # it comes back, and tells what is known by now
    assert shell(world, "automapost resolve restored sent", one.env).status == 0
    world.settle_down(env=one.env, prefix=one.prefix)
    judge(world, 3)


def test_standby_without_loss(make_place, clusters, hosts, receiver):
    """What has reached the standby is known there: nothing is held, nothing is lost."""
    primary = clusters(settings={"wal_level": "replica", "max_wal_senders": "5"})
    primary.start()
    world = make_place(primary, receiver)
    host = hosts("one")
    account = receiver.account(world)
    standby = make_standby(primary, clusters())
    standby.start()
    first = world.post(account)
    run(world, host)
    due = world.post(account)
    caught_up(primary)
    primary.kill9()
    standby.execute("SELECT pg_promote(true, 20)")
    world.cluster = standby
    world.reconnect()
    world.env["AUTOMAPOST_DATABASE_URL"] = standby.url("app", w.SERVICE_ROLE)
    run(world, host)
    assert published(world, first, due) == [1, 1]
    judge(world, 2)


# Hosts.


def test_second_host_and_clone(world, webhooks, hosts):
    """A machine that is no host publishes nothing until it joins, as printed. A clone with the same
    machine-id looks like a reboot of the original until the original comes again; from then on it
    publishes nothing, and cannot join either."""
    one, two = hosts("one"), hosts("two")
    account = webhooks.account(world)
    first = world.post(account)
    run(world, one)
    second = world.post(account)
    refused = run(world, two, 78)
    assert "this machine is no host of installation" in refused.stderr
    assert published(world, first, second) == [1, 0]
    status = shell(world, "automapost status", one.env).stdout
    assert "two wants to publish and is no host of this installation" in status
    assert printed(refused).removeprefix("sudo ") in status
    assert typed(world, two, printed(refused)).stdout.startswith("two is now a host of installation")
    assert typed(world, two, printed(refused)).stdout.startswith("two is already a host")
    run(world, two)
    assert published(world, first, second) == [1, 1]

    clone = one.clone("clone")
    run(world, clone)
    run(world, one)
    third = world.post(account)
    refused = run(world, clone, 78)
    assert "another machine has the same machine-id and publishes already" in refused.stderr
    assert published(world, third) == [0]
    said = typed(world, clone, printed(refused))
    assert said.status != 0 and "this machine has the machine-id of" in said.stderr
    one.boot()
    run(world, one)
    (clone.folder / "machine-id").write_text(uuid.uuid4().hex + "\n")
    clone.boot()
    refused = run(world, clone, 78)
    assert "this machine is no host" in refused.stderr
    assert typed(world, clone, printed(refused)).status == 0
    world.post(account)
    run(world, clone)
    judge(world, 4)


def test_state_folder(world, webhooks, hosts):
    """Without a folder for the mark nothing is claimed; where the mark cannot be written after
    begin, nothing of it is sent, and it goes out when it can."""
    host = hosts("one")
    account = webhooks.account(world)
    due = world.post(account)
    missing = {"AUTOMAPOST_STATE_DIR": str(host.folder / "no" / "such")}
    refused = world.run(status=78, env=missing, prefix=host.prefix)
    assert f"cannot keep in {missing['AUTOMAPOST_STATE_DIR']}" in refused.stderr
    assert world.value("SELECT count(*) FROM automapost.workers") == 0
    full = [*host.prefix[:-2], f"mount -t tmpfs -o nr_inodes=1 none {host.state} && "
            + host.prefix[-2], "sh"]
    said = world.run(env=host.env, prefix=full)
    assert "No space left on device" in said.stderr
    assert published(world, due) == [0]
    assert world.value("SELECT begin_number FROM automapost.post_deliveries") == 1
    world.rows("SELECT automapost.wake(job_id::text) FROM automapost.post_deliveries")
    run(world, host)
    judge(world, 1)


def join(world: w.World, host: Host) -> None:
    assert typed(world, host, printed(run(world, host, 78))).status == 0


def put_in_place(world: w.World, file: Path) -> None:
    """The database is dropped under whoever is connected, and the dump takes its name."""
    world.db.close()
    world.cluster.drop_database(world.dbname)
    restore(file, world.cluster)
    world.reconnect()


@contextlib.contextmanager
def server_down(world: w.World):
    world.db.close()
    world.cluster.stop()
    yield
    world.cluster.start()
    world.reconnect()


def make_standby(primary: Cluster, standby: Cluster) -> Cluster:
    shutil.rmtree(standby.data)
    as_postgres(primary, primary.bindir / "pg_basebackup", "-h", primary.socket_dir, "-p",
                primary.port, "-U", "postgres", "-D", standby.data, "-R", "--checkpoint=fast")
    with open(standby.data / "postgresql.conf", "a", encoding="utf-8") as conf:
        conf.write(f"unix_socket_directories = '{standby.socket_dir}'\n")
    return standby


def caught_up(primary: Cluster) -> None:
    deadline = time.monotonic() + 30
    while primary.execute("SELECT count(*) FROM pg_stat_replication"
                          " WHERE replay_lsn = pg_current_wal_lsn()")[0][0] != 1:
        assert time.monotonic() < deadline, "the standby does not follow"
        time.sleep(0.02)
