# SPDX-License-Identifier: MIT
"""What "automapost dev up" makes on a laptop, in a home of its own, as the application sees it."""

import shutil
import subprocess
from datetime import datetime, timezone
from pathlib import Path

import psycopg2

from harness import app
from harness.process import free_port
from .cli_fixtures import environment, short_folder, sourced
from .world import Build


class Laptop:
    def __init__(self, build: Build):
        self.build = build
        self.members = 0
        self.home = short_folder()
        self.folder = self.home / "application"         # where programs are run
        self.folder.mkdir()
        self.env = {"HOME": str(self.home), "XDG_DATA_HOME": str(self.home)}
        self.port = free_port()
        self.command("dev", "up", "--listen", f"127.0.0.1:{self.port}")
        given = sourced(self.database / "application.env")
        self.env["DATABASE_URL"] = given["DATABASE_URL"]
        self.secret = given["JOBS_SECRET"]
        self.connection = psycopg2.connect(self.env["DATABASE_URL"])
        self.connection.autocommit = True

    @property
    def database(self) -> Path:
        """The folder of "automapost dev"."""
        return self.home / "automapost-jobs" / "dev"

    def run(self, *argv: str) -> str:
        done = subprocess.run(argv, cwd=self.folder, env=environment(**self.env), timeout=120,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, check=False)
        assert done.returncode == 0, f"{argv} ended with {done.returncode}:\n{done.stdout}"
        return done.stdout

    def command(self, *words: str) -> str:
        return self.run(str(self.build.program("automapost")), *words)

    def rows(self, sql: str, *values: object) -> list:
        with self.connection.cursor() as cursor:
            cursor.execute(sql, values)
            return cursor.fetchall()

    def post(self, text: str, **columns: object) -> str:
        """One that is due, of a member of its own, for Bluesky; its id."""
        self.members += 1       # other ones than the samples
        user = app.member(self.connection, f"laptop-{self.members}@example.test")
        account = app.account(self.connection, user, "bluesky", f"did:plc:{self.members}", "token")
        return app.post(self.connection, user, text, datetime.now(timezone.utc), [], [account], **columns)

    def publish(self) -> None:
        """A tick of the service, with the settings that "dev up" wrote."""
        self.run("sh", "-c", 'set -a; . "$1"; exec "$2"', "sh", str(self.database / "env"),
                 str(self.build.program("automapost-social-media")))

    def close(self) -> None:
        self.connection.close()
        self.command("dev", "down", "--yes")
        shutil.rmtree(self.home)
