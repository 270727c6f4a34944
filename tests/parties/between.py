"""Stands between a program and a server: passes everything on, remembers it, and spoils what a test wants spoilt."""

import http.client
import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Callable
from urllib.parse import urlsplit

# What belongs to one connection and not to what goes over it.
OF_THE_CONNECTION = {"connection", "host", "keep-alive", "transfer-encoding", "content-length"}


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @staticmethod
    def json(status: int, content) -> "Answer":
        return Answer(status, {"Content-Type": "application/json"}, json.dumps(content).encode())


# What becomes of a request: an answer, or None to end the connection without one. The second argument passes the
# request on and gives the server's own answer.
Rule = Callable[[Request, Callable[[], Answer]], Answer | None]


def pass_on(_request: Request, forward: Callable[[], Answer]) -> Answer:
    return forward()


class Between:
    def __init__(self, upstream: str):
        self.upstream = urlsplit(upstream)
        self.rule: Rule = pass_on
        self.seen: list[Request] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def forward(self, request: Request) -> Answer:
        connection = http.client.HTTPConnection(self.upstream.hostname, self.upstream.port, timeout=60)
        try:
            connection.request(request.method, request.path, request.body, request.headers)
            answer = connection.getresponse()
            return Answer(answer.status, without_connection(answer.getheaders()), answer.read())
        finally:
            connection.close()

    def _handler(self):
        between = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                request = Request(self.command, self.path, without_connection(self.headers.items()), body)
                between.seen.append(request)
                answer = between.rule(request, lambda: between.forward(request))
                if answer is None:
                    self.close_connection = True
                    return
                self.send_response_only(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_any

            def log_message(self, *_arguments) -> None:
                """Says nothing: the servers have logs of their own."""

        return Handler


def without_connection(headers) -> dict[str, str]:
    return {name: value for name, value in headers if name.lower() not in OF_THE_CONNECTION}


@contextmanager
def between(upstream: str):
    stands = Between(upstream)
    thread = threading.Thread(target=stands.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield stands
    finally:
        stands.server.shutdown()
        stands.server.server_close()
        thread.join()
