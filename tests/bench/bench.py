# SPDX-License-Identifier: MIT
"""What the benchmarks have in common: a durable server with the application and this project in
it, measured child processes, and results as JSON lines on stdout with a table on stderr."""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

NOBODY = 65534
HERE = Path(__file__).resolve().parent
TOP = HERE.parent.parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "peers")]

from harness import app  # noqa: E402
from harness.postgres import Cluster  # noqa: E402

SETTINGS = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on",
            "shared_buffers": "512MB", "max_wal_size": "4GB", "max_connections": "50",
            "autovacuum_naptime": "10s"}

PROGRAMS = {name: f"src/{name}"
            for name in ("automapost", "automapost-social-media", "automapost-realtime",
                         "automapost-release", "automapost-release-jobs")}


def build_folder() -> Path:
    """The release build that is measured."""
    folder = Path(os.environ["BUILD"])
    options = json.loads(subprocess.run(
        ["meson", "introspect", "--buildoptions", str(folder)], check=True,
        stdout=subprocess.PIPE).stdout)
    values = {option["name"]: option["value"] for option in options}
    if values["buildtype"] != "release" or values["stop-points"] or values["b_sanitize"] != "none":
        sys.exit(f"bench: {folder} is no plain release build: meson setup --buildtype=release")
    return folder


def durable_cluster(**settings) -> Cluster:
    return Cluster(durable=True, settings=dict(SETTINGS, **settings))


def migrate(cluster: Cluster, build: Path, dbname: str = "postgres") -> None:
    """The application's tables and this project's schema in an empty database, as the command
    makes it, with the role svc that services log in as."""
    connection = cluster.connect(dbname)
    app.install(connection)
    done = subprocess.run([build / PROGRAMS["automapost"], "migrate"], check=False, timeout=60,
                          env={"PATH": os.environ["PATH"],
                               "AUTOMAPOST_DATABASE_URL": cluster.url(dbname)},
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        sys.exit(f"bench: automapost migrate failed:\n{done.stdout}")
    cursor = connection.cursor()
    cursor.execute("CREATE ROLE svc LOGIN IN ROLE automapost_jobs_service")
    cursor.execute("UPDATE automapost.installation SET publish_from = now() - interval '1 day'")
    connection.close()


@dataclass
class Sample:
    wall: float     # ms
    cpu: float      # ms, user and system
    rss: float      # MiB, peak

    def __add__(self, other: "Sample") -> "Sample":
        """One after the other."""
        return Sample(self.wall + other.wall, self.cpu + other.cpu, max(self.rss, other.rss))


class Meter:
    """Runs commands one at a time under measure(1) of our own."""

    def __init__(self):
        self._folder = tempfile.TemporaryDirectory(prefix="automapost-bench-")
        self.folder = Path(self._folder.name)
        self._program = self.folder / "measure"
        subprocess.run([os.environ.get("CC", "cc"), "-O2", "-o", self._program,
                        HERE / "measure.c"], check=True)

    def __enter__(self) -> "Meter":
        return self

    def __exit__(self, *_) -> None:
        self._folder.cleanup()

    def run(self, argv, environment: dict, *, timeout: float = 600,
            as_service: bool = False) -> Sample:
        """The sample; the program must succeed. What it says is shown only if it does not. A service
        does not run as root: libpq would look up who that is to be for the server."""
        user = NOBODY if as_service and os.geteuid() == 0 else 0
        out, into = os.pipe()
        try:
            command = ["/bin/sh", "-c", f'exec 3>&{into}; exec "$@"', "sh", self._program, str(user),
                       *argv]
            with open(self.folder / "said", "wb") as said:
                done = subprocess.run(command, env={"PATH": os.environ["PATH"],
                                                    "HOME": "/nonexistent", **environment},
                                      pass_fds=[into], timeout=timeout, check=False,
                                      stdin=subprocess.DEVNULL, stdout=said, stderr=said)
            os.close(into)
            into = -1
            line = os.read(out, 200).split()
        finally:
            os.close(out)
            if into >= 0:
                os.close(into)
        if done.returncode != 0:
            text = (self.folder / "said").read_text(encoding="utf-8", errors="replace")
            sys.exit(f"bench: {argv[0]} ended with status {done.returncode}:\n{text[-2000:]}")
        wall, cpu, rss = map(int, line)
        return Sample(wall / 1000, cpu / 1000, rss / 1024)


def commits(cluster, name: str) -> int:
    """Once nobody is connected to it, its counters are complete."""
    deadline = time.monotonic() + 10
    while cluster.execute("SELECT 1 FROM pg_stat_activity WHERE datname = %s", (name,)):
        if time.monotonic() > deadline:
            sys.exit(f"bench: somebody stays connected to {name}")
        time.sleep(0.01)
    return cluster.execute("SELECT xact_commit FROM pg_stat_database WHERE datname = %s", (name,))[0][0]


def number(value: float) -> str:
    """Four digits that count."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def report(bench: str, metric: str, against: str, ours: list, theirs: list, unit: str) -> None:
    """One comparison: a JSON object on stdout, a line of the table on stderr. Without theirs it is a
    figure of ours that stands for itself."""
    a = statistics.median(ours)
    b = statistics.median(theirs) if theirs else None
    print(json.dumps({"bench": bench, "metric": metric, "against": against, "ours": round(a, 6),
                      "theirs": None if b is None else round(b, 6), "unit": unit,
                      "ratio": round(a / b, 4) if b else None, "runs": len(ours)}), flush=True)
    line = f"{bench:<8} {metric:<10} {against:<22} ours {number(a):>8} {unit:<5}"
    spread = f"{number(min(ours))}-{number(max(ours))}"
    if theirs:
        if not a or not b:
            ratio = "-"
        else:
            ratio = f"{a / b:.2f} x" if a >= b else f"1/{b / a:.2f}"
        line += f" theirs {number(b):>8} {unit:<5} {ratio:>9}"
        spread += f" / {number(min(theirs))}-{number(max(theirs))}"
    print(f"{line}   [{spread}]", file=sys.stderr, flush=True)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def need(program: str) -> str:
    path = shutil.which(program)
    if not path:
        sys.exit(f"bench: {program} is not installed")
    return path
