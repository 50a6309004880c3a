# SPDX-License-Identifier: MIT
"""The manual tells the truth: the runbook has every problem and every event, and every example of
the command automapost does what a page says. Examples of systemctl and journalctl are run where
systemd has booted."""

import re
import shlex

import pytest

from harness import manual

from .cli_fixtures import Command

RUNBOOK = manual.SOURCE / "automapost-runbook.7"
SECTION_OF_SEVERITY = {3: "CANNOT TELL", 2: "POSTS ARE NOT GOING OUT",
                       1: "SOMETHING WAITS FOR A PERSON"}
NAMES_H = manual.SOURCE.parent.parent / "src" / "base" / "names.h"
JOB = "0192f7c4-5a1e-7c3e-9d2b-6f0a1b2c3d4e"
MINE = [example for example in manual.all_examples() if example.startswith("$ automapost ")]


def test_runbook_has_every_problem_in_the_order_of_status(bare):
    kinds = bare("status", "--kinds", "--json").json
    sections = manual.sections(RUNBOOK)
    for severity, title in SECTION_OF_SEVERITY.items():
        assert sections[title] == [kind["id"] for kind in kinds if kind["severity"] == severity]


def test_runbook_has_every_event():
    events = re.findall(r'^#define EVENT_\w+ "([0-9a-f]{32})"$', NAMES_H.read_text("utf-8"), re.M)
    assert events
    assert [title.split()[0] for title in manual.sections(RUNBOOK)["EVENTS"]] == events


def test_every_entry_of_the_runbook_has_its_four_answers():
    entries = re.split(r"^\.Ss ", RUNBOOK.read_text("utf-8"), flags=re.M)[1:]
    for entry in entries:
        assert re.findall(r"^\.It (\w+)$", entry, re.M) == ["Members", "Check", "Mend", "Wake"], entry


@pytest.mark.parametrize("example", MINE)
def test_example(example, cli, db):
    """Each on a database in which the job of the examples has failed."""
    words = shlex.split(example)[2:]
    db.job("social-media-post", "failed", id=JOB, error_message="refused",
           payload='{"postId": "x", "authProviderId": "y", "kind": "post"}')
    if words[0] == "resume":
        cli("pause", *words[1:], "maintenance")
    if words[0] == "migrate":       # by the owner of the database
        cli = Command(cli.program, {"AUTOMAPOST_DATABASE_URL": db.url("postgres")})
    answer = cli(*words)
    assert answer.out and not answer.err
    if JOB[:8] in words and words[0] in ("show", "why"):
        assert "refused" in answer.out


def test_there_are_examples():
    assert len(MINE) > 10
