# SPDX-License-Identifier: MIT
"""Names and certificates under the hardening: a receiver with a name that only DNS knows, and a
certificate of a private authority that only AUTOMAPOST_CA_FILE knows."""

import socket
import ssl
import struct
import subprocess
import threading
from pathlib import Path

import pytest

from harness import app
from integration import publishing
from webhook_receiver import DEFAULT_SECRET, WebhookReceiver

from . import site as s

NAME = "hooks.example.test"
CA_FILE = "/etc/automapost-jobs/authority.pem"


class NameServer:
    """Knows one name, by IPv4; everything else does not exist. UDP, on port 53 of the loopback."""

    def __init__(self, name: str):
        self.name = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
        self.asked = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 53))
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> "NameServer":
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._socket.sendto(b"", self._socket.getsockname())       # the last one
        self._thread.join(10)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            query, client = self._socket.recvfrom(512)
            if not query:
                return
            self._socket.sendto(self._answer(query), client)

    def _answer(self, query: bytes) -> bytes:
        end = query.index(b"\0", 12) + 1
        name, kind = query[12:end], struct.unpack("!H", query[end:end + 2])[0]
        known = name.lower() == self.name + b"\0"
        address = known and kind == 1
        self.asked += address
        flags = 0x8180 if known else 0x8183         # no error, or no such name
        header = query[:2] + struct.pack("!HHHHH", flags, 1, int(address), 0, 0)
        answer = b"\xc0\x0c" + struct.pack("!HHIH4s", 1, 1, 60, 4, bytes([127, 0, 0, 1]))
        return header + query[12:end + 4] + (answer if address else b"")


class TlsReceiver(WebhookReceiver):
    def __init__(self, certificate: Path):
        super().__init__()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        # The handshake is the connection's own thread's business: one that fails holds up nobody.
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True,
                                                  do_handshake_on_connect=False)
        self.url = f"https://{NAME}:{self.port}"


def openssl(*words: object) -> None:
    subprocess.run(["openssl", *map(str, words)], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory) -> dict:
    """A private authority and a server's certificate and key by it."""
    folder = tmp_path_factory.mktemp("certificates")
    authority, key = folder / "authority.pem", folder / "authority.key"
    server, request = folder / "server.pem", folder / "request.pem"
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", key, "-out", authority, "-days", "2", "-subj", "/CN=A private authority")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", folder / "server.key", "-out", request, "-subj", f"/CN={NAME}",
            "-addext", f"subjectAltName=DNS:{NAME}")
    openssl("x509", "-req", "-in", request, "-CA", authority, "-CAkey", key, "-CAcreateserial",
            "-days", "2", "-copy_extensions", "copy", "-out", server)
    server.write_bytes(server.read_bytes() + (folder / "server.key").read_bytes())
    return {"authority": authority.read_text(), "server": server}


@pytest.fixture
def receiver(site, certificates):
    site.machine.write("/etc/resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:2\n")
    with site.machine.network():
        fake, names = TlsReceiver(certificates["server"]), NameServer(NAME)
    with fake, names:
        fake.names = names
        yield site.receiver(s.w.Webhooks(fake))
    site.machine.run("rm", "/etc/resolv.conf")
    site.receivers.clear()
    site.posts.clear()
    site.configure()


def test_private_authority_and_real_name(site, receiver, certificates):
    """Not trusted, nothing is sent; trusted, the same post goes out."""
    post = site.post(receiver.account(site))
    site.start("social-media")
    waiting = publishing.delivery(site, post)
    assert waiting.state == "pending" and "certificate" in waiting.detail, waiting
    assert receiver.fake.log == []

    site.machine.write(CA_FILE, certificates["authority"], mode=0o644)
    site.configure(CA_FILE=CA_FILE)
    site.automapost("wake", waiting_job(site, post))
    site.start("social-media")
    assert publishing.delivery(site, post).state == "sent"
    site.assert_exactly_once()
    assert receiver.fake.names.asked > 0
    site.machine.run("rm", CA_FILE)


def test_a_name_that_does_not_exist(site, receiver):
    user = app.member(site.db)
    account = s.w.Account(app.account(site.db, user, "webhook", "https://nowhere.example.test/hook",
                                      access_token=DEFAULT_SECRET), user, receiver)
    post = site.post(account)
    site.start("social-media")
    waiting = publishing.delivery(site, post)
    assert waiting.state == "pending" and "nowhere.example.test" in waiting.detail, waiting
    site.automapost("cancel", waiting_job(site, post))


def waiting_job(site, post) -> str:
    return site.value("SELECT job_id::text FROM automapost.post_deliveries WHERE post_id = %s",
                      (post.id,))


def test_cleanup_needs_no_network(site):
    """Where the database is on this machine, without one it does the same."""
    machine, folder = site.machine, "/etc/systemd/system/automapost-cleanup.service.d"
    security = ["systemd-analyze", "security", "--threshold=6", "automapost-cleanup.service"]
    assert machine.run(*security, check=False).returncode != 0
    machine.run("mkdir", folder)
    machine.run("ln", "-s", "/usr/share/automapost-jobs/local-database.conf", folder)
    machine.run("systemctl", "daemon-reload")
    try:
        machine.run(*security)
        site.start("cleanup")
        unit = machine.show("automapost-cleanup.service", "Result", "ExecMainStatus",
                            "PrivateNetwork")
        assert unit == {"Result": "success", "ExecMainStatus": "0", "PrivateNetwork": "yes"}
    finally:
        machine.run("rm", "-r", folder)
        machine.run("systemctl", "daemon-reload")


def test_the_application_is_called(site, webhooks):
    """A type with handler http: by the hardened unit, signed with a credential that is root's."""
    site.machine.write("/etc/automapost-jobs/credentials/jobs-secret", DEFAULT_SECRET + "\n",
                       mode=0o600)
    webhooks.fake.register("/jobs", DEFAULT_SECRET)
    site.as_owner("INSERT INTO automapost.job_definitions (name, handler, http_url, http_credential)"
                  f" VALUES ('report', 'http', '{webhooks.fake.url}/jobs', 'jobs-secret')")
    job = site.value("SELECT id FROM automapost.enqueue('report', '{\"month\": 11}')")
    site.start("queue")
    assert site.value("SELECT status FROM automapost.job_queue WHERE id = %s", (job,)) \
        == "completed", site.unit_journal("queue")[-5:]
    called, = webhooks.fake.deliveries
    assert (called.id, called.payload["data"]["payload"]) == (job, {"month": 11})
    webhooks.fake.deliveries.clear()
    site.as_owner("DELETE FROM automapost.job_queue WHERE job_type = 'report';"
                  "DELETE FROM automapost.job_definitions WHERE name = 'report'")
    site.machine.run("rm", "/etc/automapost-jobs/credentials/jobs-secret")
