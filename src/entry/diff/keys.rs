//! What a change of the mappings does to files that there are: a wildcard's effect cannot be seen in its text.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;

use serde::Serialize;

use super::listing::{self, Entry, ListingError};
use crate::dms::grouped;
use crate::key::{self, KeyMeaning};
use crate::route::{Decision, Landing, Mappings, TableRef};

/// Files that are shown of each group.
const EXAMPLES: usize = 3;

/// Groups that are kept: tables of one and the same effect. A listing may hold more kinds of keys than anybody has tables,
/// and the memory for it must not grow with them; what goes beyond is counted as a whole.
const MAX_GROUPS: usize = 2_000;

/// What becomes of a file by one side's mappings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It is loaded.
    Loaded {
        /// Its table at the source, as `schema.table`.
        source_table: String,
        /// Where to.
        destination: TableRef,
        /// The dataset's location and the table's generation: with another of these it has another job.
        job: (String, u64),
    },
    /// It is acknowledged and not loaded.
    Ignored {
        /// Its table, if it is one's.
        source_table: Option<String>,
        /// Why, as a code.
        code: &'static str,
    },
    /// No mapping or no rule is for it: an error.
    Unmapped {
        /// Its table, if its place is mapped.
        source_table: Option<String>,
    },
    /// Another error, which its key already makes.
    Refused {
        /// The error's code.
        code: &'static str,
    },
}

/// What becomes of a file by these mappings; without any, nothing is mapped.
pub fn fate(mappings: Option<&Mappings>, bucket: &str, key: &str) -> Fate {
    if key.ends_with('/') {
        return Fate::Ignored { source_table: None, code: "event.folder_marker" };
    }
    let Some(landing) = mappings.and_then(|mappings| mappings.landing(bucket, key).ok()) else {
        return Fate::Unmapped { source_table: None };
    };
    match key::parse(key, landing.layout()) {
        Err(error) => Fate::Refused { code: error.code() },
        Ok(KeyMeaning::Ignored(ignored)) => Fate::Ignored { source_table: None, code: ignored.code() },
        Ok(KeyMeaning::Data(key)) => of_table(landing, &key),
    }
}

fn of_table(landing: &Landing, key: &key::DmsKey) -> Fate {
    let source_table = format!("{}.{}", key.schema, key.table);
    // Asked first, since the error would look for the nearest rule, and a listing may have millions of these.
    if landing.rule_for(&key.schema, &key.table).is_none() {
        return Fate::Unmapped { source_table: Some(source_table) };
    }
    match landing.resolve(key) {
        Ok(Decision::Load(route)) => Fate::Loaded {
            source_table,
            destination: route.destination,
            job: (route.location, route.options.generation),
        },
        Ok(Decision::Exclude { .. }) => {
            Fate::Ignored { source_table: Some(source_table), code: "route.excluded" }
        }
        Err(error) => Fate::Refused { code: error.code() },
    }
}

impl Fate {
    fn source_table(&self) -> Option<&str> {
        match self {
            Self::Loaded { source_table, .. } => Some(source_table),
            Self::Ignored { source_table, .. } | Self::Unmapped { source_table } => source_table.as_deref(),
            Self::Refused { .. } => None,
        }
    }

    /// In a few words.
    fn in_words(&self) -> String {
        match self {
            Self::Loaded { destination, .. } => destination.to_string(),
            Self::Ignored { code: "route.excluded", .. } => "excluded".to_owned(),
            Self::Ignored { code, .. } => format!("ignored ({code})"),
            Self::Unmapped { .. } => "unmapped".to_owned(),
            Self::Refused { code } => format!("error ({code})"),
        }
    }
}

/// What a change does to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// It goes to another table.
    Moved,
    /// It goes to the same table under another job id.
    NewJobId,
    /// It is loaded, which it was not: it was an error.
    Loaded,
    /// It is loaded, which it was not: it was ignored.
    WasIgnored,
    /// It is ignored, which it was not.
    Ignored,
    /// It is unmapped, which it was not.
    Unmapped,
    /// It is another error, which it was not.
    Refused,
    /// Nothing: it is loaded or ignored as before.
    Same,
    /// Nothing: it is unmapped still.
    StillUnmapped,
    /// Nothing: it is an error still.
    StillRefused,
}

impl Effect {
    /// All effects, in the order in which they are shown.
    pub const ALL: [Self; 10] = [
        Self::Moved,
        Self::NewJobId,
        Self::Loaded,
        Self::WasIgnored,
        Self::Ignored,
        Self::Unmapped,
        Self::Refused,
        Self::Same,
        Self::StillUnmapped,
        Self::StillRefused,
    ];

    /// What goes from one fate to another.
    pub fn of(old: &Fate, new: &Fate) -> Self {
        match (old, new) {
            (Fate::Loaded { destination: from, .. }, Fate::Loaded { destination: to, .. }) if from != to => {
                Self::Moved
            }
            (Fate::Loaded { job: from, .. }, Fate::Loaded { job: to, .. }) if from != to => Self::NewJobId,
            (Fate::Loaded { .. }, Fate::Loaded { .. }) | (Fate::Ignored { .. }, Fate::Ignored { .. }) => {
                Self::Same
            }
            (Fate::Unmapped { .. }, Fate::Unmapped { .. }) => Self::StillUnmapped,
            (Fate::Refused { .. }, Fate::Refused { .. }) => Self::StillRefused,
            (Fate::Ignored { .. }, Fate::Loaded { .. }) => Self::WasIgnored,
            (_, Fate::Loaded { .. }) => Self::Loaded,
            (_, Fate::Ignored { .. }) => Self::Ignored,
            (_, Fate::Unmapped { .. }) => Self::Unmapped,
            (_, Fate::Refused { .. }) => Self::Refused,
        }
    }

    /// Whether the file was an error, and is one still.
    pub fn is_old_error(self) -> bool {
        matches!(self, Self::StillUnmapped | Self::StillRefused)
    }

    /// For a person.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Moved => "moved to another table",
            Self::NewJobId => "in the same table by another job: rows may be doubled",
            Self::Loaded => "loaded from now on",
            Self::WasIgnored => "loaded from now on, and ignored until now",
            Self::Ignored => "ignored from now on",
            Self::Unmapped => "unmapped from now on (route.unmapped)",
            Self::Refused => "refused from now on",
            Self::Same => "as before",
            Self::StillUnmapped => "still not loaded: unmapped (route.unmapped)",
            Self::StillRefused => "still not loaded: refused",
        }
    }
}

/// The effects on all files of a listing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct KeysReport {
    /// How many files there are.
    pub files: u64,
    /// How many of them there are of each effect.
    pub effects: BTreeMap<Effect, u64>,
    /// How many of them will be loaded.
    pub will_load: u64,
    /// How many of them will be ignored.
    pub will_ignore: u64,
    /// How many of them will be unmapped.
    pub will_be_unmapped: u64,
    /// How many of them will be other errors.
    pub will_be_refused: u64,
    /// How many of those there are of each error, by its code.
    pub refusals: BTreeMap<&'static str, u64>,
    /// The files that something else becomes of, and those that are errors still, by table.
    pub tables: Vec<TableFiles>,
    /// Further files of this kind, which are in none of these groups because there are too many.
    pub of_further_tables: u64,
    /// How many files lie below a landing prefix of either side.
    #[serde(skip)]
    pub below_landings: u64,
}

/// Files of one table, of which the same becomes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableFiles {
    /// What changes for them.
    pub effect: Effect,
    /// Their table, as `schema.table`; without one, their folder.
    pub table: String,
    /// What became of them.
    pub old: String,
    /// What becomes of them.
    pub new: String,
    /// How many there are.
    pub files: u64,
    /// Some of them.
    pub examples: Vec<String>,
}

impl KeysReport {
    /// Goes through a listing. `bucket` is that of keys whose bucket the listing does not name.
    ///
    /// # Errors
    /// [`ListingError`] if the listing cannot be read, or nobody says which bucket it is of.
    pub fn of(
        listing: impl BufRead,
        bucket: Option<&str>,
        old: Option<&Mappings>,
        new: &Mappings,
    ) -> Result<Self, ListingError> {
        let buckets = buckets(old, new);
        if let Some(given) = bucket.filter(|bucket| !buckets.iter().any(|known| known == bucket)) {
            return Err(ListingError::NoSuchBucket { given: given.to_owned(), buckets });
        }
        let only = match (bucket, buckets.as_slice()) {
            (Some(bucket), _) => Some(bucket),
            (None, [only]) => Some(only.as_str()),
            (None, _) => None,
        };
        let mut tally = Tally::default();
        listing::read(listing, &mut |Entry { bucket, key }| {
            let which = || ListingError::WhichBucket { buckets: buckets.clone() };
            let bucket = bucket.or(only).ok_or_else(which)?;
            tally.count(bucket, key, &fate(old, bucket, key), &fate(Some(new), bucket, key));
            Ok(())
        })?;
        Ok(tally.report())
    }

    /// What becomes of all files from now on, in a sentence.
    pub fn in_words(&self) -> String {
        let codes: Vec<String> =
            self.refusals.iter().map(|(code, files)| format!("{code}: {files}")).collect();
        let codes = if codes.is_empty() { String::new() } else { format!(" ({})", codes.join(", ")) };
        format!(
            "With the new mappings {} would be loaded, {} ignored, {} unmapped (route.unmapped), {} refused{codes}.",
            grouped(self.will_load),
            grouped(self.will_ignore),
            grouped(self.will_be_unmapped),
            grouped(self.will_be_refused),
        )
    }

    /// How many files there are of an effect.
    pub fn count(&self, effect: Effect) -> u64 {
        self.effects.get(&effect).copied().unwrap_or_default()
    }
}

fn buckets(old: Option<&Mappings>, new: &Mappings) -> Vec<String> {
    let landings = old.into_iter().chain([new]).flat_map(Mappings::landings);
    let buckets: BTreeSet<&str> = landings.map(Landing::bucket).collect();
    buckets.into_iter().map(str::to_owned).collect()
}

/// What makes files a group: effect, table, what became and what becomes of them.
type Group = (Effect, String, String, String);

#[derive(Default)]
struct Tally {
    report: KeysReport,
    groups: BTreeMap<Group, (u64, Vec<String>)>,
}

impl Tally {
    fn count(&mut self, bucket: &str, key: &str, old: &Fate, new: &Fate) {
        let effect = Effect::of(old, new);
        self.report.files += 1;
        let is_elsewhere = |fate: &Fate| matches!(fate, Fate::Unmapped { source_table: None });
        self.report.below_landings += u64::from(!(is_elsewhere(old) && is_elsewhere(new)));
        *self.report.effects.entry(effect).or_default() += 1;
        *match new {
            Fate::Loaded { .. } => &mut self.report.will_load,
            Fate::Ignored { .. } => &mut self.report.will_ignore,
            Fate::Unmapped { .. } => &mut self.report.will_be_unmapped,
            Fate::Refused { code } => {
                *self.report.refusals.entry(code).or_default() += 1;
                &mut self.report.will_be_refused
            }
        } += 1;
        if effect == Effect::Same {
            return;
        }
        let table = new.source_table().or(old.source_table()).map(str::to_owned);
        let folder = || format!("s3://{bucket}/{}", key.rsplit_once('/').map_or("", |(folder, _)| folder));
        let group = (effect, table.unwrap_or_else(folder), old.in_words(), new.in_words());
        if self.groups.len() >= MAX_GROUPS && !self.groups.contains_key(&group) {
            self.report.of_further_tables += 1;
            return;
        }
        let (files, examples) = self.groups.entry(group).or_default();
        *files += 1;
        if examples.len() < EXAMPLES {
            examples.push(format!("s3://{bucket}/{key}"));
        }
    }

    fn report(self) -> KeysReport {
        let tables = self.groups.into_iter().map(|((effect, table, old, new), (files, examples))| {
            TableFiles { effect, table, old, new, files, examples }
        });
        KeysReport { tables: tables.collect(), ..self.report }
    }
}
