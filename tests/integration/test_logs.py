# SPDX-License-Identifier: MIT
"""What a job says can be read while it runs, stays when its worker is killed, and is there once."""

import os
import subprocess

import pytest

from harness.process import wait_readable

from . import world as w
from .answer_thief import AnswerThief
from .command import environment, shell


@pytest.fixture
def slow(world, webhooks):
    """A post whose receiver takes it, and answers when it is told to."""
    world.scale(5)
    world.post(webhooks.account(world))
    return webhooks.fake.fault("POST *", "hang-after")


def job_of(world) -> str:
    return world.value("SELECT id::text FROM automapost.job_queue")


def lines(world) -> list:
    return [message for message, in world.rows(
        "SELECT message FROM automapost.job_logs WHERE level = 'info' ORDER BY \"timestamp\", id")]


def until_it_said(world) -> str:
    """Waits for the first line of the running job, and gives it."""
    return world.wait_until(lambda: lines(world), what="a line of the running job")[0]


def read_until(stream, text, seconds=20) -> str:
    said = b""
    while text.encode() not in said:
        assert wait_readable([stream.fileno()], seconds), f"no {text!r} in {said!r}"
        more = os.read(stream.fileno(), 4096)
        assert more, f"it ended after {said!r}"
        said += more
    return said.decode()


def test_followed_while_it_runs(world, slow):
    process = world.tick()
    assert slow.reached.wait(20)
    job = job_of(world)
    with subprocess.Popen(["automapost", "logs", job, "-f"], env=environment(world),
                          stdout=subprocess.PIPE) as follower:
        said = read_until(follower.stdout, "\n")
        assert "info  still running after" in said
        assert world.rows("SELECT status FROM automapost.job_executions") == [("running",)]
        slow.release()
        assert "published on Webhook" not in said
        assert "still running" not in read_until(follower.stdout, "published on Webhook")
        follower.terminate()
        assert follower.wait(10) == 0
    assert process.wait() == 0
    first, last = lines(world)
    assert first.startswith("still running after") and last.startswith("published on Webhook")
    printed = shell(world, f"automapost logs {job}").stdout
    assert printed.count("still running") == printed.count("published on") == 1


def test_a_killed_worker_s_lines_stay(world, slow):
    process = world.tick()
    assert slow.reached.wait(20)
    said = until_it_said(world)
    process.kill()
    slow.release()
    process.release()
    assert lines(world) == [said]
    assert world.rows("SELECT status, error_code FROM automapost.job_executions"
                      " WHERE job_queue_id IS NOT NULL") == [("failed", "worker-died")]
    world.settle_down()
    world.assert_exactly_once()
    assert [line.split(" ")[0] for line in lines(world)] == ["still", "published"]
    assert lines(world)[0] == said


def test_said_once_when_the_answer_was_lost(world, slow):
    with AnswerThief(("127.0.0.1", world.cluster.port)) as thief:
        thief.steal("automapost.log_jobs(")
        process = world.tick(env={"AUTOMAPOST_DATABASE_URL":
                                  f"postgresql://{w.SERVICE_ROLE}@127.0.0.1:{thief.port}"
                                  f"/{world.dbname}"})
        world.wait_until(lambda: thief.stolen, what="a stolen answer")
        world.wait_until(lambda: "Connected to the database again" in process.stderr)
        slow.release()
        assert process.wait() == 0
    assert "log-jobs failed, asking again" in process.stderr
    assert [line.split(" ")[0] for line in lines(world)] == ["still", "published"]
    world.assert_exactly_once()


def test_of_a_database_that_takes_none_they_come_with_the_settle(world, slow):
    """As that of the release before: it knows no log_jobs."""
    world.rows("DROP FUNCTION automapost.log_jobs(text, jsonb)")
    process = world.tick()
    assert slow.reached.wait(20)
    world.wait_until(lambda: "cannot be stored yet" in process.stderr)
    slow.release()
    assert process.wait() == 0
    assert process.stderr.count("cannot be stored yet") == 1
    assert [line.split(" ")[0] for line in lines(world)] == ["still", "published"]
    world.assert_exactly_once()
