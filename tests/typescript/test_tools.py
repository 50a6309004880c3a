# SPDX-License-Identifier: MIT
"""The application's tables are migrated by its own tools, beside ours: they propose nothing about our
schema, and what they do to the application's tables is no harm. On a laptop's database, as its owner."""

import contextlib
import os
import shutil
import subprocess
from datetime import datetime, timezone
from pathlib import Path

import psycopg2
import pytest

from harness import app
from harness.postgres import newest_bindir
from harness.process import free_port
from integration.cli_fixtures import environment, short_folder
from integration.world import Build

HERE = Path(__file__).parent


class Laptop:
    """What "automapost dev up" makes, and a folder of the application's with its tools."""

    def __init__(self, build: Build, compiled: Path):
        self.build = build
        self.members = 0
        self.home = short_folder()
        self.folder = self.home / "application"
        self.folder.mkdir()
        (self.folder / "node_modules").symlink_to(compiled / "node_modules")
        for config in (HERE / "tools").iterdir():
            shutil.copy(config, self.folder)
        for file in ("no-engine", "schema.prisma"):     # see install
            (self.folder / file).touch()
        port = free_port()
        self.command("dev", "up", "--listen", f"127.0.0.1:{port}")
        line = (self.database / "application.env").read_text().splitlines()[-1]
        self.url = line.partition("=")[2].strip("'")
        self.connection = psycopg2.connect(self.url)
        self.connection.autocommit = True

    @property
    def database(self) -> Path:
        return self.home / "automapost-jobs" / "dev"

    def run(self, *argv: str, status: int = 0) -> str:
        env = environment(
            HOME=str(self.home), XDG_DATA_HOME=str(self.home), DATABASE_URL=self.url if hasattr(self, "url") else "",
            CHECKPOINT_DISABLE="1", PRISMA_HIDE_UPDATE_MESSAGE="1", NO_COLOR="1",
            PRISMA_SCHEMA_ENGINE_BINARY=str(self.folder / "no-engine"),
            PRISMA_QUERY_ENGINE_LIBRARY=str(self.folder / "no-engine"))
        done = subprocess.run(argv, cwd=self.folder, env=env, stdin=subprocess.DEVNULL, timeout=120,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        assert done.returncode == status, f"{argv} ended with {done.returncode}:\n{done.stdout}"
        return done.stdout

    def command(self, *words: str) -> str:
        return self.run(str(self.build.program("automapost")), *words)

    def prisma(self, *words: str) -> str:
        return self.run("node_modules/.bin/prisma", *words)

    def kit(self, *words: str) -> str:
        return self.run("node_modules/.bin/drizzle-kit", *words)

    def rows(self, sql: str, *values: object) -> list:
        with self.connection.cursor() as cursor:
            cursor.execute(sql, values)
            return cursor.fetchall()

    def ours(self) -> str:
        """Our schema, as text."""
        dump = subprocess.run(
            [newest_bindir() / "pg_dump", "--schema-only", "--schema=automapost", "--restrict-key=0",
             f"host={self.database} user=postgres dbname=automapost port={self.connection.info.port}"],
            stdout=subprocess.PIPE, check=True, text=True, timeout=60)
        assert "CREATE TABLE automapost.job_queue" in dump.stdout
        return dump.stdout

    def publishes(self) -> None:
        """A post that is due goes out."""
        self.members += 1   # other ones than the samples
        user = app.member(self.connection, f"tools-{self.members}@example.test")
        post = app.post(self.connection, user, "it goes out", datetime.now(timezone.utc), [],
                        [app.account(self.connection, user, "bluesky", "did:plc:a", "token")])
        self.run("sh", "-c", 'set -a; . "$1"; exec "$2"', "sh", str(self.database / "env"),
                 str(self.build.program("automapost-social-media")))
        assert self.rows("SELECT status::text FROM posts WHERE id = %s", post) == [("SENT",)]

    def close(self) -> None:
        self.connection.close()
        self.command("dev", "down", "--yes")
        shutil.rmtree(self.home)


@pytest.fixture
def laptop(build, compiled):
    made = Laptop(build, compiled)
    with contextlib.closing(made):
        yield made


def schema_of_prisma(laptop: Laptop, change: str = "") -> None:
    """The application's tables as Prisma reads them, with another column in "leads"."""
    file = laptop.folder / "schema.prisma"
    if not change:
        file.write_text('datasource db {\n  provider = "postgresql"\n  url = env("DATABASE_URL")\n}\n')
        laptop.prisma("db", "pull")
    text = file.read_text()
    assert "model posts {" in text and "job_queue" not in text
    file.write_text(text.replace("model leads {", "model leads {" + change))


def test_prisma(laptop):
    ours = laptop.ours()
    schema_of_prisma(laptop)
    assert "already in sync" in laptop.prisma("db", "push", "--skip-generate")

    # The tables as they are become the first migration, which stands as applied.
    migrations = laptop.folder / "migrations"
    first = migrations / "0_init" / "migration.sql"
    first.parent.mkdir(parents=True)
    laptop.prisma("migrate", "diff", "--from-empty", "--to-schema-datamodel", "schema.prisma", "--script",
                  "--output", str(first))
    (migrations / "migration_lock.toml").write_text('provider = "postgresql"\n')
    laptop.prisma("migrate", "resolve", "--applied", "0_init")

    schema_of_prisma(laptop, change="\n  note String?")
    laptop.prisma("migrate", "dev", "--skip-generate", "--name", "note")
    second = next(migrations.glob("*_note/migration.sql"))
    changes = [line for line in second.read_text().splitlines() if line and not line.startswith("--")]
    assert changes == ['ALTER TABLE "leads" ADD COLUMN     "note" TEXT;']
    assert "No pending migrations" in laptop.prisma("migrate", "deploy")
    assert "already in sync" in laptop.prisma("db", "push", "--skip-generate")
    assert laptop.ours() == ours
    laptop.publishes()

    # Everything of the application's is dropped and made again, and of ours nothing.
    jobs = laptop.rows("SELECT id, status FROM automapost.job_queue ORDER BY id")
    laptop.prisma("migrate", "reset", "--force", "--skip-generate", "--skip-seed")
    assert laptop.rows("SELECT count(*) FROM posts") == [(0,)]
    assert laptop.rows("SELECT id, status FROM automapost.job_queue ORDER BY id") == jobs and jobs
    laptop.command("migrate")
    assert laptop.ours() == ours
    laptop.publishes()


def test_drizzle(laptop):
    ours = laptop.ours()
    out, schema = laptop.folder / "migrations", laptop.folder / "schema.ts"
    laptop.kit("pull")
    assert "automapost" not in (out / "schema.ts").read_text()
    schema.write_text((out / "schema.ts").read_text())
    assert "No changes detected" in laptop.kit("push")

    shutil.rmtree(out)
    laptop.kit("generate", "--name", "init")
    text = schema.read_text()
    assert 'pgTable("leads", {' in text
    schema.write_text(text.replace('pgTable("leads", {', 'pgTable("leads", {\n\tnote: text(),'))
    laptop.kit("generate", "--name", "note")
    assert (out / "0001_note.sql").read_text() == 'ALTER TABLE "leads" ADD COLUMN "note" text;'
    laptop.kit("push")
    assert laptop.rows("SELECT count(note) FROM leads")[0][0] == 0
    assert laptop.ours() == ours
    laptop.publishes()

    # The migrations make the application in a schema that was emptied.
    laptop.rows("DROP SCHEMA public CASCADE; CREATE SCHEMA public; SELECT")
    laptop.kit("migrate")
    laptop.command("migrate")
    assert laptop.ours() == ours
    laptop.publishes()
