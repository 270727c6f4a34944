"""Mappings in S3: what `dms2bq publish` writes, and what the real `bootstrap` goes by when somebody breaks them.

That a running process looks again each minute is shown in simulated time (tests/it/mapping_refresh.rs); here each
process is a new one, so that nobody waits for minutes.
"""

import concurrent.futures
import json
import subprocess
import uuid

import pytest
from conftest import PROGRAMS, SAMPLES, Cloud

TWELVE = (SAMPLES / "acme-landing/dms/casino-a/game/player/LOAD00000001.parquet").read_bytes()


class Place:
    """A bucket for mappings, a landing bucket with its queue, and the command line pointed at both."""

    def __init__(self, cloud: Cloud, folder):
        name = uuid.uuid4().hex[:12]
        self.cloud, self.folder = cloud, folder
        self.bucket, self.landing = f"config-{name}", f"landing-{name}"
        self.address = f"s3://{self.bucket}/dms2bq/mappings"
        self.queue = cloud.create_queue(f"queue-{name}")
        cloud.s3.create_bucket(Bucket=self.bucket)
        cloud.create_bucket(self.landing, self.queue, versioned=False)
        self.files = 0

    def write(self, table: str, **rule) -> str:
        """Mappings that send the table `player` to this one."""
        destination = {"project": "acme-dw", "location": "asia-northeast3", "dataset": "casino_a"}
        mapping = {
            "source": {"bucket": self.landing, "bucket_folder": "dms"},
            "destination": destination,
            "tables": [{"schema": "game", "table": "player", "destination": {"table": table}} | rule],
        }
        folder = self.folder / f"mappings-{table}"
        folder.mkdir(exist_ok=True)
        (folder / "landing.json").write_text(json.dumps(mapping))
        (folder / "schema.json").write_text("{}")
        return str(folder)

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess:
        command = [PROGRAMS / "dms2bq", *arguments]
        return subprocess.run(
            command, env=self.cloud.environment(), input=stdin, capture_output=True, text=True, timeout=60
        )

    def publish(self, *arguments: str, code: int = 0) -> dict:
        done = self.run("publish", "--format=json", *arguments, self.address)
        assert done.returncode == code, done
        return json.loads(done.stdout.splitlines()[0])

    def current(self) -> dict:
        return json.load(self.cloud.s3.get_object(Bucket=self.bucket, Key="dms2bq/mappings/CURRENT")["Body"])

    def put(self, key: str, text: str) -> None:
        self.cloud.s3.put_object(Bucket=self.bucket, Key=f"dms2bq/mappings/{key}", Body=text.encode())

    def invoke(self, function) -> dict:
        """Lets a new file land, and gives the line about it."""
        self.files += 1
        key = f"dms/game/player/LOAD{self.files:08X}.parquet"
        self.cloud.s3.put_object(Bucket=self.landing, Key=key, Body=TWELVE)
        function.invoke(self.cloud.receive_all(self.queue))
        [line] = [line for line in function.lines() if line["key"] == key]
        return line


@pytest.fixture
def place(cloud, tmp_path):
    return Place(cloud, tmp_path)


def test_publish_puts_in_force_what_checks_and_goes_back(place):
    one, two = place.write("one"), place.write("two")
    dry = place.publish("--dry-run", one)
    assert (dry["in_force"], dry["changed"], dry["before"]) == (False, False, None)
    assert "Contents" not in place.cloud.s3.list_objects_v2(Bucket=place.bucket), "nothing is written"

    first = place.publish("--note=commit 1", one)
    assert first["version"] == dry["version"] and first["in_force"] and first["changed"]
    assert place.current()["note"] == "commit 1" and place.current()["previous"] is None
    listed = place.cloud.s3.list_objects_v2(Bucket=place.bucket)["Contents"]
    assert [entry["Key"] for entry in listed] == [
        "dms2bq/mappings/CURRENT",
        "dms2bq/mappings/PUBLISHED",
        f"dms2bq/mappings/versions/{first['version']}/landing.json",
    ]
    again = place.publish(one)
    assert again["in_force"] and not again["changed"] and place.current()["previous"] is None

    second = place.publish(two)
    assert second["before"]["version"] == first["version"]
    assert place.publish("--rollback")["version"] == first["version"]
    assert place.current()["previous"] == second["version"] and place.current()["previous_taken_back"]
    assert place.publish("--rollback")["version"] == second["version"], "a second rollback undoes the first"

    told = place.run("publish", "--rollback", "--dry-run", place.address)
    assert f"would be in force {first['version']}" in told.stdout and "Nothing was written" in told.stdout
    assert place.current()["version"] == second["version"]


def test_publish_refuses_what_does_not_check_with_every_problem(place):
    place.publish(place.write("one"))
    before = place.current()
    bad = place.write("bad", partition={"type": "DECADE"}, generaton=1)
    problem = place.publish(bad, code=1)
    assert problem["code"] == "mapping.unknown_field" and problem["path"] == "$.tables[0].generaton"
    told = place.run("publish", bad, place.address)
    assert told.returncode == 1 and "mapping.unknown_value" in told.stdout and "Nothing was published." in told.stdout
    assert place.current() == before
    assert place.publish("--rollback", code=1)["code"] == "mapping.nothing_before"
    nowhere = place.run("publish", bad.replace("bad", "none"), place.address)
    assert nowhere.returncode == 2 and "mapping.unreadable" in nowhere.stderr
    absent = place.run("publish", place.write("one"), "s3://no-such-bucket-anywhere/x")
    assert absent.returncode == 2 and "[mapping.unreadable]" in absent.stdout
    dry = place.run("publish", "--dry-run", place.write("one"), "s3://no-such-bucket-anywhere/x")
    assert dry.returncode == 2 and "1 file, no problems. Nothing was written, for S3" in dry.stdout
    unasked = place.run("publish", bad, "s3://no-such-bucket-anywhere/x")
    assert unasked.returncode == 1 and "mapping.unknown_value" in unasked.stdout, "mappings are checked before S3 is asked"
    long = place.run("publish", "--note", "n" * 900, place.write("one"), place.address)
    assert long.returncode == 2 and "has 900 characters; 500" in long.stderr and "nnn" not in long.stderr


def test_publish_names_the_files_that_it_changes_and_takes_no_single_one(place):
    folder = place.folder / "mappings-both"
    landing, other = place.folder / "mappings-both/landing.json", place.folder / "mappings-both/other.json"
    place.write("both")
    mapping = json.loads(landing.read_text())
    mapping["source"]["bucket_folder"] = "elsewhere"
    other.write_text(json.dumps(mapping))
    first = place.publish(str(folder))
    assert first["changes"] == {"added": ["landing.json", "other.json"], "changed": [], "dropped": []}

    alone = place.run("publish", str(landing), place.address)
    assert alone.returncode == 2 and "is a file, and what is published is a whole folder" in alone.stderr
    assert place.current()["version"] == first["version"]

    other.rename(place.folder / "mappings-both/third.json")
    landing.write_text(landing.read_text() + "\n")
    told = place.run("publish", "--dry-run", str(folder), place.address)
    for line in ("added             third.json", "changed           landing.json", "dropped           other.json"):
        assert line in told.stdout, told.stdout
    assert "its files go to the dead-letter queue" in told.stdout
    changes = place.publish(str(folder))["changes"]
    assert changes == {"added": ["third.json"], "changed": ["landing.json"], "dropped": ["other.json"]}
    assert place.publish(str(folder))["changes"] is None, "they are in force already"


def test_a_first_publication_names_what_a_plain_folder_had(place):
    folder = place.write("one")
    place.put("landing.json", (place.folder / "mappings-one/landing.json").read_text())
    place.put("forgotten.json", (place.folder / "mappings-one/landing.json").read_text())
    assert place.publish(folder)["changes"] == {"added": [], "changed": [], "dropped": ["forgotten.json"]}


def test_of_many_that_publish_at_once_each_is_in_force_or_told(place):
    place.publish(place.write("zero"))
    folders = [place.write(f"t{number}") for number in range(6)]
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        done = list(pool.map(lambda folder: place.run("publish", "--format=json", folder, place.address), folders))
    assert {one.returncode for one in done} <= {0, 1}, done
    answers = [json.loads(one.stdout) for one in done]
    published = [answer["version"] for answer in answers if "version" in answer]
    assert place.current()["version"] in published
    refused = [answer for answer in answers if "version" not in answer]
    assert all(answer["code"] == "mapping.publish_conflict" for answer in refused), refused
    # Each took the place of another: none was passed over.
    assert len({answer["before"]["version"] for answer in answers if "version" in answer}) == len(published)


def test_check_explain_and_diff_read_what_is_in_force(place):
    one, two = place.write("one"), place.write("two")
    place.publish(one)
    differs = place.run("diff", "--exit-code", "--format=markdown", place.address, two)
    assert differs.returncode == 3 and "| re-routed | `game.player` |" in differs.stdout, differs
    assert place.run("diff", "--exit-code", place.address, one).returncode == 0
    listing = f"s3://{place.landing}/dms/game/player/LOAD00000001.parquet\n"
    counted = place.run("diff", "--keys=-", "--format=json", place.address, two, stdin=listing)
    assert json.loads(counted.stdout)["keys"]["effects"] == {"moved": 1}
    first = place.run("diff", place.address + "-of-nobody", one)
    assert first.returncode == 0
    assert f"There were no mappings until now: {place.address}-of-nobody has none." in first.stdout
    assert f"there are no mappings at {place.address}-of-nobody. If there should be" in first.stdout
    environment = place.cloud.environment() | {"DMS2BQ_MAPPINGS": place.address}
    for arguments in [["check"], ["explain", f"s3://{place.landing}/dms/game/player/LOAD00000001.parquet"]]:
        done = subprocess.run([PROGRAMS / "dms2bq", *arguments], env=environment, capture_output=True, text=True)
        assert done.returncode == 0 and "acme-dw.casino_a" in done.stdout, done


def test_a_new_process_goes_by_the_last_good_mappings_and_says_so(place, bigquery, function):
    environment = place.cloud.environment() | {
        "BIGQUERY_EMULATOR_HOST": bigquery.url,
        "DMS2BQ_MAPPINGS": place.address,
        "DMS2BQ_PARTIAL_BATCH_RESPONSE": "on",
    }
    good = place.publish(place.write("one"))["version"]
    assert place.invoke(function(environment))["destination"] == "acme-dw.casino_a.one"

    # Somebody writes by hand what `publish` would have refused.
    place.put("versions/0123456789abcdef/landing.json", "{}")
    place.put("CURRENT", json.dumps(place.current() | {"version": "0123456789abcdef", "previous": good}))
    started = function(environment)
    assert place.invoke(started)["destination"] == "acme-dw.casino_a.one"
    said = [json.loads(line) for line in started.log.read_text().splitlines() if "mapping.kept_last_good" in line]
    assert [(line["level"], line["mappings"], line["rejected"]) for line in said] == [
        ("ERROR", good, "0123456789abcdef")
    ]

    by_hand = subprocess.run(
        [PROGRAMS / "dms2bq", "load", f"s3://{place.landing}/dms/game/player/LOAD00000001.parquet"],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert by_hand.returncode == 0 and "loaded before" in by_hand.stdout, by_hand
    assert "mapping.kept_last_good" in by_hand.stderr, "a person is told, too"

    place.publish(place.write("two"))
    assert place.current()["previous"] == good, "nobody goes back to what cannot run"
    assert place.invoke(function(environment))["destination"] == "acme-dw.casino_a.two"
    assert bigquery.rows("casino_a.one") == 24 and bigquery.rows("casino_a.two") == 12


def test_check_tells_of_what_is_not_there_alike_wherever_it_should_be(place):
    for where, code in (
        (str(place.folder / "nowhere"), "mapping.unreadable"),
        (place.address, "mapping.none_found"),
        ("s3://no-such-bk/mappings", "mapping.unreadable"),
    ):
        told = place.run("check", where)
        assert told.returncode == 1 and not told.stderr, told
        assert told.stdout.startswith(f"error [{code}] ") and "\nhint: " in told.stdout
        [finding] = map(json.loads, place.run("check", where, "--format=json").stdout.splitlines())
        assert (finding["level"], finding["code"]) == ("error", code), finding
        assert finding["message"] and finding["hint"]


def test_a_file_that_nobody_can_read_hides_no_problem_of_others_from_diff(place):
    old, new = place.write("one"), place.write("two")
    (place.folder / "mappings-two/latin1.json").write_bytes(b'{ "tables": "caf\xe9" }')
    (place.folder / "mappings-two/empty.json").write_text("{}")
    for arguments in [["check", new], ["diff", old, new], ["diff", "--format=markdown", old, new]]:
        told = place.run(*arguments)
        assert told.returncode == 1, told
        assert "latin1.json cannot be read: it is not UTF-8" in told.stdout
        assert "empty.json" in told.stdout and "mapping.missing_field" in told.stdout
    findings = place.run("diff", "--format=json", old, new).stdout.splitlines()
    assert {"mapping.unreadable", "mapping.missing_field"} <= {json.loads(line)["code"] for line in findings}
    was = place.run("diff", new, old)
    assert was.returncode == 2 and "latin1.json" in was.stderr and "[mapping.unreadable]" in was.stderr
