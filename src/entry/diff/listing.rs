//! Listings of objects, as people have them: read as a stream, whatever their size.

use std::fmt;
use std::io::{self, BufRead, Read};

use serde::Deserializer as _;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::object::name;

/// The longest line: a key has 1,024 bytes, which an inventory may spell in three times as many, and some columns.
const MAX_LINE_BYTES: u64 = 16 << 10;

/// Why a listing cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ListingError {
    /// Its file cannot be read.
    #[error("the listing cannot be read")]
    Unreadable(#[source] io::Error),
    /// A line is longer than any that a listing has.
    #[error("line {line} of the listing has more than {MAX_LINE_BYTES} bytes; write one key to a line")]
    LineTooLong {
        /// The line, from 1.
        line: u64,
    },
    /// A line cannot be understood.
    #[error("line {line} of the listing is not understood: {detail}")]
    BadLine {
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        detail: &'static str,
    },
    /// It begins like JSON, and is none.
    #[error("the listing is not JSON as `aws s3api list-objects-v2` prints it")]
    BadJson(#[source] serde_json::Error),
    /// Keys without a bucket, and mappings of several.
    #[error(
        "the listing does not name the bucket, and the mappings have several ({}); say which with --bucket",
        buckets.join(", ")
    )]
    WhichBucket {
        /// The buckets of the mappings.
        buckets: Vec<String>,
    },
}

/// One object of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'l> {
    /// Its bucket, if the listing names it.
    pub bucket: Option<&'l str>,
    /// Its key, decoded.
    pub key: &'l str,
}

/// What takes the objects of a listing, one after another.
pub type Taker<'t> = dyn FnMut(Entry<'_>) -> Result<(), ListingError> + 't;

/// Reads a listing in whichever form it is: keys or `s3://` addresses, one to a line; what `aws s3 ls --recursive` or
/// `aws s3api list-objects-v2` prints; S3 Inventory's CSV.
///
/// # Errors
/// [`ListingError`] for what is none of these, and what `take` refuses.
pub fn read(mut listing: impl BufRead, take: &mut Taker<'_>) -> Result<(), ListingError> {
    let first = listing.fill_buf().map_err(ListingError::Unreadable)?;
    match first.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{' | b'[') => read_json(listing, take),
        _ => read_lines(listing, take),
    }
}

// ---- lines ----

fn read_lines(mut listing: impl BufRead, take: &mut Taker<'_>) -> Result<(), ListingError> {
    let mut bytes = Vec::new();
    for line in 1.. {
        bytes.clear();
        let read = listing.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut bytes);
        let length = read.map_err(ListingError::Unreadable)?;
        if length == 0 {
            break;
        }
        let is_whole = bytes.ends_with(b"\n");
        if !is_whole && length as u64 == MAX_LINE_BYTES {
            return Err(ListingError::LineTooLong { line });
        }
        let bad = |detail| ListingError::BadLine { line, detail };
        let text = std::str::from_utf8(&bytes).map_err(|_| bad("it is not UTF-8"))?;
        take_line(text.trim_end_matches(['\n', '\r']), take, &bad)?;
    }
    Ok(())
}

fn take_line(
    line: &str,
    take: &mut Taker<'_>,
    bad: &dyn Fn(&'static str) -> ListingError,
) -> Result<(), ListingError> {
    if line.trim().is_empty() || is_remark(line) {
        return Ok(());
    }
    if let Some(address) = line.strip_prefix("s3://") {
        let (bucket, key) = address.split_once('/').ok_or_else(|| bad("an address is s3://bucket/key"))?;
        return take(Entry { bucket: Some(bucket), key });
    }
    if line.starts_with('"') {
        let (bucket, rest) = quoted(line).ok_or_else(|| bad("a quote is not closed"))?;
        let key = rest.strip_prefix(',').and_then(quoted).map(|(key, _)| key);
        let key = key.ok_or_else(|| bad("an inventory's line is \"bucket\",\"key\",…"))?;
        let key = name::decode(&key).map_err(|_| bad("the inventory's key is not encoded as S3 does it"))?;
        return take(Entry { bucket: Some(&bucket), key: &key });
    }
    take(Entry { bucket: None, key: listed_key(line).unwrap_or(line) })
}

/// What `aws s3 ls` prints besides objects.
fn is_remark(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("PRE ") || line.starts_with("Total Objects: ") || line.starts_with("Total Size: ")
}

/// The key of `2022-12-01 09:30:17      12345 dms/casino-a/…`. It may begin with a space, so one is taken away only.
fn listed_key(line: &str) -> Option<&str> {
    let (time, rest) = line.split_at_checked(19)?;
    let is_time = time.bytes().enumerate().all(|(at, byte)| match at {
        4 | 7 => byte == b'-',
        10 => byte == b' ',
        13 | 16 => byte == b':',
        _ => byte.is_ascii_digit(),
    });
    let (size, key) = rest.trim_start_matches(' ').split_once(' ')?;
    (is_time && rest.starts_with(' ') && !size.is_empty() && size.bytes().all(|byte| byte.is_ascii_digit()))
        .then_some(key)
}

/// A field in quotes, in which two of them are one, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut field = String::new();
    let mut rest = text.strip_prefix('"')?;
    loop {
        let (part, after) = rest.split_once('"')?;
        field.push_str(part);
        match after.strip_prefix('"') {
            Some(after) => {
                field.push('"');
                rest = after;
            }
            None => return Some((field, after)),
        }
    }
}

// ---- JSON ----

fn read_json(listing: impl BufRead, take: &mut Taker<'_>) -> Result<(), ListingError> {
    let mut json = serde_json::Deserializer::from_reader(listing);
    loop {
        let mut page = Page { take, has_begun: false, refused: None };
        match page.read(&mut json) {
            Ok(()) => {}
            // One page may follow another; after the last, the text ends.
            Err(error) if error.is_eof() && !page.has_begun => return Ok(()),
            Err(error) => return Err(page.refused.unwrap_or(ListingError::BadJson(error))),
        }
    }
}

/// One answer of `list-objects-v2`, or the list of keys that a `--query` makes of it.
struct Page<'p, 't> {
    take: &'p mut Taker<'t>,
    has_begun: bool,
    refused: Option<ListingError>,
}

impl Page<'_, '_> {
    fn read<'de, R>(&mut self, json: &mut serde_json::Deserializer<R>) -> Result<(), serde_json::Error>
    where
        R: serde_json::de::Read<'de>,
    {
        json.deserialize_any(PageVisitor(self))
    }

    fn take<E: serde::de::Error>(&mut self, key: &str) -> Result<(), E> {
        (self.take)(Entry { bucket: None, key }).map_err(|refusal| {
            self.refused = Some(refusal);
            E::custom("refused")
        })
    }
}

struct PageVisitor<'v, 'p, 't>(&'v mut Page<'p, 't>);

impl<'de> Visitor<'de> for PageVisitor<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a listing, { \"Contents\": [ { \"Key\": … } ] }")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.0.has_begun = true;
        while let Some(field) = map.next_key::<String>()? {
            match field.as_str() {
                "Contents" | "Versions" => map.next_value_seed(Keys(self.0))?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<(), A::Error> {
        self.0.has_begun = true;
        take_list(self.0, list)
    }
}

/// A list of objects, each taken as it is read.
struct Keys<'v, 'p, 't>(&'v mut Page<'p, 't>);

impl<'de> DeserializeSeed<'de> for Keys<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Keys<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<(), A::Error> {
        take_list(self.0, list)
    }
}

fn take_list<'de, A: SeqAccess<'de>>(page: &mut Page<'_, '_>, mut list: A) -> Result<(), A::Error> {
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Item {
        Key(String),
        Object {
            #[serde(rename = "Key")]
            key: String,
        },
        Alone([String; 1]),
    }
    while let Some(item) = list.next_element::<Item>()? {
        let (Item::Key(key) | Item::Object { key } | Item::Alone([key])) = item;
        page.take(&key)?;
    }
    Ok(())
}
