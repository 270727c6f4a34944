//! What `dms2bq local` works on: a folder of files, the mappings for them, and what should come of each.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use serde::Deserialize;

use crate::cloud::Objects;
use crate::cloud::folder::Folder;
use crate::entry::mapping_files;
use crate::job::footers::FooterReader;
use crate::key::{self, KeyMeaning};
use crate::object::{Object, ObjectRef};
use crate::outcome::record::Record;
use crate::route::{Decision, Mappings, Route, TableRef};

/// The folder below DIR that holds its mappings, and no objects.
const MAPPINGS_FOLDER: &str = "mappings";

/// The file in DIR that says what should come of its files, where some are there to fail.
const EXPECTATIONS: &str = "expected.json";

/// A folder and its mappings, read.
pub(super) struct Ground {
    /// The mappings.
    pub(super) mappings: Arc<Mappings>,
    /// The files, as S3 would give them out.
    pub(super) folder: Arc<Folder>,
    /// All of them, by bucket and key.
    pub(super) objects: Vec<ObjectRef>,
    /// The files that are meant to come back, with the code that they are meant to come back with.
    pub(super) meant_to_return: Vec<Fate>,
}

/// What somebody expects to become of a file: an entry of `expected.json`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Fate {
    bucket: String,
    key: String,
    outcome: String,
    code: Option<String>,
}

impl Fate {
    /// Whether a file that came back was meant to.
    pub(super) fn is_that_of(&self, record: &Record) -> bool {
        record.bucket.as_deref() == Some(&self.bucket)
            && record.key.as_deref() == Some(&self.key)
            && record.code == self.code.as_deref()
    }
}

/// What the files of one destination hold.
#[derive(Debug, Clone, Default)]
pub(super) struct Expected {
    /// Where the dataset is to be.
    pub(super) location: String,
    /// How many files are routed there and can be read.
    pub(super) file_count: u64,
    /// The rows that their footers announce.
    pub(super) row_count: u64,
}

impl Ground {
    /// Reads a folder: its mappings from `mappings`, or else from the folder itself, or else from `fallback`.
    ///
    /// # Errors
    /// What is missing or wrong, in words, all problems of all mappings at once.
    pub(super) fn read(dir: &Path, mappings: Option<&Path>, fallback: &Path) -> anyhow::Result<Self> {
        if !dir.is_dir() {
            bail!(
                "there is no folder {}; give the folder that is laid out as DMS lays out a bucket",
                dir.display()
            );
        }
        let own = dir.join(MAPPINGS_FOLDER);
        let mappings_path = match mappings {
            Some(path) => path.to_owned(),
            None if own.is_dir() => own,
            None => fallback.to_owned(),
        };
        let files = mapping_files::read_local(&mappings_path)
            .with_context(|| format!("read the mappings for {}", dir.display()))?;
        let mappings = Arc::new(Mappings::parse(files)?);
        let (folder, buckets) = buckets(dir, &mappings)?;
        let mut objects = Vec::new();
        for bucket in &buckets {
            objects.extend(folder.list(bucket)?);
        }
        // Where DIR itself is the bucket, what tells of the objects is not one of them.
        let dir_is_the_bucket = !buckets.iter().any(|bucket| dir.join(bucket).is_dir());
        if dir_is_the_bucket {
            objects.retain(|object| !tells_of_objects(&object.key, dir, &mappings_path));
        }
        let meant_to_return = meant_to_return(dir)?;
        Ok(Self { mappings, folder: Arc::new(folder), objects, meant_to_return })
    }

    /// What every destination should hold, by the files' own footers.
    pub(super) async fn expected(&self) -> BTreeMap<TableRef, Expected> {
        let footers = FooterReader::new(Arc::clone(&self.folder) as Arc<dyn Objects>);
        let mut expected: BTreeMap<TableRef, Expected> = BTreeMap::new();
        for object in &self.objects {
            let Some(route) = self.route(object) else { continue };
            let table = expected.entry(route.destination).or_default();
            table.location = route.location;
            let Some(etag) = object.etag.clone() else { continue };
            let object = Object::new(&object.bucket, &object.key, etag, None);
            if let Ok(read) = footers.read(&object).await {
                table.file_count += 1;
                table.row_count += read.footer.row_count;
            }
        }
        expected
    }

    fn route(&self, object: &ObjectRef) -> Option<Route> {
        let landing = self.mappings.landing(&object.bucket, &object.key).ok()?;
        let KeyMeaning::Data(key) = key::parse(&object.key, landing.layout()).ok()? else { return None };
        match landing.resolve(&key).ok()? {
            Decision::Load(route) => Some(route),
            Decision::Exclude { .. } => None,
        }
    }
}

/// Whether a file of DIR is a mapping in use, or the list of what should come of the files.
fn tells_of_objects(key: &str, dir: &Path, mappings_path: &Path) -> bool {
    dir.join(key).starts_with(mappings_path) || key == EXPECTATIONS
}

/// Reads what DIR says should come of its files, if it says so. Only a folder that is made to show failures does.
fn meant_to_return(dir: &Path) -> anyhow::Result<Vec<Fate>> {
    let path = dir.join(EXPECTATIONS);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
    };
    let fates: Vec<Fate> =
        serde_json::from_str(&text).with_context(|| format!("understand {}", path.display()))?;
    Ok(fates.into_iter().filter(|fate| fate.outcome == "error").collect())
}

/// Where DIR holds a folder with the name of a mapped bucket, its folders are buckets; otherwise DIR itself is the
/// one bucket that the mappings name.
fn buckets(dir: &Path, mappings: &Mappings) -> anyhow::Result<(Folder, Vec<String>)> {
    let mut mapped: Vec<&str> = mappings.landings().iter().map(|landing| landing.bucket()).collect();
    mapped.sort_unstable();
    mapped.dedup();
    if mapped.iter().any(|bucket| dir.join(bucket).is_dir()) {
        return Ok((Folder::new(dir), folders_of(dir)?));
    }
    match mapped.as_slice() {
        [bucket] => Ok((Folder::single((*bucket).to_owned(), dir), vec![(*bucket).to_owned()])),
        several => bail!(
            "the mappings name {} buckets ({}), so {} must hold a folder with the name of each",
            several.len(),
            several.join(", "),
            dir.display()
        ),
    }
}

fn folders_of(dir: &Path) -> anyhow::Result<Vec<String>> {
    let entries = std::fs::read_dir(dir).with_context(|| format!("list {}", dir.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let path: PathBuf = entry.with_context(|| format!("list {}", dir.display()))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if path.is_dir() && name != MAPPINGS_FOLDER && !name.starts_with('.') {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}
