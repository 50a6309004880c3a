# SPDX-License-Identifier: MIT
"""The servers that the services talk to, as real programs on this machine.

Pds          a Bluesky personal data server with its directory of identities (npm)
Snac         a Mastodon-compatible server (Debian's snac2; see install-snac)
Oidc         an OAuth 2 server whose refresh tokens rotate (npm)
Prism        between a client and a server: compares both with an OpenAPI document (npm)
Pgbouncer    a pool in transaction mode in front of a Cluster (Debian's pgbouncer)

Each is a context manager that starts on a port that the kernel chose and leaves nothing behind;
stop() and a second start() keep the port, for tests of an outage. Where a program is not installed
start() raises Unavailable: nothing is installed behind a test's back (see node/install).
"""

import atexit
import base64
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, NamedTuple, Optional, Sequence

import psycopg2
import psycopg2.extensions

from .postgres import Cluster
from .process import (Child, HarnessError, Notice, Unavailable, privilege_options,
                      starting_on_free_port, unprivileged_user)

HERE = Path(__file__).parent

# Never through a proxy of the environment: everybody here is on loopback.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Response(NamedTuple):
    status: int
    headers: Any            # email.message.Message: names in any case
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def expect(self, status: int = 200) -> "Response":
        if self.status != status:
            raise HarnessError(f"expected {status}, got {self.status}: {self.body[:500]!r}")
        return self


def request(method: str, url: str, *, data: Optional[dict] = None, form: Optional[dict] = None,
            token: Optional[str] = None, headers: Optional[dict] = None,
            seconds: float = 10) -> Response:
    """One HTTP request with a JSON (data) or form body; every status is an answer."""
    headers = dict(headers or {})
    body = None
    if data is not None:
        body = json.dumps(data).encode()
        headers["Content-Type"] = "application/json"
    elif form is not None:
        body = urllib.parse.urlencode(form).encode()
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    message = urllib.request.Request(url, body, headers, method=method)
    try:
        with _opener.open(message, timeout=seconds) as answer:
            return Response(answer.status, answer.headers, answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return Response(error.code, error.headers, error.read())


class Peer:
    """What the servers share: a folder, a port, a process."""

    name = ""
    host = "127.0.0.1"
    stop_signal = signal.SIGTERM

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"automapost-{type(self).__name__.lower()}-"))
        self.folder.chmod(0o755)
        self.log = self.folder / "log"
        self.port = 0
        self._child: Optional[Child] = None
        atexit.register(self.close)

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def start(self, seconds: float = 30) -> None:
        if self.port:
            self._start_on(self.port, seconds)
        else:
            starting_on_free_port(lambda port: self._start_on(port, seconds))

    def stop(self) -> None:
        """Ends the server, as for an outage: connections are refused until start()."""
        if self._child is not None:
            self._child.resume()
            self._child.stop(self.stop_signal)
            self._child = None

    def pause(self) -> None:
        """The server hangs: connections are accepted, nothing answers."""
        self._child.pause()

    def resume(self) -> None:
        self._child.resume()

    def close(self) -> None:
        atexit.unregister(self.close)
        try:
            self.stop()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def get(self, path_or_url: str, *, token: Optional[str] = None, **query) -> Response:
        url = urllib.parse.urljoin(self.url, path_or_url)
        if query:
            url += "?" + urllib.parse.urlencode(query, doseq=True)
        return request("GET", url, token=token)

    def _start_on(self, port: int, seconds: float) -> None:
        """Starts self._child and returns when it serves on port; sets self.port."""
        raise NotImplementedError

    def _abandon(self, child: Child) -> None:
        """Ends a child that did not become ready, whatever it says."""
        child.send(signal.SIGKILL)
        child.ended_within(10)


# npm


def node_folder() -> Path:
    """Where node/install put the packages."""
    if shutil.which("node") is None:
        raise Unavailable("node is not installed")
    found = subprocess.run([HERE / "node" / "install", "--where"], stdout=subprocess.PIPE,
                           text=True, check=False)
    if found.returncode != 0:
        raise Unavailable("the npm packages are not installed: run tests/harness/node/install")
    return Path(found.stdout.strip())


class NodePeer(Peer):
    """A script of node/, which tells its readiness over a pipe."""

    script = ""

    def _start_script(self, options: dict, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        scripts = self.folder / "scripts"
        if not scripts.exists():
            modules = node_folder() / "node_modules"
            scripts.mkdir()
            # node looks for packages beside the script, and the installation is elsewhere.
            (scripts / "node_modules").symlink_to(modules)
            for script in ("peer.mjs", self.script):
                shutil.copy(HERE / "node" / script, scripts)

        reader, writer = os.pipe()
        try:
            environment = {name: value for name, value in os.environ.items()
                           if not re.match(r"PDS_|NODE_|LOG_", name)}
            environment |= {"PEER_OPTIONS": json.dumps(options), "PEER_READY_FD": str(writer),
                            "NODE_ENV": "development", "LOG_LEVEL": "warn"}
            try:
                child = Child(self.name, ["node", scripts / self.script], self.log,
                              env=environment, cwd=self.folder, pass_fds=(writer,))
            finally:
                os.close(writer)
            try:
                child.wait_fd(reader, deadline)
                if not os.read(reader, 4096):
                    child.ended_within(10)
                    raise child.error(f"ended with status {child.returncode} before it was ready")
            except BaseException:
                self._abandon(child)
                raise
        finally:
            os.close(reader)
        self._child = child


class BlueskyAccount(NamedTuple):
    did: str
    handle: str
    password: str
    access_jwt: str
    refresh_jwt: str


class Pds(NodePeer):
    """A Bluesky PDS. A stop() loses the directory of identities, and with it the accounts."""

    name = "the PDS"
    script = "pds.mjs"
    host = "localhost"

    def __init__(self, *, rate_limits: bool = False):
        super().__init__()
        self.rate_limits = rate_limits

    def _start_on(self, port: int, seconds: float) -> None:
        data = self.folder / "data"
        shutil.rmtree(data, ignore_errors=True)
        data.mkdir()
        self._start_script({
            "port": port,
            "folder": str(data),
            "rateLimits": self.rate_limits,
            "secret": secrets.token_hex(16),
            "rotationKey": secrets.token_hex(32),
        }, seconds)
        self.port = port

    def query(self, method: str, token: Optional[str] = None, **parameters) -> Response:
        return self.get(f"/xrpc/{method}", token=token, **parameters)

    def call(self, method: str, data: Optional[dict] = None,
             token: Optional[str] = None) -> Response:
        return request("POST", f"{self.url}/xrpc/{method}", data=data, token=token)

    def create_account(self, name: str) -> BlueskyAccount:
        """An account name.test (at least three letters before the dot)."""
        password = secrets.token_hex(8)
        answer = self.call("com.atproto.server.createAccount", {
            "handle": f"{name}.test", "email": f"{name}@example.test", "password": password,
        }).expect().json()
        return BlueskyAccount(answer["did"], answer["handle"], password, answer["accessJwt"],
                              answer["refreshJwt"])

    def records(self, did: str, collection: str = "app.bsky.feed.post") -> list:
        """What the account published: {uri, cid, value} each, newest first."""
        answer = self.query("com.atproto.repo.listRecords", repo=did, collection=collection,
                            limit=100)
        return answer.expect().json()["records"]


class Oidc(NodePeer):
    """An OAuth 2 server with rotating refresh tokens, all of it in memory."""

    name = "the OAuth 2 server"
    script = "oidc.mjs"
    client_id = "automapost-jobs-test"
    client_secret = "client-secret"

    def __init__(self, *, ttl: int = 3600, scope: str = "openid offline_access post.write",
                 auth_method: str = "client_secret_post"):
        """ttl: of access tokens, in seconds. auth_method: client_secret_post or _basic."""
        super().__init__()
        self.ttl = ttl
        self.scope = scope
        self.auth_method = auth_method

    @property
    def token_url(self) -> str:
        return f"{self.url}/token"

    def _start_on(self, port: int, seconds: float) -> None:
        self._start_script({
            "port": port,
            "ttl": self.ttl,
            "scope": self.scope,
            "clientId": self.client_id,
            "clientSecret": self.client_secret,
            "authMethod": self.auth_method,
        }, seconds)
        self.port = port

    def seed(self, account: str = "account-1") -> dict:
        """The tokens of an account that has just been connected, as the token endpoint says it:
        access_token, refresh_token, expires_in."""
        query = urllib.parse.urlencode({"account": account})
        return request("POST", f"{self.url}/seed?{query}").expect().json()

    def refresh(self, refresh_token: str) -> Response:
        """What a service does; 200 with new tokens or 400 invalid_grant."""
        return self._ask("/token", {"grant_type": "refresh_token",
                                    "refresh_token": refresh_token})

    def active(self, token: str) -> bool:
        """Whether an access or refresh token is good now."""
        return self._ask("/token/introspection", {"token": token}).expect().json()["active"]

    def _ask(self, path: str, form: dict) -> Response:
        headers = {}
        if self.auth_method == "client_secret_basic":
            pair = f"{self.client_id}:{self.client_secret}".encode()
            headers["Authorization"] = "Basic " + base64.b64encode(pair).decode()
        else:
            form = {**form, "client_id": self.client_id, "client_secret": self.client_secret}
        return request("POST", self.url + path, form=form, headers=headers)


class Prism(NodePeer):
    """Passes on to another server what the document allows, and its answers: a request that it
    does not allow is answered with 401 or 422 by Prism itself, an answer with 500.

    Where Prism cannot make sense of a schema it lets everything through: who uses it has to see it
    refuse something of each kind.
    """

    name = "Prism"
    script = "prism.mjs"

    def __init__(self, document: Path, upstream: str):
        super().__init__()
        self.document = document
        self.upstream = upstream

    def _start_on(self, port: int, seconds: float) -> None:
        self._start_script({"port": port, "document": str(self.document),
                            "upstream": self.upstream}, seconds)
        self.port = port

    def violations(self) -> list:
        """What was refused so far, and why."""
        mark = "violation: "
        return [line.removeprefix(mark) for line in self._child.output().splitlines()
                if line.startswith(mark)]


# Debian


class Snac(Peer):
    """snac2: it publishes at once, knows no Idempotency-Key and no limits, and its tokens do not
    expire. Accounts and statuses survive stop() and start()."""

    name = "snac"
    host = "localhost"
    stop_signal = signal.SIGKILL        # SIGTERM lets its threads sleep out: three seconds
    redirect = "urn:ietf:wg:oauth:2.0:oob"
    scope = "read write"

    def __init__(self) -> None:
        super().__init__()
        self.user = unprivileged_user()
        self.data = self.folder / "data"

    def _start_on(self, port: int, seconds: float) -> None:
        if shutil.which("snac") is None:
            raise Unavailable("snac is not installed: run tests/harness/install-snac")
        deadline = time.monotonic() + seconds
        if port != self.port:
            self._init(port)
        child = Child(self.name, ["snac", "httpd", self.data], self.log, user=self.user,
                      cwd=self.folder)
        try:
            child.wait_until(lambda: "httpd start" in child.output(), deadline)
        except BaseException:
            self._abandon(child)
            raise
        self._child = child
        self.port = port

    def _init(self, port: int) -> None:
        shutil.rmtree(self.data, ignore_errors=True)
        if self.user:
            shutil.chown(self.folder, self.user)
        self._snac("init", self.data, answers=["127.0.0.1", port, f"{self.host}:{port}", "", ""])
        path = self.data / "server.json"
        settings = json.loads(path.read_text(encoding="utf-8"))
        settings |= {"protocol": "http", "disable_email_notifications": True}
        path.write_text(json.dumps(settings), encoding="utf-8")

    def _snac(self, *arguments, answers: Sequence) -> str:
        """Runs the program and types the answers to its questions."""
        result = subprocess.run(
            ["setpriv", "--pdeathsig=KILL", *privilege_options(self.user), "--", "snac",
             *map(str, arguments)],
            input="".join(f"{answer}\n" for answer in answers), stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, cwd=self.folder, timeout=30, text=True, check=False)
        if result.returncode != 0:
            raise HarnessError(f"snac {arguments[0]} failed:\n{result.stdout}")
        return result.stdout

    def create_account(self, name: str) -> str:
        """An account name@localhost:port; its access token, got as an application gets one."""
        said = self._snac("adduser", self.data, answers=[name, name])
        password = re.search(r"password is (\S+)", said, re.IGNORECASE)
        if password is None:
            raise HarnessError(f"snac adduser told no password:\n{said}")
        application = request("POST", f"{self.url}/api/v1/apps", form={
            "client_name": "automapost-jobs-test", "redirect_uris": self.redirect,
            "scopes": self.scope,
        }).expect().json()
        login = request("POST", f"{self.url}/oauth/x-snac-login", form={
            "login": name, "passwd": password[1], "redir": self.redirect,
            "cid": application["client_id"], "state": "state",
        }).expect()
        code = login.body.decode().partition("&")[0].strip()
        return request("POST", f"{self.url}/oauth/token", form={
            "grant_type": "authorization_code", "code": code, "redirect_uri": self.redirect,
            "client_id": application["client_id"], "scope": self.scope,
            "client_secret": application["client_secret"],
        }).expect().json()["access_token"]

    def post_status(self, token: str, status: str, **fields) -> dict:
        return request("POST", f"{self.url}/api/v1/statuses", token=token,
                       data={"status": status, **fields}).expect().json()

    def statuses(self, token: str, limit: int = 40) -> list:
        """The statuses of the token's account, newest first."""
        account = self.get("/api/v1/accounts/verify_credentials", token=token).expect().json()
        return self.get(f"/api/v1/accounts/{account['id']}/statuses", token=token,
                        limit=limit).expect().json()


class Pgbouncer(Peer):
    """A pool in transaction mode with so few server connections that clients share them."""

    name = "pgbouncer"

    def __init__(self, cluster: Cluster, *, users: Sequence[str] = ("postgres",),
                 settings: Optional[dict] = None):
        """users: who may connect (no password is asked). settings: of pgbouncer.ini."""
        super().__init__()
        self.cluster = cluster
        self.users = users
        self.settings = {"pool_mode": "transaction", "default_pool_size": 2, **(settings or {})}
        self.user = unprivileged_user("postgres")

    def _start_on(self, port: int, seconds: float) -> None:
        program = shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin")
        if program is None:
            raise Unavailable("pgbouncer is not installed (package pgbouncer)")
        deadline = time.monotonic() + seconds
        if self.user:
            shutil.chown(self.folder, self.user)
        userlist = self.folder / "users"
        userlist.write_text("".join(f'"{user}" ""\n' for user in self.users), encoding="utf-8")
        settings = {
            "listen_addr": self.host,
            "listen_port": port,
            # Without a second place to listen it fails when the port is taken.
            "unix_socket_dir": "",
            "auth_type": "trust",
            "auth_file": userlist,
            "admin_users": "postgres",
            **self.settings,
        }
        lines = ["[databases]",
                 f"* = host={self.cluster.socket_dir} port={self.cluster.port}",
                 "[pgbouncer]", *(f"{name} = {value}" for name, value in settings.items())]
        ini = self.folder / "pgbouncer.ini"
        ini.write_text("\n".join(lines) + "\n", encoding="utf-8")
        with Notice(self.folder / "notify") as notice:
            child = Child(self.name, [program, ini], self.log, user=self.user, cwd=self.folder,
                          env={**os.environ, **notice.environment})
            try:
                notice.wait_ready(child, deadline)
            except BaseException:
                self._abandon(child)
                raise
        self._child = child
        self.port = port

    def database_url(self, dbname: str = "postgres", user: str = "postgres", **parameters) -> str:
        """A libpq URL of a database behind the pool."""
        quoted = urllib.parse.quote(user), urllib.parse.quote(dbname)
        base = f"postgresql://{quoted[0]}@{self.host}:{self.port}/{quoted[1]}"
        return f"{base}?{urllib.parse.urlencode(parameters)}" if parameters else base

    def connect(self, dbname: str = "postgres",
                user: str = "postgres") -> psycopg2.extensions.connection:
        connection = psycopg2.connect(self.database_url(dbname, user))
        connection.autocommit = True
        return connection
