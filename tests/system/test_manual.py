# SPDX-License-Identifier: MIT
"""The examples of the manual that are systemd's, or the machine's, typed on a booted machine as they
are printed; those of the command itself are run by tests/integration/test_manual.py."""

import re

import pytest

from harness import app, manual

from . import site as s

EXAMPLES = sorted({example for example in manual.all_examples()
                   if not example.startswith("$ automapost ")})
RUN_FINISHED = "38a487774eb0487db9e3e06a69fdc890"
JOB_FAILED = "9487f35f71c043a7bae1be25765fb5da"

# What an example begins with: its exit statuses, and what it says where one post has been published
# and one has failed.
EXPECTED = {
    "systemctl start automapost-": ({0}, r""),
    "systemctl reload automapost-realtime.service": ({0}, r""),
    "systemctl disable --now automapost-realtime.service": ({0}, r""),
    # 3: it is not at work at this moment
    "systemctl status automapost-social-media.service": ({0, 3}, r"AutomaPost: publish due posts"),
    "systemctl status automapost-social-media.timer": ({0}, r"Trigger: "),
    "systemctl status automapost-realtime.service": ({0}, r"Status: \"done "),
    "systemctl status": ({0}, r"State: "),
    "systemctl list-timers 'automapost-*'": ({0}, r"automapost-social-media\.timer"),
    "systemctl is-enabled automapost-social-media.timer": ({0}, r"enabled"),
    "journalctl -u automapost-social-media -n 20": ({0}, r"Finished: claimed 1, published 1"),
    "journalctl -u 'automapost-*' --since": ({0}, r"Finished: claimed 1, published 1"),
    "journalctl -x -u 'automapost-*'": ({0}, r"Its history: automapost show "),
    "journalctl -u 'automapost-*' -p ": ({0}, r"automapost-|-- No entries --"),
    "journalctl AUTOMAPOST_JOB_ID=": ({0}, r"published on Webhook"),
    f"journalctl MESSAGE_ID={RUN_FINISHED}": ({0}, r"Finished: claimed 1, published 1"),
    f"journalctl MESSAGE_ID={JOB_FAILED}": ({0}, r"Job [0-9a-f-]{36} failed"),
    "automapost setup --adopt": ({0}, r"^Nothing to take over"),
    "automapost alert --test": ({78}, r"AUTOMAPOST_ALERT_"),
    "pg_isready": ({0}, r"accepting connections"),
    "df -h": ({0}, r"Filesystem"),
    "timedatectl": ({0}, r"Universal time: "),
}


@pytest.fixture(scope="module")
def lived_in(site, timers_of_a_module):
    """Everything runs; one post has been published, and one cannot be."""
    user = app.member(site.db)
    app.post(site.db, user, "for a platform without code", s.w.utc_now(), [],
             [app.account(site.db, user, "google", "remote", "token")])
    site.start("social-media")
    with site.receiver_inside(s.w.WebhookReceiver) as fake:
        post = site.post(s.w.Webhooks(fake).account(site))
        site.start("social-media")
    site.machine.run("systemctl", "enable", "--now", "automapost-realtime.service")
    yield site.value("SELECT job_id::text FROM automapost.post_deliveries WHERE post_id = %s",
                     (post.id,))
    site.machine.run("systemctl", "disable", "--now", "automapost-realtime.service")
    site.posts.clear()


def expected(example: str) -> tuple:
    """By the longest beginning."""
    starts = [start for start in EXPECTED if example[2:].startswith(start)]
    assert starts, f"what {example!r} says is not known here"
    return EXPECTED[max(starts, key=len)]


@pytest.mark.parametrize("example", EXAMPLES)
def test_example(site, lived_in, example):
    statuses, text = expected(example)
    if "reload automapost-realtime" in example:
        site.machine.run("systemctl", "start", "automapost-realtime.service")
    command = re.sub(r"(?<=AUTOMAPOST_JOB_ID=)\S+", lived_in, example[2:])
    done = site.machine.run("sh", "-c", command, check=False)
    assert done.returncode in statuses, done.stdout
    assert re.search(text, done.stdout), done.stdout
    if "disable --now" in example:
        site.machine.run("systemctl", "enable", "--now", "automapost-realtime.service")
