//! `tests/cases/diff`: what `dms2bq diff` says of a change, to a person, to a page and to a program.
//!
//! Each folder has a `why`, mappings in `old/` (none: there were none) and `new/`, perhaps a listing in `keys` and its
//! bucket in `bucket`, and what `diff` prints of them: `expect.txt`, `expect.md` and `expect.json`. To add a case,
//! write its mappings and run the tests with `UPDATE_CASES=1`; then read what was written, and whether you would
//! understand it.

use std::fs;
use std::io::{BufReader, Cursor, Read};
use std::path::Path;

use dms2bq::entry::diff::keys::{Effect, Fate, KeysReport, fate};
use dms2bq::entry::diff::listing::{self, ListingError};
use dms2bq::entry::diff::{DiffFormat, Old, Verdict, compare, read_as_old};
use dms2bq::entry::mapping_files::read_local;
use dms2bq::route::diff::{MappingsDiff, TableChangeKind};
use dms2bq::route::{MappingFile, Mappings};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::cases;

fn read_side(folder: &Path) -> Option<Vec<MappingFile>> {
    let files = folder.is_dir().then(|| read_local(folder).unwrap())?;
    let base = |file: MappingFile| MappingFile { name: file.name.rsplit('/').next().unwrap().into(), ..file };
    Some(files.into_iter().map(base).collect())
}

fn answer(case: &Path, format: DiffFormat) -> (Verdict, String) {
    let nothing = Old::Nothing { place: "old".to_owned() };
    let old = read_side(&case.join("old")).map_or(nothing, read_as_old);
    let new = read_side(&case.join("new")).expect("each case has new mappings");
    let keys = fs::read(case.join("keys")).ok();
    let bucket = fs::read_to_string(case.join("bucket")).ok();
    let listing = keys.as_ref().map(|keys| (keys.as_slice(), bucket.as_deref()));
    let mut out = Vec::new();
    let verdict = compare(&old, new, listing, format, &mut out).unwrap();
    (verdict, String::from_utf8(out).unwrap())
}

#[test]
fn every_change_is_told_as_its_case_says() {
    let cases = cases::folders("diff");
    assert!(cases.len() >= 16, "only {} cases found", cases.len());
    let mut wrong = Vec::new();
    for case in &cases {
        for (format, file) in [
            (DiffFormat::Human, "expect.txt"),
            (DiffFormat::Markdown, "expect.md"),
            (DiffFormat::Json, "expect.json"),
        ] {
            let (_, answer) = answer(case, format);
            let is_object = format == DiffFormat::Json && answer.lines().count() == 1;
            let answer = match is_object {
                true => format!("{:#}\n", serde_json::from_str::<Value>(&answer).unwrap()),
                false => answer,
            };
            wrong.extend(cases::difference(&case.join(file), &answer));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_verdict_is_the_same_in_every_format() {
    for case in cases::folders("diff") {
        let name = case.file_name().unwrap().to_str().unwrap();
        let wanted = match name {
            "nothing-differs" => Verdict::Same,
            "the-new-mappings-are-broken" => Verdict::Faulty,
            _ => Verdict::Differs,
        };
        for format in [DiffFormat::Human, DiffFormat::Markdown, DiffFormat::Json] {
            assert_eq!(answer(&case, format).0, wanted, "{name}");
        }
    }
}

#[test]
fn no_control_character_reaches_a_terminal_or_a_page() {
    for case in cases::folders("diff") {
        for format in [DiffFormat::Human, DiffFormat::Markdown] {
            let (_, answer) = answer(&case, format);
            assert!(!answer.contains(|c: char| c.is_control() && c != '\n'), "{answer}");
        }
    }
}

#[test]
fn patterns_that_overlap_in_too_many_ways_are_compared_by_themselves_and_that_is_said() {
    let mut many: Vec<_> = ('a'..='z').map(|c| (format!("%{c}%{c}%"), true, "unused")).collect();
    many.push(("%".to_owned(), false, "{table}"));
    let old = try_mappings(&many, "bucket").unwrap();
    let new = try_mappings(many.get(1..).unwrap(), "bucket").unwrap();
    let diff = MappingsDiff::between(old.landings(), new.landings());
    let [mapping] = diff.mappings.as_slice() else { panic!("{diff:?}") };
    assert!(!mapping.is_exact);
    let [change] = mapping.tables.as_slice() else { panic!("{diff:?}") };
    assert_eq!((change.tables.as_str(), change.kind), ("game.%a%a%", TableChangeKind::Removed));
    let said = format!("{:?}", change.old) + &format!("{:?}", change.new);
    assert!(said.contains("and 23 more"), "{said}");
}

#[test]
fn ten_thousand_tables_by_name_are_compared_in_no_time_beside_a_pattern() {
    let rules = |to: &str| {
        let mut rules: Vec<_> =
            (0..10_000).map(|n| (format!("table[_]{n}"), false, "{table}".to_owned())).collect();
        rules.extend([("%".to_owned(), false, to.to_owned()), ("%[_]bak".to_owned(), true, "x".to_owned())]);
        try_mappings(&rules, "bucket").unwrap()
    };
    let diff = MappingsDiff::between(rules("one_{table}").landings(), rules("two_{table}").landings());
    let [mapping] = diff.mappings.as_slice() else { panic!("{} mappings", diff.mappings.len()) };
    assert!(mapping.is_exact);
    let [change] = mapping.tables.as_slice() else { panic!("{} changes", mapping.tables.len()) };
    assert_eq!((change.tables.as_str(), change.kind), ("game.%", TableChangeKind::Rerouted));
}

#[test]
fn thousands_of_names_with_underscores_do_not_hide_what_a_pattern_takes() {
    let name = |n: usize| format!("t{n}_a_b_c_d_e_f");
    let rules = |last: (&str, &str)| {
        let mut rules: Vec<_> = (0..1_500).map(|n| (name(n), false, "{table}".to_owned())).collect();
        rules.push(("%".to_owned(), false, "rest_{table}".to_owned()));
        rules.push((last.0.to_owned(), false, last.1.to_owned()));
        try_mappings(&rules, "bucket").unwrap()
    };
    let (old, new) = (rules(("log%", "{table}")), rules(("logs%", "{table}")));
    let diff = MappingsDiff::between(old.landings(), new.landings());
    let [mapping] = diff.mappings.as_slice() else { panic!("{} mappings", diff.mappings.len()) };
    let changes: Vec<_> = mapping.tables.iter().map(|change| (change.tables.as_str(), change.kind)).collect();
    assert_eq!((mapping.is_exact, changes), (true, vec![("game.log%", TableChangeKind::Rerouted)]));
}

// ---- listings ----

/// What a listing holds: each key, with its bucket if it is told.
fn listed(listing: &str) -> Result<Vec<String>, ListingError> {
    let mut keys = Vec::new();
    // A buffer that ends within most lines.
    listing::read(BufReader::with_capacity(7, Cursor::new(listing)), &mut |entry| {
        keys.push(format!("{}:{}", entry.bucket.unwrap_or("?"), entry.key));
        Ok(())
    })?;
    Ok(keys)
}

#[test]
fn a_listing_is_read_in_each_form_that_people_have() {
    for (listing, keys) in [
        ("a/b c.parquet\r\nd", &["?:a/b c.parquet", "?:d"][..]),
        ("\u{feff}a\n", &["?:a"]),
        ("s3://bucket/a/b\ns3://other/c", &["bucket:a/b", "other:c"]),
        ("2022-12-01 09:30:17          0 a b/c\n                           PRE old/\n", &["?:a b/c"]),
        ("2022-12-01 09:30:17 123  begins with a space", &["?: begins with a space"]),
        ("2022-12-01 is a folder/k", &["?:2022-12-01 is a folder/k"]),
        (
            "2022-12-01 09:30:17    1.2 MiB a b/c\n2022-12-01 09:30:17    0 Bytes d\n2022-12-01 09:30:17  820.5 KiB  e",
            &["?:a b/c", "?:d", "?: e"],
        ),
        (
            "REQUESTCHARGED\tNone\nCONTENTS\t\"tag\"\ta b/c\t2022-12-01T09:30:15+00:00\t1\tSTANDARD\n\
             CONTENTS\tFULL_OBJECT\t\"tag\"\td\t2022-12-01T09:30:15+00:00\t1\tSTANDARD\nCHECKSUMALGORITHM\tCRC64NVME\n\
             VERSIONS\t\"tag\"\tTrue\te\t2022-12-01T09:30:15+00:00\t1\tSTANDARD\tnull\n",
            &["?:a b/c", "?:d", "?:e"],
        ),
        ("a\tb c\td\t\nNone\ne\tf", &["?:a", "?:b c", "?:d", "?:e", "?:f"]),
        ("arn:aws:s3:::bucket/a", &["bucket:a"]),
        (
            "https://bucket.s3.eu-west-1.amazonaws.com/a%20b+c\nhttps://with.dots.s3.amazonaws.com/d?versionId=7\n\
             https://s3.eu-west-1.amazonaws.com/bucket/e",
            &["bucket:a b+c", "with.dots:d", "bucket:e"],
        ),
        ("\"Bucket\",\"Key\",\"Size\"\n\"b\",\"k\",\"1\"", &["b:k"]),
        ("\"b\",\"a+b%2Fc%22\",\"1\"\n\"b\",\"plain\"\n", &["b:a b/c\"", "b:plain"]),
        (
            r#" { "Contents": [ { "Size": 1, "Key": "a" }, { "Key": "b\u0020c" } ], "X": [ 1 ] } "#,
            &["?:a", "?:b c"],
        ),
        (r#"{ "Contents": [ { "Key": "a" } ] } { "Contents": [ { "Key": "b" } ] }"#, &["?:a", "?:b"]),
        (r#"{ "Versions": [ { "Key": "a" } ], "IsTruncated": false }"#, &["?:a"]),
        (r#"[ "a", ["b"], { "Key": "c" } ]"#, &["?:a", "?:b", "?:c"]),
    ] {
        assert_eq!(listed(listing).unwrap(), keys, "{listing}");
    }
}

#[test]
fn what_is_no_listing_is_refused_with_its_place() {
    for (listing, said) in [
        ("", "the listing names no file: it is empty; give one key or s3:// address to a line"),
        ("\n\n", "the listing names no file: it is empty"),
        ("{}\n", "the listing names no file; its first line is \"{}\"; give"),
        ("[]", "the listing names no file; its first line is \"[]\""),
        (r#"{"Records":[]}"#, "the listing names no file; its first line is"),
        ("                           PRE dms/\n", "the listing names no file; its first line is"),
        (
            "/dms/a",
            "line 1 of the listing is not understood: a key does not begin with a slash; take the slash away; it is \"/dms/a\"",
        ),
        (
            "https://acme.example/a",
            "line 1 of the listing is not understood: it is no web address of S3; write s3://bucket/key",
        ),
        ("PAR1\u{15}", "the listing is Parquet, not text; let S3 Inventory write CSV"),
        (
            "a\ns3://bucket",
            "line 2 of the listing is not understood: an address is s3://bucket/key; it is \"s3://bucket\"",
        ),
        ("\"bucket\"", "line 1 of the listing is not understood: an inventory's line is"),
        ("\"bucket\",\"key", "line 1 of the listing is not understood: an inventory's line is"),
        ("\"bucket\",\"%zz\"", "line 1 of the listing is not understood: the inventory's key is not encoded"),
        (&"k".repeat(20_000), "line 1 of the listing has more than 16384 bytes"),
        (r#"{ "Contents": [ { "Key": "a" }, "#, "the listing is not JSON as `aws s3api list-objects-v2`"),
        (r#"{ "Contents": 7 }"#, "the listing is not JSON as"),
        (r#"[ 7 ]"#, "the listing is not JSON as"),
        ("{ no JSON", "the listing is not JSON as"),
    ] {
        let error = listed(listing).unwrap_err().to_string();
        assert!(error.starts_with(said), "{listing:.40}: {error}");
    }
}

#[test]
fn a_listing_that_is_packed_or_no_utf8_is_refused_with_what_to_do() {
    for (bytes, said) in [
        (
            &b"\x1f\x8b\x08"[..],
            "the listing is packed, not text; unpack it: gunzip -c FILE | dms2bq diff OLD NEW --keys -",
        ),
        (b"\xff\xfed\0m\0s\0", "the listing is UTF-16, not text; save it as UTF-8"),
        (
            b"dms/\xe9t\xe9",
            "line 1 of the listing is not understood: it is not UTF-8; it is \"dms/\u{fffd}t\u{fffd}\"",
        ),
    ] {
        let error = listing::read(bytes, &mut |_| Ok(())).unwrap_err().to_string();
        assert_eq!(error, said);
    }
}

#[test]
fn a_bucket_that_no_mapping_has_is_refused() {
    let one = mappings(&[("%", false, "t")], "one");
    let error = KeysReport::of("a".as_bytes(), Some("two"), None, &one).unwrap_err().to_string();
    assert_eq!(error, "no mapping has the bucket \"two\" of --bucket; the mappings have one");
}

#[test]
fn a_listing_without_its_bucket_is_asked_for_it_where_the_mappings_have_several() {
    let of = |bucket: &str| mappings(&[("%", false, "t")], bucket);
    let (old, new) = (of("one"), of("two"));
    let error =
        KeysReport::of("dms/game/a/LOAD00000001.parquet".as_bytes(), None, Some(&old), &new).unwrap_err();
    let wanted = "the listing does not name the bucket, and the mappings have several (one, two); say which with --bucket";
    assert_eq!(error.to_string(), wanted);
    let json = r#"["dms/game/a/LOAD00000001.parquet"]"#;
    let error = KeysReport::of(json.as_bytes(), None, Some(&old), &new).unwrap_err();
    assert_eq!(error.to_string(), wanted);
    let report = KeysReport::of(json.as_bytes(), Some("two"), Some(&old), &new).unwrap();
    assert_eq!(report.count(Effect::Loaded), 1);
}

/// So many lines that holding them would show.
struct ManyLines {
    left: usize,
    line: Cursor<String>,
}

impl Read for ManyLines {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let count = self.line.read(into)?;
        if count > 0 || self.left == 0 {
            return Ok(count);
        }
        self.left -= 1;
        self.line =
            Cursor::new(format!("dms/game/table_{}/LOAD{:08X}.parquet\n", self.left % 5_000, self.left));
        self.line.read(into)
    }
}

#[test]
fn a_long_listing_is_counted_whole_and_its_groups_are_bounded() {
    let old = mappings(&[("%", false, "one_{table}")], "bucket");
    let new = mappings(&[("%", false, "two_{table}")], "bucket");
    let lines = ManyLines { left: 20_000, line: Cursor::default() };
    let report = KeysReport::of(BufReader::new(lines), None, Some(&old), &new).unwrap();
    assert_eq!((report.files, report.count(Effect::Moved)), (20_000, 20_000));
    assert_eq!(report.tables.len(), 2_000);
    let in_groups: u64 = report.tables.iter().map(|group| group.files).sum();
    assert_eq!(in_groups + report.of_further_tables, 20_000);
    assert!(report.tables.iter().all(|group| group.examples.len() <= 3));
}

// ---- what holds of any two mappings ----

/// A mapping of rules: pattern, whether it excludes, and where to.
fn try_mappings(rules: &[(impl AsRef<str>, bool, impl AsRef<str>)], bucket: &str) -> Option<Mappings> {
    let rule = |(table, excludes, to): &(_, _, _)| -> Value {
        let (table, to): (&str, &str) = (AsRef::as_ref(table), AsRef::as_ref(to));
        let action = if *excludes { "exclude" } else { "include" };
        json!({ "schema": "game", "table": table, "action": action, "destination": { "table": to } })
    };
    let text = json!({
        "source": { "bucket": bucket, "bucket_folder": "dms" },
        "destination": { "project": "acme-dw", "location": "US", "dataset": "casino" },
        "tables": rules.iter().map(rule).collect::<Vec<_>>(),
    });
    Mappings::parse(vec![MappingFile { name: "m.json".to_owned(), text: text.to_string() }]).ok()
}

fn mappings(rules: &[(&str, bool, &str)], bucket: &str) -> Mappings {
    try_mappings(rules, bucket).expect("good rules")
}

fn rules() -> impl Strategy<Value = Vec<(String, bool, String)>> {
    let pattern = prop_oneof!["[ab]{1,3}", "[ab]{0,2}%", "[ab]_[ab]?", "%[ab]"];
    let to = prop_oneof!["t[12]", Just("{table}".to_owned())];
    prop::collection::vec((pattern, prop::bool::weighted(0.2), to), 0..5)
}

fn keys() -> impl Strategy<Value = Vec<String>> {
    let key = prop_oneof![
        8 => "dms/game/[ab]{1,3}/LOAD0000000[1-9]\\.parquet",
        1 => "dms/(game|other)/[ab]/LOAD00000001\\.(csv|parquet)",
        1 => "(dms|elsewhere)/[a-c/]{0,8}",
    ];
    prop::collection::vec(key, 0..40)
}

proptest! {
    #[test]
    fn equal_mappings_do_not_differ(rules in rules()) {
        let Some(one) = try_mappings(&rules, "bucket") else { return Ok(()) };
        let backwards: Vec<_> = rules.iter().rev().cloned().collect();
        let other = try_mappings(&backwards, "bucket").expect("the order decides nothing");
        prop_assert!(MappingsDiff::between(one.landings(), other.landings()).is_empty());
    }

    /// What `diff` does not show does not happen: if a file has another fate, some rule is told of.
    #[test]
    fn mappings_that_do_not_differ_do_the_same_with_every_file(a in rules(), b in rules(), keys in keys()) {
        let (Some(old), Some(new)) = (try_mappings(&a, "bucket"), try_mappings(&b, "bucket")) else { return Ok(()) };
        if MappingsDiff::between(old.landings(), new.landings()).is_empty() {
            for key in keys {
                prop_assert_eq!(fate(Some(&old), "bucket", &key), fate(Some(&new), "bucket", &key), "{}", key);
            }
        }
    }

    /// And what happens is shown as what it is.
    #[test]
    fn what_becomes_of_a_file_is_among_the_kinds_that_are_shown(a in rules(), b in rules(), keys in keys()) {
        let (Some(old), Some(new)) = (try_mappings(&a, "bucket"), try_mappings(&b, "bucket")) else { return Ok(()) };
        let counts = MappingsDiff::between(old.landings(), new.landings()).counts();
        for key in keys {
            let kind = match Effect::of(&fate(Some(&old), "bucket", &key), &fate(Some(&new), "bucket", &key)) {
                Effect::Moved => TableChangeKind::Rerouted,
                Effect::NewJobId => TableChangeKind::Options,
                Effect::Loaded => TableChangeKind::Added,
                Effect::WasIgnored => TableChangeKind::Included,
                Effect::Ignored => TableChangeKind::Excluded,
                Effect::Unmapped => TableChangeKind::Removed,
                Effect::Refused | Effect::Same | Effect::StillUnmapped | Effect::StillRefused => continue,
            };
            prop_assert!(counts.contains_key(&kind), "{key}: {kind:?}");
        }
    }

    #[test]
    fn every_file_has_one_effect_and_moves_only_to_another_table(a in rules(), b in rules(), keys in keys()) {
        let (Some(old), Some(new)) = (try_mappings(&a, "bucket"), try_mappings(&b, "bucket")) else { return Ok(()) };
        let keys: Vec<String> = keys.into_iter().filter(|key| !key.is_empty()).collect();
        prop_assume!(!keys.is_empty());
        let report = KeysReport::of(keys.join("\n").as_bytes(), None, Some(&old), &new).unwrap();
        prop_assert_eq!(report.files, keys.len() as u64, "{:?}", keys);
        prop_assert_eq!(report.effects.values().sum::<u64>(), report.files);
        let KeysReport { will_load, will_ignore, will_be_unmapped, will_be_refused, .. } = &report;
        prop_assert_eq!(will_load + will_ignore + will_be_unmapped + will_be_refused, report.files);
        let in_groups: u64 = report.tables.iter().map(|group| group.files).sum();
        prop_assert_eq!(in_groups + report.count(Effect::Same), report.files);
        let moves = |key: &&String| {
            let destination = |mappings| match fate(Some(mappings), "bucket", key) {
                Fate::Loaded { destination, .. } => Some(destination),
                _ => None,
            };
            destination(&old).zip(destination(&new)).is_some_and(|(from, to)| from != to)
        };
        prop_assert_eq!(report.count(Effect::Moved), keys.iter().filter(moves).count() as u64);
    }

    #[test]
    fn no_text_makes_the_reader_of_listings_panic(text in "\\PC{0,60}", start in prop_oneof!["", "\\{", "\\[", "\"", "s3://"]) {
        let _ = listed(&format!("{start}{text}"));
    }
}
