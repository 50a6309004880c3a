# SPDX-License-Identifier: MIT
"""The tick decides, the timer only wakes: services that collect by a schedule, on the real
binaries. The service is cleanup, and what it collects is litter: workers that ended two days ago,
which it forgets. A slot lies an hour back, and the next one a day ahead, so that no test depends on
the minute in which it runs."""

import time
import uuid
from datetime import timedelta

import pytest

from harness.postgres import Cluster

from . import world as w
from .command import shell
from .one_world import world, world_of_file  # noqa: F401  fixtures

# As systemd starts a service for its timer; without it, it was started by hand.
BY_TIMER = {"TRIGGER_TIMER_REALTIME_USEC": str(int(time.time() * 1e6))}


def schedule(world: w.World, name: str = "cleanup", ago: timedelta = timedelta(hours=1)) -> None:
    """A daily slot that was due so long ago, of a schedule that is older."""
    due = w.utc_now() - ago
    world.rows("UPDATE automapost.job_definitions SET cron_schedule = %s WHERE name = %s",
               (f"{due.minute} {due.hour} * * *", name))
    ripen(world)


def ripen(world: w.World) -> None:
    """Everything has been as it is for ten days."""
    world.rows("UPDATE automapost.slots SET due_after = due_after - interval '10 days'")


def slot(world: w.World, name: str = "cleanup"):
    rows = world.rows("SELECT s.slot, s.taken_by, s.done_at FROM automapost.slots s"
                      " JOIN automapost.job_definitions d ON d.id = s.definition_id"
                      " WHERE d.name = %s", (name,))
    return rows[0] if rows else (None, None, None)


def litter(world: w.World) -> None:
    world.rows("""
        INSERT INTO automapost.workers (id, service, host, boot_id, pid, version, ended_at)
        VALUES (%s, 'litter', 'host', 'boot', 1, '0.1.0', now() - interval '2 days')""",
               (uuid.uuid4().hex,))


def is_clean(world: w.World) -> bool:
    return not world.value("SELECT count(*) FROM automapost.workers WHERE service = 'litter'")


def tick(world: w.World, service: str = "cleanup", **options) -> w.Process:
    return world.run(service, env=BY_TIMER, **options)


def test_a_slot_is_collected_for_once(world):
    schedule(world)
    litter(world)
    first = tick(world)
    assert is_clean(world)
    taken_at, taken_by, done_at = slot(world)
    assert w.utc_now() - taken_at < timedelta(hours=1, minutes=2)
    assert taken_by == first.invocation and done_at is not None

    litter(world)
    tick(world)     # early, late or twice: a timer is harmless
    assert not is_clean(world)
    assert slot(world) == (taken_at, taken_by, done_at)


def test_by_hand_it_runs_at_once(world):
    schedule(world)
    tick(world)
    litter(world)
    world.run("cleanup")
    assert is_clean(world)
    litter(world)
    world.run("cleanup", "--now", env=BY_TIMER)
    assert is_clean(world)


def test_what_is_missed_is_made_good_once(world):
    """Five days nobody ran; a schedule that is younger than its last time has missed nothing."""
    schedule(world)
    world.rows("UPDATE automapost.slots SET slot = now() - interval '5 days', taken_by = 'x',"
               " taken_at = now() - interval '5 days', done_at = now() - interval '5 days'")
    litter(world)
    tick(world)
    assert is_clean(world)
    litter(world)
    tick(world)
    assert not is_clean(world)

    world.rows("UPDATE automapost.job_definitions SET cron_schedule = cron_schedule || ' '"
               " WHERE name = 'cleanup'")
    tick(world)
    assert not is_clean(world)


def test_paused_time_is_not_missed(world):
    schedule(world)
    world.rows("SELECT automapost.pause('cleanup', 'a look at the server')")
    world.rows("UPDATE automapost.slots SET idle_from = idle_from - interval '2 hours'")
    litter(world)
    assert "is paused: a look at the server" in tick(world).stderr
    world.rows("SELECT automapost.resume('cleanup')")
    tick(world)
    tick(world, "queue")
    assert not is_clean(world)


def test_on_demand_it_collects_by_hand_only(world):
    world.rows("UPDATE automapost.job_definitions SET cron_schedule = NULL WHERE name = 'cleanup'")
    ripen(world)
    litter(world)
    tick(world)
    tick(world, "queue")
    assert not is_clean(world)
    world.run("cleanup")
    assert is_clean(world)


# ---- several hosts, and some that die


def test_two_hosts_one_slot(world):
    """One has it and stands still in the middle; the other collects nothing, and makes nothing good
    either."""
    schedule(world)
    litter(world)
    one = world.tick("cleanup", env=BY_TIMER, stop_point="slot")
    one.wait_stopped()
    tick(world)
    tick(world, "queue")
    assert not is_clean(world) and slot(world)[1:] == (one.invocation, None)
    one.cont()
    assert one.wait() == 0, one.stderr
    assert is_clean(world) and slot(world)[2] is not None


def test_many_hosts_at_once(world):
    schedule(world)
    litter(world)
    ticks = [world.tick("cleanup", "--verbose", env=BY_TIMER) for _ in range(8)]
    for process in ticks:
        assert process.wait() == 0, process.stderr
    collected = [p for p in ticks if "forgotten 1" in p.stderr]
    assert [p.invocation for p in collected] == [slot(world)[1]]


@pytest.mark.parametrize("point", ["slot", "slot-collected"])
def test_its_taker_dies(world, point):
    """systemd sees it die, and the slot is open again at once: the queue's tick makes it good."""
    schedule(world)
    litter(world)
    one = world.tick("cleanup", env=BY_TIMER, stop_point=point)
    one.wait_stopped()
    one.kill()
    one.release()
    assert slot(world)[1:] == (one.invocation, None)
    litter(world)
    queue = tick(world, "queue")
    assert is_clean(world)
    assert "cleanup was due 1 h" in queue.stderr and "doing it now" in queue.stderr
    assert slot(world)[1] == queue.invocation and slot(world)[2] is not None
    assert "doing it now" not in tick(world, "queue").stderr


def test_its_host_dies(world):
    """Nobody says so: it is open again after the lapse."""
    world.scale(20)
    schedule(world)
    litter(world)
    one = world.tick("cleanup", env=BY_TIMER, stop_point="slot")
    one.wait_stopped()
    world.wait_until(lambda: world.value(
        "SELECT last_beat < clock_timestamp() - e.lapse FROM automapost.workers w,"
        " automapost.engine e WHERE w.id = %s", (one.invocation,)))
    tick(world)
    assert is_clean(world) and slot(world)[1] != one.invocation
    # And the one that was not dead but slept goes on, and changes nothing of that.
    taken = slot(world)
    one.cont()
    assert one.wait() == 0, one.stderr
    assert slot(world) == taken


def test_the_queue_waits_for_the_service_itself(world):
    schedule(world, ago=timedelta(minutes=1))
    litter(world)
    world.rows("UPDATE automapost.engine SET slot_grace = '1 day'")
    tick(world, "queue")
    assert not is_clean(world)
    world.rows("UPDATE automapost.engine SET slot_grace = '1 second'")
    tick(world, "queue")
    assert is_clean(world)


def test_a_collect_that_fails_leaves_its_slot_open(world):
    """The run ends with 75 or 78; what it was to do is made good when the reason is gone."""
    schedule(world)
    litter(world)
    world.rows("REVOKE EXECUTE ON FUNCTION automapost.forget_old(bigint) FROM automapost_jobs_service")
    try:
        failed = world.run("cleanup", env=BY_TIMER, status=78)
    finally:
        world.rows("GRANT EXECUTE ON FUNCTION automapost.forget_old(bigint) TO automapost_jobs_service")
    assert "forget_old" in failed.stderr
    assert slot(world)[2] is None and not is_clean(world)
    tick(world, "queue")
    assert slot(world)[2] is not None and is_clean(world)


def test_postgresql_is_down_over_a_daily_slot(make_world, build):
    """The timer elapses, nothing can be asked, and nothing is lost: when the server is back, the
    minute's tick does it, once."""
    with Cluster(settings={"max_connections": 50}) as own:
        w.make_template(own, "template_automapost", build)
        world = make_world(own)
        schedule(world, ago=timedelta(minutes=1))
        world.rows("UPDATE automapost.engine SET slot_grace = '1 second'")
        litter(world)
        world.cluster.stop()
        down = world.run("cleanup", env=BY_TIMER, status=75, seconds=15)
        assert "cannot connect to the database" in down.stderr
        world.run("queue", env=BY_TIMER, status=75, seconds=15)
        world.cluster.start()
        world.reconnect()

        ticks = [world.tick("queue", env=BY_TIMER) for _ in range(3)]
        for process in ticks:
            assert process.wait() == 0, process.stderr
        assert is_clean(world)
        assert [p.invocation for p in ticks if "forgotten 1" in p.stderr] == [slot(world)[1]]
        litter(world)
        tick(world)
        assert not is_clean(world)


# ---- job types with a schedule


def define(world: w.World, name: str = "report", cron: str = None) -> None:
    world.rows("INSERT INTO automapost.job_definitions (name, handler, cron_schedule)"
               " VALUES (%s, 'external', %s)", (name, cron))
    if cron is None:
        schedule(world, name)


def jobs(world: w.World, name: str = "report") -> list:
    return world.rows("SELECT status, payload FROM automapost.job_queue WHERE job_type = %s"
                      " ORDER BY created_at", (name,))


def test_a_job_type_has_a_schedule(world):
    define(world)
    ticks = [world.tick("queue", env=BY_TIMER) for _ in range(4)]
    for process in ticks:
        assert process.wait() == 0, process.stderr
    ((status, payload),) = jobs(world)
    assert status == "pending"
    assert payload == {"slot": slot(world, "report")[0].isoformat()}
    tick(world, "queue")
    assert len(jobs(world)) == 1


def test_a_job_type_is_paused(world):
    define(world)
    world.rows("SELECT automapost.pause('report', 'too loud')")
    tick(world, "queue")
    assert not jobs(world)


def test_a_job_that_cannot_be_enqueued_holds_up_no_other(world):
    """A refresh is of one account: a schedule can make none."""
    define(world)
    schedule(world, "refresh-token")
    queue = tick(world, "queue")
    assert "Cannot enqueue refresh-token" in queue.stderr and "authProviderId" in queue.stderr
    assert len(jobs(world)) == 1


# ---- rows that cannot be used


def test_a_bad_row_is_said_and_the_last_good_stays(world):
    schedule(world)
    tick(world, "queue")        # it reads what is there, and does it
    assert slot(world)[2] is not None
    world.rows("UPDATE automapost.job_definitions SET cron_schedule = '61 8 * * *',"
               " timezone = 'Europe/Berlin' WHERE name = 'cleanup'")
    said = tick(world, "queue").stderr
    assert "The schedule of cleanup cannot be used, the last good one stays" in said
    assert 'the minute "61" is out of range' in said
    problem, good = world.rows("SELECT s.problem, s.good_schedule FROM automapost.slots s"
                               " JOIN automapost.job_definitions d ON d.id = s.definition_id"
                               " WHERE d.name = 'cleanup'")[0]
    assert 'the minute "61" is out of range' in problem and good.endswith("* * *")
    assert "cannot be used" not in tick(world, "queue").stderr      # said once

    # The last good slot is yesterday's to come: a day passes.
    world.rows("UPDATE automapost.slots SET slot = slot - interval '1 day',"
               " done_at = done_at - interval '1 day', due_after = due_after - interval '1 day'")
    litter(world)
    tick(world)
    assert is_clean(world)

    world.rows("UPDATE automapost.job_definitions SET cron_schedule = '0 8 * * *',"
               " timezone = 'Europe/Atlantis' WHERE name = 'cleanup'")
    assert 'there is no time zone "Europe/Atlantis"' in tick(world, "queue").stderr
    world.rows("UPDATE automapost.job_definitions SET timezone = 'UTC' WHERE name = 'cleanup'")
    tick(world, "queue")
    assert world.value("SELECT count(*) FROM automapost.slots WHERE problem IS NOT NULL") == 0


def test_status_tells_a_bad_row_and_how_to_mend_it(world):
    tick(world, "queue")
    world.rows("UPDATE automapost.job_definitions SET cron_schedule = '61 8 * * *'"
               " WHERE name = 'cleanup'")
    tick(world, "queue")
    said = shell(world, "automapost status")
    (problem, command), = said.problems.items()
    assert problem.startswith('the schedule of cleanup cannot be used: the minute "61" is out of'
                              ' range; */10 * * * * UTC stays in use')
    assert said.status == 1
    assert command == "automapost schedule cleanup --default"
    assert shell(world, command).status == 0
    assert not shell(world, "automapost status").problems


def test_the_schedule_that_nobody_could_ever_use(world):
    world.rows("INSERT INTO automapost.job_definitions (name, handler, cron_schedule)"
               " VALUES ('never', 'external', '0 0 31 2 *')")
    said = tick(world, "queue").stderr
    assert "The schedule of never cannot be used, it runs by hand only" in said
    assert "never comes" in said
