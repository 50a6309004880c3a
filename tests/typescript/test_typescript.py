# SPDX-License-Identifier: MIT
"""The files of packaging/typescript as an application uses them: the real schema, its own role, the real
services, Node's processes."""

import http.server
import json
import re
import subprocess
import threading

import pytest

from harness import app
from integration import world as w

SECRET = "whsec_" + "C" * 32


def define(world, name, **columns):
    columns = {"name": name, "kind": "type", **columns}
    world.as_owner(world.db.cursor().mogrify(
        f"INSERT INTO automapost.job_definitions ({', '.join(columns)})"
        f" VALUES ({', '.join(['%s'] * len(columns))})", tuple(columns.values())).decode())


def report_and_failed_post(world):
    """A type of the application's own, and a member (returned) with a post (its id) that failed."""
    define(world, "report", handler="external")
    user = app.member(world.db)
    account = app.account(world.db, user, "google", "remote", "token")
    failed = app.post(world.db, user, "for a platform without code", w.utc_now(), [], [account])
    world.run()
    return user, failed


def test_jobs(world, node):
    user, failed = report_and_failed_post(world)
    codes = re.findall(r'^#define CODE_\w+ "([a-z-]+)"',
                       (w.TOP / "src/base/codes.h").read_text(encoding="utf-8"), re.M)
    node("jobs.test.js", USER_ID=user, FAILED_POST_ID=failed, CODES=" ".join(codes))


@pytest.mark.parametrize("name", ["drizzle.ts", "schema.prisma"])
def test_the_schema_for_an_orm(world, name):
    """What is in the tree is what the generator makes of the database as it is migrated."""
    folder = w.TOP / "packaging" / "typescript"
    made = subprocess.run([folder / "generate", name], stdout=subprocess.PIPE, text=True, check=True,
                          env={"DATABASE_URL": world.cluster.url(world.dbname)}).stdout
    assert made == (folder / name).read_text(encoding="utf-8")


def test_orms(world, node):
    _, failed = report_and_failed_post(world)
    done = world.value("""SELECT id FROM automapost.enqueue('sleep', '{"ms": 1}')""")
    world.run("queue")
    node("orm.test.js", DONE_JOB_ID=done, FAILED_POST_ID=failed)


def test_the_queue_class_of_the_plan(world, node):
    report_and_failed_post(world)
    node("plan.test.js")


def test_worker(world, node):
    """The ticks of a service, which give up who has lapsed, come when the test asks for one."""
    world.scale(5)
    define(world, "outside", handler="external", concurrency_limit=None)

    class Ticks(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            world.run("cleanup")
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Ticks) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            node("worker.test.js", TICK_URL=f"http://127.0.0.1:{server.server_port}/")
        finally:
            server.shutdown()


@pytest.fixture
def route(compiled):
    """The README's route, served."""
    process = subprocess.Popen(["node", compiled / "out" / "route.js"], stdout=subprocess.PIPE,
                               env={"PATH": "/usr/local/bin:/usr/bin:/bin", "JOBS_SECRET": SECRET},
                               text=True)
    yield f"http://127.0.0.1:{int(process.stdout.readline())}/api/jobs"
    process.kill()
    process.wait(10)
    process.stdout.close()


def test_the_route_of_the_readme(world, route):
    credentials = world.folder / "credentials"
    credentials.mkdir()
    (credentials / "jobs-secret").write_text(SECRET + "\n", encoding="ascii")
    (credentials / "other-secret").write_text("whsec_" + "D" * 32 + "\n", encoding="ascii")
    world.env["CREDENTIALS_DIRECTORY"] = str(credentials)
    for name, secret in (("send-invoice", "jobs-secret"), ("other", "jobs-secret"),
                         ("stolen", "other-secret")):
        define(world, name, handler="http", http_url=route, http_credential=secret)
    ids = {name: world.value("SELECT id FROM automapost.enqueue(%s, %s)",
                             (name, json.dumps({"order": 7})))
           for name in ("send-invoice", "other", "stolen")}
    world.run("queue")
    jobs = {name: world.rows("SELECT status, result, error_message FROM automapost.job_queue"
                             " WHERE id = %s", (job,))[0] for name, job in ids.items()}
    assert jobs["send-invoice"] == ("completed", {"sent": 7}, None)
    assert jobs["other"] == ("failed", None,
                             "the application answered 404: no job type of ours: other")
    assert jobs["stolen"] == ("failed", None, "the application answered 401: not signed by us")
