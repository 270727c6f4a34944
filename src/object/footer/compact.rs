//! A cursor over Thrift's compact protocol, in which a Parquet footer is written.
//!
//! It reads what somebody else wrote, so it trusts nothing: no length is believed beyond the bytes that
//! are there, nothing is allocated for what is only announced, and nesting is bounded. The protocol is
//! described in `thrift-compact-protocol.md` of the Apache Thrift repository.

/// How deep structs and lists may nest. Parquet's own metadata nests eight deep at most.
const MAX_NESTING: u8 = 16;

/// A `u64` has at most ten groups of seven bits.
const MAX_VARINT_BYTES: u32 = 10;

/// What is wrong with the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The bytes end in the middle of a value.
    #[error("it ends in the middle of a value")]
    EndsEarly,
    /// A length or a count is larger than what follows.
    #[error("a length or count is larger than the bytes that follow")]
    LengthBeyondEnd,
    /// A number does not fit its type.
    #[error("a number does not fit its type")]
    NumberTooLarge,
    /// A field has another type than Parquet gives it.
    #[error("a field has another type than Parquet gives it")]
    WrongType,
    /// A text is not UTF-8.
    #[error("a text is not UTF-8")]
    NotUtf8,
    /// The nesting is deeper than Parquet's metadata ever is.
    #[error("values nest deeper than Parquet's metadata ever does")]
    TooDeep,
}

/// The type of a value on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire {
    /// A field that is true: the type is the value.
    True,
    /// A field that is false.
    False,
    Byte,
    I16,
    I32,
    I64,
    Double,
    Binary,
    /// A list or a set, which are written alike.
    List,
    Map,
    Struct,
    Uuid,
}

impl Wire {
    fn from_nibble(nibble: u8) -> Result<Self, Malformed> {
        Ok(match nibble {
            1 => Self::True,
            2 => Self::False,
            3 => Self::Byte,
            4 => Self::I16,
            5 => Self::I32,
            6 => Self::I64,
            7 => Self::Double,
            8 => Self::Binary,
            9 | 10 => Self::List,
            11 => Self::Map,
            12 => Self::Struct,
            13 => Self::Uuid,
            _ => return Err(Malformed::WrongType),
        })
    }
}

/// A field of a struct, as its header announces it. Its value is still to be read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    pub(super) id: i16,
    wire: Wire,
}

/// A cursor over bytes in the compact protocol.
#[derive(Debug)]
pub(super) struct Compact<'a> {
    rest: &'a [u8],
}

impl<'a> Compact<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// How many bytes are left to read.
    pub(super) fn remaining_bytes(&self) -> usize {
        self.rest.len()
    }

    /// Reads the next field's header, or `None` at the struct's end. `last_id` starts at 0 for each struct.
    pub(super) fn next_field(&mut self, last_id: &mut i16) -> Result<Option<Field>, Malformed> {
        let header = self.byte()?;
        if header == 0 {
            return Ok(None);
        }
        let wire = Wire::from_nibble(header & 0x0f)?;
        let id = match header >> 4 {
            0 => i16::try_from(self.zigzag()?).map_err(|_| Malformed::NumberTooLarge)?,
            delta => last_id.checked_add(i16::from(delta)).ok_or(Malformed::NumberTooLarge)?,
        };
        *last_id = id;
        Ok(Some(Field { id, wire }))
    }

    /// Reads a boolean field, whose value stands in its type.
    pub(super) fn boolean(field: Field) -> Result<bool, Malformed> {
        match field.wire {
            Wire::True => Ok(true),
            Wire::False => Ok(false),
            _ => Err(Malformed::WrongType),
        }
    }

    /// Reads an 8-bit field.
    pub(super) fn i8(&mut self, field: Field) -> Result<i8, Malformed> {
        expect(field, Wire::Byte)?;
        Ok(i8::from_le_bytes([self.byte()?]))
    }

    /// Reads a 32-bit field.
    pub(super) fn i32(&mut self, field: Field) -> Result<i32, Malformed> {
        expect(field, Wire::I32)?;
        i32::try_from(self.zigzag()?).map_err(|_| Malformed::NumberTooLarge)
    }

    /// Reads a 64-bit field.
    pub(super) fn i64(&mut self, field: Field) -> Result<i64, Malformed> {
        expect(field, Wire::I64)?;
        self.zigzag()
    }

    /// Reads a field of text.
    pub(super) fn text(&mut self, field: Field) -> Result<&'a str, Malformed> {
        expect(field, Wire::Binary)?;
        let length = self.length()?;
        std::str::from_utf8(self.take(length)?).map_err(|_| Malformed::NotUtf8)
    }

    /// Checks that a field is a struct; its fields follow.
    pub(super) fn structure(field: Field) -> Result<(), Malformed> {
        expect(field, Wire::Struct)
    }

    /// Reads the header of a list of structs and gives their number, each of which takes at least a byte.
    pub(super) fn list_of_structs(&mut self, field: Field) -> Result<usize, Malformed> {
        expect(field, Wire::List)?;
        let (element, count) = self.list_header()?;
        match (count, element) {
            (0, _) | (_, Some(Wire::Struct)) => Ok(count),
            _ => Err(Malformed::WrongType),
        }
    }

    /// Passes over a field's value.
    pub(super) fn skip(&mut self, field: Field) -> Result<(), Malformed> {
        match field.wire {
            Wire::True | Wire::False => Ok(()),
            wire => self.skip_value(wire, MAX_NESTING),
        }
    }

    fn skip_value(&mut self, wire: Wire, depth: u8) -> Result<(), Malformed> {
        let depth = depth.checked_sub(1).ok_or(Malformed::TooDeep)?;
        match wire {
            // Inside lists and maps a boolean takes a byte.
            Wire::True | Wire::False | Wire::Byte => self.take(1).map(drop),
            Wire::I16 | Wire::I32 | Wire::I64 => self.varint().map(drop),
            Wire::Double => self.take(8).map(drop),
            Wire::Uuid => self.take(16).map(drop),
            Wire::Binary => {
                let length = self.length()?;
                self.take(length).map(drop)
            }
            Wire::List => self.skip_list(depth),
            Wire::Map => self.skip_map(depth),
            Wire::Struct => self.skip_struct(depth),
        }
    }

    fn skip_list(&mut self, depth: u8) -> Result<(), Malformed> {
        let (element, count) = self.list_header()?;
        let Some(element) = element else { return Ok(()) };
        (0..count).try_for_each(|_| self.skip_value(element, depth))
    }

    fn skip_map(&mut self, depth: u8) -> Result<(), Malformed> {
        let count = self.length()?;
        if count == 0 {
            return Ok(());
        }
        let types = self.byte()?;
        let (key, value) = (Wire::from_nibble(types >> 4)?, Wire::from_nibble(types & 0x0f)?);
        (0..count).try_for_each(|_| {
            self.skip_value(key, depth)?;
            self.skip_value(value, depth)
        })
    }

    fn skip_struct(&mut self, depth: u8) -> Result<(), Malformed> {
        let mut last_id = 0;
        while let Some(field) = self.next_field(&mut last_id)? {
            if !matches!(field.wire, Wire::True | Wire::False) {
                self.skip_value(field.wire, depth)?;
            }
        }
        Ok(())
    }

    /// The element type and the count of a list. Some writers give an empty list no element type.
    fn list_header(&mut self) -> Result<(Option<Wire>, usize), Malformed> {
        let header = self.byte()?;
        if header == 0 {
            return Ok((None, 0));
        }
        let element = Wire::from_nibble(header & 0x0f)?;
        let count = match usize::from(header >> 4) {
            15 => self.length()?,
            short => short,
        };
        if count > self.rest.len() {
            return Err(Malformed::LengthBeyondEnd);
        }
        Ok((Some(element), count))
    }

    /// A length in bytes or a count of values, none of which is shorter than a byte.
    fn length(&mut self) -> Result<usize, Malformed> {
        let length = usize::try_from(self.varint()?).map_err(|_| Malformed::LengthBeyondEnd)?;
        if length > self.rest.len() {
            return Err(Malformed::LengthBeyondEnd);
        }
        Ok(length)
    }

    fn zigzag(&mut self) -> Result<i64, Malformed> {
        let value = self.varint()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0_u64;
        for group in 0..MAX_VARINT_BYTES {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << (7 * group);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed::NumberTooLarge)
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        let (&first, rest) = self.rest.split_first().ok_or(Malformed::EndsEarly)?;
        self.rest = rest;
        Ok(first)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Malformed::EndsEarly)?;
        self.rest = rest;
        Ok(taken)
    }
}

fn expect(field: Field, wire: Wire) -> Result<(), Malformed> {
    if field.wire == wire { Ok(()) } else { Err(Malformed::WrongType) }
}
