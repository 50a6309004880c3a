# SPDX-License-Identifier: MIT
"""Each counterpart does its one essential thing, and leaves nothing behind.

These tests are about the harness, and about what the real programs do that the services count on:
where a new version of a program behaves otherwise, it shows here first.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path

import psycopg2
import pytest

from . import app
from .peers import Oidc, Pds, Pgbouncer, Snac, request
from .postgres import Cluster
from .process import Child, HarnessError, Unavailable, descendants, is_below, process_state, wait_readable


@contextlib.contextmanager
def started(peer):
    """The peer running; a skip with the reason where this machine lacks it. Afterwards neither
    its process nor its folder is left."""
    try:
        peer.start()
    except Unavailable as reason:
        peer.close()
        pytest.skip(str(reason))
    pid = peer.pid
    try:
        yield peer
    finally:
        peer.close()
    assert process_state(pid) is None
    assert not peer.folder.exists()


@pytest.fixture(scope="module")
def cluster():
    with Cluster() as running:
        yield running


@pytest.fixture(autouse=True)
def no_process_left(cluster):
    """Children of these tests, their children included, end with the test that started them."""
    assert cluster.running
    before = set(descendants(os.getpid()))
    yield
    started = set(descendants(os.getpid())) - before
    # Not counted: the cluster's own, which a test may have restarted and which comes and goes
    # (autovacuum); and the dead, which we adopt as the first process of a container.
    left = {pid for pid in started if not is_below(pid, cluster.pid)}
    assert {pid for pid in left if process_state(pid) not in (None, "Z")} == set()


def value(connection, statement, *parameters):
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchone()[0]


class TestChild:
    def test_an_early_end_is_reported_at_once_with_the_output(self, tmp_path):
        child = Child("the program", ["sh", "-c", "echo cannot go on; exit 3"], tmp_path / "log")
        begun = time.monotonic()
        with pytest.raises(HarnessError, match="(?s)ended with status 3.*cannot go on"):
            child.wait_until(lambda: False, time.monotonic() + 10)
        assert time.monotonic() - begun < 5
        child.stop()

    def test_silence_is_reported_at_the_deadline(self, tmp_path):
        child = Child("the program", ["sh", "-c", "echo not yet; exec sleep 60"],
                      tmp_path / "log")
        with pytest.raises(HarnessError, match="(?s)not ready in time.*not yet"):
            child.wait_until(lambda: "not yet" in child.output() and None,
                             time.monotonic() + 0.3)
        child.stop()

    def test_one_that_ignores_sigterm_is_killed_and_named(self, tmp_path):
        child = Child("the program", ["sh", "-c", "trap '' TERM; echo up; read never </dev/zero"],
                      tmp_path / "log")
        child.wait_until(lambda: "up" in child.output(), time.monotonic() + 10)
        with pytest.raises(HarnessError, match="SIGTERM"):
            child.stop(seconds=0.2)
        assert process_state(child.pid) is None

    def test_a_server_ends_with_a_killed_test_run(self):
        """SIGKILL leaves no time to clean up: the kernel tells the children."""
        script = (
            "import os, signal\n"
            "from harness.postgres import Cluster\n"
            "cluster = Cluster()\n"
            "cluster.start()\n"
            "print(cluster.folder, cluster.pid, flush=True)\n"
            "os.kill(os.getpid(), signal.SIGKILL)\n")
        ended = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True,
                               cwd=Path(__file__).parents[1], timeout=60, check=False)
        assert ended.returncode == -signal.SIGKILL
        folder, pid = ended.stdout.split()
        with contextlib.suppress(ProcessLookupError):       # it may be gone already
            pidfd = os.pidfd_open(int(pid))
            assert wait_readable([pidfd], 10)
            os.close(pidfd)
        shutil.rmtree(folder)


class TestCluster:
    def test_its_settings(self, cluster):
        assert cluster.execute("SHOW server_encoding") == [("UTF8",)]
        assert cluster.execute("SHOW lc_collate") == [("C.UTF-8",)]
        assert cluster.execute("SHOW fsync") == [("off",)]

    def test_durable_keeps_fsync(self):
        with Cluster(durable=True) as own:
            assert own.execute("SHOW fsync") == [("on",)]
            assert own.execute("SHOW full_page_writes") == [("on",)]

    def test_both_urls_reach_it(self, cluster):
        for url in (cluster.url(), cluster.url(socket_dir=True),
                    cluster.url(application_name="named one")):
            with contextlib.closing(psycopg2.connect(url)) as connection:
                assert value(connection, "SELECT 1") == 1

    def test_a_database_from_a_template_has_its_rows(self, cluster):
        cluster.create_database("with_app")
        with contextlib.closing(cluster.connect("with_app")) as connection:
            app.install(connection)
            member = app.member(connection)
            account = app.account(connection, member, "mastodon", "member-1@localhost", "token")
            app.post(connection, member, "good morning",
                     datetime.now(timezone.utc) - timedelta(minutes=1), ["mastodon"], [account],
                     first_comment="and a comment")
            app.session(connection, member)
        cluster.create_database("copy", template="with_app")
        rows = cluster.execute(
            'SELECT p.content, a.provider, u."emailVerified" FROM posts p'
            ' JOIN users u ON u.id = p."userId"'
            ' JOIN auth_providers a ON a.id::text = ANY (p."authProviderIds")'
            ' JOIN sessions s ON s."userId" = u.id'
            " WHERE p.status = 'SCHEDULED' AND p.\"scheduledTo\" <= now()", dbname="copy")
        assert rows == [("good morning", "mastodon", True)]
        cluster.drop_database("copy")
        cluster.drop_database("with_app")

    @pytest.mark.parametrize("mode", ["smart", "fast", "immediate"])
    def test_restart_keeps_rows_and_address(self, cluster, mode):
        url = cluster.url()
        cluster.execute("CREATE TABLE kept AS SELECT 1 AS one")
        cluster.restart(mode)
        assert cluster.url() == url
        assert cluster.execute("TABLE kept") == [(1,)]
        cluster.execute("DROP TABLE kept")

    def test_kill9_ends_every_process_and_recovers(self):
        with Cluster() as own:
            own.execute("CREATE TABLE kept AS SELECT 1 AS one")
            client = own.connect()
            pids = [own.pid, *descendants(own.pid)]
            assert len(pids) > 5
            own.kill9()
            assert not own.running
            # Z: dead, and not yet reaped by whoever adopts orphans here.
            assert {process_state(pid) for pid in pids} <= {None, "Z"}
            with pytest.raises(psycopg2.OperationalError):
                value(client, "SELECT 1")
            own.start()
            assert own.execute("TABLE kept") == [(1,)]
            own.kill9()     # and what that leaves goes with the cluster
        assert not own.folder.exists()

    def test_terminate_backends_spares_the_others(self, cluster):
        spared = cluster.connect(application_name="harness")
        cut = cluster.connect(application_name="automapost-sender")
        assert cluster.terminate_backends("automapost-%") == 1
        with pytest.raises(psycopg2.OperationalError):
            value(cut, "SELECT 1")
        assert value(spared, "SELECT 1") == 1
        spared.close()

    def test_paused_it_answers_nobody_and_resumed_everybody(self, cluster):
        connection = cluster.connect()
        with cluster.paused():
            with pytest.raises(psycopg2.OperationalError, match="timeout expired"):
                psycopg2.connect(cluster.url(connect_timeout=2))
        assert value(connection, "SELECT 1") == 1
        connection.close()


class TestPds:
    def test_the_same_record_twice_is_one_post(self):
        with started(Pds()) as pds:
            account = pds.create_account("member-1")
            record = {
                "repo": account.did,
                "collection": "app.bsky.feed.post",
                "rkey": "3l7aaaaaaaa2a",
                "record": {"$type": "app.bsky.feed.post", "text": "good morning",
                           "createdAt": "2026-01-02T03:04:05.000Z"},
            }
            first, second = (
                pds.call("com.atproto.repo.putRecord", record, account.access_jwt).expect().json()
                for _ in range(2))
            assert first["cid"] == second["cid"]
            assert "commit" in first and "commit" not in second
            assert [found["uri"] for found in pds.records(account.did)] == [first["uri"]]

            session = pds.call("com.atproto.server.refreshSession", token=account.refresh_jwt)
            assert session.expect().json()["did"] == account.did
            unknown = pds.query("com.atproto.server.getSession", token="not-a-token")
            assert (unknown.status, unknown.json()["error"]) == (400, "InvalidToken")

    def test_rate_limits(self):
        with started(Pds(rate_limits=True)) as pds:
            account = pds.create_account("member-1")
            login = {"identifier": account.handle, "password": account.password}
            with ThreadPoolExecutor(8) as clients:      # the server takes its time with passwords
                answers = list(clients.map(
                    lambda _: pds.call("com.atproto.server.createSession", login), range(31)))
            assert sorted(answer.status for answer in answers) == [200] * 30 + [429]
            answer = max(answers, key=lambda answer: answer.status)
            assert int(answer.headers["RateLimit-Reset"]) > time.time()
            assert answer.headers["Retry-After"] is None


class TestSnac:
    def test_a_status_is_read_back_also_after_an_outage(self):
        with started(Snac()) as snac:
            token = snac.create_account("member1")
            published = snac.post_status(token, "good morning")
            assert [found["id"] for found in snac.statuses(token)] == [published["id"]]
            snac.stop()
            with pytest.raises(OSError):
                snac.get("/")
            snac.start()
            assert "good morning" in snac.statuses(token)[0]["content"]

    def test_it_has_no_idempotency_and_refuses_without_words(self):
        with started(Snac()) as snac:
            token = snac.create_account("member1")
            for _ in range(2):
                snac.post_status(token, "once")
            assert len(snac.statuses(token)) == 2
            refused = request("POST", f"{snac.url}/api/v1/statuses", token="not-a-token",
                              data={"status": "never"})
            assert (refused.status, refused.body) == (401, b"")


class TestOidc:
    @pytest.mark.parametrize("auth_method", ["client_secret_post", "client_secret_basic"])
    def test_using_a_rotated_token_again_revokes_the_family(self, auth_method):
        with started(Oidc(ttl=60, auth_method=auth_method)) as server:
            seeded = server.seed()
            assert seeded["expires_in"] == 60
            assert server.active(seeded["access_token"])
            refreshed = server.refresh(seeded["refresh_token"]).expect().json()
            assert refreshed["expires_in"] == 60
            assert refreshed["refresh_token"] != seeded["refresh_token"]
            assert server.active(refreshed["access_token"])

            reused = server.refresh(seeded["refresh_token"]).expect(400)
            assert reused.json()["error"] == "invalid_grant"
            server.refresh(refreshed["refresh_token"]).expect(400)
            assert not server.active(refreshed["access_token"])

    def test_a_wrong_secret_is_named(self):
        with started(Oidc()) as server:
            tokens = server.seed()
            server.client_secret = "wrong"
            refused = server.refresh(tokens["refresh_token"])
            assert (refused.status, refused.json()["error"]) == (401, "invalid_client")


class TestPgbouncer:
    def test_a_query_goes_through_and_clients_share_connections(self, cluster):
        with started(Pgbouncer(cluster)) as pool:
            clients = [pool.connect() for _ in range(5)]
            backends = {value(client, "SELECT pg_backend_pid()") for client in clients}
            assert len(backends) <= 2
            for client in clients:
                client.close()

    def test_options_of_the_session_are_refused(self, cluster):
        with started(Pgbouncer(cluster)) as pool:
            with pytest.raises(psycopg2.OperationalError, match="unsupported startup parameter"):
                psycopg2.connect(pool.database_url(options="-c statement_timeout=1"))

    def test_an_outage_of_the_pool(self, cluster):
        with started(Pgbouncer(cluster)) as pool:
            client = pool.connect()
            pool.stop()
            with pytest.raises(psycopg2.OperationalError):
                value(client, "SELECT 1")
            pool.start()
            with contextlib.closing(pool.connect()) as again:
                assert value(again, "SELECT 1") == 1
