//! Time zones by their names in the IANA database, which is compiled in.

use jiff::tz::{self, TimeZone};

/// What DMS names files by unless its endpoint has a DatePartitionTimezone.
pub(super) const UTC: &str = "UTC";

/// Whether `name` is `UTC` or an Area/Location, spelled as the database spells it.
pub(super) fn is_known(name: &str) -> bool {
    name == UTC || (name.contains('/') && spelling(name).as_deref() == Some(name))
}

/// The time zone that somebody who wrote `name` probably meant.
pub(super) fn nearest(name: &str) -> Option<String> {
    if name.eq_ignore_ascii_case(UTC) || matches!(name, "Z" | "GMT") {
        return Some(UTC.to_owned());
    }
    if let Some(spelling) = spelling(name).filter(|spelling| spelling.contains('/')) {
        return Some(spelling);
    }
    let names: Vec<String> = tz::db().available().map(|zone| zone.as_str().to_owned()).collect();
    let areas = names.into_iter().filter(|name| name.contains('/'));
    super::nearest::nearest(&name.to_lowercase(), areas, str::to_lowercase)
}

/// How the database spells the name, which it finds in any case.
fn spelling(name: &str) -> Option<String> {
    TimeZone::get(name).ok()?.iana_name().map(str::to_owned)
}
