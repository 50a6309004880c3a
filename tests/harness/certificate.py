# SPDX-License-Identifier: MIT
"""A certificate for servers on this machine, and the authority to trust it by (itself)."""

import ssl
import subprocess
from pathlib import Path
from typing import NamedTuple


class Certificate(NamedTuple):
    certificate: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        """For a server."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context


def make(folder: Path, *names: str) -> Certificate:
    """Valid for localhost and 127.0.0.1 unless other names are given ("DNS:…", "IP:…")."""
    made = Certificate(folder / "certificate.pem", folder / "key.pem")
    alternatives = ",".join(names or ("DNS:localhost", "IP:127.0.0.1"))
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-keyout", made.key, "-out", made.certificate, "-days", "2", "-subj",
         "/CN=localhost", "-addext", f"subjectAltName={alternatives}"],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)
    return made
