"""Runs a command while moto and LocalStack are up, and ends both with it.

    python servers.py COMMAND ARGUMENT...

The command finds their base URLs in DMS2BQ_TEST_MOTO and DMS2BQ_TEST_LOCALSTACK. Both listen on free ports of the
loopback only. This runs in the environment of requirements/parties.txt.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import tools

HERE = Path(__file__).parent
START_TIMEOUT_SECS = 60


def moto(port: int, _home: Path):
    """moto's server, which needs nothing but an address."""
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    return command, {}


def localstack(port: int, home: Path):
    """LocalStack's core as a plain process, with its files in a folder that goes away."""
    command = [str(tools.python("localstack")), str(HERE / "localstack_on_loopback.py")]
    environment = {
        "GATEWAY_LISTEN": f"127.0.0.1:{port}",
        "SERVICES": "s3,sqs,lambda,sts,iam,events",
        # Queue URLs of the default kind name a host that does not resolve here.
        "SQS_ENDPOINT_STRATEGY": "path",
        "OVERRIDE_IN_DOCKER": "0",
        "FILESYSTEM_ROOT": str(home / "filesystem"),
        "DNS_ADDRESS": "0",
        "DISABLE_EVENTS": "1",
        "SKIP_SSL_CERT_DOWNLOAD": "1",
    }
    return command, environment


PARTIES = {"DMS2BQ_TEST_MOTO": moto, "DMS2BQ_TEST_LOCALSTACK": localstack}


class Process:
    """A server that was started here. It answers on its port, and nobody else does."""

    def __init__(self, name: str, command: list[str], environment: dict[str, str], port: int, home: Path):
        self.name, self.port, self.log = name, port, home / f"{name}.log"
        # Without the caller's AWS settings, which are none of a stand-in's business.
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                env=inherited | {"HOME": str(home)} | environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait_until_it_answers(self) -> None:
        """Waits for the port, and sees that it is this process that listens there and not another."""
        deadline = time.monotonic() + START_TIMEOUT_SECS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                self.fail(f"ended with {self.process.returncode} at its start")
            if is_listening(self.port):
                if not owns_port(self.process.pid, self.port):
                    self.fail(f"is not who listens on port {self.port}")
                return
            time.sleep(0.05)
        self.fail(f"did not listen on port {self.port} within {START_TIMEOUT_SECS} s")

    def fail(self, what: str) -> None:
        tail = self.log.read_text(errors="replace")[-3000:]
        raise SystemExit(f"{self.name} {what}. Its last words:\n{tail}")

    def stop(self) -> None:
        """Ends the process and all that it started."""
        for sign, patience_secs in [(signal.SIGTERM, 5), (signal.SIGKILL, 5)]:
            try:
                os.killpg(self.process.pid, sign)
                self.process.wait(patience_secs)
                return
            except ProcessLookupError:
                return
            except subprocess.TimeoutExpired:
                continue


@contextmanager
def running(name: str, command: list[str], environment: dict[str, str], port: int, home: Path):
    process = Process(name, command, environment, port, home)
    try:
        yield process
    finally:
        process.stop()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def owns_port(pid: int, port: int) -> bool:
    """Whether the listening socket is one of the process's own. Only Linux tells; elsewhere it is believed."""
    if not Path("/proc/net/tcp").exists():
        return True
    listening = "0A"
    inodes = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == listening and int(fields[1].split(":")[1], 16) == port:
            inodes.add(f"socket:[{fields[9]}]")
    return any(link(descriptor) in inodes for descriptor in Path(f"/proc/{pid}/fd").iterdir())


def link(descriptor: Path) -> str:
    try:
        return os.readlink(descriptor)
    except FileNotFoundError:  # It was closed since it was listed.
        return ""


def main(command: list[str]) -> int:
    # Whoever asks this process to end means the servers, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dms2bq-parties-")))
        environment = dict(os.environ)
        servers = []
        for variable, party in PARTIES.items():
            port = free_port()
            server = stack.enter_context(running(party.__name__, *party(port, home), port, home))
            environment[variable] = server.url
            servers.append(server)
        for server in servers:
            server.wait_until_it_answers()
        return subprocess.run(command, env=environment).returncode


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1:]))
