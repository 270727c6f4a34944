"""Google's hosts behind a proxy that opens TLS: the token service, the IAM credentials service, and BigQuery.

The token service does with a signed call of AWS's what Google does: it looks at it, has AWS tell whose it is, and
looks at the ARN. AWS is botocore, which signs the call again to compare, and moto or LocalStack, to which it is sent.
BigQuery is the embedded one, behind a look at the token.
"""

import datetime
import json
import re
import ssl
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import botocore.auth
import botocore.awsrequest
import botocore.credentials
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOSTS = ["sts.googleapis.com", "iamcredentials.googleapis.com", "bigquery.googleapis.com"]
TOLERANCE_SECS = 300


class Refused(Exception):
    """A refusal with its status and body."""


class GoogleSide:
    def __init__(self, folder: Path, aws_url: str, bigquery_url: str, provider: str, account: str, admitted: str):
        self.aws_url, self.bigquery_url = aws_url, bigquery_url
        self.audience, self.account, self.admitted = f"//iam.googleapis.com/{provider}", account, admitted
        self.secrets: dict[str, botocore.credentials.Credentials] = {}
        self.life_secs = 3600
        self.lives: dict[str, float] = {}
        self.seen: list[str] = []
        self.authority, self.tls = certificates(folder)
        self.proxy = ThreadingHTTPServer(("127.0.0.1", 0), self.proxy_handler())
        self.proxy.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.proxy.server_port}"

    # ---- AWS ----

    def caller(self, subject_token: str) -> str:
        """The ARN of whoever signed, or AWS's words of refusal."""
        call = json.loads(urllib.parse.unquote(subject_token))
        headers = {header["key"].lower(): header["value"] for header in call["headers"]}
        url = urllib.parse.urlsplit(call["url"])
        assert call["method"] == "POST" and re.fullmatch(r"sts\.[a-z0-9-]+\.amazonaws\.com", url.hostname), call["url"]
        assert headers["host"] == url.hostname and headers["x-goog-cloud-target-resource"] == self.audience
        signed = re.search(r"SignedHeaders=([^,]+)", headers["authorization"]).group(1).split(";")
        assert {"host", "x-amz-date", "x-amz-security-token", "x-goog-cloud-target-resource"} <= set(signed)
        at = datetime.datetime.strptime(headers["x-amz-date"] + "+0000", "%Y%m%dT%H%M%SZ%z").timestamp()
        if at + TOLERANCE_SECS < time.time():
            raise Refused("Signature expired")
        if self.signature(call["url"], headers, signed) != headers["authorization"].rsplit("Signature=", 1)[1]:
            raise Refused("The request signature we calculated does not match the signature you provided.")
        request = urllib.request.Request(f"{self.aws_url}/?{url.query}", b"", headers, method="POST")
        with urllib.request.urlopen(request) as answer:
            return re.search(r"<Arn>([^<]+)</Arn>", answer.read().decode()).group(1)

    def signature(self, url: str, headers: dict, signed: list[str]) -> str:
        """What AWS's own library for Python signs."""
        key_id, _day, region, *_ = re.search(r"Credential=([^,]+)", headers["authorization"]).group(1).split("/")
        credentials = self.secrets.get(key_id)
        if not credentials or credentials.token != headers.get("x-amz-security-token"):
            raise Refused("The security token included in the request is invalid")
        auth = botocore.auth.SigV4Auth(credentials, "sts", region)
        request = botocore.awsrequest.AWSRequest("POST", url, {name: headers[name] for name in signed}, b"")
        request.context["timestamp"] = headers["x-amz-date"]
        return auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)

    # ---- Google ----

    def answer(self, host: str, method: str, path: str, headers, body: bytes):
        """Status, headers, body."""
        self.seen.append(f"{host} {method} {path.split('?')[0]}")
        if (host, path) == (HOSTS[0], "/v1/token"):
            return self.exchange(dict(urllib.parse.parse_qsl(body.decode())))
        token = (headers["Authorization"] or "").removeprefix("Bearer ")
        is_good = time.time() < self.lives.get(token, 0)
        if host == HOSTS[1]:
            if not (is_good and token.startswith("federated") and self.account in path):
                return as_json(403, {"error": {"code": 403, "message": "Permission denied", "status": "PERMISSION_DENIED"}})
            expires = datetime.datetime.fromtimestamp(time.time() + self.life_secs, datetime.timezone.utc)
            granted = {"accessToken": self.token("account"), "expireTime": expires.strftime("%Y-%m-%dT%H:%M:%SZ")}
            return as_json(200, granted)
        if not (is_good and token.startswith("account")):
            return as_json(401, {"error": {"code": 401, "message": "Invalid Credentials", "errors": []}})
        return self.bigquery(method, path, headers, body)

    def exchange(self, form: dict):
        if form["audience"] != self.audience:
            return as_json(400, {"error": "invalid_target", "error_description": "no such provider"})
        try:
            arn = self.caller(form["subject_token"])
        except Refused as refused:
            return as_json(400, {"error": "invalid_grant", "error_description": f"Received invalid AWS response: {refused}"})
        if not arn.startswith(self.admitted):
            words = "The given credential is rejected by the attribute condition."
            return as_json(400, {"error": "unauthorized_client", "error_description": words})
        return as_json(200, {
            "access_token": self.token("federated"),
            "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
            "token_type": "Bearer",
            "expires_in": self.life_secs,
        })  # fmt: skip

    def token(self, kind: str) -> str:
        token = f"{kind}-secret-{len(self.lives)}"
        self.lives[token] = time.time() + self.life_secs
        return token

    def bigquery(self, method: str, path: str, headers, body: bytes):
        passed = {name: headers[name] for name in headers if name.lower() not in ("host", "authorization", "connection")}
        request = urllib.request.Request(self.bigquery_url + path, body or None, passed, method=method)
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, dict(answer.headers), answer.read()
        except urllib.error.HTTPError as error:
            return error.code, dict(error.headers), error.read()

    # ---- the proxy ----

    def proxy_handler(self):
        side = self

        class Inside(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                length = int(self.headers.get("Content-Length") or 0)
                host = self.headers["Host"].split(":")[0]
                status, headers, body = side.answer(host, self.command, self.path, self.headers, self.rfile.read(length))
                self.send_response(status)
                for name, value in headers.items():
                    if name.lower() not in ("content-length", "connection", "transfer-encoding", "date", "server"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = answer

            def log_message(self, *_):
                pass

        class Proxy(BaseHTTPRequestHandler):
            def do_CONNECT(self):
                if self.path.split(":")[0] not in HOSTS:
                    return self.send_error(403)
                self.wfile.write(b"HTTP/1.1 200 Connected\r\n\r\n")
                try:
                    Inside(side.tls.wrap_socket(self.connection, server_side=True), self.client_address, self.server)
                except OSError:  # Whoever does not trust us hangs up.
                    pass
                self.close_connection = True

            def log_message(self, *_):
                pass

        return Proxy


def as_json(status: int, content):
    return status, {"Content-Type": "application/json"}, json.dumps(content).encode()


def certificates(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """An authority, for SSL_CERT_FILE, and what it vouches for: Google's hosts."""
    now = datetime.datetime.now(datetime.timezone.utc)

    def certificate(name, key, issuer, issuer_key, *extensions):
        builder = (
            x509.CertificateBuilder().subject_name(name).issuer_name(issuer).public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + datetime.timedelta(days=1))
        )  # fmt: skip
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(issuer_key, hashes.SHA256())

    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in ("test authority", HOSTS[0])]
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = certificate(names[0], authority_key, names[0], authority_key, x509.BasicConstraints(True, None))
    alternatives = x509.SubjectAlternativeName([x509.DNSName(host) for host in HOSTS])
    leaf = certificate(names[1], key, names[0], authority_key, alternatives)
    pem = serialization.Encoding.PEM
    (folder / "authority.pem").write_bytes(authority.public_bytes(pem))
    (folder / "google.pem").write_bytes(leaf.public_bytes(pem))
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "google.key").write_bytes(private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "google.pem", folder / "google.key")
    return folder / "authority.pem", context


@contextmanager
def serving(side: GoogleSide):
    thread = threading.Thread(target=side.proxy.serve_forever, daemon=True)
    thread.start()
    try:
        yield side
    finally:
        side.proxy.shutdown()
        side.proxy.server_close()
