//! Writes Thrift's compact protocol, as far as Parquet's metadata needs it.

/// A struct that is being written. Fields must come in ascending order of their ids.
#[derive(Clone, Default)]
pub(crate) struct Struct {
    bytes: Vec<u8>,
    last_id: u8,
}

impl Struct {
    pub(crate) fn boolean(self, id: u8, value: bool) -> Self {
        self.field(id, if value { 1 } else { 2 }, &[])
    }

    pub(crate) fn byte(self, id: u8, value: i8) -> Self {
        self.field(id, 3, &value.to_le_bytes())
    }

    pub(crate) fn i32(self, id: u8, value: i32) -> Self {
        self.field(id, 5, &zigzag(i64::from(value)))
    }

    pub(crate) fn i64(self, id: u8, value: i64) -> Self {
        self.field(id, 6, &zigzag(value))
    }

    pub(crate) fn binary(self, id: u8, value: &[u8]) -> Self {
        self.field(id, 8, &prefixed(value))
    }

    pub(crate) fn structure(self, id: u8, value: Struct) -> Self {
        self.field(id, 12, &value.end())
    }

    pub(crate) fn i32s(self, id: u8, values: &[i32]) -> Self {
        let items: Vec<_> = values.iter().map(|value| zigzag(i64::from(*value))).collect();
        self.list(id, 5, &items)
    }

    pub(crate) fn binaries(self, id: u8, values: &[&[u8]]) -> Self {
        let items: Vec<_> = values.iter().map(|value| prefixed(value)).collect();
        self.list(id, 8, &items)
    }

    pub(crate) fn structs(self, id: u8, values: impl IntoIterator<Item = Struct>) -> Self {
        let items: Vec<_> = values.into_iter().map(Struct::end).collect();
        self.encoded_structs(id, &items)
    }

    /// Structs that were written before, their ends included.
    pub(crate) fn encoded_structs(self, id: u8, items: &[Vec<u8>]) -> Self {
        self.list(id, 12, items)
    }

    pub(crate) fn end(mut self) -> Vec<u8> {
        self.bytes.push(0);
        self.bytes
    }

    fn list(self, id: u8, element: u8, items: &[Vec<u8>]) -> Self {
        let mut value = match u8::try_from(items.len()) {
            Ok(short) if short < 15 => vec![short << 4 | element],
            _ => [vec![0xf0 | element], varint(items.len() as u64)].concat(),
        };
        value.extend(items.iter().flatten());
        self.field(id, 9, &value)
    }

    fn field(mut self, id: u8, wire: u8, value: &[u8]) -> Self {
        match id - self.last_id {
            delta @ 1..=15 => self.bytes.push(delta << 4 | wire),
            _ => self.bytes.extend([vec![wire], zigzag(i64::from(id))].concat()),
        }
        self.bytes.extend_from_slice(value);
        self.last_id = id;
        self
    }
}

fn prefixed(value: &[u8]) -> Vec<u8> {
    [varint(value.len() as u64), value.to_vec()].concat()
}

fn zigzag(value: i64) -> Vec<u8> {
    varint((value << 1 ^ value >> 63).cast_unsigned())
}

pub(crate) fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 0x7f {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}
