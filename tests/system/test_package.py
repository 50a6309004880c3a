# SPDX-License-Identifier: MIT
"""The package: what lintian says, and that it is the same wherever and whenever it is made."""

import os
import re
import shutil
import subprocess

import pytest

from . import site as s


def test_lintian_is_silent(package):
    if not shutil.which("lintian"):
        pytest.skip("lintian is not installed")
    changes = next(package.parent.glob("automapost-jobs_*.changes"))
    done = subprocess.run(["lintian", "-EvIL", "+pedantic", "--allow-root", changes],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300,
                          check=False)
    tags = [line for line in done.stdout.splitlines() if re.match("[EWIPXC]: ", line)]
    assert (tags, done.returncode) == ([], 0), done.stdout


def test_it_is_reproducible(package, tmp_path):
    """In another folder, zone, language and umask, at another time, without a compiler cache."""
    tree = tmp_path / "elsewhere"
    done = subprocess.run(
        ["sh", "-c", 'umask 027; exec "$@"', "sh", s.w.TOP / "packaging" / "build-deb",
         "--working-tree", tree],
        env={"PATH": os.environ["PATH"], "TZ": "Asia/Tokyo", "LC_ALL": "C", "CCACHE_DISABLE": "1",
             "DEB_BUILD_OPTIONS": "nocheck"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout
    again = tree / package.name
    if again.read_bytes() == package.read_bytes():
        return
    report = subprocess.run(["diffoscope", package, again], stdout=subprocess.PIPE, text=True,
                            check=False).stdout if shutil.which("diffoscope") else ""
    pytest.fail(f"two builds differ:\n{report[:4000]}")
