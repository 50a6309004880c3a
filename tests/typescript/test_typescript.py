# SPDX-License-Identifier: MIT
"""The files of packaging/typescript as an application uses them: the real schema, its own role, the real
services, Node's processes."""

import contextlib
import http.server
import json
import re
import signal
import subprocess
import threading
import time

import pytest

from harness import app
from harness.process import Child
from integration import world as w
from integration.cli_fixtures import environment
from integration.laptop import Laptop

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


@contextlib.contextmanager
def serve_route(compiled, secret):
    """The README's route, served; its address."""
    process = subprocess.Popen(["node", compiled / "out" / "route.js"], stdout=subprocess.PIPE,
                               env={"PATH": "/usr/local/bin:/usr/bin:/bin", "JOBS_SECRET": secret},
                               text=True)
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/api/jobs"
    finally:
        process.kill()
        process.wait(10)
        process.stdout.close()


@pytest.fixture
def route(compiled):
    with serve_route(compiled, SECRET) as address:
        yield address


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


def test_the_readme_on_a_laptop(build, compiled):
    """From nothing to a job with types that a route has done, with what "dev up" wrote."""
    with contextlib.closing(Laptop(build)) as laptop, \
         serve_route(compiled, laptop.secret) as address:
        text = (w.TOP / "README.md").read_text(encoding="utf-8")
        definitions = re.search(r"```sql\n(-- done by a route.*?)```", text, re.S)[1]
        said = laptop.run("sh", "-euc", 'printf %s "$1" | "$2" dev psql', "sh",
                          definitions.replace("http://127.0.0.1:3000/api/jobs", address),
                          str(build.program("automapost")))
        assert said.count("INSERT 0 1") == 2, said
        (user,), = laptop.rows("SELECT min(id::text) FROM users")
        laptop.run("node", "-e", f"""
            const {{ announce }} = require({json.dumps(str(compiled / "out" / "readme-1.js"))});
            announce({json.dumps(user)}, "a draft", 7).then(() => process.exit(0));""")
        assert laptop.rows("SELECT job_type, payload, job_key, status FROM automapost.job_queue") == [
            ("send-invoice", {"order": 7}, "order-7", "pending")]
        run = Child("dev run", [build.program("automapost"), "dev", "run"], laptop.home / "run.log",
                    env=environment(**laptop.env))
        try:
            run.wait_until(lambda: laptop.rows("SELECT status, result FROM automapost.job_queue WHERE"
                                               " job_type = 'send-invoice'") ==
                           [("completed", {"sent": 7})], time.monotonic() + 60)
        finally:
            run.stop(signal.SIGINT, 60)
