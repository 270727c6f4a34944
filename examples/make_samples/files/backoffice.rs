//! Cluster C: SQL Server, schema `dbo`, at the root of the bucket `acme-backoffice`, without date folders.

use super::dice::{Dice, MIDNIGHT};
use super::table::{Cell, Table, Type, column};
use super::{File, changes, dms, landed};

const AT: &str = "acme-backoffice/dbo";

pub(crate) fn files() -> Vec<File> {
    [shifts(), regions()].concat()
}

/// A mapping gives `starts_at` the type DATETIME: SQL Server's `datetime2` has no zone.
fn shifts() -> Vec<File> {
    let dice = &mut Dice::new("shift");
    let columns = vec![
        column("ShiftId", Type::Int32),
        column("Croupier", Type::Text),
        column("PitNo", Type::UInt8),
        column("Starts At", Type::TimestampMillis),
        column("Rate", Type::Decimal(15, 2)),
        column("RowVer", Type::Bytes),
    ];
    let mut shift = |id: i64| -> Vec<Cell> {
        vec![
            id.into(),
            dice.pick(&["Ana", "Jürgen", "민준", "O'Hara"]).into(),
            dice.below(256).into(),
            ((MIDNIGHT + id * 28_800) * 1_000 + 3).into(),
            (1_500 + dice.below(2_000)).into(),
            dice.bytes(8).as_slice().into(),
        ]
    };
    let load = Table { columns: columns.clone(), rows: (1..=25).map(&mut shift).collect() };
    let mut cdc = changes("ignored", columns, 50_000, &mut |_, at| shift(26 + at));
    cdc.columns.remove(1);
    cdc.rows.iter_mut().for_each(|row| drop(row.remove(1)));
    [("LOAD00000001", load), ("20221201-135320333", cdc)]
        .map(|(name, table)| {
            landed(format!("{AT}/Shift/{name}.parquet"), dms::file(&table), &table, "backoffice.shift")
        })
        .to_vec()
}

fn regions() -> Vec<File> {
    let columns = vec![column("Région", Type::Text), column("Taux", Type::Double)];
    let rows = [("Île-de-France", 0.25), ("Baden-Württemberg", 0.125), ("서울", 0.5)];
    let table =
        Table { columns, rows: rows.map(|(name, rate)| vec![name.into(), Cell::Real(rate)]).to_vec() };
    let path = format!("{AT}/Régions & taux/LOAD00000001.parquet");
    vec![landed(path, dms::file(&table), &table, "backoffice.regions_taux")]
}
