//! "Did you mean": the nearest of several names to one that was not found.

/// How alike two names must be (0 to 1) before one is offered for the other. Below it, a guess misleads.
const ALIKE: f64 = 0.6;

/// The candidate that looks most like `given`, if any looks alike; `spell` says how a candidate is
/// compared. Among equals, the first.
pub(crate) fn nearest<T>(
    given: &str,
    candidates: impl IntoIterator<Item = T>,
    spell: impl Fn(&str) -> String,
) -> Option<T>
where
    T: AsRef<str>,
{
    let mut best: Option<(f64, T)> = None;
    for candidate in candidates {
        let alike = strsim::normalized_damerau_levenshtein(given, &spell(candidate.as_ref()));
        if alike >= ALIKE && best.as_ref().is_none_or(|(most, _)| alike > *most) {
            best = Some((alike, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}
