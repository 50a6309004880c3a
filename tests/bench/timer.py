# SPDX-License-Identifier: MIT
"""What a minute costs in which nothing is due, and what stays in memory until the next one: on a
booted machine, the timer's tick; against PM2 restarting the plan's worker (cron_restart)."""

import os
import sys
from datetime import datetime, timezone
from pathlib import Path

from bench import HERE, report, say

from harness import machine as m
from harness.process import HarnessError, Unavailable
from system import site as s
from tick import fill

MINUTES = int(os.environ.get("BENCH_ROUNDS", "5"))
UNIT = "automapost-social-media"
OUR_SECOND, THEIR_SECOND, LOOK_SECOND = 20, 0, 40       # of every minute
TIMES = "/var/lib/web/times"

# The plan's ecosystem file, its one worker that runs every minute.
ECOSYSTEM = """\
module.exports = {{ apps: [{{
    name: 'job-worker', script: '/var/lib/web/worker.mjs', instances: 1, exec_mode: 'fork',
    cron_restart: '*/1 * * * *', autorestart: false,
    env: {{ DATABASE_URL: 'postgresql:///{database}?host=/run/postgresql', BENCH_NODE_FOLDER: '{node}' }},
}}] }};
"""
# The worker itself, and how long the process lived.
WORKER = """\
import {{ appendFileSync }} from 'node:fs';
process.on('exit', () =>
    appendFileSync('{times}', `${{Date.now() - performance.timeOrigin}}\\n`));
await import('/mnt/node/plan-worker.mjs');
process.exit(0);    // as the plan's does: the channel to PM2 would keep it
"""
PM2_UNIT = """\
[Service]
Type=oneshot
RemainAfterExit=yes
User=web
Slice=pm2.slice
Environment=PM2_HOME=/var/lib/web/pm2 HOME=/var/lib/web
ExecStart=/usr/bin/node {node}/node_modules/pm2/bin/pm2 start /var/lib/web/ecosystem.config.cjs
"""


def cpu(machine: m.Machine, group: str) -> float:
    """Processor time that the kernel has accounted to a control group of the machine, in ms."""
    for top in ("/sys/fs/cgroup/unified", "/sys/fs/cgroup"):
        text = machine.run("cat", f"{top}/{group}/cpu.stat", check=False)
        if text.returncode == 0:
            return int(dict(line.split() for line in text.stdout.splitlines())["usage_usec"]) / 1000
    raise HarnessError(f"the kernel accounts nothing to {group}")


def resident(machine: m.Machine, slice_name: str) -> float:
    """MiB of all processes of a slice, what several share counted once."""
    total = 0
    for pid in machine.read("systemd-cgls", "--unit", slice_name, "--full", "--no-pager",
                            check=False).replace("─", " ").split():
        if pid.isdigit():
            text = machine.run("cat", f"/proc/{pid}/smaps_rollup", check=False).stdout
            total += sum(int(line.split()[1]) for line in text.splitlines()
                         if line.startswith("Pss:"))
    return total / 1024


def our_wall(machine: m.Machine) -> float:
    """ms from the start of the last tick until its unit was inactive again."""
    times = machine.show(f"{UNIT}.service", "InactiveExitTimestampMonotonic",
                         "InactiveEnterTimestampMonotonic")
    return (int(times["InactiveEnterTimestampMonotonic"])
            - int(times["InactiveExitTimestampMonotonic"])) / 1000


def prepare(site: s.Site, package: Path, node: str) -> None:
    machine = site.machine
    site.install(package)
    site.hold_timers()
    site.make_database()
    site.configure()
    fill(site.db)
    machine.write(f"/etc/systemd/system/{UNIT}.timer.d/bench.conf",
                  f"[Timer]\nOnCalendar=\nOnCalendar=*:*:{OUR_SECOND}\n")

    machine.run("useradd", "--system", "--create-home", "--home-dir", "/var/lib/web", "web")
    site.rows((HERE / "plan.sql").read_text(encoding="utf-8"))
    site.rows("CREATE ROLE web LOGIN; GRANT pg_read_all_data, pg_write_all_data TO web")
    for name, text in (
            ("/var/lib/web/ecosystem.config.cjs",
             ECOSYSTEM.format(database=s.DATABASE, node=node)),
            ("/var/lib/web/worker.mjs", WORKER.format(times=TIMES)),
            ("/etc/systemd/system/pm2.service", PM2_UNIT.format(node=node))):
        machine.write(name, text)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", "pm2.service")
    machine.run("systemctl", "start", f"{UNIT}.timer")


def main() -> None:
    folder = Path(os.environ["BENCH_NODE_FOLDER"])
    if m.why_not():
        sys.exit(f"bench: {m.why_not()}")
    package = s.build_package(folder.parent / "bench-package")
    node = f"/mnt/{folder.name}"
    names = ("cpu", "cpu-with-pid1", "wall", "resident")
    ours: dict = {name: [] for name in names}
    theirs: dict = {name: [] for name in names}
    try:
        with m.Machine(m.debian12(), bind=[package.parent, folder, HERE / "node"]) as machine:
            site = s.Site(machine)
            prepare(site, package, node)
            before = None
            for minute in range(MINUTES + 2):   # the first has the start of everything in it
                wait_for_second(machine, LOOK_SECOND)
                now = [cpu(machine, group) for group in ("automapost.slice", "init.scope", "pm2.slice")]
                if minute >= 2:
                    unit, pid1, pm2 = (b - a for a, b in zip(before, now))
                    ours["cpu"].append(unit)
                    ours["cpu-with-pid1"].append(unit + pid1)
                    theirs["cpu"].append(pm2)
                    theirs["cpu-with-pid1"].append(pm2)
                    ours["wall"].append(our_wall(machine))
                    theirs["wall"].append(float(machine.read("tail", "-n", "1", TIMES)))
                    ours["resident"].append(resident(machine, "automapost.slice"))
                    theirs["resident"].append(resident(machine, "pm2.slice"))
                before = now
            check(machine, site)
    except Unavailable as reason:
        sys.exit(f"bench: {reason}")
    say(f"A minute without work, {MINUTES} minutes, medians [min-max]")
    for metric, unit in zip(names, ("ms", "ms", "ms", "MiB")):
        report("timer", metric, "pm2", ours[metric], theirs[metric], unit)


def wait_for_second(machine: m.Machine, second: int) -> None:
    """Until the clock shows that second of a minute; nothing of ours runs at that time."""
    start = datetime.now(timezone.utc)
    seconds = (second - start.second) % 60 or 60
    end = start.timestamp() + seconds
    machine.wait_until(lambda: datetime.now(timezone.utc).timestamp() >= end, seconds + 5)


def check(machine: m.Machine, site: s.Site) -> None:
    """Both did what they are for, every minute."""
    ticks = [entry for entry in site.unit_journal("social-media")
             if entry.get("JOB_RESULT") == "done" and entry["MESSAGE"].startswith("Finished")]
    runs = machine.read("cat", TIMES).splitlines()
    if len(ticks) < MINUTES + 1 or len(runs) < MINUTES + 1:
        sys.exit(f"bench: {len(ticks)} ticks and {len(runs)} runs of the worker in {MINUTES} minutes")


if __name__ == "__main__":
    main()
