# SPDX-License-Identifier: MIT
"""Runs the suites sql and isolation on a throw-away server; called by tests/sql/run.

The schema is migrated once, into a template; each test file gets a copy, so that files neither see
nor wait for each other and two can run at a time. A .sql file is run by pg_prove, a .py file says
its results in TAP itself, a .spec runs in isolationtester and its output must be the expected one.
"""

import difflib
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from harness import app
from harness.postgres import Cluster

TESTS = Path(__file__).resolve().parent
ISOLATION = TESTS.parent / "isolation"
SCHEMA = TESTS.parents[1] / "sql"

TEMPLATE = "migrated"
NOT_TESTS = {"helpers.sql", "__init__.py", "runner.py"}
FILE_TIMEOUT = 120


class Result(NamedTuple):
    name: str
    passed: int
    failed: int
    skipped: int
    output: str     # empty when there is nothing to tell
    seconds: float


def migrate(cluster: Cluster) -> None:
    """The application's tables, then what "automapost migrate" applies in the same order, from the
    files themselves; then pgTAP and this folder's helpers, in schemas of their own."""
    cluster.create_database(TEMPLATE)
    connection = cluster.connect(TEMPLATE)
    cursor = connection.cursor()

    def script(text: str, as_owner: bool = True) -> None:
        role = "SET LOCAL ROLE automapost_jobs_owner;" if as_owner else ""
        cursor.execute(f"BEGIN; {role} SET LOCAL check_function_bodies = off; {text}; COMMIT")

    def read(*parts: str) -> str:
        return SCHEMA.joinpath(*parts).read_text(encoding="utf-8")

    app.install(connection)
    script(read("bootstrap.sql"), as_owner=False)
    for path in sorted(SCHEMA.glob("migrations/*.sql")):
        version, _, name = path.stem.partition("-")
        script(path.read_text(encoding="utf-8"))
        cursor.execute("INSERT INTO automapost.schema_migrations (version, name, checksum)"
                       " VALUES (%s, %s, 'test')", (int(version), name))
    functions = [read("bindings", "automapost.sql")]
    functions += [path.read_text(encoding="utf-8")
                  for path in sorted(SCHEMA.glob("functions/*.sql"))]
    script("\n".join(functions))
    cursor.execute("CREATE SCHEMA tap; GRANT USAGE ON SCHEMA tap TO PUBLIC;"
                   "CREATE EXTENSION pgtap SCHEMA tap")
    cursor.execute((TESTS / "helpers.sql").read_text(encoding="utf-8"))
    connection.close()


class Runner:
    def __init__(self, cluster: Cluster):
        self.cluster = cluster
        self.isolationtester = (cluster.bindir.parent / "lib/pgxs/src/test/isolation"
                                / "isolationtester")

    def environment(self, database: str) -> dict:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        return {**kept, "PGHOST": str(self.cluster.socket_dir), "PGPORT": str(self.cluster.port),
                "PGUSER": "postgres", "PGDATABASE": database,
                "PGOPTIONS": "-c search_path=t,tap,public -c client_min_messages=warning",
                # isolationtester gives up on a step that nothing will ever unblock
                "PG_TEST_TIMEOUT_DEFAULT": "30"}

    def run(self, path: Path) -> Result:
        began = time.monotonic()
        database = re.sub(r"\W", "_", f"{path.suffix[1:]}_{path.stem}")
        self.cluster.create_database(database, TEMPLATE)
        try:
            counts = (self.isolation if path.suffix == ".spec" else self.tap)(path, database)
        finally:
            self.cluster.drop_database(database)
        return Result(f"{path.parent.name}/{path.name}" if path.suffix == ".spec" else path.name,
                      *counts, time.monotonic() - began)

    def tap(self, path: Path, database: str) -> tuple:
        if path.suffix == ".sql":
            psql = self.cluster.bindir / "psql"
            command = ["pg_prove", "--verbose", "--psql-bin", psql, path]
        else:
            command = ["/usr/bin/python3", path]
        code, output = self.command(command, database)
        skipped = len(re.findall(r"^ok \d+.*# SKIP", output, re.MULTILINE))
        passed = len(re.findall(r"^ok \d+", output, re.MULTILINE)) - skipped
        failed = len(re.findall(r"^not ok \d+", output, re.MULTILINE))
        # Ended early, or another number of tests than planned: a failure that no line states.
        if failed == 0 and code != 0:
            failed = 1
        # Python says its plan; pg_prove compares its own.
        plan = re.search(r"^1\.\.(\d+)", output, re.MULTILINE)
        if failed == 0 and (not plan or int(plan[1]) != passed + skipped or not plan[1]):
            failed = 1
            output += f"\nplan and results differ: {passed + skipped} results"
        return passed, failed, skipped, output if failed or skipped else ""

    def isolation(self, path: Path, database: str) -> tuple:
        expected_path = ISOLATION / "expected" / f"{path.stem}.out"
        with open(path, encoding="utf-8") as spec:
            code, output = self.command([self.isolationtester, f"dbname={database}"], database,
                                        stdin=spec)
        expected = (expected_path.read_text(encoding="utf-8") if expected_path.exists()
                    else "(there is no expected file)\n")
        if code == 0 and output == expected:
            return 1, 0, 0, ""
        difference = "".join(difflib.unified_diff(
            expected.splitlines(True), output.splitlines(True), str(expected_path), "result"))
        return 0, 1, 0, f"status {code}\n{difference}"

    def command(self, command: list, database: str, stdin=subprocess.DEVNULL) -> tuple:
        try:
            done = subprocess.run(list(map(str, command)), stdin=stdin, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, env=self.environment(database),
                                  timeout=FILE_TIMEOUT, text=True, check=False)
        except subprocess.TimeoutExpired as late:
            return 124, f"{(late.stdout or b'').decode()}\nnot done after {FILE_TIMEOUT} s"
        return done.returncode, done.stdout


def main() -> int:
    began = time.monotonic()
    files = [*sorted(path for path in TESTS.glob("*.*")
                     if path.suffix in (".sql", ".py") and path.name not in NOT_TESTS),
             *sorted(ISOLATION.glob("specs/*.spec"))]
    wanted = set(sys.argv[1:])
    if wanted:
        unknown = wanted - {path.stem for path in files}
        if unknown:
            print(f"no test is named {', '.join(sorted(unknown))}", file=sys.stderr)
            return 2
        files = [path for path in files if path.stem in wanted]
    with Cluster() as cluster:
        migrate(cluster)
        runner = Runner(cluster)
        with ThreadPoolExecutor(2 * (os.cpu_count() or 1)) as pool:
            results = list(pool.map(runner.run, files))
    for result in results:
        verdict = "FAILED" if result.failed else "ok"
        print(f"{result.name:45} {result.passed:4} {verdict}  ({result.seconds:.1f} s)")
        if result.output:
            print(result.output)
    passed = sum(result.passed for result in results)
    failed = sum(result.failed for result in results)
    skipped = sum(result.skipped for result in results)
    print(f"{len(files)} files in {time.monotonic() - began:.1f} s")
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or not results else 0


if __name__ == "__main__":
    sys.exit(main())
