//! `dms2bq check | head -1`: whoever closes standard output has read enough.

use std::io::pipe;
use std::process::{Command, Stdio};

/// As of a program that SIGPIPE ends.
const EXIT_UNREAD: i32 = 141;

/// Verbs that say something without any cloud.
const VERBS: [&[&str]; 7] = [
    &["check"],
    &["check", "--print-schema"],
    &["explain", "s3://acme-landing/dms/casino-a/game/player/LOAD00000001.parquet"],
    &["dms-rules", "--mapping", "casino-a"],
    &["diff", "samples/mappings", "samples/mappings"],
    &["probe", "--list"],
    &["completions", "bash"],
];

#[test]
fn a_verb_whose_answer_nobody_reads_ends_without_a_word() {
    for verb in VERBS {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let output = Command::new(env!("CARGO_BIN_EXE_dms2bq"))
            .args(verb)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env("DMS2BQ_MAPPINGS", "samples/mappings")
            .stdout(writer)
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{verb:?}");
        assert_eq!(output.status.code(), Some(EXIT_UNREAD), "{verb:?}");
    }
}
