//! Footers of all kinds, most of them wrong, for `tests/cases/footers`: the folder is the code that the file is to be
//! refused with, or `ok`.

use super::dms;
use super::table::{Cell, Table, Type, column, dms_timestamp};
use super::thrift::Struct;

const OPTIONAL: i32 = 1;
const REPEATED: i32 = 2;

/// Path below `tests/cases/footers` and bytes.
pub(crate) fn all() -> Vec<(String, Vec<u8>)> {
    let cases = [readable(), no_parquet(), unreadable(), names(), kinds()].concat();
    cases.into_iter().map(|(path, bytes)| (format!("{path}.parquet"), bytes)).collect()
}

type Case = (&'static str, Vec<u8>);

fn readable() -> Vec<Case> {
    let rows = vec![vec![Cell::from("2022-12-01 00:00:00.000000"); 1]];
    let only_timestamp = Table { columns: vec![dms_timestamp("DMS_TIMESTAMP")], rows };
    let no_rows = Table { columns: every_dms_type(), rows: Vec::new() };
    let list = [
        Leaf::group("tags", 3).children(1).element(),
        Leaf::group("list", -1).repetition(REPEATED).children(1).element(),
        Leaf::text("element").element(),
        Leaf::group("address", -1).children(2).element(),
        Leaf::text("city").element(),
        Leaf::new("codes", 1).repetition(REPEATED).element(),
    ];
    vec![
        ("ok/timestamp_column_only", dms::file(&only_timestamp)),
        ("ok/every_dms_type_no_rows", dms::file(&no_rows)),
        ("ok/logical_types", file(&logical_types(), 3)),
        ("ok/list_and_record", file(&nested(list.into(), 2), 3)),
        ("ok/fields_of_a_later_format", framed(&from_the_future().end())),
        ("ok/columns_with_spaces_and_accents", file(&flat(vec![Leaf::text("Région du monde").element()]), 1)),
    ]
}

fn no_parquet() -> Vec<Case> {
    let good = file(&flat(vec![Leaf::text("a").element()]), 1);
    let mut encrypted = good.clone();
    encrypted.truncate(good.len() - 4);
    encrypted.extend(b"PARE");
    let mut lying = good.clone();
    let length_at = good.len() - 8;
    lying[length_at..length_at + 4].copy_from_slice(&1_000_000_u32.to_le_bytes());
    vec![
        ("object.not_parquet/csv", b"id,name\n1,Ana\n".to_vec()),
        ("object.not_parquet/three_bytes", b"PAR".to_vec()),
        ("object.not_parquet/magic_only_at_the_end", [b"no Parquet ".as_slice(), &good[4..]].concat()),
        ("object.truncated/cut_in_the_middle", good[..good.len() / 2].to_vec()),
        ("object.truncated/last_byte_missing", good[..good.len() - 1].to_vec()),
        ("object.encrypted/encrypted_footer", encrypted),
        ("object.footer_too_large/footer_larger_than_the_object", lying),
    ]
}

fn unreadable() -> Vec<Case> {
    let one = || vec![Leaf::text("a").element()];
    let negative = metadata(flat(one()), -3, &[-3]);
    let wrong_sum = metadata(flat(one()), 5, &[2, 2]);
    let no_schema = Struct::default().i32(1, 1).i64(3, 0).structs(4, []);
    let no_rows = Struct::default().i32(1, 1).structs(2, flat(one()));
    let too_many_children =
        vec![Struct::default().binary(4, b"schema").i32(5, i32::MAX), Leaf::text("a").element()];
    let two_roots = vec![
        Struct::default().binary(4, b"schema").i32(5, 1),
        Leaf::text("a").element(),
        Leaf::text("b").element(),
    ];
    let date_in_64_bits = flat(vec![Leaf::new("day", 2).converted(6).element()]);
    let no_type = flat(vec![Struct::default().i32(3, OPTIONAL).binary(4, b"a")]);
    // A list that announces two thousand million booleans, in a field that is passed over.
    let booleans = [&[0x99, 0xf1], [0xff, 0xff, 0xff, 0xff, 0x07].as_slice(), &[0]].concat();
    // Lists in lists, of one element each.
    let deep_lists = [vec![0x99], vec![0x19; 5_000], vec![0]].concat();
    vec![
        (
            "object.footer_unreadable/noise",
            framed(b"\x15\x04\x19\xfc\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"),
        ),
        ("object.footer_unreadable/empty_footer", framed(b"")),
        ("object.footer_unreadable/negative_row_count", framed(&negative.end())),
        ("object.footer_unreadable/row_groups_disagree", framed(&wrong_sum.end())),
        ("object.footer_unreadable/no_schema", framed(&no_schema.end())),
        ("object.footer_unreadable/no_row_count", framed(&no_rows.end())),
        ("object.footer_unreadable/two_thousand_million_children", file(&too_many_children, 1)),
        ("object.footer_unreadable/element_outside_the_root", file(&two_roots, 1)),
        ("object.footer_unreadable/date_in_64_bits", file(&date_in_64_bits, 1)),
        ("object.footer_unreadable/column_without_a_type", file(&no_type, 1)),
        ("object.footer_unreadable/two_thousand_million_booleans", framed(&booleans)),
        ("object.footer_unreadable/lists_in_lists", framed(&deep_lists)),
    ]
}

fn names() -> Vec<Case> {
    let named =
        |names: &[&str]| file(&flat(names.iter().map(|name| Leaf::text(name).element()).collect()), 1);
    vec![
        ("object.bad_column_name/dot", named(&["id", "price.net"])),
        ("object.bad_column_name/empty", named(&["id", ""])),
        ("object.bad_column_name/three_hundred_and_one_characters", named(&["é".repeat(301).as_str()])),
        ("object.bad_column_name/reserved_prefix", named(&["_partitiontime"])),
        ("object.bad_column_name/line_break", named(&["a\nb"])),
        ("object.duplicate_column/differs_in_case", named(&["Id", "name", "ID"])),
        ("object.duplicate_column/differs_in_case_beyond_ascii", named(&["ÉTAT", "état"])),
        ("object.too_many_columns/ten_thousand_and_one", file(&text_columns(10_001), 1)),
        ("object.no_columns/none", file(&flat(Vec::new()), 1)),
    ]
}

fn kinds() -> Vec<Case> {
    let only = |leaf: Leaf| file(&flat(vec![Leaf::text("id").element(), leaf.element()]), 1);
    let nanos = || Struct::default().structure(3, Struct::default());
    let timestamp = Struct::default().boolean(1, false).structure(2, nanos());
    let mut deep: Vec<Struct> =
        (0..60).map(|level| Leaf::group(&format!("level_{level}"), -1).children(1).element()).collect();
    deep.push(Leaf::text("bottom").element());
    vec![
        ("object.unsupported_column/nanoseconds", only(Leaf::new("at", 2).logical(8, timestamp))),
        ("object.unsupported_column/interval", only(Leaf::new("span", 7).length(12).converted(21))),
        (
            "object.unsupported_column/uuid_in_bytes",
            only(Leaf::new("key", 7).length(16).logical(14, Struct::default())),
        ),
        (
            "object.unsupported_column/float16",
            only(Leaf::new("half", 7).length(2).logical(15, Struct::default())),
        ),
        ("object.unsupported_column/json", only(Leaf::new("doc", 6).converted(19))),
        ("object.unsupported_column/bson", only(Leaf::new("doc", 6).converted(20))),
        ("object.unsupported_column/decimal_in_bytes", only(Leaf::new("amount", 6).decimal(20, 2))),
        ("object.unsupported_column/variant", only(Leaf::new("any", 6).logical(16, Struct::default()))),
        ("object.unsupported_column/sixty_levels", file(&nested(deep, 1), 1)),
    ]
}

fn every_dms_type() -> Vec<super::table::Column> {
    let kinds = [
        ("boolean", Type::Boolean),
        ("int8", Type::Int8),
        ("int16", Type::Int16),
        ("int32", Type::Int32),
        ("int64", Type::Int64),
        ("uint8", Type::UInt8),
        ("uint16", Type::UInt16),
        ("uint32", Type::UInt32),
        ("uint64", Type::UInt64),
        ("real4", Type::Float),
        ("real8", Type::Double),
        ("numeric_15_2", Type::Decimal(15, 2)),
        ("numeric_38_4", Type::Decimal(38, 4)),
        ("date", Type::Date),
        ("datetime_millis", Type::TimestampMillis),
        ("datetime_micros", Type::TimestampMicros),
        ("text", Type::Text),
        ("blob", Type::Bytes),
    ];
    kinds.map(|(name, kind)| column(name, kind)).to_vec()
}

/// What newer writers say with logical types, and some old annotations that DMS does not use.
fn logical_types() -> Vec<Struct> {
    let unit = |id: u8| Struct::default().structure(id, Struct::default());
    let time = |utc: bool, id: u8| Struct::default().boolean(1, utc).structure(2, unit(id));
    flat(vec![
        Leaf::new("text", 6).logical(1, Struct::default()).element(),
        Leaf::new("kind", 6).logical(4, Struct::default()).element(),
        Leaf::new("kind_old", 6).converted(4).element(),
        Leaf::new("price", 1).logical_decimal(9, 2).element(),
        Leaf::new("total", 2).logical_decimal(18, 4).element(),
        Leaf::new("day", 1).logical(6, Struct::default()).element(),
        Leaf::new("moment_ms", 2).logical(8, time(true, 1)).element(),
        Leaf::new("local_us", 2).logical(8, time(false, 2)).element(),
        Leaf::new("time_ms", 1).logical(7, time(false, 1)).element(),
        Leaf::new("time_us", 2).logical(7, time(true, 2)).element(),
        Leaf::new("time_us_old", 2).converted(8).element(),
        Leaf::new("small", 1).logical(10, Struct::default().byte(1, 16).boolean(2, false)).element(),
        Leaf::new("hive_time", 3).element(),
        Leaf::new("hash", 7).length(20).element(),
        Leaf::new("nothing", 1).logical(11, Struct::default()).element(),
    ])
}

fn from_the_future() -> Struct {
    let element = Leaf::text("a").element().structure(15, Struct::default().binary(3, b"later"));
    metadata(flat(vec![element]), 1, &[1]).structure(12, Struct::default().i64(1, 7))
}

/// The schema of top-level columns: a root and its leaves.
fn flat(leaves: Vec<Struct>) -> Vec<Struct> {
    let children = leaves.len();
    nested(leaves, children)
}

fn nested(elements: Vec<Struct>, children: usize) -> Vec<Struct> {
    let root = Struct::default().binary(4, b"schema").i32(5, children as i32);
    std::iter::once(root).chain(elements).collect()
}

/// A file without pages, of one row group.
fn file(schema: &[Struct], rows: i64) -> Vec<u8> {
    framed(&metadata(schema.to_vec(), rows, &[rows]).end())
}

fn metadata(schema: Vec<Struct>, rows: i64, groups: &[i64]) -> Struct {
    let groups = groups.iter().map(|rows| Struct::default().structs(1, []).i64(2, 0).i64(3, *rows));
    Struct::default().i32(1, 1).structs(2, schema).i64(3, rows).structs(4, groups)
}

/// A footer between what every Parquet file begins and ends with.
fn framed(footer: &[u8]) -> Vec<u8> {
    [b"PAR1".as_slice(), footer, &(footer.len() as u32).to_le_bytes(), b"PAR1"].concat()
}

/// The schema of as many text columns as are asked for.
fn text_columns(count: usize) -> Vec<Struct> {
    flat((0..count).map(|index| Leaf::text(&format!("c{index}")).element()).collect())
}

/// An element of a schema in the making.
#[derive(Default)]
struct Leaf {
    name: String,
    physical: Option<i32>,
    length: Option<i32>,
    repetition: Option<i32>,
    children: Option<i32>,
    converted: Option<i32>,
    scale_precision: Option<(i32, i32)>,
    logical: Option<Struct>,
}

impl Leaf {
    fn new(name: &str, physical: i32) -> Self {
        Self { name: name.to_owned(), physical: Some(physical), ..Self::default() }
    }

    fn text(name: &str) -> Self {
        Self::new(name, 6).converted(0)
    }

    /// A group; `converted` below 0 is none.
    fn group(name: &str, converted: i32) -> Self {
        let converted = (converted >= 0).then_some(converted);
        Self { name: name.to_owned(), converted, ..Self::default() }
    }

    fn length(self, bytes: i32) -> Self {
        Self { length: Some(bytes), ..self }
    }

    fn repetition(self, repetition: i32) -> Self {
        Self { repetition: Some(repetition), ..self }
    }

    fn children(self, count: i32) -> Self {
        Self { children: Some(count), ..self }
    }

    fn converted(self, converted: i32) -> Self {
        Self { converted: Some(converted), ..self }
    }

    fn decimal(self, precision: i32, scale: i32) -> Self {
        Self { converted: Some(5), scale_precision: Some((scale, precision)), ..self }
    }

    fn logical(self, id: u8, parameters: Struct) -> Self {
        Self { logical: Some(Struct::default().structure(id, parameters)), ..self }
    }

    fn logical_decimal(self, precision: i32, scale: i32) -> Self {
        self.decimal(precision, scale).logical(5, Struct::default().i32(1, scale).i32(2, precision))
    }

    fn element(self) -> Struct {
        let mut element = Struct::default();
        if let Some(physical) = self.physical {
            element = element.i32(1, physical);
        }
        if let Some(length) = self.length {
            element = element.i32(2, length);
        }
        element = element.i32(3, self.repetition.unwrap_or(OPTIONAL)).binary(4, self.name.as_bytes());
        if let Some(children) = self.children {
            element = element.i32(5, children);
        }
        if let Some(converted) = self.converted {
            element = element.i32(6, converted);
        }
        if let Some((scale, precision)) = self.scale_precision {
            element = element.i32(7, scale).i32(8, precision);
        }
        match self.logical {
            Some(logical) => element.structure(10, logical),
            None => element,
        }
    }
}
