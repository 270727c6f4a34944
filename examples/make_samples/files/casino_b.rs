//! Cluster B: PostgreSQL, schema `public`, under `acme-landing/dms/casino-b`, CDC in date folders of the form 2022-12-01.

use super::dice::{DAY, Dice, MIDNIGHT, stamp};
use super::table::{Cell, Column, Table, Type, column, dms_timestamp};
use super::{File, changes, dms, landed};

const LANDING: &str = "acme-landing/dms/casino-b";
const AT: &str = "acme-landing/dms/casino-b/public";

pub(crate) fn files() -> Vec<File> {
    [accounts(), payments(), control_tables(), strangers()].concat()
}

/// Written just as the one public file by DMS: the same types in the same order, the REQUIRED timestamp first.
fn account_columns() -> Vec<Column> {
    vec![
        column("id", Type::Int64),
        column("account_no", Type::Int32),
        column("tier", Type::Int16),
        column("credit_limit", Type::Decimal(15, 2)),
        column("risk_score", Type::Float),
        column("win_rate", Type::Double),
        column("deposits", Type::Decimal(38, 4)),
        column("username", Type::Text),
        column("note", Type::Text),
        column("avatar", Type::Bytes),
        column("opened_at", Type::TimestampMillis),
        column("external_id", Type::Text),
        column("profile", Type::Text),
        column("limits", Type::Text),
        column("active", Type::Boolean),
    ]
}

fn account(dice: &mut Dice, id: i64) -> Vec<Cell> {
    let username = format!("{}{id}", dice.pick(&["tco", "zbsboji", "drtz", "bsdjs", "svv", ""]));
    let profile = format!(r#"{{"key_{}":"{}"}}"#, dice.below(99), dice.pick(&["ct", "ts", "ptpvg"]));
    let limits = format!(r#"{{"daily": {}, "weekly": null}}"#, dice.below(5_000));
    vec![
        id.into(),
        dice.below(1 << 31).into(),
        dice.below(1 << 15).into(),
        dice.below(200_000_000_000).into(),
        Cell::Real(dice.below(1 << 20) as f64 / 1_048_576.0),
        Cell::Real(dice.below(1 << 50) as f64 / (1_u64 << 50) as f64),
        Cell::Int(i128::from(dice.below(1_000_000_000_000)) * 100),
        username.into(),
        dice.pick(&["", "mraj", "called twice", "VIP — ask Ana"]).into(),
        dice.bytes(9).as_slice().into(),
        ((MIDNIGHT - dice.below(40_000_000)) * 1_000 + 458).into(),
        dice.uuid().into(),
        profile.into(),
        limits.into(),
        (id % 3 == 0).into(),
    ]
}

fn accounts() -> Vec<File> {
    let dice = &mut Dice::new("account");
    let load = Table {
        columns: [vec![dms_timestamp("DMS_TIMESTAMP")], account_columns()].concat(),
        rows: (1..=10)
            .map(|id| [vec![stamp(24_378, 616_000 + id * 11)], account(dice, id)].concat())
            .collect(),
    };
    let mut cdc = changes("DMS_TIMESTAMP", account_columns(), 36_895, &mut |_, at| account(dice, 4 + at));
    keep_only_the_key(&mut cdc);
    [("LOAD00000001", load), ("2022-12-01/20221201-101500250", cdc)]
        .map(|(name, table)| {
            landed(format!("{AT}/account/{name}.parquet"), dms::file(&table), &table, "casino_b.account")
        })
        .to_vec()
}

/// What PostgreSQL tells of a deleted row: `Op`, the timestamp and the key.
fn keep_only_the_key(table: &mut Table) {
    for row in table.rows.iter_mut().filter(|row| row[0] == Cell::from("D")) {
        row[3..].fill(Cell::Null);
    }
}

/// Partitioned by a column of its own and clustered.
fn payments() -> Vec<File> {
    let dice = &mut Dice::new("payment");
    let columns = vec![
        column("id", Type::Int64),
        column("account_id", Type::Int64),
        column("amount", Type::Decimal(15, 2)),
        column("rate", Type::Decimal(20, 12)),
        column("currency", Type::Text),
        column("paid_on", Type::Date),
        column("booked_at", Type::TimestampMillis),
        column("receipt", Type::Bytes),
        column("error", Type::Text),
    ];
    let mut payment = |id: i64| -> Vec<Cell> {
        vec![
            id.into(),
            (1 + dice.below(10)).into(),
            (dice.below(1_000_000) - 200_000).into(),
            Cell::Int(i128::from(dice.below(1 << 60))),
            dice.pick(&["EUR", "KRW", "USD"]).into(),
            (DAY - id % 3).into(),
            ((MIDNIGHT + id * 61) * 1_000).into(),
            dice.bytes(6).as_slice().into(),
            Cell::Null,
        ]
    };
    let loads = [1, 2].map(|file: i64| {
        let rows = (0..60).map(|row| {
            let id = (file - 1) * 60 + row + 1;
            [vec![stamp(24_400 + file, row)], payment(id)].concat()
        });
        Table {
            columns: [vec![dms_timestamp("DMS_TIMESTAMP")], columns.clone()].concat(),
            rows: rows.collect(),
        }
    });
    let mut cdcs = [36_895, 37_015].map(|second| {
        changes("DMS_TIMESTAMP", columns.clone(), second, &mut |_, at| payment(second - 36_700 + at))
    });
    cdcs.iter_mut().for_each(keep_only_the_key);
    let names =
        ["LOAD00000001", "LOAD00000002", "2022-12-01/20221201-101500800", "2022-12-01/20221201-101700031"];
    names
        .into_iter()
        .zip(loads.into_iter().chain(cdcs))
        .map(|(name, table)| {
            landed(format!("{AT}/payment/{name}.parquet"), dms::file(&table), &table, "casino_b.payment")
        })
        .collect()
}

/// DMS's own tables, with and without a ControlSchema.
fn control_tables() -> Vec<File> {
    let table = Table {
        columns: vec![
            column("server_name", Type::Text),
            column("task_name", Type::Text),
            column("task_status", Type::Text),
            column("pending_changes", Type::Int64),
        ],
        rows: vec![vec!["dms-1".into(), "casino-b".into(), "FULL LOAD".into(), 0_i64.into()]],
    };
    ["awsdms_status", "awsdms_control/awsdms_suspended_tables"]
        .map(|folder| File::ignored(format!("{LANDING}/{folder}/LOAD00000001.parquet"), dms::file(&table)))
        .to_vec()
}

/// What lies in the landing and is not a table's Parquet file, or is no mapped table's.
fn strangers() -> Vec<File> {
    let table = Table { columns: vec![column("id", Type::Int32)], rows: vec![vec![1_i64.into()]] };
    let transactions = "I,\"payment\",\"public\",\"2022-12-01 10:14:59.731000\",500,1,9.99,EUR\n\
                        U,\"account\",\"public\",\"2022-12-01 10:14:59.731000\",4,1298498081\n";
    vec![
        File::returned(
            format!("{LANDING}/changes/CDC_TXN-20221201101500123.csv"),
            transactions.into(),
            "key.transaction_file",
        ),
        File::returned(
            format!("{AT}/payment/dt=2022-12-01/part-00000-7f3c.snappy.parquet"),
            dms::file(&table),
            "key.not_dms",
        ),
        File::returned(
            format!("{AT}/payment/LOAD00000003.csv"),
            "501,1,9.99,EUR\n".into(),
            "key.not_parquet",
        ),
        File::returned(format!("{AT}/forgotten/LOAD00000001.parquet"), dms::file(&table), "route.unmapped"),
    ]
}
