# SPDX-License-Identifier: MIT
"""What the tests on booted machines share: the package of this tree, and two machines with it. One
goes from bare to purged (test_life.py); on the other the services are at work, and tests break
things (timers held: a test starts what it wants to see)."""

import contextlib
import fcntl
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import machine as m

from . import site as s

sys.path.append(str(m.TOP / "tests" / "peers"))

WEB_SERVICE = """\
[Unit]
Description=The application itself, whose unit has our prefix

[Service]
ExecStart=/usr/bin/node -e "require('http').createServer((q, a) => a.end()).listen(3000)"

[Install]
WantedBy=multi-user.target
"""


@pytest.fixture(scope="session")
def folder() -> Path:
    return Path(os.environ.get("BUILD_ROOT", m.TOP / "build")).resolve() / "system"


def built_once(folder: Path, run: str, build: Callable[[], Path]) -> Path:
    """Of the processes of one run the first builds; the others wait for it."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "run", "a+", encoding="utf-8") as known:
        fcntl.flock(known, fcntl.LOCK_EX)
        known.seek(0)
        lines = known.read().splitlines()
        if lines[:1] != [run]:
            lines = [run, str(build())]
            known.truncate(0)
            known.write("\n".join(lines))
    return Path(lines[1])


@pytest.fixture(scope="session")
def package(folder, testrun_uid) -> Path:
    """Built now; PACKAGE names one that is there already, to try the same one again."""
    if "PACKAGE" in os.environ:
        return Path(os.environ["PACKAGE"])
    return built_once(folder, testrun_uid, lambda: s.build_package(folder))


@pytest.fixture(scope="session")
def next_package(folder, testrun_uid) -> Path:
    return built_once(folder / "next", testrun_uid,
                      lambda: s.build_next_package(folder / "next" / "release"))


@pytest.fixture(scope="session")
def image() -> m.Image:
    made = m.debian12()
    try:
        made.ready()
    except m.Unavailable as reason:
        pytest.skip(str(reason))
    return made


@pytest.fixture(scope="session")
def make_site(image, package):
    """Further machines with nothing on them yet; gone when the tests end."""
    made = []

    def make(**options) -> s.Site:
        machine = m.Machine(**{"image": image, "bind": [package.parent], **options})
        made.append(s.Site(machine))
        machine.boot()
        return made[-1]

    yield make
    for site in made:
        site.close()
        site.machine.close()


@pytest.fixture(scope="session")
def site(make_site, package) -> s.Site:
    """Installed, configured, its timers held; each test leaves it at rest."""
    made = make_site()
    made.install(package)
    made.hold_timers()
    made.make_database()
    made.configure()
    return made


@pytest.fixture
def quick(site):
    """Delays of the engine at a fifth."""
    shipped = site.rows("SELECT to_jsonb(e) FROM automapost.engine e")[0][0]
    site.scale(5)
    yield
    site.rows("UPDATE automapost.engine SET " + ", ".join(
        f"{name} = '{shipped[name]}'" for name in s.w.SCALED))


@pytest.fixture
def webhooks(site):
    """A receiver of webhooks inside."""
    with site.receiver_inside(s.w.WebhookReceiver) as fake:
        yield site.receiver(s.w.Webhooks(fake))
    site.receivers.clear()
    site.posts.clear()


@contextlib.contextmanager
def waiting_timers(site):
    """All timers run, and wait for half a year: no tick comes between what a test does and what it
    asks. Every service has run once; root may type the command too."""
    far = (s.w.utc_now() + s.w.timedelta(days=180)).strftime("*-%m-%d")
    for name in s.TIMERS:
        site.machine.write(f"/run/systemd/system/{name}.timer.d/95-test.conf",
                           f"[Timer]\nOnCalendar=\nOnCalendar={far}\n")
    site.machine.run("systemctl", "daemon-reload")
    site.configure(**s.AS_ROOT)
    site.machine.run("systemctl", "enable", "--now", *(f"{name}.timer" for name in s.TIMERS))
    site.release_timers()
    site.machine.run("systemctl", "start", *(f"{name}.service" for name in s.TIMERS))
    yield
    site.configure()
    site.machine.run("systemctl", "reset-failed", check=False)
    site.hold_timers()
    site.machine.run("sh", "-c", "rm /run/systemd/system/automapost-*.timer.d/95-test.conf"
                     " && systemctl daemon-reload")


@pytest.fixture
def timers(site):
    with waiting_timers(site):
        yield


@pytest.fixture(scope="module")
def timers_of_a_module(site):
    with waiting_timers(site):
        yield
