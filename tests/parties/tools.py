"""Installs the parties: each into a folder of its own outside the clone, once for each version of its pins.

    python3 tests/parties/tools.py python parties      prints the Python of that environment
    python3 tests/parties/tools.py npm deploy FOLDER   prints the folder where the packages of FOLDER's lock file are
    python3 tests/parties/tools.py rie                 prints the path of the Runtime Interface Emulator

The folder is $DMS2BQ_TOOLS, or ~/.cache/dms2bq/tools.
"""

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import time
import zipfile
from contextlib import contextmanager
from pathlib import Path

REQUIREMENTS = Path(__file__).parent / "requirements"
TOOLS = Path(os.environ.get("DMS2BQ_TOOLS") or Path.home() / ".cache/dms2bq/tools")

# AWS ships its Runtime Interface Emulator inside the wheel of the SAM CLI. The program is all that is wanted of it:
# installed, the wheel would bring 340 MB along.
SAM_CLI = "aws-sam-cli==1.170.0"


def python(name: str, requirements: Path | None = None) -> Path:
    """The Python of a virtual environment with exactly what the requirements file lists."""
    requirements = requirements or REQUIREMENTS / f"{name}.txt"
    key = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = TOOLS / f"{name}-{key}"

    def install() -> None:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip(folder / "bin/python", "install", "--no-deps", "--requirement", requirements)

    with installed(folder, install):
        return folder / "bin/python"


def npm(name: str, folder: Path) -> Path:
    """A folder with the Node packages that a package.json and its lock file name. None of them runs anything to install itself."""
    files = [folder / "package.json", folder / "package-lock.json"]
    key = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]
    target = TOOLS / f"npm-{name}-{key}"

    def install() -> None:
        for file in files:
            shutil.copy(file, target)
        command = ["npm", "ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"]
        subprocess.run(command, cwd=target, check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr)

    with installed(target, install):
        return target


def rie() -> Path:
    """AWS's Runtime Interface Emulator for this machine."""
    machine = {"x86_64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}[platform.machine()]
    folder = TOOLS / f"{SAM_CLI}-rie-{machine}"
    program = folder / "aws-lambda-rie"

    def install() -> None:
        pip(sys.executable, "download", "--no-deps", "--dest", folder, SAM_CLI)
        [wheel] = folder.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            program.write_bytes(archive.read(f"samcli/local/rapid/aws-lambda-rie-{machine}"))
        program.chmod(0o755)
        wheel.unlink()

    with installed(folder, install):
        return program


@contextmanager
def installed(folder: Path, install):
    """Installs into the folder unless that was done to its end before. Two that want the same wait for each other."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{folder}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        complete = folder / "complete"
        if not complete.exists():
            started = time.monotonic()
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            install()
            complete.touch()
            print(f"installed {folder.name} in {time.monotonic() - started:.0f} s", file=sys.stderr)
        yield


def pip(python, *arguments) -> None:
    command = [python, "-m", "pip", "--quiet", "--no-input", "--disable-pip-version-check", *arguments]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["python", name]:
            print(python(name))
        case ["python", name, requirements]:
            print(python(name, Path(requirements)))
        case ["npm", name, folder]:
            print(npm(name, Path(folder)))
        case ["rie"]:
            print(rie())
        case _:
            sys.exit(__doc__)
