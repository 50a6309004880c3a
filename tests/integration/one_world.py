# SPDX-License-Identifier: MIT
"""A world that all tests of one file share, one after the other: `world`, imported by files of many
small tests in place of the fixture with a database for each. Between two tests everything in it is
emptied, and settings are what they were; a copy of the template costs ten times that."""

import contextlib
import itertools
import tempfile
from pathlib import Path

import pytest

from . import world as w

_numbers = itertools.count(1)

SETTINGS = ("engine", "installation", "job_definitions", "alert_book", "claim_turns")


@pytest.fixture(scope="module")
def world_of_file(cluster, build, build_stop):
    name = cluster.create_database(f"world_of_file_{next(_numbers)}", "template_automapost")
    made = w.World(cluster, name, build, build_stop,
                   Path(tempfile.mkdtemp(prefix="automapost-world-")))
    for table in SETTINGS:
        made.rows(f"CREATE TABLE public.kept_{table} AS SELECT * FROM automapost.{table}")
    with contextlib.closing(made):
        yield made


@pytest.fixture
def world(world_of_file):
    env = dict(world_of_file.env)
    yield world_of_file
    world_of_file.env = env
    start_over(world_of_file)


def start_over(world: w.World) -> None:
    for process in world.processes:
        if process.returncode is None:
            process.kill()
    # A backend whose client was killed may still be at its last statement.
    world.rows("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
               " WHERE datname = current_database() AND pid <> pg_backend_pid()")
    for things in (world.processes, world.receivers, world.posts):
        things.clear()
    # How far this host has sent, which a database that forgot it would take for a restore.
    for mark in world.folder.glob("begun-*"):
        mark.unlink()
    tables = world.rows("""
        SELECT c.oid::regclass::text FROM pg_class c
        WHERE c.relkind = 'r' AND c.relnamespace IN ('automapost'::regnamespace, 'public'::regnamespace)
            AND c.relname NOT LIKE 'kept_%' AND c.relname <> 'schema_migrations'""")
    world.rows("BEGIN; SET LOCAL session_replication_role = replica;"
               + "".join(f"DELETE FROM {table};" for (table,) in tables)
               + "".join(f"INSERT INTO automapost.{table} SELECT * FROM public.kept_{table};"
                         for table in SETTINGS)
               + "COMMIT")
