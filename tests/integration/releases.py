# SPDX-License-Identifier: MIT
"""Releases that are still to come: this tree with a version and a migration more, built as this one
is. What a later release is to this one, this one is to an earlier."""

import re
import shutil
from pathlib import Path

from harness.process import HarnessError

from . import world as w

NEXT, FAR = "0.2.0", "9.0.0"
SOURCES = ("src", "sql", "systemd", "packaging", "tests")


def edit(path: Path, pattern: str, text: str) -> None:
    """Exactly one place of a file."""
    changed, n = re.subn(pattern, lambda _: text, path.read_text(), flags=re.MULTILINE)
    if n != 1:
        raise HarnessError(f"{path} has {n} places like {pattern!r}")
    path.write_text(changed)


def last_migration(sql: Path) -> int:
    return max(int(path.name[:4]) for path in (sql / "migrations").glob("*.sql"))


def make_source(folder: Path, version: str, *changes) -> Path:
    """Adds a column, as migrations do, and whatever the changes (of the source folder) are."""
    source = folder / "source"
    source.mkdir(parents=True)
    for name in SOURCES:
        shutil.copytree(w.TOP / name, source / name, symlinks=True,
                        ignore=shutil.ignore_patterns("node_modules", "__pycache__"))
    for name in ("meson.build", "meson_options.txt", "LICENSE", "README.md"):
        shutil.copy(w.TOP / name, source / name)

    number = last_migration(source / "sql") + 1
    name = f"migrations/{number:04d}-to-come.sql"
    (source / "sql" / name).write_text(
        "-- A column more.\nALTER TABLE automapost.job_queue ADD COLUMN to_come text;\n"
        "ALTER TABLE automapost.post_deliveries ADD COLUMN to_come text;\n")
    previous = next((source / "sql/migrations").glob(f"{number - 1:04d}-*.sql")).name
    edit(source / "sql/meson.build", f"^ *'migrations/{re.escape(previous)}',$",
         f"'migrations/{previous}', '{name}',")
    edit(source / "meson.build", r"version: '\d+\.\d+\.\d+'", f"version: '{version}'")
    for change in changes:
        change(source)
    return source


def make(folder: Path, version: str, *changes) -> w.Build:
    source = make_source(folder, version, *changes)
    return w.make_build(folder / "build", "-Dbuildtype=release", source=source)


def in_changelog(source: Path) -> None:
    """A package's version is the one of its changelog."""
    path = source / "packaging/debian/changelog"
    path.write_text(f"automapost-jobs ({NEXT}) unstable; urgency=medium\n\n  * A column more.\n\n"
                    " -- Tests <tests@example.test>  Thu, 26 Nov 2026 12:00:00 +0000\n\n"
                    + path.read_text())


def far(source: Path) -> None:
    """Its queries need its own schema, and its schema no longer bears this release."""
    edit(source / "src/queue/engine.c", r"#define LOWEST_SCHEMA \d+",
         f"#define LOWEST_SCHEMA {last_migration(source / 'sql')}")
    edit(source / "sql/functions/tick.sql", r"^RETURN '\d+\.\d+\.\d+';", f"RETURN '{FAR}';")
