//! The versions that events carry.

use super::error::{EventError, Speaker};

/// Admits a version of the expected major number with any minor one, for AWS raises the minor when it
/// adds fields (2.0 to 2.6 by 2026) and promises to raise the major when it breaks readers.
///
/// A missing version is admitted: hand-made and re-serialised events leave it out, and it claims nothing.
pub(super) fn admit(speaker: Speaker, major: u32, version: Option<&str>) -> Result<(), EventError> {
    match version {
        None => Ok(()),
        Some(version) if major_of(version) == Some(major) => Ok(()),
        Some(version) => Err(EventError::Version { speaker, found: version.to_owned(), major }),
    }
}

/// The part before the dot, if both parts are numbers. Not a float: 2.10 is later than 2.9.
fn major_of(version: &str) -> Option<u32> {
    let (major, minor) = version.split_once('.').unwrap_or((version, "0"));
    minor.parse::<u32>().ok()?;
    major.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::major_of;

    #[test]
    fn versions_are_two_numbers() {
        for (version, major) in [
            ("2.1", Some(2)),
            ("2.10", Some(2)),
            ("2.0", Some(2)),
            ("2", Some(2)),
            ("0", Some(0)),
            ("3.0", Some(3)),
            ("20.1", Some(20)),
            ("2.x", None),
            ("two", None),
            ("", None),
            (".1", None),
        ] {
            assert_eq!(major_of(version), major, "{version}");
        }
    }
}
