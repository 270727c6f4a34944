//! What holds between a task's table mappings and a mapping, whatever they are made of.
//!
//! DMS is played by a small interpreter of its rules that shares nothing with the code under test, names by all short ones.

use dms2bq::dms::endpoint_advice::{Circumstances, look_at};
use dms2bq::dms::generate::{Extras, Kept, generate};
use dms2bq::dms::{Endpoint, Remark, Task, compare::compare, settings};
use dms2bq::route::apart::{Change, Effort, names_apart};
use dms2bq::route::{Decision, Mappings, Pattern};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::route_properties::{key_of, mapping_with, naive_matches, name, pattern};

/// A mapping's rules: patterns, and whether each excludes.
type Rules = Vec<(String, String, bool)>;

fn rules() -> impl Strategy<Value = Rules> {
    prop::collection::vec((pattern(), pattern(), prop::bool::weighted(0.25)), 1..6)
}

/// The mapping of some rules, if they are sound together.
fn mapping_of(rules: &Rules) -> Option<Mappings> {
    let rule = |(schema, table, excludes): &(String, String, bool)| json!({ "schema": schema, "table": table, "action": if *excludes { "exclude" } else { "include" } });
    Mappings::parse(mapping_with(&rules.iter().map(rule).collect())).ok()
}

fn is_loaded(mappings: &Mappings, schema: &str, table: &str) -> bool {
    matches!(mappings.landings()[0].resolve(&key_of(schema, table)), Ok(Decision::Load(_)))
}

/// Whether some rule matches, whatever it says.
fn is_known(mappings: &Mappings, schema: &str, table: &str) -> bool {
    mappings.landings()[0].rule_for(schema, table).is_some()
}

/// DMS, in a few lines: does it select the table, and what are its folders called?
struct Dms<'r>(&'r [Value]);

impl Dms<'_> {
    fn selects(&self, schema: &str, table: &str) -> bool {
        let acts = |action: &str| {
            self.0.iter().any(|rule| {
                let at = |field: &str| rule["object-locator"][field].as_str().unwrap().to_owned();
                rule["rule-type"] == "selection"
                    && rule["rule-action"] == action
                    && naive_matches(&at("schema-name"), schema)
                    && naive_matches(&at("table-name"), table)
            })
        };
        acts("include") && !acts("exclude")
    }

    fn arrival(&self, schema: &str, table: &str) -> (String, String) {
        let renamed = |target: &str, name: &str| {
            let matching = self.0.iter().find(|rule| {
                rule["rule-type"] == "transformation"
                    && rule["rule-target"] == target
                    && naive_matches(rule["object-locator"]["schema-name"].as_str().unwrap(), schema)
                    && (target == "schema"
                        || naive_matches(rule["object-locator"]["table-name"].as_str().unwrap(), table))
            });
            let Some(rule) = matching else { return name.to_owned() };
            let value = rule["value"].as_str().unwrap_or_default();
            let old = rule["old-value"].as_str().unwrap_or_default();
            match rule["rule-action"].as_str().unwrap() {
                "rename" => value.to_owned(),
                "convert-uppercase" => name.to_uppercase(),
                "convert-lowercase" => name.to_lowercase(),
                "add-prefix" => format!("{value}{name}"),
                "add-suffix" => format!("{name}{value}"),
                "remove-prefix" => name.strip_prefix(value).unwrap_or(name).to_owned(),
                "remove-suffix" => name.strip_suffix(value).unwrap_or(name).to_owned(),
                "replace-prefix" => {
                    name.strip_prefix(old).map_or(name.to_owned(), |rest| format!("{value}{rest}"))
                }
                other => panic!("{other}"),
            }
        };
        (renamed("schema", schema), renamed("table", table))
    }
}

/// The rules of a task: selections, and at most one transformation each of schemas and tables.
fn task_rules() -> impl Strategy<Value = Vec<Value>> {
    let selection =
        (pattern(), pattern(), prop::bool::weighted(0.25)).prop_map(|(schema, table, excludes)| {
            json!({
                "rule-type": "selection",
                "object-locator": { "schema-name": schema, "table-name": table },
                "rule-action": if excludes { "exclude" } else { "include" },
            })
        });
    let action = prop::sample::select(vec![
        "rename",
        "convert-uppercase",
        "add-prefix",
        "add-suffix",
        "remove-prefix",
        "remove-suffix",
        "replace-prefix",
    ]);
    let target = prop::sample::select(vec!["schema", "table"]);
    let transformation = (target, action, pattern(), pattern(), "[abc_]{1,2}", "[abc]{1,2}").prop_map(
        |(target, action, schema, table, value, old)| {
            json!({
                "rule-type": "transformation",
                "rule-target": target,
                "object-locator": { "schema-name": schema, "table-name": table },
                "rule-action": action,
                "value": value,
                "old-value": old,
            })
        },
    );
    (prop::collection::vec(selection, 1..4), prop::collection::vec(transformation, 0..3)).prop_map(
        |(a, b)| {
            let mut rules = [a, b].concat();
            for (id, rule) in rules.iter_mut().enumerate() {
                rule["rule-id"] = json!(id.to_string());
            }
            rules
        },
    )
}

fn task_of(rules: &[Value]) -> Option<Task> {
    let text = json!({ "rules": rules }).to_string();
    Task::read("task.json", &text, None).ok().and_then(|(mut tasks, _)| tasks.pop())
}

/// All names of up to three characters of a small alphabet, `A` among them for what becomes of `a`.
fn all_names() -> Vec<String> {
    let letters = ["a", "b", "_", "A"];
    let longer = |names: &[String]| -> Vec<String> {
        names.iter().flat_map(|name| letters.map(|letter| format!("{name}{letter}"))).collect()
    };
    let one: Vec<String> = letters.map(str::to_owned).to_vec();
    let two = longer(&one);
    [one, two.clone(), longer(&two)].concat()
}

fn has(remarks: &[Remark], codes: &[&str]) -> bool {
    remarks.iter().any(|remark| codes.contains(&remark.code()))
}

/// The `schema.table` in backquotes that follows a word of a message.
fn example_after<'m>(message: &'m str, word: &str) -> (&'m str, &'m str) {
    let from = message.split_once(word).unwrap().1;
    from.split('`').nth(1).unwrap().split_once('.').unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_check_of_what_dms_rules_writes_finds_nothing(rules in rules()) {
        let Some(mappings) = mapping_of(&rules) else { return Ok(()) };
        let landing = &mappings.landings()[0];
        match generate(landing, &Kept::default(), Extras::default()) {
            Ok(generated) => {
                let (tasks, remarks) = Task::read("task.json", &generated.text, None).expect("DMS would take it");
                prop_assert_eq!((remarks, generated.remarks), (vec![], vec![]));
                prop_assert_eq!(compare(&tasks, landing), vec![]);
            }
            Err(_) => prop_assert!(rules.iter().all(|(_, _, excludes)| *excludes)),
        }
    }

    #[test]
    fn what_dms_selects_by_what_dms_rules_writes_is_what_the_mapping_loads(
        rules in rules(),
        names in prop::collection::vec((name(), name()), 40),
    ) {
        let Some(mappings) = mapping_of(&rules) else { return Ok(()) };
        let Ok(generated) = generate(&mappings.landings()[0], &Kept::default(), Extras::default()) else {
            return Ok(());
        };
        let json: Value = serde_json::from_str(&generated.text).expect("it is JSON");
        let dms = Dms(json["rules"].as_array().expect("it has rules"));
        let short = all_names();
        let pairs = short.iter().flat_map(|schema| short.iter().take(20).map(|table| (schema.clone(), table.clone())));
        for (schema, table) in names.into_iter().chain(pairs) {
            // A name that BigQuery refuses is routed all the same: it is the mapping's to take.
            let loaded = match mappings.landings()[0].rule_for(&schema, &table) {
                Some(rule) => !rules[rule.index].2,
                None => false,
            };
            prop_assert_eq!(dms.selects(&schema, &table), loaded, "{}.{}", schema, table);
        }
    }

    /// Whatever the patterns say of a name, they say of one of the names that stand for all.
    #[test]
    fn the_names_apart_stand_for_every_name(
        patterns in prop::collection::vec(pattern(), 1..5),
        value in "[abc_]{1,2}",
        old in "[abc_]{0,2}",
        names in prop::collection::vec("[abcABC_가]{1,6}", 30),
    ) {
        let patterns: Vec<Pattern> = patterns.iter().map(|text| Pattern::parse(text).expect("valid")).collect();
        let changes = [
            Change::AsIs,
            Change::Lowercase,
            Change::Uppercase,
            Change::Prefix { old: &old, new: &value },
            Change::Prefix { old: &value, new: "" },
            Change::Suffix { old: &old, new: &value },
            Change::Suffix { old: &value, new: "" },
        ];
        for change in changes {
            let asked = patterns.iter().flat_map(|pattern| [(pattern, Change::AsIs), (pattern, change)]);
            let apart = names_apart(asked, &mut Effort::default()).expect("few patterns");
            let answers = |name: &String| -> Vec<bool> {
                let changed = change.of(name);
                patterns.iter().flat_map(|pattern| [pattern.matches(name), pattern.matches(&changed)]).collect()
            };
            let known: Vec<Vec<bool>> = apart.iter().map(answers).collect();
            for name in &names {
                prop_assert!(known.contains(&answers(name)), "{name} under {change:?} is like none of {apart:?}");
            }
        }
    }

    /// The comparison misses nothing that trying all short names finds, and what it says is so.
    #[test]
    fn the_comparison_agrees_with_trying_every_name(rules in rules(), task in task_rules()) {
        let (Some(mappings), Some(read)) = (mapping_of(&rules), task_of(&task)) else { return Ok(()) };
        let dms = Dms(&task);
        let remarks = compare(std::slice::from_ref(&read), &mappings.landings()[0]);
        let mut reached = std::collections::HashSet::new();
        let names = all_names();
        for (schema, table) in names.iter().flat_map(|schema| names.iter().map(move |table| (schema, table))) {
            let (to_schema, to_table) = dms.arrival(schema, table);
            prop_assert_eq!(
                (read.selects(schema, table), read.arrival(schema, table).table),
                (dms.selects(schema, table), to_table.clone())
            );
            if !dms.selects(schema, table) || to_schema.is_empty() || to_table.is_empty() {
                continue;
            }
            if !is_known(&mappings, &to_schema, &to_table) {
                let found = has(&remarks, &["dms.unrouted", "dms.renamed"]);
                prop_assert!(found, "{schema}.{table} arrives as {to_schema}.{to_table}: {remarks:?}");
            } else if !is_loaded(&mappings, &to_schema, &to_table) {
                prop_assert!(has(&remarks, &["dms.excluded_by_mapping"]), "{schema}.{table}: {remarks:?}");
            }
            reached.extend(mappings.landings()[0].rule_for(&to_schema, &to_table).map(|rule| rule.index));
        }
        for remark in &remarks {
            match remark.code() {
                "dms.unrouted" => {
                    let word = if remark.message().contains("(say ") { "(say " } else { "selects" };
                    let (schema, table) = example_after(remark.message(), word);
                    prop_assert!(!is_known(&mappings, schema, table), "{remark}");
                }
                "dms.renamed" => {
                    let (schema, table) = example_after(remark.message(), "");
                    prop_assert!(dms.selects(schema, table), "{remark}");
                    let arrival = dms.arrival(schema, table);
                    let told = example_after(remark.message(), "arrives as");
                    prop_assert_eq!((arrival.0.as_str(), arrival.1.as_str()), told);
                }
                "dms.never_selected" => {
                    let index = remark.path().trim_matches(|c: char| !c.is_ascii_digit()).parse::<usize>();
                    prop_assert!(!reached.contains(&index.expect("a place in tables")), "{remark}");
                }
                _ => {}
            }
        }
    }
}

/// JSON of the right words in the wrong places.
fn anything() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(vec![
        "rules",
        "rule-type",
        "selection",
        "transformation",
        "table-settings",
        "rule-action",
        "include",
        "explicit",
        "rename",
        "add-prefix",
        "rule-target",
        "schema",
        "table",
        "object-locator",
        "schema-name",
        "table-name",
        "%",
        "[",
        "value",
        "old-value",
        "TableMappings",
        "ReplicationTasks",
        "ReplicationTaskSettings",
        "{\"rules\":[{}]}",
        "Endpoints",
        "S3Settings",
        "BucketName",
        "CdcMaxBatchInterval",
        "99999999999999999999",
        "0",
        "TargetMetadata",
        "ErrorBehavior",
        "ExtraConnectionAttributes",
        "a=b;=;c",
        "EngineName",
        "s3",
        "parallel-load",
        "type",
        "ranges",
    ]);
    let leaf = prop_oneof![
        word.clone().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
    ];
    leaf.prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((word.clone(), inner), 0..6).prop_map(|fields| fields
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect()),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_is_given_as_a_file_of_dms_is_read_or_refused_with_words(json in anything(), text in ".{0,60}") {
        let mappings = mapping_of(&vec![("game".to_owned(), "%".to_owned(), false)]).expect("sound");
        for text in [json.to_string(), text] {
            let mut remarks = settings::look_at("settings.json", &text);
            match Task::read("task.json", &text, Some('#')) {
                Ok((tasks, more)) => remarks.extend(compare(&tasks, &mappings.landings()[0]).into_iter().chain(more)),
                Err(refused) => {
                    prop_assert!(!refused.is_empty());
                    remarks.extend(refused);
                }
            }
            match Endpoint::read("endpoint.json", &text) {
                Ok(endpoints) => {
                    let known = Circumstances { table_count: Some(u64::MAX), function_timeout_s: 1 };
                    let looked = endpoints.iter().map(|endpoint| look_at(endpoint, &mappings, None, known));
                    remarks.extend(looked.flat_map(|(found, _)| found));
                }
                Err(refused) => remarks.extend(refused),
            }
            for remark in remarks {
                let is_sound = !remark.message().is_empty() && !remark.remedy().is_empty();
                prop_assert!(is_sound && remark.message().len() < 4096, "{remark}");
            }
        }
    }
}

fn selection(id: usize, table: &str) -> Value {
    json!({
        "rule-type": "selection",
        "rule-id": id.to_string(),
        "rule-action": "include",
        "object-locator": { "schema-name": "game", "table-name": table },
    })
}

#[test]
fn a_thousand_tables_are_compared_one_by_one() {
    let names: Vec<String> = (0..1000).map(|i| format!("table[_]{i}")).collect();
    let task: Vec<Value> = names.iter().enumerate().map(|(id, name)| selection(id, name)).collect();
    let ours: Rules = names.iter().skip(1).map(|name| ("game".to_owned(), name.clone(), false)).collect();
    let mappings = mapping_of(&ours).expect("the mapping is sound");
    let remarks = compare(&[task_of(&task).expect("the task is sound")], &mappings.landings()[0]);
    let found: Vec<(&str, &str)> = remarks.iter().map(|remark| (remark.code(), remark.path())).collect();
    assert_eq!(found, [("dms.unrouted", "$.rules[0]")]);
}

#[test]
fn patterns_that_overlap_in_too_many_ways_are_said_to_be_too_many() {
    let letters = ('a'..='z').map(|letter| format!("%{letter}%x%{letter}%"));
    let task: Vec<Value> = letters.enumerate().map(|(id, name)| selection(id, &name)).collect();
    let mappings = mapping_of(&vec![("game".to_owned(), "player".to_owned(), false)]).expect("sound");
    let remarks = compare(&[task_of(&task).expect("the task is sound")], &mappings.landings()[0]);
    let codes: Vec<&str> = remarks.iter().map(Remark::code).collect();
    assert_eq!(codes, ["dms.too_many_ways"]);
}

#[test]
fn a_rule_keeps_its_id_while_others_come_and_go() {
    let rule = |table: &str| ("game".to_owned(), table.to_owned(), false);
    let ids = |rules: &Rules| -> Vec<(String, String)> {
        let mappings = mapping_of(rules).expect("sound");
        let text =
            generate(&mappings.landings()[0], &Kept::default(), Extras::default()).expect("it loads").text;
        let json: Value = serde_json::from_str(&text).expect("JSON");
        let id = |rule: &Value| {
            let table = rule["object-locator"]["table-name"].as_str().unwrap().to_owned();
            (table, rule["rule-id"].as_str().unwrap().to_owned())
        };
        json["rules"].as_array().unwrap().iter().map(id).collect()
    };
    let before = ids(&vec![rule("player"), rule("bet")]);
    let after = ids(&vec![rule("bonus"), rule("bet"), rule("round"), rule("player")]);
    assert!(before.iter().all(|pair| after.contains(pair)), "{before:?} {after:?}");
}
