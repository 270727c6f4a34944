"""What `bootstrap` talks to while its memory is measured: S3 over files, Lambda's Runtime API, and a BigQuery.

Only as much of each as the measurement needs; that they behave is tested elsewhere, with real parties.
"""

import contextlib
import hashlib
import http.server
import json
import re
import shutil
import subprocess
import threading
import time
import urllib.parse
import urllib.request

CHUNK_BYTES = 256 * 1024

# How often a message is handed out before its run counts as failed.
MAX_RECEIVES = 10


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_):
        """A client that was stopped is no error of ours."""


class Running:
    """A server on a free port of the loopback."""

    def __init__(self, app):
        self.app = app
        handler = type("Handler", (Handler,), {"app": app})
        self.http = Server(("127.0.0.1", 0), handler)
        self.address = f"127.0.0.1:{self.http.server_address[1]}"
        app.address = self.address
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def __getattr__(self, name):
        return getattr(self.app, name)

    def stop(self):
        self.http.shutdown()
        self.http.server_close()


def start(app):
    return Running(app)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def any(self):
        with contextlib.suppress(ConnectionError):
            self.app.answer(self)

    do_GET = do_HEAD = do_POST = do_PUT = any

    def log_message(self, *_):
        pass

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def drain(self):
        """Reads the body, however it is framed, and gives its length."""
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return self.drain_chunks()
        left = length = int(self.headers.get("Content-Length") or 0)
        while left:
            left -= len(self.rfile.read(min(left, CHUNK_BYTES)))
        return length

    def drain_chunks(self):
        length = 0
        while size := int(self.rfile.readline().split(b";")[0], 16):
            self.rfile.read(size + 2)
            length += size
        self.rfile.readline()
        return length

    def reply(self, status, headers=(), body=b""):
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def reply_json(self, status, value, headers=()):
        self.reply(status, {"Content-Type": "application/json", **dict(headers)}, json.dumps(value).encode())


def etag(path):
    return hashlib.md5(str(path).encode()).hexdigest()


class Objects:
    """S3: HEAD and GET, ranged and conditional, with the bucket in the path."""

    def __init__(self, bucket, files):
        self.files = {f"/{bucket}/{key}": path for key, path in files.items()}

    def answer(self, request):
        path = self.files.get(urllib.parse.unquote(urllib.parse.urlsplit(request.path).path))
        if path is None:
            return request.reply(404, body=b"<Error><Code>NoSuchKey</Code></Error>")
        if request.headers.get("If-Match", "").strip('"') not in ("", etag(path)):
            return request.reply(412, body=b"<Error><Code>PreconditionFailed</Code></Error>")
        size = path.stat().st_size
        first, last = self.range(request.headers.get("Range"), size)
        request.send_response(206 if request.headers.get("Range") else 200)
        request.send_header("ETag", f'"{etag(path)}"')
        request.send_header("Accept-Ranges", "bytes")
        request.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        request.send_header("Content-Length", str(last - first + 1))
        request.end_headers()
        if request.command == "GET":
            self.send(request, path, first, last - first + 1)

    @staticmethod
    def range(header, size):
        match = re.fullmatch(r"bytes=(\d*)-(\d*)", header or "bytes=0-")
        if match[1]:
            return int(match[1]), min(int(match[2] or size - 1), size - 1)
        return max(0, size - int(match[2])), size - 1

    @staticmethod
    def send(request, path, offset, left):
        with open(path, "rb") as file:
            file.seek(offset)
            while left:
                chunk = file.read(min(left, CHUNK_BYTES))
                request.wfile.write(chunk)
                left -= len(chunk)


class RuntimeApi:
    """Lambda's Runtime API over a queue: what an invocation returns is handed out again, as SQS would, until nothing is.

    A job may take longer than an invocation waits for it; the next one adopts it.
    """

    def __init__(self, event, deadline_s):
        self.messages = event["Records"]
        self.deadline_s = deadline_s
        self.receives = 0
        self.answered = threading.Event()
        self.outcome = None

    def answer(self, request):
        if request.path.endswith("/invocation/next"):
            return self.invoke(request)
        self.outcome = request.path.rsplit("/", 1)[1], request.body().decode()
        self.keep_returned()
        request.reply_json(202, {"status": "OK"})

    def invoke(self, request):
        if self.answered.is_set():
            time.sleep(self.deadline_s)
        self.receives += 1
        for message in self.messages:
            message["attributes"]["ApproximateReceiveCount"] = str(self.receives)
        headers = {
            "Lambda-Runtime-Aws-Request-Id": f"11111111-1111-4111-8111-{self.receives:012}",
            "Lambda-Runtime-Deadline-Ms": str(int((time.time() + self.deadline_s) * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:eu-central-1:000000000000:function:dms2bq",
        }
        request.reply_json(200, {"Records": self.messages}, headers)

    def keep_returned(self):
        kind, body = self.outcome
        if kind == "response":
            returned = {failure["itemIdentifier"] for failure in json.loads(body)["batchItemFailures"]}
            self.messages = [message for message in self.messages if message["messageId"] in returned]
        if not self.messages or kind != "response" or self.receives == MAX_RECEIVES:
            self.answered.set()

    def wait_for_answer(self, process, seconds):
        end = time.monotonic() + seconds
        while not self.answered.wait(0.2):
            if process.poll() is not None:
                raise RuntimeError(f"bootstrap ended with {process.returncode}")
            if time.monotonic() > end:
                raise RuntimeError("bootstrap did not answer in time")


@contextlib.contextmanager
def warehouse(dms2bq, scratch):
    """Gives the base URL of a BigQuery: the embedded one, or the void without it."""
    if dms2bq is None:
        server = start(Void())
        yield f"http://{server.address}"
        return server.stop()
    data = scratch / "warehouse"
    process = subprocess.Popen(
        [dms2bq, "emulator", "--port", "0", "--data", data], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        for line in process.stdout:
            if found := re.search(r"http://[\w.:]+", line):
                create_dataset(found[0])
                yield found[0]
                break
        else:
            raise RuntimeError("the embedded BigQuery did not start")
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(data, ignore_errors=True)


def create_dataset(url):
    reference = {"datasetReference": {"projectId": "acme-dw", "datasetId": "memory"}, "location": "US"}
    request = urllib.request.Request(
        f"{url}/bigquery/v2/projects/acme-dw/datasets",
        data=json.dumps(reference).encode(),
        headers={"Content-Type": "application/json"},
    )
    urllib.request.urlopen(request).close()


class Void:
    """A BigQuery that has no tables, and forgets what is uploaded. Jobs end at once."""

    def __init__(self):
        self.sessions = {}

    def answer(self, request):
        url = urllib.parse.urlsplit(request.path)
        query = urllib.parse.parse_qs(url.query)
        if request.command == "POST" and query.get("uploadType") == ["resumable"]:
            job = json.loads(request.body())
            session = str(len(self.sessions) + 1)
            self.sessions[session] = job
            location = f"http://{self.address}{url.path}?uploadType=resumable&upload_id={session}"
            return request.reply(200, {"Location": location})
        if request.command == "PUT" and "upload_id" in query:
            return self.take_chunk(request, self.sessions[query["upload_id"][0]])
        if request.command == "POST" and query.get("uploadType") == ["multipart"]:
            body = request.body()
            text = body[body.index(b"{") :].decode("latin-1")
            return request.reply_json(200, self.done(json.JSONDecoder().raw_decode(text)[0]))
        request.drain()
        if re.search(r"/datasets/[^/]+$", url.path):
            return request.reply_json(200, {"id": "acme-dw:memory"})
        message = "Not found: " + ("Table" if "/tables/" in url.path else "Job") + " acme-dw:memory"
        missing = {"code": 404, "message": message, "errors": [{"reason": "notFound", "message": message}]}
        return request.reply_json(404, {"error": missing})

    def take_chunk(self, request, job):
        first, last, total = map(int, re.findall(r"\d+", request.headers["Content-Range"]))
        if request.drain() != last - first + 1:
            return request.reply(400, body=b"some of the chunk is missing")
        if last + 1 < total:
            return request.reply(308, {"Range": f"bytes=0-{last}"})
        return request.reply_json(200, self.done(job))

    @staticmethod
    def done(job):
        now = str(int(time.time() * 1000))
        rows = job["configuration"]["labels"]["rows"]
        load = {"outputRows": rows, "inputFiles": "1"}
        statistics = {"creationTime": now, "startTime": now, "endTime": now, "load": load}
        return {**job, "kind": "bigquery#job", "status": {"state": "DONE"}, "statistics": statistics}
