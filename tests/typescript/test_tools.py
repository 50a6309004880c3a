# SPDX-License-Identifier: MIT
"""The application's tables are migrated by its own tools, beside ours: they propose nothing about our
schema, and what they do to the application's tables is no harm. On a laptop's database, as its owner."""

import contextlib
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.postgres import newest_bindir
from integration.laptop import Laptop

HERE = Path(__file__).parent


class Tools(Laptop):
    """With the tools in the application's folder."""

    def __init__(self, build, compiled: Path):
        super().__init__(build)
        (self.folder / "node_modules").symlink_to(compiled / "node_modules")
        for config in (HERE / "tools").iterdir():
            shutil.copy(config, self.folder)
        missing = self.folder / "no-engine"     # see install
        missing.touch()
        self.env |= {"CHECKPOINT_DISABLE": "1", "PRISMA_HIDE_UPDATE_MESSAGE": "1", "NO_COLOR": "1",
                     "PRISMA_SCHEMA_ENGINE_BINARY": str(missing), "PRISMA_QUERY_ENGINE_LIBRARY": str(missing)}

    def prisma(self, *words: str) -> str:
        return self.run("node_modules/.bin/prisma", *words)

    def kit(self, *words: str) -> str:
        return self.run("node_modules/.bin/drizzle-kit", *words)

    def ours(self) -> str:
        """Our schema, as text."""
        dump = subprocess.run(
            [newest_bindir() / "pg_dump", "--schema-only", "--schema=automapost", "--restrict-key=0",
             f"host={self.database} user=postgres dbname=automapost port={self.port}"],
            stdout=subprocess.PIPE, check=True, text=True, timeout=60)
        assert "CREATE TABLE automapost.job_queue" in dump.stdout
        return dump.stdout

    def publishes(self) -> None:
        """A post that is due goes out."""
        post = self.post("it goes out")
        self.publish()
        assert self.rows("SELECT status::text FROM posts WHERE id = %s", post) == [("SENT",)]


@pytest.fixture
def laptop(build, compiled):
    with contextlib.closing(Tools(build, compiled)) as made:
        yield made


def test_prisma(laptop):
    ours = laptop.ours()
    schema = laptop.folder / "schema.prisma"
    schema.write_text('datasource db {\n  provider = "postgresql"\n  url = env("DATABASE_URL")\n}\n')
    laptop.prisma("db", "pull")
    text = schema.read_text()
    assert "model posts {" in text and "job_queue" not in text
    assert "already in sync" in laptop.prisma("db", "push", "--skip-generate")

    # The tables as they are become the first migration, which stands as applied.
    migrations = laptop.folder / "migrations"
    first = migrations / "0_init" / "migration.sql"
    first.parent.mkdir(parents=True)
    laptop.prisma("migrate", "diff", "--from-empty", "--to-schema-datamodel", "schema.prisma", "--script",
                  "--output", str(first))
    (migrations / "migration_lock.toml").write_text('provider = "postgresql"\n')
    laptop.prisma("migrate", "resolve", "--applied", "0_init")

    schema.write_text(text.replace("model leads {", "model leads {\n  note String?"))
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
