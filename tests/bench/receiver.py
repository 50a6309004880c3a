# SPDX-License-Identifier: MIT
"""A receiver of webhooks that is no bottleneck: it answers 200 after a delay and logs the id of
every request, one per line, before it answers. It checks nothing (tests/peers/webhook_receiver.py
does that), and holds any number of connections open at once."""

import argparse
import asyncio
import re
import time

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
ID = re.compile(rb"\r\nwebhook-id: *([^\r\n]+)", re.IGNORECASE)
PATH = re.compile(rb"POST (\S+) ")
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"


class Receiver(asyncio.Protocol):
    def __init__(self, log, delay: float):
        self.log, self.delay = log, delay
        self.buffer = b""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.buffer += data
        while True:
            head, found, rest = self.buffer.partition(b"\r\n\r\n")
            if not found:
                return
            length = LENGTH.search(head)
            size = int(length[1]) if length else 0
            if len(rest) < size:
                return
            self.buffer = rest[size:]
            print(time.monotonic(), PATH.match(head)[1].decode(), ID.search(head)[1].decode(),
                  file=self.log, flush=True)
            asyncio.get_running_loop().call_later(self.delay, self.answer)

    def answer(self):
        if not self.transport.is_closing():
            self.transport.write(ANSWER)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--log", required=True)
    parser.add_argument("--delay", type=float, required=True, metavar="MS")
    options = parser.parse_args()
    with open(options.log, "a", encoding="ascii") as log:
        server = await asyncio.get_running_loop().create_server(
            lambda: Receiver(log, options.delay / 1000), "127.0.0.1", 0, backlog=1024)
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
