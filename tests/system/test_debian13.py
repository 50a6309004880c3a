# SPDX-License-Identifier: MIT
"""The package on Debian 13: built there from a clean checkout, and installed there."""

import re
import shutil
import subprocess

import pytest

from harness import app
from harness import machine as m
from harness.process import HarnessError

from . import site as s


def build_dependencies() -> tuple:
    """The packages of Build-Depends, of alternatives the first."""
    control = (m.TOP / "packaging" / "debian" / "control").read_text(encoding="utf-8")
    field = re.search(r"^Build-Depends:\n((?: .*\n)+)", control, re.MULTILINE)[1]
    names = [re.match(r" ([a-z0-9.+-]+)", line)[1] for line in field.splitlines()]
    return tuple(name for name in names if not name.startswith(("debhelper-", "dh-sequence-")))


@pytest.fixture(scope="module")
def image13() -> m.Image:
    """With what is needed to build and to run the package: it is large, and made once."""
    return m.debian13("build-essential", "debhelper", "git", *build_dependencies())


@pytest.fixture(scope="module")
def package13(folder, image13):
    """By the README's own line."""
    folder = folder / "debian13"
    shutil.rmtree(folder, ignore_errors=True)
    tree = folder / "automapost-jobs"
    tree.mkdir(parents=True)
    subprocess.run(["sh", "-euc", """
        revision=$(git stash create); git archive "${revision:-HEAD}" | tar -x -C "$1"
        cd "$1"; git init -q; git add --all
        git -c user.name=tests -c user.email=tests@example.test commit -qm checkout
        """, "sh", tree], cwd=m.TOP, check=True)
    done = m.run_in(image13, "sh", "-euc",
                    "git config --global --add safe.directory '*'; cd /mnt/automapost-jobs;"
                    " DEB_BUILD_OPTIONS=nocheck packaging/build-deb", bind=[tree], seconds=900)
    if done.returncode != 0:
        raise HarnessError(f"packaging/build-deb failed on Debian 13:\n{done.stdout[-4000:]}")
    return next((tree / "build" / "deb").glob("automapost-jobs_*.deb"))


def test_dependencies(package13):
    """Of the libraries by their names there, that of libcurl among them, which nothing is linked
    with."""
    depends = subprocess.run(["dpkg-deb", "--field", package13, "Depends"], check=True, text=True,
                             stdout=subprocess.PIPE).stdout
    assert "libcurl4t64 (>= 7.85)" in depends and "libpq5" in depends, depends


# Another database, by what "migrate --print" says and PostgreSQL's own client: the same schema.
PRINTED = f"""
    createdb printed
    psql -qX -d printed -f /tmp/application.sql
    automapost migrate --print | psql -qX -v ON_ERROR_STOP=1 -d printed
    dump() {{ pg_dump --schema-only --schema=automapost --restrict-key=0 "$1"; }}
    diff <(dump {s.DATABASE}) <(dump printed)
    dropdb printed
"""


def test_from_install_to_purge(package13, image13, make_site):
    site = make_site(image=image13, bind=[package13.parent])
    machine = site.machine
    before = site.files()
    said = site.install(package13).splitlines()
    assert "Installed, not configured: sudo automapost setup" in said
    site.hold_timers()
    site.make_database()
    assert site.value("SHOW server_version_num").startswith("17")
    machine.write("/tmp/application.sql", app.SCHEMA.read_text(encoding="utf-8"))
    machine.run("bash", "-euo", "pipefail", "-c", PRINTED, user="postgres")
    site.configure()
    with site.receiver_inside(s.w.WebhookReceiver) as fake:
        receiver = site.receiver(s.w.Webhooks(fake))
        site.post(receiver.account(site))
        site.start("social-media")
        site.assert_exactly_once()
        site.assert_nothing_running()
    machine.run("apt-get", "purge", "-y", "automapost-jobs")
    left = site.files() - before
    assert left <= s.KEPT, left
