//! Which mapping is meant.

use super::remark::{Level, Remark, Told};
use crate::route::{Landing, Mappings};

/// Why it cannot be told which mapping is meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum NoChoice {
    #[error("there is no mapping `{given}`")]
    Unknown { given: String, known: Vec<String> },
    #[error("there are {} mappings, and nothing says which one {what} for", known.len())]
    Several { what: &'static str, known: Vec<String> },
}

/// The mapping of a name (`casino-a`) or of a file (`mappings/casino-a.json`); without either, the only one.
///
/// # Errors
/// What to say if there is none of that name, or several. `what` is the file or command that asks.
pub fn choose<'m>(
    mappings: &'m Mappings,
    given: Option<&str>,
    file: &str,
    what: &'static str,
) -> Result<&'m Landing, Remark> {
    let known: Vec<String> =
        mappings.landings().iter().map(|landing| landing.mapping_name().to_owned()).collect();
    let no_choice = match (given, mappings.landings()) {
        (None, [only]) => return Ok(only),
        (None, _) => NoChoice::Several { what, known },
        (Some(given), landings) => match landings.iter().find(|landing| is_called(landing, given)) {
            Some(landing) => return Ok(landing),
            None => NoChoice::Unknown { given: super::node::shortened(given), known },
        },
    };
    Err(Remark::new(file, "", &no_choice))
}

fn is_called(landing: &Landing, given: &str) -> bool {
    let file_name = |path: &str| path.rsplit(['/', '\\']).next().map(str::to_owned);
    landing.mapping_name() == given
        || landing.file() == given
        || (given.ends_with(".json") && file_name(given) == file_name(landing.file()))
}

impl Told for NoChoice {
    fn level(&self) -> Level {
        match self {
            Self::Unknown { .. } | Self::Several { .. } => Level::Error,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Unknown { .. } => "dms.no_such_mapping",
            Self::Several { .. } => "dms.which_mapping",
        }
    }

    fn remedy(&self) -> String {
        match self {
            Self::Unknown { known, .. } | Self::Several { known, .. } => {
                let known: Vec<String> = known.iter().map(|name| format!("--mapping {name}")).collect();
                format!(
                    "say which: {}; `check` also takes it from --endpoint, whose bucket and folder say it",
                    known.join(", ")
                )
            }
        }
    }
}
