# SPDX-License-Identifier: MIT
"""The command automapost as a person at a shell has it: what it prints and its exit status, and
what it tells to type next, typed as it is printed."""

import os
import re
import subprocess
import time
from dataclasses import dataclass
from typing import Optional

from .world import World

# "23 Nov 22:58:00 +00:00 (3 min ago)": times and ages differ from run to run.
TIME = re.compile(r"\d+ [A-Z][a-z]{2} \d\d:\d\d:\d\d \+00:00 \((?:in )?[^)]*\)")


@dataclass(frozen=True)
class Said:
    status: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def first_line(self) -> str:
        return self.stdout.partition("\n")[0]

    @property
    def problems(self) -> dict:
        """Of automapost status: what is wrong, times masked, and the command printed with it."""
        found = {}
        lines = self.stdout.split("\n")
        for line, following in zip(lines, lines[1:]):
            if line.startswith("- "):
                command = following[2:] if following.startswith("  ") else None
                found[TIME.sub("TIME", line[2:])] = command
        return found

    @property
    def commands(self) -> dict:
        """Of automapost why: purpose and command."""
        return dict(line[2:].split(": ", 1) for line in self.stdout.split("\n")
                    if line.startswith("  "))

    @property
    def sentences(self) -> list:
        """Of automapost why: the sentences, times masked."""
        return [TIME.sub("TIME", line) for line in self.stdout.split("\n")
                if line and not line.startswith("  ")]


def environment(world: World, env: Optional[dict] = None) -> dict:
    here = {**world.env, "TZ": "UTC", "HOME": str(world.folder),
            "PATH": f"{world.build.program('automapost').parent}:{os.environ['PATH']}",
            **(env or {})}
    return {name: value for name, value in here.items() if value is not None}


def shell(world: World, command: str, env: Optional[dict] = None, seconds: float = 30) -> Said:
    """What a person does who types (or pastes) it."""
    begin = time.monotonic()
    done = subprocess.run(["sh", "-c", command], env=environment(world, env), text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=seconds, check=False)
    return Said(done.returncode, done.stdout, done.stderr, time.monotonic() - begin)


def administrator(world: World) -> dict:
    """The environment of one who may migrate."""
    return {"AUTOMAPOST_DATABASE_URL": world.cluster.url(world.dbname)}
