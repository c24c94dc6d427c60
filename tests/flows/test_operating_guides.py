"""What the guides for operators tell people to copy: the proxies before a real Tidings, the unit of systemd, the container file, alerts, backup and restore."""

import contextlib
import http.client
import os
import re
import secrets
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.flows.commands import Server, a_data_source, answer, environment, run, serving
from tests.ports import free_port
from tidings import metrics

ROOT = Path(__file__).resolve().parents[2]
GUIDES = ROOT / "docs" / "guides"
HOST = "tidings.example.com"


def fenced(guide: str, language: str, number: int = 0) -> str:
    """A block of a guide."""
    page = (GUIDES / guide).read_text(encoding="utf-8")
    found: list[str] = re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    return found[number]


def a_certificate(folder: Path) -> None:
    """`tidings.pem` and `tidings.key`, for the host of the guide."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(x509.random_serial_number())
    made = made.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
    (folder / "tidings.pem").write_bytes(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "tidings.key").write_bytes(key.private_bytes(*plain))


def nginx(folder: Path, port: int, upstream: str) -> tuple[list[str], str]:
    """How to start nginx with what the guide says, and the scheme that it speaks."""
    a_certificate(folder)
    site = fenced("behind-a-proxy.md", "nginx").replace("listen 443", f"listen 127.0.0.1:{port}").replace("/etc/ssl", str(folder))
    site = site.replace("127.0.0.1:8700", upstream).replace("/var/log/nginx", str(folder))
    kept = "".join(f"{name}_temp_path {folder}/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    me = "user root;\n" if os.geteuid() == 0 else ""
    whole = f"{me}pid {folder}/pid;\ndaemon off;\nevents {{}}\nerror_log {folder}/error.log;\nhttp {{\naccess_log {folder}/access.log;\n{kept}{site}\n}}\n"
    (folder / "nginx.conf").write_text(whole)
    return ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")], "https"


def caddy(folder: Path, port: int, upstream: str) -> tuple[list[str], str]:
    """The same of Caddy; without TLS, since it would ask others for a certificate. What it logs goes to a file."""
    site = fenced("behind-a-proxy.md", "caddyfile").replace(HOST, f"http://{HOST}:{port}").replace("127.0.0.1:8700", upstream)
    site = site.replace("{\n\tlog {", f"{{\n\tadmin off\n\tlog {{\n\t\toutput file {folder}/error.log", 1)
    (folder / "Caddyfile").write_text(site)
    return ["caddy", "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"], "http"


class Proxied:
    """What a caller sees through a proxy on 127.0.0.1."""

    def __init__(self, scheme: str, port: int) -> None:
        self.scheme, self.port = scheme, port

    def open(self) -> http.client.HTTPConnection:
        if self.scheme == "http":
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=30, context=context)

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, http.client.HTTPMessage, bytes]:
        with contextlib.closing(self.open()) as connection:
            connection.request(method, path, body, {"Host": HOST} | {name.replace("_", "-"): value for name, value in headers.items()})
            response = connection.getresponse()
            return response.status, response.headers, response.read()


@contextlib.contextmanager
def proxied(start: Callable[[Path, int, str], tuple[list[str], str]], folder: Path, upstream: str) -> Iterator[Proxied]:
    """A proxy that answers."""
    port = free_port()
    command, scheme = start(folder, port, upstream)
    with subprocess.Popen(
        command, cwd=folder, env=environment(folder, XDG_DATA_HOME=str(folder)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            until = time.monotonic() + 60
            while True:
                assert process.poll() is None, f"{command[0]} does not run"
                with contextlib.suppress(OSError):
                    Proxied(scheme, port).ask("GET", "/healthz")
                    break
                assert time.monotonic() < until
                time.sleep(0.05)
            yield Proxied(scheme, port)
        finally:
            process.terminate()


def signed_in(proxy: Proxied, password: str) -> str:
    """The cookie of somebody who has signed in through the proxy."""
    _, headers, page = proxy.ask("GET", "/login")
    visit = headers["set-cookie"].partition(";")[0]
    found = re.search(rb'name="form_token" value="([0-9a-f]+)"', page)
    assert found
    form = f"email=ann%40example.com&password={password}&form_token={found[1].decode()}".encode()
    origin = f"{proxy.scheme}://{HOST}"
    status, headers, page = proxy.ask("POST", "/login", form, Cookie=visit, Origin=origin, Content_Type="application/x-www-form-urlencoded")
    assert status == 303, page
    kept = next(value for value in headers.get_all("set-cookie") or () if "session" in value)
    assert ("; Secure" in kept) == (proxy.scheme == "https")
    return kept.partition(";")[0]


@pytest.mark.parametrize("start", [nginx, caddy], ids=lambda start: start.__name__)
def test_a_proxy_as_the_guide_sets_it_up(start: Callable[[Path, int, str], tuple[list[str], str]], home: Path, tmp_path: Path) -> None:
    if shutil.which(start.__name__) is None:
        pytest.skip(f"there is no {start.__name__} here")
    docs, password = tmp_path / "docs", secrets.token_hex(8)
    docs.mkdir()
    scheme = "https" if start is nginx else "http"
    env = environment(home, TIDINGS_LOCAL_ROOTS=str(docs), TIDINGS_TRUSTED_PROXIES="127.0.0.1", TIDINGS_BASE_URL=f"{scheme}://{HOST}")
    key = answer("setup", "--email", "ann@example.com", "--password", password, env=env)["apiKey"]
    listening = free_port()
    with proxied(start, tmp_path, f"127.0.0.1:{listening}") as proxy:
        with serving("--port", str(listening), env=env) as server:
            until = time.monotonic() + 60
            while proxy.ask("GET", "/readyz")[0] != 200:  # it has seen the server away
                assert time.monotonic() < until
                time.sleep(0.1)
            local = Server(server.process, f"http://127.0.0.1:{listening}", server.said)
            source = a_data_source(local, key, docs)
            bot = local.api("GET", f"/data-sources/{source}", key)["botId"]
            hook = local.api("POST", f"/bots/{bot}/webhooks", key, {"type": "sync_trigger", "dataSourceId": source})
            path = urlsplit(hook["url"]).path

            assert proxy.ask("GET", f"{path}?wait=20", X_Forwarded_For="203.0.113.9")[0] == 200
            until = time.monotonic() + 60
            while not (calls := local.api("GET", f"/webhooks/{hook['id']}/calls", key)["items"]):
                assert time.monotonic() < until
                time.sleep(0.1)
            assert calls[0]["address"] == "127.0.0.1"  # not what the caller says

            files = local.api("POST", f"/bots/{bot}/data-sources", key, {"name": "Files", "type": "files", "config": {}, "syncNow": False})["id"]
            form = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n' + b"word " * 400_000 + b"\r\n--x--\r\n"
            sent = proxy.ask("POST", f"/api/v1/data-sources/{files}/files", form, Authorization=f"Bearer {key}", Content_Type="multipart/form-data; boundary=x")
            assert sent[0] == 201, sent

            with contextlib.closing(proxy.open()) as live:  # what is streamed comes at once
                live.request("GET", "/app/bots/live", headers={"Host": HOST, "Cookie": signed_in(proxy, password)})
                stream = live.getresponse()
                assert (stream.status, stream.headers.get_content_type()) == (200, "text/event-stream")
                assert stream.readline()
        assert [proxy.ask("GET", asked)[0] for asked in ("/readyz", path)] == [502, 502]  # nobody there, and that stands in a log
    logs = b"".join(log.read_bytes() for log in tmp_path.glob("*.log"))
    assert b"/readyz" in logs
    assert path.rpartition("/")[2].encode() not in logs


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here to check its unit")
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    unit = fenced("run-on-a-server.md", "ini").replace("/opt/tidings/.venv/bin/tidings", "/bin/true").replace("User=tidings", "User=root")
    (tmp_path / "tidings.service").write_text(unit)
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", tmp_path / "tidings.service"], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, [line for line in done.stderr.splitlines() if "tidings.service" in line]) == (0, []), done.stderr


def test_the_alerts_name_figures_that_there_are() -> None:
    has = metrics.exposition().decode()
    there = {name.removesuffix("_bucket").removesuffix("_created") for name in re.findall(r"^# (?:TYPE|HELP) (tidings_\w+)", has, re.MULTILINE)}
    page = (GUIDES / "watch-it.md").read_text(encoding="utf-8")
    named = set(re.findall(r"\btidings_\w+", page))
    assert named
    assert named - there - {"tidings_queue"} == set()  # the last one is half a name, to search for
    described = {name for name in there if name.endswith(("_total", "_seconds", "_length")) and not name.endswith("_created")}
    assert described - named == set()
    labels = {"tidings_triggers_total": "outcome", "tidings_syncs_total": "outcome", "tidings_attempts_total": "outcome", "tidings_requests_total": "status"}
    for name, label in re.findall(r"(tidings_\w+)\{(\w+)(?:!?=|!~)", fenced("watch-it.md", "yaml", 1)):
        assert labels.get(name, "queue") == label


def test_the_container_file_copies_what_there_is() -> None:
    lines = re.sub(r"\\\n", "", (ROOT / "Dockerfile").read_text(encoding="utf-8")).splitlines()
    copied = [source for line in lines if line.startswith("COPY ") for source in line.split()[1:-1]]
    assert [source for source in copied if not (ROOT / source).exists()] == []
    let_in = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert [source for source in copied if f"!{source}" not in let_in] == []
    started = next(line for line in lines if line.startswith("CMD "))
    assert started == 'CMD ["tidings", "serve", "--host", "0.0.0.0"]'


def test_what_was_backed_up_is_restored_as_the_guide_says(home: Path, tmp_path: Path) -> None:
    docs, copies = tmp_path / "docs", tmp_path / "backup"
    for folder in (docs, copies):
        folder.mkdir()
    (docs / "a.md").write_text("# Ferries\n")
    env = environment(home, TIDINGS_LOCAL_ROOTS=str(docs))
    key = answer("setup", "--email", "ann@example.com", "--password", secrets.token_hex(8), env=env)["apiKey"]
    tidings = 'tidings() { "$PYTHON" -m tidings "$@"; }\n'

    def follow(script: str, at: Path, stdin: str = "") -> str:
        script = script.replace("/var/lib/tidings", str(at)).replace("/backup/", f"{copies}/")
        for copy in copies.glob("*.sqlite"):
            script = re.sub(r"\d{4}-\d\d-\d\d", copy.stem.removeprefix("tidings-"), script)  # of the day on which it was made
        done = subprocess.run(
            ["bash", "-e", "-c", tidings + script], env=env | {"PYTHON": sys.executable}, input=stdin, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    with serving(env=env) as server:
        source = a_data_source(server, key, docs)
        bot = server.api("GET", f"/data-sources/{source}", key)["botId"]
        sync = server.api("POST", f"/data-sources/{source}/sync", key)["syncId"]
        assert server.ended(sync, key)["state"] == "succeeded"
        hook = server.api("POST", f"/bots/{bot}/webhooks", key, {"type": "sync_trigger", "dataSourceId": source})
        follow(fenced("back-up-and-restore.md", "bash", 0), home)
    restored = tmp_path / "restored"
    secret_key = (home / "secret.key").read_text()
    said = follow(fenced("back-up-and-restore.md", "bash", 1), restored, stdin=secret_key)
    assert "The secret key opens what the database holds." in " ".join(said.split())
    assert (restored / "secret.key").stat().st_mode & 0o077 == 0
    with serving(env=env | {"TIDINGS_HOME": str(restored)}) as server:
        assert server.api("GET", f"/bots/{bot}/search?q=ferries", key)["items"]
        assert server.call("GET", urlsplit(hook["url"]).path)[0] == 200
    (restored / "secret.key").unlink()
    refused = run("serve", "--port", "0", env=env | {"TIDINGS_HOME": str(restored)})
    assert refused.returncode == 1
    with serving(env=env | {"TIDINGS_HOME": str(restored), "TIDINGS_SECRET_KEY": secrets.token_hex(32)}) as server:
        assert server.api("GET", f"/bots/{bot}/search?q=ferries", key)["items"]
        assert server.call("GET", urlsplit(hook["url"]).path)[0] == 404
        new = server.api("PATCH", f"/webhooks/{hook['id']}", key, {"secret": "generate"})
        assert server.call("GET", urlsplit(new["url"]).path)[0] == 200
