# SPDX-License-Identifier: MIT
"""Alerts as systemd runs them: from OnFailure= and by the timer, under the hardening, with the journal
and with secrets that are root's."""

import re

import pytest

from harness.certificate import make as make_certificate
from harness.mail import MailServer

from . import site as s

PASSWORD = "correct horse battery"
CREDENTIALS = "/etc/automapost-jobs/credentials"
CERTIFICATE = "/etc/automapost-jobs/test-ca.pem"
UNIT = "automapost-social-media.service"


@pytest.fixture
def people(site, timers, tmp_path):
    """An operator by mail (STARTTLS, a login whose password is a credential), a chat by webhook."""
    made = make_certificate(tmp_path)
    site.machine.write(CERTIFICATE, made.certificate.read_text(encoding="ascii"), mode=0o644)
    site.machine.write(f"{CREDENTIALS}/smtp-password", PASSWORD + "\n", mode=0o600)
    mail = MailServer(security="starttls", context=made.context(), login=("jobs", PASSWORD))
    with site.receiver_inside(s.w.WebhookReceiver) as hook:
        hook.register("/alerts", s.w.DEFAULT_SECRET)
        with site.machine.network():
            mail.start()
        try:
            site.configure(
                **s.AS_ROOT, SMTP_HOST="localhost", SMTP_PORT=str(mail.port), SMTP_USER="jobs",
                CA_FILE=CERTIFICATE, MAIL_FROM="alerts@example.org",
                ALERT_MAIL_TO="operator@example.org", ALERT_WEBHOOK_URL=f"{hook.url}/alerts",
                ALERT_WEBHOOK_SECRET=s.w.DEFAULT_SECRET, ALERT_AFTER_SEC="0", ALERT_OVER_SEC="0")
            yield hook, mail
        finally:
            mail.stop()
            site.machine.run("rm", "-f", f"{CREDENTIALS}/smtp-password", CERTIFICATE,
                             "/var/lib/automapost-jobs/alerts.json")
            site.as_owner("UPDATE automapost.alert_book SET book = '{}', taken_by = NULL,"
                          " taken_until = NULL")


def told(hook, mail) -> list:
    """Kinds and headlines, the same by both ways."""
    lines = [d.payload["text"].partition("\n")[0] for d in hook.deliveries]
    assert lines == [m.subject for m in mail.mails]
    return [(d.payload["type"], d.payload["data"]["id"]) for d in hook.deliveries]


def test_a_crash_is_told_at_once(site, webhooks, people):
    hook, mail = people
    site.post(webhooks.account(site))
    hang = webhooks.fake.fault(lambda e: e.method == "POST", "hang-after")
    site.start("social-media", wait=False)
    assert hang.reached.wait(30), site.machine.messages(f"--unit={UNIT}")
    site.machine.run("systemctl", "kill", "--signal=SEGV", UNIT)
    assert mail.wait_until(lambda: mail.mails, 60), site.machine.messages(
        f"--unit=automapost-alert@{UNIT}")
    site.wait_idle()
    hang.release()
    assert told(hook, mail) == [("alert.begun", "crash")]
    text = mail.mails[0].text
    assert re.search(rf"^{re.escape(UNIT)} ended by (signal|core-dump) SEGV$", text, re.M), text
    # what systemd says of it is among the journal's lines
    assert re.search(r"^  [\d:]+ systemd\[1\]: .*(dumped|killed).*SEGV", text, re.M), text
    assert re.search(r"^Type +journalctl -u automapost-social-media.service -n 50$", text, re.M)

    # Again and again is once; when it has run well it is over.
    site.machine.run("systemctl", "start", f"automapost-alert@{UNIT}.service")
    site.settle_down()
    site.start("alert")
    assert ("alert.over", "crash") in told(hook, mail), site.unit_journal("alert")
    assert sum(kind == "alert.begun" for kind, problem in told(hook, mail) if problem == "crash") \
        <= 2                    # by hand systemd gives no reason: another one


def test_the_database_is_stopped(site, people):
    """By the unit as it is shipped: hardened, with a password that only root can read."""
    hook, mail = people
    site.machine.run("systemctl", "stop", "postgresql")
    try:
        site.start("social-media")      # which says so in the journal
        site.start("alert")
        assert told(hook, mail) == [("alert.begun", "database-unreachable")], \
            site.machine.messages("--unit=automapost-alert.service")
    finally:
        site.machine.run("systemctl", "start", "postgresql")
    assert mail.mails[0].encrypted and mail.mails[0].login == "jobs"
    assert re.search(r"^  [\d:]+ automapost-soci\S*\[\d+\]: automapost-social-media cannot do its work",
                     mail.mails[0].text, re.M), mail.mails[0].text
    site.db.close()
    site.db = site.machine.connect(s.DATABASE)
    site.settle_down()
    site.start("alert")
    assert told(hook, mail)[-1] == ("alert.over", "database-unreachable")
    assert site.machine.show("automapost-alert.service", "Result")["Result"] == "success"


def test_the_command_tries_it(site, people):
    """As root, who may read the password."""
    hook, mail = people
    said = site.automapost("alert", "--test", user="root")
    assert "webhook: told" in said.stdout and "mail:operator@example.org: told" in said.stdout
    assert [m.subject for m in mail.mails] == ["[AutomaPost] Test: alerts reach you"]
    assert len(hook.deliveries) == 1


def test_no_secret_is_in_the_process_list_or_the_journal(site, people):
    site.start("alert")
    site.automapost("alert", "--test", user="root")
    lines = site.machine.read("journalctl", "--output=cat", "--no-pager")
    shown = site.machine.read("systemctl", "show", "automapost-alert.service")
    for secret in (PASSWORD, s.w.DEFAULT_SECRET):
        assert secret not in lines
        assert secret not in shown
