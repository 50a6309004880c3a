# SPDX-License-Identifier: MIT
"""A machine with the package on it: what an operator has, with the application's database, members
who write posts, and receivers that listen inside.

    site = Site(machine)
    site.install(package)           # installed, not configured
    site.make_database()            # the application's tables, our schema, a login of our own
    site.configure()                # the settings, as setup writes them
    site.post(site.webhooks.account(site)); site.start("social-media")

A Site is a World (tests/integration) whose processes are units: posts, questions to the database
and judgements by what the receivers saw are the same.
"""

import itertools
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Optional

from harness import app
from harness.machine import Machine
from harness.process import HarnessError
from integration import releases
from integration import world as w

DATABASE = "app"
USER = "automapost-jobs"
ENV_FILE = "/etc/automapost-jobs/automapost-jobs.env"
# Names the user, so that root may type the command too.
AS_ROOT = {"DATABASE_URL": f"postgresql://{USER}@/{DATABASE}"}
TIMERS = sorted(path.stem for path in (w.TOP / "systemd").glob("automapost-*.timer"))
SERVICES = ("social-media", "queue", "cleanup", "schedule", "alert")

# What a running system writes by itself, whatever is installed: not compared before and after.
VOLATILE = ("/proc", "/sys", "/dev", "/run", "/tmp", "/mnt", "/root", "/var/log", "/var/cache",
            "/var/tmp", "/var/lib/postgresql", "/var/lib/dpkg", "/var/lib/apt",
            "/var/lib/systemd/catalog", "/var/lib/systemd/timers",
            "/var/lib/systemd/deb-systemd-helper-masked")

# What a purged package leaves: its user, as Debian's packages do, since files of his elsewhere must
# not become another's; and these are passwd's own copies.
KEPT = {"/etc/group-", "/etc/gshadow-", "/etc/passwd-", "/etc/shadow-"}


def build_package(folder: Path, source: Path = w.TOP) -> Path:
    """The package of the tracked files as they are. Unit tests are a suite of their own."""
    done = subprocess.run(
        [source / "packaging" / "build-deb", "--working-tree", folder],
        env={**os.environ, "PATH": f"/usr/lib/ccache:{os.environ['PATH']}",
             "DEB_BUILD_OPTIONS": "nocheck"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900, check=False)
    if done.returncode != 0:
        raise HarnessError(f"packaging/build-deb failed:\n{done.stdout[-4000:]}")
    return Path(done.stdout.splitlines()[-1])


def build_next_package(folder: Path) -> Path:
    """The release after this one, with a migration more."""
    shutil.rmtree(folder, ignore_errors=True)
    source = releases.make_source(folder, releases.NEXT, releases.in_changelog)
    subprocess.run(["sh", "-euc", "git init -q; git add --all; git -c user.name=tests"
                    " -c user.email=tests@example.test commit -qm release"], cwd=source, check=True)
    return build_package(folder, source)


def as_version(package: Path, version: str) -> Path:
    """The same package under another version, beside it."""
    tree = package.parent / f"as-{version}"
    subprocess.run(["rm", "-rf", tree], check=True)
    subprocess.run(["dpkg-deb", "--raw-extract", package, tree], check=True)
    control = tree / "DEBIAN" / "control"
    lines = [f"Version: {version}" if line.startswith("Version: ") else line
             for line in control.read_text(encoding="utf-8").splitlines()]
    control.write_text("\n".join(lines) + "\n", encoding="utf-8")
    made = package.parent / f"automapost-jobs_{version}_other.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", tree, made], check=True,
                   stdout=subprocess.DEVNULL)
    subprocess.run(["rm", "-rf", tree], check=True)
    return made


class Site(w.World):
    """machine.folder is where test files may lie; the World's own methods are described there."""

    # pylint: disable=super-init-not-called; a World starts with a database, a machine without
    def __init__(self, machine: Machine):
        self.machine = machine
        self.cluster = machine
        self.dbname = DATABASE
        self.processes: list = []       # none of ours: systemd's
        self.receivers: list = []
        self.posts: list = []
        self._numbers = itertools.count(1)
        self.db: Any = None

    # From bare to working, one step each.

    def install(self, package: Path) -> str:
        """As an operator does it; what apt said. The machine sees the package's folder in /mnt."""
        return self.machine.read("apt-get", "install", "-y",
                                 f"/mnt/{package.parent.name}/{package.name}")

    def make_database(self) -> None:
        """The application's own, then ours, as PostgreSQL's administrator."""
        self.machine.run("createdb", DATABASE, user="postgres")
        self.db = self.machine.connect(DATABASE)
        app.install(self.db)
        self.migrate()
        self.rows(f"""
            CREATE ROLE "{USER}" LOGIN
                IN ROLE automapost_jobs_service, automapost_jobs_schedule;
            CREATE ROLE "{w.APP_ROLE}" LOGIN IN ROLE automapost_jobs_app;
            GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO "{w.APP_ROLE}";
            -- Tests make posts that were due a moment ago.
            UPDATE automapost.installation SET publish_from = now() - interval '1 day'""")

    def migrate(self) -> None:
        self.machine.run("automapost", "migrate", user="postgres",
                         env={"AUTOMAPOST_DATABASE_URL": f"postgresql:///{DATABASE}"})

    def configure(self, **settings: str) -> None:
        """The settings of the services; names without AUTOMAPOST_."""
        settings = {"DATABASE_URL": f"postgresql:///{DATABASE}", "ALLOW_PRIVATE_HOSTS": "yes",
                    **settings}
        self.machine.write(ENV_FILE, "".join(f"AUTOMAPOST_{name}={value}\n"
                                             for name, value in settings.items()),
                           mode=0o640, group=USER)

    # Use

    def automapost(self, *words: str, **options) -> subprocess.CompletedProcess:
        """The command, as the user types it whom peer authentication knows."""
        return self.machine.run("automapost", *words, **{"user": USER, **options})

    def start(self, service: str, *, wait: bool = True) -> None:
        """One start of a service beside its timer's."""
        self.machine.run("systemctl", "start", *([] if wait else ["--no-block"]),
                         f"automapost-{service}.service", check=False)

    def hold_timers(self) -> None:
        """No tick by itself, while a test wants to be the only one who starts services."""
        self.machine.run("systemctl", "stop", "automapost.target")
        self.wait_idle()

    def release_timers(self) -> None:
        self.machine.run("systemctl", "start", "automapost.target")

    def wait_idle(self, seconds: float = 60) -> None:
        """Until no service of ours is at work."""
        at_work = ["systemctl", "list-units", "--no-legend", "--plain",
                   "--state=activating,deactivating", "automapost-*.service"]
        self.machine.wait_until(lambda: not self.machine.read(*at_work), seconds,
                                "no service of ours runs")

    def settle_down(self, seconds: float = 60, env: Optional[dict] = None) -> int:
        """As a World's: starts services until nothing is due."""
        ticks = 0

        def at_rest() -> bool:
            nonlocal ticks
            self.start("social-media")
            ticks += 1
            return self.value(w.NEXT_DUE) is None

        try:
            self.machine.wait_until(at_rest, seconds, "at rest")
        except HarnessError as error:
            raise HarnessError(f"{error}\n{self.unsettled()}") from None
        return ticks

    def unit_journal(self, service: str, *options: str) -> list:
        return self.machine.journal(f"--unit=automapost-{service}.service", *options)

    def receiver_inside(self, kind: type, **options: Any) -> Any:
        """A fake platform that listens on the machine's own loopback."""
        with self.machine.network():
            return kind(**options)

    def files(self) -> set:
        """Every path on the disk, but for what a running system writes by itself."""
        prune: list = []
        for folder in VOLATILE:
            prune += ["-path", folder, "-prune", "-o"]
        return set(self.machine.read("find", "/", "-xdev", *prune, "-print").splitlines())

    def close(self) -> None:
        if self.db is not None:
            self.db.close()

