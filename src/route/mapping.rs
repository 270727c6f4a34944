//! A mapping as JSON spells it, read into types.
//!
//! A mapping that has a problem is still read to its end, so that all its problems are found at once.
//! Which fields there are, and what they may hold, stands here alone; [`super::schema`] tells editors.

use super::json::Json;
use super::names;
use super::options::{self, OptionsAsWritten};
use super::pattern::Pattern;
use super::problem::{MappingFault, MappingProblem};
use super::reader::{At, Fields, Place, Reader};
use super::syntax::not_json;
use super::template::Template;
use super::{RuleName, TableOptions, timezone};
use crate::key::{DateFolders, Delimiter, Layout, Sequence};

/// The largest mapping file, in bytes: room for some 10,000 rules, where a cluster has a few hundred tables.
pub const MAX_FILE_BYTES: usize = 1 << 20;

/// The one name of the published schema that this version knows.
const SCHEMA_FILE: &str = "schema.json";

pub(super) const TOP_FIELDS: &[&str] = &["$schema", "source", "destination", "defaults", "tables"];
pub(super) const SOURCE_FIELDS: &[&str] = &[
    "bucket",
    "bucket_folder",
    "date_partition",
    "timezone",
    "parallel_load",
    "transaction_files",
    "copies",
];
pub(super) const DATE_FIELDS: &[&str] = &["sequence", "delimiter"];
pub(super) const DESTINATION_FIELDS: &[&str] = &["project", "location", "dataset"];
pub(super) const RULE_DESTINATION_FIELDS: &[&str] = &["project", "location", "dataset", "table"];
pub(super) const RULE_FIELDS: &[&str] = &[
    "schema",
    "table",
    "action",
    "destination",
    "partition",
    "cluster_by",
    "columns",
    "kms_key",
    "generation",
];

/// What `source` says.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) bucket: String,
    pub(super) layout: Layout,
    pub(super) timezone: String,
    pub(super) copies: bool,
}

/// What a rule does with the tables that it matches.
#[derive(Debug, Clone)]
pub(super) enum Action {
    Exclude,
    Load(Box<Target>),
}

/// Where the tables of a rule go, and how.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) project: String,
    pub(super) location: String,
    pub(super) dataset: Template,
    pub(super) table: Template,
    pub(super) options: TableOptions,
}

/// Which tables a rule matches.
#[derive(Debug, Clone)]
pub(super) struct Matcher {
    pub(super) index: usize,
    pub(super) excludes: bool,
    pub(super) schema: Pattern,
    pub(super) table: Pattern,
    /// A field that means nothing, since nothing is loaded.
    pub(super) idle_field: Option<&'static str>,
}

impl Matcher {
    pub(super) fn name(&self) -> RuleName {
        RuleName { index: self.index, schema: self.schema.to_string(), table: self.table.to_string() }
    }
}

/// One rule.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) matcher: Matcher,
    pub(super) action: Action,
}

/// One file, as far as it could be read. It is whole only if there is no problem with it.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) source: Option<Source>,
    pub(super) matchers: Vec<Matcher>,
    pub(super) rules: Vec<Rule>,
}

/// Where the mapping's tables go unless a rule says otherwise.
#[derive(Debug, Clone, Default)]
struct Destination {
    project: Option<String>,
    location: Option<String>,
    dataset: Option<Template>,
}

/// Reads one file.
pub(super) fn read(file: &str, text: &str) -> (Draft, Vec<MappingProblem>) {
    let mut reader = Reader::new(file);
    let draft = read_text(&mut reader, text).unwrap_or_default();
    (draft, reader.into_problems())
}

fn read_text(reader: &mut Reader<'_>, text: &str) -> Option<Draft> {
    let size_bytes = text.len();
    if size_bytes > MAX_FILE_BYTES {
        reader.report(&Place::root(), MappingFault::TooLarge { size_bytes, max_bytes: MAX_FILE_BYTES });
        return None;
    }
    // Editors on Windows write a byte-order mark, which is no part of the JSON.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim().is_empty() {
        let detail = "the file is empty".to_owned();
        reader.report(&Place::root(), MappingFault::NotJson { line: 1, column: 1, detail });
        return None;
    }
    let parsed = serde_json::from_str(text).map_err(|error| not_json(&error, text));
    let json: Json = reader.checked(&Place::root(), parsed)?;
    read_mapping(reader, &At { json: &json, place: Place::root() })
}

fn read_mapping(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Draft> {
    let top = reader.object(at, TOP_FIELDS)?;
    read_schema(reader, &top);
    let source = reader
        .required(&top, "source", "the bucket that DMS writes to, `{ \"bucket\": … }`")
        .and_then(|at| read_source(reader, &at));
    let destination = reader
        .required(&top, "destination", "where it goes, `{ \"project\": …, \"location\": …, \"dataset\": … }`")
        .and_then(|at| read_destination(reader, &at))
        .unwrap_or_default();
    let defaults = top.get("defaults").and_then(|at| {
        let fields = reader.object(&at, options::FIELDS)?;
        Some(options::read(reader, &fields, &OptionsAsWritten::default()))
    });
    let tables = reader
        .required(&top, "tables", "the rules, `[ { \"schema\": …, \"table\": … } ]`")
        .and_then(|at| reader.list(&at, "a list of rules"))
        .unwrap_or_default();
    let mut draft = Draft { source, ..Draft::default() };
    let context = Context { destination, defaults: defaults.unwrap_or_default() };
    for (index, at) in tables.iter().enumerate() {
        read_rule(reader, at, index, &context, &mut draft);
    }
    Some(draft)
}

/// `$schema` is for editors and never opened; but one of another name is of another version.
fn read_schema(reader: &mut Reader<'_>, top: &Fields<'_>) {
    let Some(at) = top.get("$schema") else { return };
    let Some(given) = reader.string(&at, "the place of `schema.json`, such as \"./schema.json\"") else {
        return;
    };
    if given.rsplit('/').next() != Some(SCHEMA_FILE) {
        reader.report(&at.place, MappingFault::UnknownSchema { given: given.to_owned() });
    }
}

fn read_source(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Source> {
    let fields = reader.object(at, SOURCE_FIELDS)?;
    let bucket = reader
        .required(&fields, "bucket", "the name of the bucket that DMS writes to")
        .and_then(|at| read_name(reader, &at, "the bucket's name as a string", names::check_bucket));
    let bucket_folder = match fields.get("bucket_folder") {
        Some(at) => read_folder(reader, &at),
        None => Some(String::new()),
    };
    let date_partition = fields.get("date_partition").and_then(|at| read_date_partition(reader, &at));
    let timezone = match fields.get("timezone") {
        Some(at) => read_timezone(reader, &at),
        None => Some(timezone::UTC.to_owned()),
    };
    let parallel_load = read_flag(reader, &fields, "parallel_load");
    let copies = read_flag(reader, &fields, "copies");
    let ignore_transaction_files =
        fields.get("transaction_files").and_then(|at| reader.word(&at, &[("ignore", true)])).unwrap_or(false);
    let layout =
        Layout { bucket_folder: bucket_folder?, date_partition, parallel_load, ignore_transaction_files };
    Some(Source { bucket: bucket?, layout, timezone: timezone?, copies })
}

fn read_flag(reader: &mut Reader<'_>, fields: &Fields<'_>, name: &str) -> bool {
    fields.get(name).and_then(|at| reader.boolean(&at)).unwrap_or(false)
}

fn read_name(
    reader: &mut Reader<'_>,
    at: &At<'_>,
    expected: &'static str,
    check: fn(&str) -> Result<(), names::BadName>,
) -> Option<String> {
    let name = reader.string(at, expected)?;
    let checked = check(name).map(|()| name.to_owned()).map_err(MappingFault::BadName);
    reader.checked(&at.place, checked)
}

/// The folder as keys begin with it. A slash at its end says nothing more, and people write it.
fn read_folder(reader: &mut Reader<'_>, at: &At<'_>) -> Option<String> {
    let given = reader.string(at, "the bucket folder as a string")?;
    let folder = given.strip_suffix('/').filter(|folder| !folder.is_empty()).unwrap_or(given);
    if folder.is_empty() {
        return Some(String::new());
    }
    let checked = names::check_folder(folder).map(|()| folder.to_owned()).map_err(MappingFault::BadName);
    reader.checked(&at.place, checked)
}

fn read_date_partition(reader: &mut Reader<'_>, at: &At<'_>) -> Option<DateFolders> {
    let fields = reader.object(at, DATE_FIELDS)?;
    // What is left out is what DMS does by default.
    let sequence = match fields.get("sequence") {
        Some(at) => reader.word(&at, &Sequence::ALL.map(|word| (word.as_str(), word))),
        None => Some(Sequence::Yyyymmdd),
    };
    let delimiter = match fields.get("delimiter") {
        Some(at) => reader.word(&at, &Delimiter::ALL.map(|word| (word.as_str(), word))),
        None => Some(Delimiter::Slash),
    };
    Some(DateFolders { sequence: sequence?, delimiter: delimiter? })
}

fn read_timezone(reader: &mut Reader<'_>, at: &At<'_>) -> Option<String> {
    let given = reader.string(at, "a time zone as a string, such as \"UTC\" or \"Asia/Seoul\"")?;
    if timezone::is_known(given) {
        return Some(given.to_owned());
    }
    let fault = MappingFault::BadTimezone { given: given.to_owned(), nearest: timezone::nearest(given) };
    reader.report(&at.place, fault);
    None
}

fn read_destination(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Destination> {
    let fields = reader.object(at, DESTINATION_FIELDS)?;
    reader.required(&fields, "project", "the id of the Google project");
    reader.required(&fields, "location", "the dataset's location, such as `US` or `asia-northeast3`");
    reader.required(&fields, "dataset", "the BigQuery dataset");
    Some(read_place(reader, &fields))
}

fn read_place(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Destination {
    let project = fields
        .get("project")
        .and_then(|at| read_name(reader, &at, "the project's id as a string", names::check_project));
    let location = fields
        .get("location")
        .and_then(|at| read_name(reader, &at, "the location as a string", names::check_location));
    let dataset = fields.get("dataset").and_then(|at| read_template(reader, &at, names::check_dataset));
    Destination { project, location, dataset }
}

/// A name with placeholders. What stands around them is checked here; the whole name, with the table's.
fn read_template(
    reader: &mut Reader<'_>,
    at: &At<'_>,
    check: fn(&str) -> Result<(), names::BadName>,
) -> Option<Template> {
    let given = reader.string(at, "a name as a string")?;
    let parsed = Template::parse(given)
        .map_err(|reason| MappingFault::BadTemplate { given: given.to_owned(), reason });
    let template = reader.checked(&at.place, parsed)?;
    let checked = check(&template.expand("x", "x"))
        .map_err(|bad| MappingFault::BadName(names::BadName { given: given.to_owned(), ..bad }));
    reader.checked(&at.place, checked)?;
    Some(template)
}

/// What a rule takes over from its mapping.
struct Context {
    destination: Destination,
    defaults: OptionsAsWritten,
}

fn read_rule(reader: &mut Reader<'_>, at: &At<'_>, index: usize, context: &Context, draft: &mut Draft) {
    let Some(fields) = reader.object(at, RULE_FIELDS) else { return };
    let excludes = fields
        .get("action")
        .and_then(|at| reader.word(&at, &[("include", false), ("exclude", true)]))
        .unwrap_or(false);
    let schema = read_pattern(reader, &fields, "schema", "the source's schema, or a pattern such as `%`");
    let table = read_pattern(reader, &fields, "table", "the source's table, or a pattern such as `log_%`");
    let target = read_target(reader, &fields, context);
    let (Some(schema), Some(table)) = (schema, table) else { return };
    let mut of_loads = RULE_FIELDS.iter().filter(|field| !matches!(**field, "schema" | "table" | "action"));
    let idle_field = of_loads.find(|field| excludes && fields.get(field).is_some()).copied();
    let matcher = Matcher { index, excludes, schema, table, idle_field };
    draft.matchers.push(matcher.clone());
    let action = if excludes { Some(Action::Exclude) } else { target.map(Box::new).map(Action::Load) };
    draft.rules.extend(action.map(|action| Rule { matcher, action }));
}

fn read_pattern(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    field: &'static str,
    meaning: &'static str,
) -> Option<Pattern> {
    let at = reader.required(fields, field, meaning)?;
    let given = reader.string(&at, "a name or pattern as a string")?;
    let parsed =
        Pattern::parse(given).map_err(|reason| MappingFault::BadPattern { given: given.to_owned(), reason });
    reader.checked(&at.place, parsed)
}

fn read_target(reader: &mut Reader<'_>, fields: &Fields<'_>, context: &Context) -> Option<Target> {
    let own = fields.get("destination").and_then(|at| reader.object(&at, RULE_DESTINATION_FIELDS));
    let place = own.as_ref().map(|own| read_place(reader, own)).unwrap_or_default();
    let table = match own.as_ref().and_then(|own| own.get("table")) {
        Some(at) => read_template(reader, &at, names::check_table),
        None => Some(Template::table()),
    };
    let options = options::read(reader, fields, &context.defaults).resolved();
    let general = &context.destination;
    Some(Target {
        project: place.project.or_else(|| general.project.clone())?,
        location: place.location.or_else(|| general.location.clone())?,
        dataset: place.dataset.or_else(|| general.dataset.clone())?,
        table: table?,
        options,
    })
}
