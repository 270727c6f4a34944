//! What has to become of a message or an object, by what really happened.

use std::time::Duration;

use crate::truth::{End, Letter, Piece, Version};
use crate::world::World;

impl World {
    /// How often a table holds all rows of an object.
    pub(crate) fn times_loaded(&self, version: &Version) -> usize {
        let loaded = self.warehouse.loaded(&version.table);
        let is_it = |bytes: &[u8]| bytes == &version.file.bytes[..];
        loaded.iter().filter(|load| load.row_count == version.file.row_count && is_it(&load.bytes)).count()
    }

    /// Whether an object's rows were in at some time since `since`.
    fn rows_in(&self, version: &Version, since: Duration) -> bool {
        self.times_loaded(version) > 0 || version.rows_dropped_at.is_some_and(|at| at >= since)
    }

    /// Whether a message may go that was last received at `since`: the first piece that says no.
    pub(crate) fn not_done(&self, letter: &Letter, since: Duration) -> Option<String> {
        letter.pieces.iter().find_map(|piece| self.piece_not_done(piece, since))
    }

    fn piece_not_done(&self, piece: &Piece, since: Duration) -> Option<String> {
        let (version, is_pinned) = match piece {
            Piece::Other { end: End::Ignored, .. } => return None,
            Piece::Other { record, .. } => return Some(format!("poison: {record}")),
            Piece::Object { version, copied: true, .. } => {
                return Some(format!("object {version} is a copy"));
            }
            Piece::Object { version, names_version, .. } => self.version_of(*version, *names_version),
        };
        let is_superseded = version.replaced_at.is_some() && !is_pinned;
        match version.spoiled {
            _ if is_superseded => None,
            Some(why) => Some(format!("{}: {why}", version.key)),
            None => (!self.rows_in(&version, since))
                .then(|| format!("the rows of {} ({}) are not in", version.key, version.etag)),
        }
    }

    /// A version, and whether news that may name it do so by a version id of the bucket's.
    fn version_of(&self, version: usize, names_version: bool) -> (Version, bool) {
        let version = self.state().versions[version].clone();
        let is_pinned = names_version && version.version_id.is_some();
        (version, is_pinned)
    }

    /// Whether a message rightly stays in the dead-letter queue for as long as nobody does more than to redrive it:
    /// what can be done of it is done, and something of it cannot.
    pub(crate) fn is_stuck(&self, letter: &Letter) -> bool {
        let is_done = |piece: &Piece| self.piece_not_done(piece, Duration::ZERO).is_none();
        letter.pieces.iter().all(|piece| self.is_hopeless(piece) || is_done(piece))
            && letter.pieces.iter().any(|piece| self.is_hopeless(piece))
    }

    fn is_hopeless(&self, piece: &Piece) -> bool {
        match piece {
            Piece::Other { end, .. } => *end == End::Poison,
            Piece::Object { copied: true, .. } => true,
            Piece::Object { version, names_etag, names_version, .. } => {
                let (version, is_pinned) = self.version_of(*version, *names_version);
                match names_etag {
                    true => self.is_beyond_help(&version, is_pinned),
                    // It is news of whatever is there when somebody looks.
                    false => self
                        .versions_of_key(&version)
                        .iter()
                        .any(|any| any.is_deleted || self.is_beyond_help(any, is_pinned)),
                }
            }
        }
    }

    fn is_beyond_help(&self, version: &Version, is_pinned: bool) -> bool {
        let is_gone = version.is_deleted && !is_pinned && self.times_loaded(version) == 0;
        version.spoiled.is_some() || version.rows_dropped_at.is_some() || is_gone
    }

    fn versions_of_key(&self, version: &Version) -> Vec<Version> {
        let is_alike = |other: &&Version| other.bucket == version.bucket && other.key == version.key;
        self.state().versions.iter().filter(is_alike).cloned().collect()
    }

    /// Whether an object's rows have to be in when all is over.
    pub(crate) fn is_required(&self, n: usize, version: &Version) -> bool {
        let is_told = |piece: &Piece| match piece {
            Piece::Other { .. } => false,
            Piece::Object { version: of, names_version, copied, .. } => {
                let is_pinned = *names_version && version.version_id.is_some();
                let stays = version.replaced_at.is_none() && !version.is_deleted;
                *of == n && !copied && (is_pinned || stays)
            }
        };
        let letters = self.state().letters.clone();
        version.spoiled.is_none() && letters.iter().flat_map(|letter| &letter.pieces).any(is_told)
    }
}
