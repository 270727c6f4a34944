//! The spelling of keys in S3 notifications. This is the only place where one is decoded.
//!
//! S3 writes the key of a notification as an HTML form would: a space as `+`, everything unusual as
//! `%XX` of its UTF-8 bytes. Others that speak the same protocol differ in what they escape (`%20` for
//! the space, `%2F` for the slash, lower-case hexadecimal), never in what an escape means, so one
//! decoder serves all. A general form parser does not: it would split a key at `=` and `&`.
//!
//! EventBridge does not encode keys at all; they must not come here.

use std::fmt;

/// Why the spelling of a key in a notification cannot be decoded.
///
/// S3 never sends such a key. Whoever did meant something, but guessing what could name another
/// object than the one that was written, so it is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SpellingError {
    /// A `%` without two hexadecimal digits behind it.
    #[error("the `%` at byte {position} is not followed by two hexadecimal digits")]
    BadEscape {
        /// Where in the spelling, counted from 0.
        position: usize,
    },
    /// The escapes do not spell UTF-8, which every S3 key is.
    #[error("its escapes are not UTF-8 from decoded byte {position} on")]
    NotUtf8 {
        /// The first byte of the decoded key that is not UTF-8, counted from 0.
        position: usize,
    },
}

/// Decodes a key as a notification spells it: `+` is a space, then each `%XX` is a byte. Once, for
/// `%2520` is the key's `%20`.
///
/// # Errors
/// [`SpellingError`] if an escape is broken, or if the bytes are not UTF-8.
pub fn decode(spelling: &str) -> Result<String, SpellingError> {
    let mut decoded = Vec::with_capacity(spelling.len());
    let mut bytes = spelling.bytes().enumerate();
    while let Some((position, byte)) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || bytes.next().and_then(|(_, digit)| hex_value(digit));
                match (digit(), digit()) {
                    (Some(high), Some(low)) => high << 4 | low,
                    _ => return Err(SpellingError::BadEscape { position }),
                }
            }
            other => other,
        });
    }
    String::from_utf8(decoded)
        .map_err(|error| SpellingError::NotUtf8 { position: error.utf8_error().valid_up_to() })
}

fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// A key in the spelling of an S3 notification; made by [`encode`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spelling<'a>(&'a str);

/// Spells a key as S3 does in a notification. [`decode`] gives the key back.
pub fn encode(key: &str) -> Spelling<'_> {
    Spelling(key)
}

impl fmt::Display for Spelling<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b'*' => {
                    write!(f, "{}", char::from(byte))?;
                }
                b' ' => f.write_str("+")?,
                other => write!(f, "%{other:02X}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{SpellingError, decode, encode};

    #[test]
    fn every_way_to_spell_a_key_is_understood() {
        for (spelling, key) in [
            ("plain/key.parquet", "plain/key.parquet"),
            ("red+flower", "red flower"),
            ("red%20flower", "red flower"),
            ("a%2Bb", "a+b"),
            ("a%2bb", "a+b"),
            ("in%2Fside", "in/side"),
            ("100%2525", "100%25"),
            ("dt%3D2026/x=1&y", "dt=2026/x=1&y"),
            ("%C3%BC/%ea%b0%80", "ü/가"),
            ("ü", "ü"),
            ("/leading", "/leading"),
            ("", ""),
        ] {
            assert_eq!(decode(spelling).as_deref(), Ok(key), "{spelling}");
        }
    }

    #[test]
    fn a_spelling_that_s3_never_sends_is_refused() {
        for (spelling, error) in [
            ("100%", SpellingError::BadEscape { position: 3 }),
            ("a%2", SpellingError::BadEscape { position: 1 }),
            ("a%zz", SpellingError::BadEscape { position: 1 }),
            ("a%+1", SpellingError::BadEscape { position: 1 }),
            ("ab%FF", SpellingError::NotUtf8 { position: 2 }),
            ("%C3", SpellingError::NotUtf8 { position: 0 }),
        ] {
            assert_eq!(decode(spelling), Err(error), "{spelling}");
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_itself(key in any::<String>()) {
            prop_assert_eq!(decode(&encode(&key).to_string()), Ok(key));
        }

        #[test]
        fn decoding_never_panics(spelling in any::<String>()) {
            let _ = decode(&spelling);
        }
    }
}
