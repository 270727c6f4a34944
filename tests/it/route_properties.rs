//! What holds of patterns and routes whatever they are made of.

use dms2bq::key::{DmsFile, DmsKey};
use dms2bq::route::{Decision, MappingFile, Mappings, Pattern, names};
use proptest::prelude::*;

/// Patterns over few characters, so that they meet the names below and each other.
pub(crate) fn pattern() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        3 => "[abc]",
        2 => Just("%".to_owned()),
        2 => Just("_".to_owned()),
        1 => Just("[_]".to_owned()),
        1 => Just("[ab]".to_owned()),
        1 => Just("[a-b]".to_owned()),
        1 => Just("[b-c_]".to_owned()),
    ];
    prop::collection::vec(part, 1..8).prop_map(|parts| parts.concat())
}

pub(crate) fn name() -> impl Strategy<Value = String> {
    "[abc_가]{0,8}"
}

/// The plainest way to match: try everything. Exponential, and right.
fn naive(pattern: &[char], name: &[char]) -> bool {
    match pattern {
        [] => name.is_empty(),
        ['%', rest @ ..] => (0..=name.len()).any(|taken| naive(rest, &name[taken..])),
        ['[', rest @ ..] => {
            let close = rest.iter().position(|c| *c == ']').expect("sets are closed");
            let Some((first, others)) = name.split_first() else { return false };
            let holds = match &rest[..close] {
                [low, '-', high, more @ ..] => (low..=high).contains(&first) || more.contains(first),
                set => set.contains(first),
            };
            holds && naive(&rest[close + 1..], others)
        }
        [c, rest @ ..] => match name {
            [first, others @ ..] => (*c == '_' || c == first) && naive(rest, others),
            [] => false,
        },
    }
}

pub(crate) fn naive_matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    naive(&pattern, &name)
}

pub(crate) fn mapping_with(rules: &serde_json::Value) -> Vec<MappingFile> {
    let text = serde_json::json!({
        "source": { "bucket": "acme-landing" },
        "destination": { "project": "acme-dw", "location": "US", "dataset": "casino" },
        "tables": rules,
    });
    vec![MappingFile { name: "casino.json".to_owned(), text: text.to_string() }]
}

pub(crate) fn key_of(schema: &str, table: &str) -> DmsKey {
    DmsKey {
        bucket_folder: String::new(),
        schema: schema.to_owned(),
        table: table.to_owned(),
        file: DmsFile::FullLoad { stem: "LOAD00000001".to_owned(), sequence: 1 },
        date_partition: None,
        segment: None,
    }
}

proptest! {
    #[test]
    fn a_pattern_matches_what_trying_everything_matches(pattern in pattern(), name in name()) {
        let parsed = Pattern::parse(&pattern).expect("patterns of the strategy are valid");
        prop_assert_eq!(parsed.matches(&name), naive_matches(&pattern, &name));
    }

    #[test]
    fn a_common_name_is_matched_by_both(a in pattern(), b in pattern()) {
        let (a, b) = (Pattern::parse(&a).expect("valid"), Pattern::parse(&b).expect("valid"));
        if let Some(name) = a.common_name(&b) {
            prop_assert!(a.matches(&name) && b.matches(&name), "{name} is not matched by both");
        }
    }

    #[test]
    fn what_both_match_is_an_overlap(a in pattern(), b in pattern(), name in name()) {
        let (a, b) = (Pattern::parse(&a).expect("valid"), Pattern::parse(&b).expect("valid"));
        if a.matches(&name) && b.matches(&name) {
            prop_assert!(a.may_overlap(&b) && b.may_overlap(&a), "both match {name}");
        }
    }

    #[test]
    fn a_literal_matches_itself_alone(name in "[a-z가-힣 .$-]{1,12}", other in "[a-z가-힣 .$-]{1,12}") {
        let pattern = Pattern::parse(&name).expect("a name without brackets is a pattern");
        prop_assert!(pattern.is_literal() && pattern.matches(&name));
        prop_assert_eq!(pattern.matches(&other), name == other);
    }

    #[test]
    fn reading_any_text_as_a_pattern_does_not_panic(text in ".{0,40}") {
        let _ = Pattern::parse(&text).map(|pattern| pattern.matches(&text));
    }

    #[test]
    fn reading_any_text_as_a_mapping_does_not_panic(text in ".{0,80}") {
        let _ = Mappings::parse(vec![MappingFile { name: "any.json".to_owned(), text }]);
    }

    /// Sound mappings leave no choice: of the rules that match a table, an exclude or one that is the
    /// most specific decides, and the order in the file never does.
    #[test]
    fn the_order_of_the_rules_decides_nothing(
        rules in prop::collection::vec((pattern(), pattern(), prop::bool::weighted(0.2)), 1..6),
        schema in name(),
        table in name(),
    ) {
        let rule = |(i, (schema, table, excludes)): (usize, &(String, String, bool))| {
            let action = if *excludes { "exclude" } else { "include" };
            let destination = serde_json::json!({ "table": format!("to_{i}") });
            serde_json::json!({ "schema": schema, "table": table, "action": action, "destination": destination })
        };
        let forwards: Vec<_> = rules.iter().enumerate().map(rule).collect();
        let backwards: Vec<_> = forwards.iter().rev().cloned().collect();
        let parsed = (
            Mappings::parse(mapping_with(&forwards.into())),
            Mappings::parse(mapping_with(&backwards.into())),
        );
        match parsed {
            (Ok(a), Ok(b)) => {
                let key = key_of(&schema, &table);
                let outcome = |mappings: &Mappings| match mappings.landings()[0].resolve(&key) {
                    Ok(Decision::Load(route)) => Ok(Some(route)),
                    Ok(Decision::Exclude { .. }) => Ok(None),
                    Err(error) => Err(error.code()),
                };
                prop_assert_eq!(outcome(&a), outcome(&b));
            }
            (Err(_), Err(_)) => {}
            (a, b) => prop_assert!(false, "sound one way only: {:?} {:?}", a.is_ok(), b.is_ok()),
        }
    }

    #[test]
    fn any_table_of_any_name_has_an_answer(schema in ".{1,20}", table in ".{1,20}") {
        let rules = serde_json::json!([{ "schema": "%", "table": "%" }]);
        let mappings = Mappings::parse(mapping_with(&rules)).expect("the mapping is sound");
        let answer = mappings.landings()[0].resolve(&key_of(&schema, &table));
        match answer {
            Ok(Decision::Load(route)) => prop_assert_eq!(route.destination.table, table),
            Ok(Decision::Exclude { .. }) => prop_assert!(false, "nothing is excluded"),
            Err(error) => {
                prop_assert_eq!(error.code(), "route.bad_name");
                prop_assert!(names::check_table(&table).is_err());
            }
        }
    }
}

#[test]
fn patterns_of_many_wildcards_are_matched_without_trying_everything() {
    let pattern = Pattern::parse(&"%a".repeat(500)).expect("the pattern is valid");
    assert!(!pattern.matches(&format!("{}b", "a".repeat(1000))));
    let meeting = Pattern::parse(&"b%".repeat(500)).expect("the pattern is valid");
    assert!(pattern.may_overlap(&meeting));
    let other_end = Pattern::parse(&"%b".repeat(500)).expect("the pattern is valid");
    assert!(!pattern.may_overlap(&other_end));
}
