#!/usr/bin/env python3
"""Puts defects into the program's own code, and lets the simulation look for them.

    tests/sim/mutants.py [--seeds N]

The defects of `./test --sim-defects` stand around the program, so that none is ever compiled into it. This is the same with a
knife: a copy of the repository is changed in the places below, built once, and simulated once for each change, which an
environment variable of the copy turns on. Prints how many of the seeds noticed each. Exits with 1 if one that does harm goes
unnoticed, or if a place to change is not found any more.

The copy is built in a folder of its own, CARGO_TARGET_DIR/mutants, which takes some minutes the first time.
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
COPIED = ["Cargo.toml", "Cargo.lock", "rust-toolchain.toml", "src", "tests", "benches", "examples"]

SWITCH = """
#[allow(missing_docs, clippy::disallowed_methods)]
pub fn mutant(name: &str) -> bool {
    static NAME: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    NAME.get_or_init(|| std::env::var("DMS2BQ_MUTANT").unwrap_or_default()) == name
}
"""

# Each: what is wrong, where, what stands there, and what comes in its place. `MUTANT` is true while the change is on.
MUTANTS = [
    ("a job is adopted whatever it loads", "src/job/drive/found.rs",
     "    match difference {", "    match difference.filter(|_| !MUTANT) {"),
    ("a success is adopted without a look at its table", "src/job/drive/settle.rs",
     "        if origin != Origin::Made {", "        if origin != Origin::Made && !MUTANT {"),
    ("outputRows are not compared", "src/job/drive/settle.rs",
     "unwrap_or(0) != file_rows {", "unwrap_or(0) != file_rows && !MUTANT {"),
    ("a failure for good is tried again", "src/job/drive/settle.rs",
     "if redriven_since\n", "if MUTANT || redriven_since\n"),
    ("a used-up quota is tried again at once", "src/job/drive/settle.rs",
     "Verdict::NotSoon if ended_here =>", "Verdict::NotSoon if ended_here && !MUTANT =>"),
    ("a receive makes jobs without end", "src/job/drive/mod.rs",
     "progress.jobs_made == JOBS_PER_RECEIVE;", "progress.jobs_made == JOBS_PER_RECEIVE && !MUTANT;"),
    ("nothing is looked for before its object is read", "src/job/drive/mod.rs",
     "!load.receipt.is_fresh();", "!load.receipt.is_fresh() && !MUTANT;"),
    ("what is stopped by a person counts as what may pass", "src/job/reason.rs",
     '"quotaExceeded" => Verdict::NotSoon,',
     '"stopped" if MUTANT => Verdict::MayPass,\n        "quotaExceeded" => Verdict::NotSoon,'),
    ("the id leaves out the etag", "src/job/id.rs",
     "            hash.update(part.as_bytes());", "            if !MUTANT || n != 2 { hash.update(part.as_bytes()); }"),
    ("a missing object is acknowledged", "src/outcome/mod.rs",
     "            Some(object @ ObjectError::Empty { .. }) => {",
     "            Some(object @ ObjectError::Missing { .. }) if MUTANT => {\n"
     "                Self::Ignored(Ignored::quietly(object.code(), object.to_string()))\n            }\n"
     "            Some(object @ ObjectError::Empty { .. }) => {"),
    ("what will never load is acknowledged", "src/entry/lambda.rs",
     "            Outcome::Returned(_) => false,",
     "            Outcome::Returned(_) => MUTANT && record.disposition == Some(Disposition::Never),"),
    ("a message is done with its first record", "src/entry/lambda.rs",
     "unproven.has_records(message, notices.len());",
     "unproven.has_records(message, if MUTANT { notices.len().min(1) } else { notices.len() });"),
    ("work goes on past the deadline", "src/entry/lambda.rs",
     "match tokio::time::timeout_at(deadline.instant(), caught).await {",
     "let late = Duration::from_secs(if MUTANT { 3600 } else { 0 });\n"
     "                match tokio::time::timeout_at(deadline.instant() + late, caught).await {"),
    ("visibility is set before the work", "src/entry/lambda.rs",
     "        let pieces = take_apart(received",
     "        if MUTANT {\n            let all: Vec<usize> = (0..receipts.len()).collect();\n"
     "            self.postpone(&all, &Returned::default(), &receipts, time.reply_by).await;\n        }\n"
     "        let pieces = take_apart(received"),
    ("an object leaves two lines", "src/entry/lambda.rs",
     "        self.write(&record);\n        let settled",
     "        self.write(&record);\n        if MUTANT {\n            self.write(&record);\n        }\n        let settled"),
    ("partial replies are assumed", "src/outcome/reply.rs",
     "if !failed.is_empty() && !partial_replies {", "if !failed.is_empty() && !partial_replies && !MUTANT {"),
]

# Turned on, this changes when a job is looked for, and nothing that anybody may rely on.
HARMLESS = [
    ("no answer to an insertion is left to the next receive", "src/cloud/call.rs",
     "        match self {\n            Self::Unanswered { .. } => true,",
     "        if MUTANT {\n            return false;\n        }\n        match self {\n            Self::Unanswered { .. } => true,"),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=200)
    seeds = parser.parse_args().seeds
    with tempfile.TemporaryDirectory() as folder:
        program = build(mutilated(pathlib.Path(folder)))
        # Without any change turned on, the copy has to be sound.
        unexpected = ["the copy itself"] if failures(program, "", seeds) else []
        for mutants, harmful in [(MUTANTS, True), (HARMLESS, False)]:
            for what, *_ in mutants:
                count = failures(program, what, seeds)
                print(f"{what:<56} noticed by {count} of {seeds} seeds{'' if harmful else ', and does no harm'}", flush=True)
                if bool(count) != harmful:
                    unexpected.append(what)
    if unexpected:
        sys.exit(f"not as expected: {', '.join(unexpected)}")


def mutilated(copy):
    for name in COPIED:
        source = REPOSITORY / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, copy / name)
    for what, file, before, after in MUTANTS + HARMLESS:
        path = copy / file
        text = path.read_text()
        if text.count(before) != 1:
            sys.exit(f"{file} has changed: {before.strip()!r} stands there {text.count(before)} times ({what})")
        path.write_text(text.replace(before, after.replace("MUTANT", f'crate::mutant("{what}")')))
    library = copy / "src/lib.rs"
    library.write_text(library.read_text() + SWITCH)
    return copy


def build(copy):
    target = os.environ.get("CARGO_TARGET_DIR", os.path.expanduser("~/.cache/dms2bq/target"))
    environment = dict(os.environ, CARGO_TARGET_DIR=f"{target}/mutants")
    command = ["cargo", "test", "--locked", "--test", "sim", "--no-run"]
    built = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)
    if built.returncode:
        sys.exit(built.stderr)
    # Taken out of the copy, which a later build must not be confused by.
    program = copy / "sim"
    shutil.copy(re.search(r"\((\S+/sim-\w+)\)", built.stderr)[1], program)
    return program


def failures(program, what, seeds):
    environment = dict(os.environ, DMS2BQ_MUTANT=what, DMS2BQ_SIM_SEEDS=str(seeds), RUST_BACKTRACE="0")
    command = [program, "--nocapture", "whatever_goes_wrong"]
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    count = re.search(r"(\d+) of \d+ seeds failed", run.stdout + run.stderr)
    return int(count[1]) if count else 0


if __name__ == "__main__":
    main()
