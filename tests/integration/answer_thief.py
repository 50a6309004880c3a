# SPDX-License-Identifier: MIT
"""A TCP proxy in front of PostgreSQL that loses an answer on purpose.

It passes everything on until a client's statement contains the marker. That statement still
reaches the server, and is executed and committed; its answer is read to the end (ReadyForQuery)
and thrown away, and both connections are closed. The client cannot tell a commit from a loss:
what a broken network does at the worst moment. It speaks no TLS.
"""

import socket
import struct
import threading


class AnswerThief:
    """As a context manager it listens on a loopback port that the kernel chose. steal(marker) makes
    it lose the next answer to such a statement; stolen counts."""

    def __init__(self, server: tuple):
        self._server = server
        self._marker = b""
        self._lock = threading.Lock()
        self.stolen = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open: set = set()
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> "AnswerThief":
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        # shutdown() wakes the thread in accept(); close() alone would not.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            close(connection)

    def steal(self, marker: str) -> None:
        with self._lock:
            self._marker = marker.encode()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            upstream = socket.create_connection(self._server)
            with self._lock:
                self._open |= {client, upstream}
            session = _Session(self, client, upstream)
            for target in (session.forward, session.backward):
                threading.Thread(target=target, daemon=True).start()

    def _is_marked(self, data: bytes) -> bool:
        with self._lock:
            if not self._marker or self._marker not in data:
                return False
            self._marker = b""
            return True


class _Session:
    def __init__(self, thief: AnswerThief, client: socket.socket, upstream: socket.socket):
        self._thief = thief
        self._client = client
        self._upstream = upstream
        self._stealing = threading.Event()

    def forward(self) -> None:
        """Client to server. A statement of ours leaves libpq in one or few sends: the marker is
        looked for in the last two pieces together."""
        before = b""
        try:
            while data := self._client.recv(65536):
                if self._thief._is_marked(before + data):
                    self._stealing.set()    # before the statement: its answer cannot be faster
                self._upstream.sendall(data)
                before = data[-200:]
        except OSError:
            pass
        if not self._stealing.is_set():
            self._close()

    def backward(self) -> None:
        try:
            while data := self._upstream.recv(65536):
                if self._stealing.is_set():
                    if self._until_ready(data):
                        break
                    return
                self._client.sendall(data)
        except OSError:
            pass
        self._close()

    def _until_ready(self, data: bytes) -> bool:
        """Reads messages (type, length, body) up to ReadyForQuery: the server is through."""
        while True:
            while len(data) >= 5:
                (length,) = struct.unpack("!I", data[1:5])
                if len(data) < 1 + length:
                    break
                if data[:1] == b"Z":
                    with self._thief._lock:
                        self._thief.stolen += 1
                    return True
                data = data[1 + length:]
            more = self._upstream.recv(65536)
            if not more:
                self._close()
                return False
            data += more

    def _close(self) -> None:
        close(self._client)
        close(self._upstream)
        with self._thief._lock:
            self._thief._open -= {self._client, self._upstream}


def close(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    connection.close()
