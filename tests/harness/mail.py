# SPDX-License-Identifier: MIT
"""A mail server: aiosmtpd, which speaks STARTTLS, TLS and AUTH, on a port that the kernel chose.

It takes a mail or refuses it by what the recipient's local part says (see Rules), and keeps what it
took as Mail: the message as a reader's program parses it, and the bytes as they came.
"""

import asyncio
import email
import email.policy
import ssl
import threading
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Callable, Optional

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

from .process import HarnessError

# What a recipient of that local part is answered, at RCPT and at the end of DATA.
AT_RCPT = {
    "unknown": "550 5.1.1 no such user",
    "full": "452 4.2.2 mailbox full",
    "relay": "550 5.7.1 relaying denied",
    "bare": "550 no",
}
AT_DATA = {
    "spam": "554 5.7.1 message refused",
    "broken": "554 5.6.0 that is no message",
    "busy": "451 4.3.0 try again later",
}


@dataclass(frozen=True)
class Mail:
    sender: str
    recipient: str
    raw: bytes
    encrypted: bool
    login: Optional[str]

    @property
    def message(self) -> EmailMessage:
        return email.message_from_bytes(self.raw, policy=email.policy.default)

    @property
    def subject(self) -> str:
        return self.message["subject"]

    @property
    def text(self) -> str:
        return self.body("plain")

    def body(self, kind: str) -> str:
        """Of "plain" or "html", lines ending with \\n."""
        return self.message.get_body((kind,)).get_content().replace("\r\n", "\n")


class _Handler:
    def __init__(self, server: "MailServer"):
        self.server = server

    async def handle_RCPT(self, _server, _session, envelope, address, _options):
        refusal = AT_RCPT.get(address.split("@")[0]) or self.server.refuse_with
        if refusal:
            self.server.note_refusal(address)
            return refusal
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, smtp, session, envelope):
        local = envelope.rcpt_tos[0].split("@")[0]
        if local in AT_DATA:
            return AT_DATA[local]
        if local == "hang":
            await self.server.stopping.wait()
        mail = Mail(envelope.mail_from, envelope.rcpt_tos[0], envelope.original_content,
                    smtp.transport.get_extra_info("ssl_object") is not None,
                    session.auth_data and session.auth_data.login.decode())
        self.server.take(mail)
        if local == "drop":             # taken, but nobody hears of it
            smtp.transport.abort()
        return "250 2.0.0 taken"


class MailServer:
    """security: starttls (required), tls or none. With a login, mail is taken after AUTH alone."""

    def __init__(self, *, security: str = "none", context: Optional[ssl.SSLContext] = None,
                 login: Optional[tuple] = None):
        self.security = security
        self.mails: list = []
        self.refused: list = []                     # recipients
        self.refuse_with: Optional[str] = None      # everybody, e.g. "451 4.3.2 not now"
        self.port = 0
        self._context = context
        self._login = login
        self._changed = threading.Condition()
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._thread: Optional[threading.Thread] = None
        self.stopping: Optional[asyncio.Event] = None

    def __enter__(self) -> "MailServer":
        self.start()
        return self

    def __exit__(self, *_) -> None:
        self.stop()

    def start(self) -> None:
        """Again after stop(): on the same port."""
        started = threading.Event()
        failed: list = []

        async def serve() -> None:
            self._loop = asyncio.get_running_loop()
            self.stopping = asyncio.Event()
            try:
                server = await self._loop.create_server(
                    self._make, "127.0.0.1", self.port,
                    ssl=self._context if self.security == "tls" else None)
            except OSError as error:
                failed.append(error)
                started.set()
                return
            self.port = server.sockets[0].getsockname()[1]
            started.set()
            async with server:
                await self.stopping.wait()

        self._thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
        self._thread.start()
        started.wait(10)
        if failed:
            raise HarnessError(f"the mail server cannot listen: {failed[0]}")

    def stop(self) -> None:
        """As for an outage: connections are refused until start()."""
        if self._thread is not None:
            self._loop.call_soon_threadsafe(self.stopping.set)
            self._thread.join(10)
            self._thread = None

    def _make(self) -> SMTP:
        return SMTP(_Handler(self), hostname="mail.example.test", ident="peer",
                    tls_context=self._context if self.security == "starttls" else None,
                    require_starttls=self.security == "starttls",
                    auth_required=self._login is not None,
                    auth_require_tls=self.security == "starttls",
                    authenticator=self._authenticate)

    def _authenticate(self, _server, _session, _envelope, _mechanism, data) -> AuthResult:
        good = isinstance(data, LoginPassword) and \
            (data.login.decode(), data.password.decode()) == self._login
        return AuthResult(success=good, handled=good, auth_data=data)

    def take(self, mail: Mail) -> None:
        with self._changed:
            self.mails.append(mail)
            self._changed.notify_all()

    def note_refusal(self, address: str) -> None:
        with self._changed:
            self.refused.append(address)
            self._changed.notify_all()

    def wait_until(self, condition: Callable[[], bool], seconds: float = 10) -> bool:
        with self._changed:
            return self._changed.wait_for(condition, seconds)
