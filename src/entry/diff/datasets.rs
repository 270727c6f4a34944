//! Datasets that a change of the mappings needs: dms2bq makes tables, and datasets are made by a person.

use std::collections::{BTreeMap, BTreeSet};

use crate::route::Landing;

/// Datasets that are told one by one; who needs more of them at once has a list of them.
const DATASETS_SHOWN: usize = 10;

/// A dataset that something goes into from now on, and nothing until now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NewDataset {
    /// As `project.dataset`, with its placeholders.
    name: String,
    location: String,
    /// Where it is by the mappings until now.
    old_location: Option<String>,
}

/// The datasets of these mappings that those until now do not have, or have elsewhere.
pub(super) fn new(old: &[Landing], new: &[Landing]) -> Vec<NewDataset> {
    let known: BTreeSet<(String, String)> = old.iter().flat_map(Landing::datasets).collect();
    let locations: BTreeMap<&str, &str> =
        known.iter().map(|(name, location)| (name.as_str(), location.as_str())).collect();
    let wanted: BTreeSet<(String, String)> = new.iter().flat_map(Landing::datasets).collect();
    let dataset = |(name, location): &(String, String)| NewDataset {
        old_location: locations.get(name.as_str()).map(|&location| location.to_owned()),
        name: name.clone(),
        location: location.clone(),
    };
    wanted.difference(&known).map(dataset).collect()
}

/// What has to be there before the mappings are in force, each in a sentence.
pub(super) fn cautions(datasets: &[NewDataset]) -> Vec<String> {
    let mut cautions: Vec<String> = datasets.iter().take(DATASETS_SHOWN).map(NewDataset::in_words).collect();
    let more = datasets.len().saturating_sub(DATASETS_SHOWN);
    if more > 0 {
        cautions.push(format!("further new datasets: {more} more must be there; `dms2bq check` lists all"));
    }
    cautions
}

impl NewDataset {
    fn in_words(&self) -> String {
        let Self { name, location, old_location } = self;
        if let Some(old) = old_location {
            return format!(
                "dataset in another location: {name} must be there, in {location}, before this is in force. By the mappings until \
                 now it is in {old}, and BigQuery moves no dataset: if it is, write {old}, or the name of another dataset"
            );
        }
        if name.contains('{') {
            return format!(
                "new datasets: each that {name} stands for must be there, in {location}, before this is in force"
            );
        }
        let (project, dataset) = name.rsplit_once('.').unwrap_or(("", name));
        format!(
            "new dataset: {name} must be there, in {location}, before this is in force: \
             `bq --location={location} mk --dataset {project}:{dataset}`"
        )
    }
}
