# SPDX-License-Identifier: MIT
"""Mail as a mail server takes it and a reader's program shows it.

Each call is one run of mail-call (its path in MAIL_CALL), so that what is tested is what services
link: the message, the conversation, the classes."""

import email.utils
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from harness.certificate import Certificate, make  # noqa: E402
from harness.mail import MailServer  # noqa: E402

PROGRAM = os.environ.get("MAIL_CALL", "")
pytestmark = pytest.mark.skipif(not PROGRAM, reason="MAIL_CALL names no program")

LOGIN = ("user", "correct horse")
TEXT = "Grüße,\n\nder Beitrag = „da“ \n.\nFrom here it goes on\n" + "x" * 1200 + "\n"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> Certificate:
    return make(tmp_path_factory.mktemp("tls"))


def call(port: int, settings: dict | None = None, **mail: Any) -> dict:
    env = {name: value for name, value in os.environ.items()
           if not name.startswith("AUTOMAPOST_")}
    env |= {"AUTOMAPOST_SMTP_HOST": "127.0.0.1", "AUTOMAPOST_SMTP_PORT": str(port),
            "AUTOMAPOST_SMTP_TLS": "none", "all_proxy": "http://127.0.0.1:9"} | (settings or {})
    mail = {"from": "AutomaPost <alerts@example.org>", "to": "operator@example.org",
            "subject": "Posts are not going out", "text": TEXT, "id": "4711"} | mail
    done = subprocess.run([PROGRAM], input=json.dumps(mail), text=True, env=env,
                          capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


def failure(answer: dict) -> tuple:
    assert not answer["ok"]
    return answer["error"]["class"], answer["error"]["code"]


def encrypted(certificate: Certificate, security: str = "starttls", **more: str) -> dict:
    return {"AUTOMAPOST_SMTP_TLS": security, "AUTOMAPOST_SMTP_HOST": "localhost",
            "AUTOMAPOST_CA_FILE": str(certificate.certificate), "AUTOMAPOST_SMTP_USER": LOGIN[0],
            "AUTOMAPOST_SMTP_PASSWORD": LOGIN[1], **more}


def test_what_a_reader_sees() -> None:
    subject = "Предупреждение: posts are not going out, and have not been since half past two 🦆"
    with MailServer() as server:
        assert call(server.port, subject=subject, to="Ночная смена <operator@example.org>",
                    date="2026-11-05T06:41:09Z",
                    headers=["List-Unsubscribe: <https://example.org/u>"])["ok"]
    mail, = server.mails
    message = mail.message
    assert (mail.sender, mail.recipient) == ("alerts@example.org", "operator@example.org")
    assert message.defects == []
    assert message["subject"] == subject
    assert message["to"].addresses[0].display_name == "Ночная смена"
    assert message["from"].addresses[0].addr_spec == "alerts@example.org"
    assert message["date"].datetime == datetime(2026, 11, 5, 6, 41, 9, tzinfo=timezone.utc)
    assert message["message-id"] == "<4711@example.org>"
    assert message["auto-submitted"] == "auto-generated"
    assert message["list-unsubscribe"] == "<https://example.org/u>"
    assert message["mime-version"] == "1.0"
    assert message.get_content_type() == "text/plain"
    assert mail.text == TEXT
    assert max(map(len, mail.raw.split(b"\r\n"))) <= 76
    assert mail.raw.isascii() and b"\n" not in mail.raw.replace(b"\r\n", b"")


def test_both_kinds_of_text() -> None:
    html = "<p>Grüße = <b>da</b></p>\n"
    with MailServer() as server:
        assert call(server.port, html=html)["ok"]
    message = server.mails[0].message
    assert message.defects == []
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    assert (server.mails[0].body("plain"), server.mails[0].body("html")) == (TEXT, html)


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_encrypted_and_logged_in(certificate: Certificate, security: str) -> None:
    with MailServer(security=security, context=certificate.context(), login=LOGIN) as server:
        assert call(server.port, encrypted(certificate, security))["ok"]
    mail, = server.mails
    assert mail.encrypted and mail.login == LOGIN[0]


def test_a_wrong_password_is_for_the_operator(certificate: Certificate) -> None:
    with MailServer(security="starttls", context=certificate.context(), login=LOGIN) as server:
        answer = call(server.port, encrypted(certificate, AUTOMAPOST_SMTP_PASSWORD="battery staple"))
        assert failure(answer) == ("config", "5.7.8")
        assert "battery" not in answer["error"]["message"]
        nobody = call(server.port, encrypted(certificate, AUTOMAPOST_SMTP_USER="",
                                             AUTOMAPOST_SMTP_PASSWORD=""))
        assert failure(nobody) == ("config", "5.7.0")
    assert server.mails == []


def test_no_password_goes_over_an_open_connection(certificate: Certificate) -> None:
    """A server that offers no encryption, or one in whose place somebody else answers."""
    said = []

    def overhear(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"220 open\r\n")
            while data := connection.recv(4096):
                said.append(data)
                connection.sendall(b"250-open\r\n250 AUTH PLAIN LOGIN\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=overhear, args=(listener,))
        thread.start()
        answer = call(listener.getsockname()[1], encrypted(certificate))
        thread.join(10)
    assert failure(answer) == ("config", "tls")
    assert b"AUTH" not in b"".join(said) and b"MAIL" not in b"".join(said)
    with MailServer() as server:
        answer = call(server.port, {"AUTOMAPOST_SMTP_USER": "user",
                                    "AUTOMAPOST_SMTP_PASSWORD": "secret"})
        assert failure(answer) == ("config", "operator-action")
    assert server.mails == []


def test_a_certificate_that_nobody_vouches_for(certificate: Certificate, tmp_path: Path) -> None:
    other = make(tmp_path)
    elsewhere = make(tmp_path, "DNS:mail.example.org")
    with MailServer(security="starttls", context=certificate.context(), login=LOGIN) as server:
        assert failure(call(server.port, encrypted(other))) == ("transient", "tls")
    with MailServer(security="tls", context=elsewhere.context(), login=LOGIN) as server:
        assert failure(call(server.port, encrypted(elsewhere, "tls"))) == ("transient", "tls")
    assert server.mails == []


@pytest.mark.parametrize("recipient, expected", [
    ("unknown", ("permanent", "5.1.1")),
    ("full", ("transient", "4.2.2")),
    ("relay", ("config", "5.7.1")),         # not that recipient's fault
    ("bare", ("permanent", "550")),
    ("spam", ("config", "5.7.1")),
    ("broken", ("permanent", "5.6.0")),
    ("busy", ("transient", "4.3.0")),
])
def test_what_the_server_says_decides(recipient: str, expected: tuple) -> None:
    with MailServer() as server:
        answer = call(server.port, to=f"{recipient}@example.org")
    assert failure(answer) == expected
    assert "the mail server 127.0.0.1 answered " in answer["error"]["message"]
    assert server.mails == []


def test_an_answer_that_is_lost_may_have_been_yes() -> None:
    with MailServer() as server:
        answer = call(server.port, to="drop@example.org")
        assert failure(answer) == ("unknown-outcome", "unconfirmed")
        assert len(server.mails) == 1


def test_a_server_that_hangs() -> None:
    with MailServer() as server:
        answer = call(server.port, to="hang@example.org", timeout_msec=700)
        assert failure(answer) == ("unknown-outcome", "unconfirmed")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        answer = call(silent.getsockname()[1], timeout_msec=300)
        assert failure(answer) == ("transient", "platform-down")


def test_no_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert failure(call(port)) == ("transient", "platform-down")
    assert failure(call(port, {"AUTOMAPOST_SMTP_HOST": ""})) == ("config", "operator-action")
    assert failure(call(port, {"AUTOMAPOST_SMTP_HOST": "mail.invalid"})) == \
        ("transient", "platform-down")


def test_addresses() -> None:
    with MailServer() as server:
        assert failure(call(server.port, to="operator")) == ("permanent", None)
        assert failure(call(server.port, to="a@b\r\nBcc: c@d")) == ("permanent", None)
        assert failure(call(server.port, **{"from": "nobody"})) == ("config", None)
    assert server.mails == []


def test_a_header_cannot_be_smuggled_in() -> None:
    with MailServer() as server:
        assert call(server.port, subject="a\r\nBcc: victim@example.org\r\n\r\nb")["ok"]
    message = server.mails[0].message
    assert message["bcc"] is None
    assert message["subject"].split() == ["a", "Bcc:", "victim@example.org", "b"]
    assert email.utils.parseaddr(message["to"])[1] == "operator@example.org"
