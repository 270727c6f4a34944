#!/usr/bin/env python3
"""Lists the files that landed in a bucket since yesterday, without going through all that ever landed there.

    deploy/list_recent.py s3://acme-landing/dms/casino-a/ … > recent.txt

Prints a line s3://bucket/key for each; what it did is said on standard error. Goes down folder by folder, by the AWS CLI, and
leaves out folders whose names are dates before that, and files of changes whose names are times before that: DMS puts the date
first (YYYYMMDD, YYYYMMDDHH and YYYYMM, by any delimiter, or in the file's name alone). Where it comes otherwise (MMYYYYDD,
DDMMYYYY), all of it is looked through, by when files were written. A table that is called like a date is taken for one. At
most REQUESTS_MAX requests are made for one address.
"""

import datetime
import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

# A table with a file every two minutes takes some eight requests: this is enough for several hundred tables, and for ten minutes.
REQUESTS_MAX = 5_000
AT_ONCE = 8
# DMS names folders by the time zone of its endpoint, which may be a day ahead of or behind UTC.
TIME_ZONES = datetime.timedelta(days=1)
# Year, month and day at the end of a folder's path, where no month or day comes before the year.
DATE_FOLDER = re.compile(r"(?<!/\d\d)/(\d{4})(?:[-_/]?(\d\d)(?:[-_/]?(\d\d)(?:[-_/]?\d\d)?)?)?/$")


class TooMany(Exception):
    """There is more to look at than this is for."""


class Listing:
    """What is found below one address."""

    def __init__(self, bucket: str, since: datetime.date):
        self.bucket, self.since = bucket, since.isoformat()
        self.oldest_name = f"{since - TIME_ZONES:%Y%m%d}"
        self.requests = 0
        self.keys: list[str] = []

    def page(self, prefix: str, *onwards: str) -> dict:
        self.requests += 1
        if self.requests > REQUESTS_MAX:
            raise TooMany
        command = ["aws", "s3api", "list-objects-v2", "--bucket", self.bucket, "--prefix", prefix, "--delimiter", "/", "--no-paginate"]
        done = subprocess.run([*command, *onwards, "--output", "json"], capture_output=True, text=True)
        if done.returncode != 0:
            raise OSError(done.stderr.strip())
        return json.loads(done.stdout or "{}")

    def folder(self, prefix: str, root: str) -> list[str]:
        """Notes the recent files right in a folder, and gives those of its folders that may hold others."""
        folders, onwards = [], []
        while True:
            page = self.page(prefix, *onwards)
            files = page.get("Contents", [])
            self.keys += [each["Key"] for each in files if each["LastModified"][:10] >= self.since]
            inner = [each["Prefix"] for each in page.get("CommonPrefixes", [])]
            folders += [folder for folder in inner if self.may_hold_recent(folder.removeprefix(root))]
            if not page.get("IsTruncated"):
                return folders
            onwards = ["--continuation-token", page["NextContinuationToken"]]
            last = max([each["Key"] for each in files] + inner).removeprefix(prefix)
            # Names of changes begin with their date, so what comes before the first one of interest can be leapt over.
            if re.match(r"\d{8}", last) and last < self.oldest_name:
                onwards = ["--start-after", prefix + self.oldest_name]

    def may_hold_recent(self, path: str) -> bool:
        """Whether a folder, as seen from the address, is not one of a date that is over."""
        dated = DATE_FOLDER.search(f"/{path}")
        # Years of this kind only: 0102 may be a month and a day.
        if not dated or not 1990 <= int(dated[1]) <= 2100:
            return True
        date = "".join(part for part in dated.groups() if part)
        return date >= self.oldest_name[: len(date)]


def list_recent(address: str, today: datetime.date) -> Listing:
    bucket, _, root = address.removeprefix("s3://").partition("/")
    listing = Listing(bucket, today - datetime.timedelta(days=1))
    folders = [root]
    with ThreadPoolExecutor(AT_ONCE) as workers:
        while folders:
            found = workers.map(lambda folder: listing.folder(folder, root), folders)
            folders = [inner for some in found for inner in some]
    return listing


def main(*addresses: str) -> None:
    today = datetime.datetime.now(datetime.timezone.utc).date()
    strange = [address for address in addresses if not re.match("s3://[^/]", address)]
    if strange or not addresses:
        sys.exit(f"{' '.join(strange) or 'nothing'} is no place to list: name one or more as s3://bucket/prefix")
    for address in addresses:
        try:
            listing = list_recent(address, today)
        except TooMany:
            sys.exit(f"{address} has more folders than {REQUESTS_MAX} requests can list. Name the folders of the mappings one by one.")
        except OSError as error:
            sys.exit(f"{address} cannot be listed: {error}")
        for key in sorted(listing.keys):
            print(f"s3://{listing.bucket}/{key}")
        print(f"{address}: {len(listing.keys)} files since {listing.since}, by {listing.requests} requests", file=sys.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:])
