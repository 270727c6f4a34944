//! Listings of objects, as people have them: read as a stream, whatever their size.

use std::fmt;
use std::io::{self, BufRead, Read};

use serde::Deserializer as _;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::object::name;

/// The longest line about one object: a key has 1,024 bytes, which an inventory may spell in three times as many, and some
/// columns.
const MAX_LINE_BYTES: usize = 16 << 10;

/// The longest line of several: `--query 'Contents[].Key' --output text` prints a page's 1,000 keys with tabs in between.
const MAX_PAGE_BYTES: usize = 2 << 20;

/// How much of a line is shown again, in characters.
const SHOWN_CHARS: usize = 80;

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
    #[error("line {line} of the listing is not understood: {detail}; it is {text:?}")]
    BadLine {
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        detail: &'static str,
        /// How it begins.
        text: String,
    },
    /// It begins like JSON, and is none.
    #[error("the listing is not JSON as `aws s3api list-objects-v2` prints it")]
    BadJson(#[source] serde_json::Error),
    /// It is packed, or no text.
    #[error("the listing is {what}, not text; {remedy}")]
    NotText {
        /// What it is.
        what: &'static str,
        /// What to give instead.
        remedy: &'static str,
    },
    /// There is nothing in it.
    #[error("the listing names no file{}; {FORMS}", match first_line.as_str() {
        "" => ": it is empty".to_owned(),
        line => format!("; its first line is {line:?}"),
    })]
    Empty {
        /// How it begins.
        first_line: String,
    },
    /// No mapping is of the bucket that was given.
    #[error("no mapping has the bucket {given:?} of --bucket; the mappings have {}", buckets.join(", "))]
    NoSuchBucket {
        /// What was given.
        given: String,
        /// The buckets of the mappings.
        buckets: Vec<String>,
    },
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

/// What a listing may be.
const FORMS: &str = "give one key or s3:// address to a line, or what `aws s3 ls --recursive` or `aws s3api list-objects-v2` \
                     prints, or S3 Inventory's CSV";

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

/// Reads a listing in whichever form it is: keys or addresses, one to a line; what `aws s3 ls --recursive` or
/// `aws s3api list-objects-v2` prints; S3 Inventory's CSV.
///
/// # Errors
/// [`ListingError`] for what is none of these or names no object, and what `take` refuses.
pub fn read(mut listing: impl BufRead, take: &mut Taker<'_>) -> Result<(), ListingError> {
    let first = listing.fill_buf().map_err(ListingError::Unreadable)?;
    if let Some((_, what, remedy)) = NOT_TEXT.iter().find(|(magic, ..)| first.starts_with(magic)) {
        return Err(ListingError::NotText { what, remedy });
    }
    let is_json = matches!(first.iter().find(|byte| !byte.is_ascii_whitespace()), Some(b'{' | b'['));
    let mut first_line = shortened(String::from_utf8_lossy(first).lines().next().unwrap_or_default().trim());
    let mut taken = 0_u64;
    let counting: &mut Taker<'_> = &mut |entry| {
        taken += 1;
        take(entry)
    };
    match is_json {
        true => read_json(listing, counting)?,
        false => first_line = read_lines(listing, counting)?,
    }
    if taken == 0 { Err(ListingError::Empty { first_line }) } else { Ok(()) }
}

/// How files begin that somebody may take for a listing, what they are, and what to do.
const NOT_TEXT: [(&[u8], &str, &str); 5] = [
    (b"\x1f\x8b", "packed", "unpack it: gunzip -c FILE | dms2bq diff OLD NEW --keys -"),
    (b"PAR1", "Parquet", "let S3 Inventory write CSV, or list the bucket with `aws s3 ls --recursive`"),
    (b"ORC", "ORC", "let S3 Inventory write CSV, or list the bucket with `aws s3 ls --recursive`"),
    (b"\xff\xfe", "UTF-16", "save it as UTF-8"),
    (b"\xfe\xff", "UTF-16", "save it as UTF-8"),
];

/// The beginning of a line.
fn shortened(line: &str) -> String {
    let mut shown: String = line.chars().take(SHOWN_CHARS).collect();
    if shown.len() < line.len() {
        shown.push('…');
    }
    shown
}

// ---- lines ----

/// Reads line by line, and gives the beginning of the first that has something in it.
fn read_lines(mut listing: impl BufRead, take: &mut Taker<'_>) -> Result<String, ListingError> {
    let mut bytes = Vec::new();
    let mut first_line = String::new();
    for line in 1.. {
        bytes.clear();
        let read = listing.by_ref().take(MAX_PAGE_BYTES as u64).read_until(b'\n', &mut bytes);
        let length = read.map_err(ListingError::Unreadable)?;
        if length == 0 {
            break;
        }
        let is_whole = bytes.ends_with(b"\n") || length < MAX_PAGE_BYTES;
        if !is_whole || (length > MAX_LINE_BYTES && !bytes.contains(&b'\t')) {
            return Err(ListingError::LineTooLong { line });
        }
        let shown = || shortened(String::from_utf8_lossy(&bytes).trim());
        if first_line.is_empty() {
            first_line = shown();
        }
        let bad = |detail| ListingError::BadLine { line, detail, text: shown() };
        let text = std::str::from_utf8(&bytes).map_err(|_| bad("it is not UTF-8"))?;
        let text = text.strip_prefix('\u{feff}').filter(|_| line == 1).unwrap_or(text);
        take_line(text.trim_end_matches(['\n', '\r']), take, &bad)?;
    }
    Ok(first_line)
}

/// Makes an error about the line.
type Bad<'b> = dyn Fn(&'static str) -> ListingError + 'b;

fn take_line(line: &str, take: &mut Taker<'_>, bad: &Bad<'_>) -> Result<(), ListingError> {
    if line.trim().is_empty() || is_remark(line) {
        return Ok(());
    }
    if line.contains('\t') {
        return take_columns(line, take, bad);
    }
    if line.starts_with('"') {
        return take_inventory(line, take, bad);
    }
    match listed_key(line) {
        Some(key) => take(Entry { bucket: None, key }),
        None => take_name(line, take, bad),
    }
}

/// A line of S3 Inventory's CSV.
fn take_inventory(line: &str, take: &mut Taker<'_>, bad: &Bad<'_>) -> Result<(), ListingError> {
    let (bucket, rest) = quoted(line).ok_or_else(|| bad("a quote is not closed"))?;
    let key = rest.strip_prefix(',').and_then(quoted).map(|(key, _)| key);
    let key = key.ok_or_else(|| bad("an inventory's line is \"bucket\",\"key\",…"))?;
    // Some write a header; a bucket's name has no capitals.
    if bucket == "Bucket" {
        return Ok(());
    }
    let key = name::decode(&key).map_err(|_| bad("the inventory's key is not encoded as S3 does it"))?;
    take(Entry { bucket: Some(&bucket), key: &key })
}

/// A key or an address, as people write them.
fn take_name(name: &str, take: &mut Taker<'_>, bad: &Bad<'_>) -> Result<(), ListingError> {
    if name.starts_with('/') {
        return Err(bad("a key does not begin with a slash; take the slash away"));
    }
    let of_s3 = ["s3://", "arn:aws:s3:::"].iter().find_map(|scheme| name.strip_prefix(scheme));
    if let Some(address) = of_s3 {
        let (bucket, key) = address.split_once('/').ok_or_else(|| bad("an address is s3://bucket/key"))?;
        return take(Entry { bucket: Some(bucket), key });
    }
    if let Some(address) = ["https://", "http://"].iter().find_map(|scheme| name.strip_prefix(scheme)) {
        let (bucket, key) =
            in_web(address).ok_or_else(|| bad("it is no web address of S3; write s3://bucket/key"))?;
        // In the path of a web address a plus is one, and `decode` would make a space of it.
        let key = name::decode(&key.replace('+', "%2B"))
            .map_err(|_| bad("the address is not encoded as S3 does it"))?;
        return take(Entry { bucket: Some(bucket), key: &key });
    }
    take(Entry { bucket: None, key: name })
}

/// Bucket and key of `bucket.s3.region.amazonaws.com/key`, and of `s3.region.amazonaws.com/bucket/key`.
fn in_web(address: &str) -> Option<(&str, &str)> {
    let (host, path) = address.split_once('/')?;
    let path = path.split('?').next().unwrap_or(path);
    let is_endpoint = |rest: &str| {
        (rest.starts_with("s3.") || rest.starts_with("s3-"))
            && (rest.ends_with(".amazonaws.com") || rest.ends_with(".amazonaws.com.cn"))
    };
    if is_endpoint(host) {
        return path.split_once('/');
    }
    let mut dots = host.match_indices('.').map(|(at, _)| host.split_at(at));
    let (bucket, _) = dots.find(|(_, rest)| rest.strip_prefix('.').is_some_and(is_endpoint))?;
    Some((bucket, path))
}

/// A line with tabs, which `--output text` prints: the columns of one object in the order of their names, of which the
/// entity tag alone is in quotes, or the keys of a page.
fn take_columns(line: &str, take: &mut Taker<'_>, bad: &Bad<'_>) -> Result<(), ListingError> {
    let mut columns = line.split('\t');
    match columns.next() {
        Some(kind @ ("CONTENTS" | "VERSIONS")) => {
            let mut after_tag = columns.skip_while(|column| !column.starts_with('"')).skip(1);
            // Between the two of a version stands whether it is the latest.
            let key = if kind == "VERSIONS" { after_tag.nth(1) } else { after_tag.next() };
            take(Entry { bucket: None, key: key.ok_or_else(|| bad("it has no column for the key"))? })
        }
        Some(
            "CHECKSUMALGORITHM" | "OWNER" | "RESTORESTATUS" | "COMMONPREFIXES" | "DELETEMARKERS"
            | "REQUESTCHARGED",
        ) => Ok(()),
        _ => line.split('\t').filter(|name| !name.is_empty()).try_for_each(|name| take_name(name, take, bad)),
    }
}

/// What the AWS command line prints besides objects.
fn is_remark(line: &str) -> bool {
    let line = line.trim_start();
    line == "None"
        || ["PRE ", "Total Objects: ", "Total Size: "].iter().any(|remark| line.starts_with(remark))
}

/// The key of `2022-12-01 09:30:17      12345 dms/casino-a/…`, or of `… 1.2 MiB dms/casino-a/…`. It may begin with a space, so
/// one is taken away only.
fn listed_key(line: &str) -> Option<&str> {
    let (time, rest) = line.split_at_checked(19)?;
    let is_time = time.bytes().enumerate().all(|(at, byte)| match at {
        4 | 7 => byte == b'-',
        10 => byte == b' ',
        13 | 16 => byte == b':',
        _ => byte.is_ascii_digit(),
    });
    let (size, key) = rest.trim_start_matches(' ').split_once(' ')?;
    let is_size = !size.is_empty() && size.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if !is_time || !rest.starts_with(' ') || !is_size {
        return None;
    }
    // `--human-readable` right-aligns number and unit in ten characters; a bare size is right-aligned in as many.
    let units = ["Byte ", "Bytes ", "KiB ", "MiB ", "GiB ", "TiB "];
    Some(units.iter().find_map(|unit| key.strip_prefix(unit)).unwrap_or(key))
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
