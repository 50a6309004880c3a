# SPDX-License-Identifier: MIT
"""The base of the fake platforms: an HTTP server that remembers, and that fails on command.

This is a fake: a counterpart for tests, on 127.0.0.1 only, with all state in memory. It logs
every request, answers what the subclass decides in `process()`, and plays scripted faults
around it (an answer lost, a connection closed, a server that hangs), because those are the
moments in which a publisher doubles or loses a post. It does not do TLS, chunked request
bodies, redirects or pipelining, and it does not check anything itself: the rules of a platform
are in the subclass.
"""
from __future__ import annotations

import argparse
import json
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import Message
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self, TextIO
from urllib.parse import parse_qs

FAULT_KINDS = (
    "answer",               # answer status, headers, body; nothing is processed
    "process-then-answer",  # process (publish), then answer status, headers, body instead
    "process-then-close",   # process, then close the connection without an answer
    "close",                # close the connection; nothing is processed
    "hang-before",          # wait for release(), then process and answer
    "hang-after",           # process, wait for release(), then answer
    "delay",                # wait `seconds`, then process and answer
)


@dataclass
class Answer:
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @classmethod
    def json(cls, status: int, value: Any, **headers: str) -> Answer:
        """`headers` are named with underscores: x_restli_id="…" is x-restli-id."""
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        return cls(status, {"content-type": "application/json", **named},
                   json.dumps(value, ensure_ascii=False).encode())


@dataclass
class Exchange:
    """One request as received, and what became of it."""
    time: float
    method: str
    target: str                      # as on the request line, query included, still encoded
    headers: Message                 # case-insensitive: headers.get("content-type")
    body: bytes
    fault: Fault | None = None
    processed: Answer | None = None  # what process() decided; None: it was not asked
    answer: Answer | None = None     # what was sent; None: nothing (yet)

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> dict[str, str]:
        raw = self.target.partition("?")[2]
        return {name: values[-1] for name, values in parse_qs(raw, True).items()}

    def media_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def bearer(self) -> str:
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else ""


@dataclass
class Fault:
    """A scripted failure. `reached` is set when a request meets it; release() ends a hang."""
    match: str | Callable[[Exchange], bool]
    kind: str
    times: float                     # how many more requests it meets; math.inf for all
    answer: Answer
    seconds: float
    reset: bool
    reached: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def matches(self, exchange: Exchange) -> bool:
        if callable(self.match):
            return self.match(exchange)
        return fnmatchcase(f"{exchange.method} {exchange.path}", self.match)

    def release(self) -> None:
        self.released.set()


class Fake:
    """Start with `with`, or start() and stop(). `url` is known from the constructor on."""

    def __init__(self, *, port: int = 0, record_file: TextIO | None = None) -> None:
        self.lock = threading.Condition(threading.RLock())
        self.log: list[Exchange] = []
        self.published: list[dict[str, Any]] = []
        self.errors: list[BaseException] = []
        self.clock_offset = 0.0
        self._faults: list[Fault] = []
        self._record_file = record_file
        self._stopping = threading.Event()
        self._server = _Server(self, port)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True)
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    # For subclasses.

    def process(self, request: Exchange) -> Answer:
        """Decides the answer. Runs under `lock`, so a request is all or nothing."""
        raise NotImplementedError

    def record(self, **fields: Any) -> None:
        """Notes an accepted publication, before it is answered: it stands even if nobody hears."""
        fields["time"] = self.now()
        with self.lock:
            self.published.append(fields)
            if self._record_file is not None:
                print(json.dumps(fields, ensure_ascii=False), file=self._record_file, flush=True)

    # For tests.

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends every connection, hung ones too; raises what went wrong inside the fake."""
        self._stopping.set()
        with self.lock:
            for fault in self._faults:
                fault.release()
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()
        self._server.close_connections()
        if self.errors:
            raise self.errors[0]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def fault(self, match: str | Callable[[Exchange], bool], kind: str, times: float = 1, *,
              status: int = 500, headers: dict[str, str] | None = None,
              body: bytes | str = b"", seconds: float = 0.0, reset: bool = False) -> Fault:
        """Scripts a failure for the next `times` requests that match.

        `match` is a function of the exchange, or a pattern for "METHOD path" without the query
        ("POST /rest/posts", "* /rest/*"). Faults are tried in the order they were given; the
        first with times left is played. `reset` makes a closing one send RST instead of FIN.
        """
        if kind not in FAULT_KINDS:
            raise ValueError(f"unknown fault kind: {kind}")
        raw = body.encode() if isinstance(body, str) else body
        fault = Fault(match, kind, times, Answer(status, headers or {}, raw), seconds, reset)
        with self.lock:
            self._faults.append(fault)
        return fault

    def clear_faults(self) -> None:
        with self.lock:
            for fault in self._faults:
                fault.release()
            self._faults.clear()

    def wait_until(self, condition: Callable[[], bool], timeout: float = 10.0) -> bool:
        """Waits until `condition` holds; it is looked at when a request arrives or is answered."""
        with self.lock:
            return self.lock.wait_for(condition, timeout)

    def now(self) -> float:
        return time.time() + self.clock_offset

    def advance(self, seconds: float) -> None:
        """Moves this fake's clock, for what depends on hours and days."""
        with self.lock:
            self.clock_offset += seconds

    # What one request goes through.

    def _take_fault(self, exchange: Exchange) -> Fault | None:
        for fault in self._faults:
            if fault.times > 0 and fault.matches(exchange):
                fault.times -= 1
                return fault
        return None

    def _process(self, exchange: Exchange) -> Answer:
        with self.lock:
            try:
                exchange.processed = self.process(exchange)
            except Exception as error:  # a bug in the fake: stop() shows it to the test
                self.errors.append(error)
                exchange.processed = Answer(500, {}, f"the fake itself failed: {error!r}".encode())
            return exchange.processed

    def handle(self, exchange: Exchange) -> Answer | None:
        """The answer to send, or None to close without one."""
        with self.lock:
            self.log.append(exchange)
            fault = exchange.fault = self._take_fault(exchange)
            self.lock.notify_all()
        answer = self._play(fault, exchange) if fault else self._process(exchange)
        with self.lock:
            exchange.answer = answer
            self.lock.notify_all()
        return answer

    def _play(self, fault: Fault, exchange: Exchange) -> Answer | None:
        if fault.kind.startswith("process-then-"):
            self._process(exchange)
        processed = self._process(exchange) if fault.kind == "hang-after" else None
        fault.reached.set()
        if fault.kind in ("close", "process-then-close"):
            return None
        if fault.kind in ("answer", "process-then-answer"):
            return fault.answer
        if fault.kind == "delay":
            self._stopping.wait(fault.seconds)
        else:
            fault.released.wait()
        if self._stopping.is_set():
            return None
        return processed or self._process(exchange)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def __init__(self, fake: Fake, port: int) -> None:
        self.fake = fake
        self._open: set[socket.socket] = set()
        self._changed = threading.Condition()
        super().__init__(("127.0.0.1", port), _Handler)

    def server_bind(self) -> None:
        # HTTPServer's own looks up the host's name, which may wait for a DNS that is not there.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._changed:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        with self._changed:
            self._open.discard(request)
            self._changed.notify_all()

    def close_connections(self) -> None:
        with self._changed:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass  # the client was faster
            self._changed.wait_for(lambda: not self._open, 10)

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):  # a client may go away whenever it likes
            self.fake.errors.append(error)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body leave in one packet
    disable_nagle_algorithm = True
    server: _Server

    def _serve(self) -> None:
        length = self.headers.get("content-length")
        if self.headers.get("transfer-encoding") or (self.command == "POST" and length is None):
            self.close_connection = True
            return self._send(Answer(411, {}, b"a content-length is required"))
        body = self.rfile.read(int(length or 0))
        exchange = Exchange(self.server.fake.now(), self.command, self.path, self.headers, body)
        answer = self.server.fake.handle(exchange)
        if answer is not None:
            return self._send(answer)
        self.close_connection = True
        if exchange.fault and exchange.fault.reset:
            linger_0 = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_0)
            self.connection.close()

    def handle_expect_100(self) -> bool:
        super().handle_expect_100()
        self.wfile.flush()  # or the client waits for it in vain before it sends the body
        return True

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status != 204:
            self.send_header("content-length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)
        self.wfile.flush()

    def log_message(self, *_: object) -> None:
        """Silent: the exchanges are in the fake's log."""


def standalone_parser(what: str) -> argparse.ArgumentParser:
    """The options that all fakes have; an argument `@FILE` reads further ones, one per line."""
    parser = argparse.ArgumentParser(description=what, fromfile_prefix_chars="@")
    parser.add_argument("--port", type=int, default=0, help="0: the kernel chooses")
    parser.add_argument("--log", metavar="FILE", type=argparse.FileType("a", encoding="utf-8"),
                        help="append one JSON line per accepted publication")
    parser.add_argument("--fault", metavar="JSON", type=json.loads, action="append", default=[],
                        help='{"match": "POST /path", "kind": "close", "times": 1, …}')
    return parser


def serve(fake: Fake, options: argparse.Namespace) -> None:
    """Runs a fake in the foreground until it is interrupted or terminated."""
    for fault in options.fault:
        fake.fault(**fault)
    with fake:
        print(f"listening on {fake.url}", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            pass
