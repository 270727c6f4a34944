//! Cluster A: MySQL, schema `game`, under `acme-landing/dms/casino-a`, CDC in date folders of the form 2022/12/01.

use super::dice::{DAY, Dice, MIDNIGHT, stamp};
use super::table::{Cell, Column, Table, Type, column, dms_timestamp};
use super::{File, changes, dms, gzip, landed};

const AT: &str = "acme-landing/dms/casino-a/game";

pub(crate) fn files() -> Vec<File> {
    [players(), bets(), wallets(), logs(), odd_names(), excluded()].concat()
}

fn player_columns() -> Vec<Column> {
    vec![
        column("id", Type::UInt32),
        column("nickname", Type::Text),
        column("email", Type::Text),
        column("country", Type::Text),
        column("is_vip", Type::Boolean),
        column("level", Type::Int8),
        column("karma", Type::Int16),
        column("device_id", Type::UInt64),
        column("balance", Type::Decimal(15, 2)),
        column("lifetime_stakes", Type::Decimal(38, 4)),
        column("born_on", Type::Date),
        column("registered_at", Type::TimestampMicros),
        column("avatar", Type::Bytes),
        column("settings", Type::Text),
        column("referrer", Type::Text),
    ]
}

fn player(dice: &mut Dice, id: i64) -> Vec<Cell> {
    let nickname = format!("{}_{id}", dice.pick(&["lucky", "ace", "río", "행운", "queen", "Ünal"]));
    let cents = dice.below(20_000_000) - 500_000;
    let stakes = i128::from(dice.below(1 << 62)) * 1_000_000_000_000;
    let settings =
        format!(r#"{{"lang":"{}","sound":{}}}"#, dice.pick(&["ko", "en", "es", "de"]), id % 2 == 0);
    vec![
        id.into(),
        nickname.clone().into(),
        dice.or_null(5, format!("{nickname}@example.com")),
        dice.pick(&["KR", "DE", "ES", "MT", "GB"]).into(),
        dice.or_null(9, id % 7 == 0),
        (dice.below(200) - 100).into(),
        (dice.below(60_000) - 30_000).into(),
        Cell::Int(i128::from(dice.below((1 << 63) - 1))),
        cents.into(),
        dice.or_null(6, stakes),
        dice.or_null(4, DAY - 7_000 - dice_days(id)),
        (MIDNIGHT * 1_000_000 - dice.below(40_000_000_000_000)).into(),
        dice.or_null(3, Cell::Bytes(vec![0x89, b'P', b'N', b'G', id as u8, 0, 255])),
        settings.into(),
        Cell::Null,
    ]
}

/// Spreads birthdays, some before 1970.
fn dice_days(id: i64) -> i64 {
    id * 97 % 15_000
}

/// Eighteen files of a full load, so that the counter passes 09, 0A and 10, and three of changes.
fn players() -> Vec<File> {
    let dice = &mut Dice::new("player");
    let columns = [vec![dms_timestamp("dms_timestamp")], player_columns()].concat();
    let mut files = Vec::new();
    for file in 1..=18 {
        let rows = (0..12).map(|row| {
            let id = (file - 1) * 12 + row + 1;
            [vec![stamp(7_200 + file, row * 11)], player(dice, id)].concat()
        });
        let table = Table { columns: columns.clone(), rows: rows.collect() };
        files.push(landed(
            format!("{AT}/player/LOAD{file:08X}.parquet"),
            dms::file(&table),
            &table,
            "casino_a.player_log",
        ));
    }

    let first = changes("dms_timestamp", player_columns(), 34_215, &mut |op, at| {
        let id = if op == "I" { 217 + at } else { 3 + at };
        player(dice, id)
    });
    let second = changes("dms_timestamp", player_columns(), 34_275, &mut |_, at| player(dice, 40 + at));
    let mut grown = player_columns();
    grown.push(column("favourite_game", Type::Text));
    let third = changes("dms_timestamp", grown, 86_412, &mut |_, at| {
        let mut row = player(dice, 90 + at);
        row.push(Cell::from(["baccarat", "blackjack", "roulette"][at as usize % 3]));
        row
    });
    for (name, table) in [
        ("2022/12/01/20221201-093015123", first),
        ("2022/12/01/20221201-093115240", second),
        ("2022/12/02/20221202-000012007", third),
    ] {
        files.push(landed(
            format!("{AT}/player/{name}.parquet"),
            dms::file(&table),
            &table,
            "casino_a.player_log",
        ));
    }
    files
}

/// Changes of many players, for files of any size.
pub(crate) fn many_players(count: i64) -> Table {
    let dice = &mut Dice::new("many players");
    let row = |id: i64| {
        let kind = ["I", "U", "U", "D"][id as usize % 4];
        [vec![kind.into(), stamp(34_200, id)], player(dice, id)].concat()
    };
    Table {
        rows: (0..count).map(row).collect(),
        columns: [vec![column("Op", Type::Text), dms_timestamp("dms_timestamp")], player_columns()].concat(),
    }
}

fn bet_columns() -> Vec<Column> {
    vec![
        column("id", Type::UInt64),
        column("player_id", Type::UInt32),
        column("game", Type::Text),
        column("stake", Type::Decimal(15, 2)),
        column("payout", Type::Decimal(38, 4)),
        column("won", Type::Boolean),
        column("flags", Type::UInt8),
        column("table_no", Type::UInt16),
        column("placed_at", Type::TimestampMicros),
        column("rng_seed", Type::Bytes),
    ]
}

fn bet(dice: &mut Dice, id: i64) -> Vec<Cell> {
    let won = dice.below(3) == 0;
    let stake = 100 + dice.below(500_000);
    let placed = (MIDNIGHT - 86_400) * 1_000_000 + id * 1_234_567;
    vec![
        Cell::Int((1 << 62) + i128::from(id)),
        (1 + dice.below(216)).into(),
        dice.pick(&["baccarat", "blackjack", "roulette", "slots"]).into(),
        stake.into(),
        if won { Cell::Int(i128::from(stake) * 195) } else { Cell::Int(0) },
        dice.or_null(10, won),
        dice.below(256).into(),
        dice.below(65_536).into(),
        placed.into(),
        dice.bytes(8).as_slice().into(),
    ]
}

/// Three row groups in one file, changes, and a file that was cut short.
fn bets() -> Vec<File> {
    let dice = &mut Dice::new("bet");
    let columns = [vec![dms_timestamp("dms_timestamp")], bet_columns()].concat();
    let rows: Vec<_> = (1..=250).map(|id| [vec![stamp(7_300, id * 7)], bet(dice, id)].concat()).collect();
    let groups: Vec<&[Vec<Cell>]> = rows.chunks(100).collect();
    let load = dms::file_of_groups(&columns, &groups);
    let table = Table { columns, rows };
    let mut files = vec![landed(format!("{AT}/bet/LOAD00000001.parquet"), load, &table, "casino_a.bet")];
    for (name, second) in [("20221201-093015456", 34_210), ("20221201-093115789", 34_270)] {
        let table = changes("dms_timestamp", bet_columns(), second, &mut |_, at| bet(dice, second + at));
        let path = format!("{AT}/bet/2022/12/01/{name}.parquet");
        files.push(landed(path, dms::file(&table), &table, "casino_a.bet"));
    }
    let table = changes("dms_timestamp", bet_columns(), 43_200, &mut |_, at| bet(dice, 50_000 + at));
    let mut cut_short = dms::file(&table);
    cut_short.truncate(cut_short.len() / 2);
    files.push(File::returned(
        format!("{AT}/bet/2022/12/01/20221201-120000000.parquet"),
        cut_short,
        "object.truncated",
    ));
    files
}

/// The task's TimestampColumnName was set after the first changes: later files have a REQUIRED column more.
fn wallets() -> Vec<File> {
    let dice = &mut Dice::new("wallet");
    let columns = vec![
        column("id", Type::UInt32),
        column("player_id", Type::UInt32),
        column("currency", Type::Text),
        column("amount", Type::Decimal(15, 2)),
        column("locked", Type::Boolean),
        column("updated_at", Type::TimestampMicros),
    ];
    let mut wallet = |id: i64| -> Vec<Cell> {
        vec![
            id.into(),
            (1 + dice.below(216)).into(),
            dice.pick(&["KRW", "EUR", "USD"]).into(),
            dice.below(9_000_000).into(),
            (id % 5 == 0).into(),
            (MIDNIGHT * 1_000_000 + id * 999_983).into(),
        ]
    };
    let load = Table { columns: columns.clone(), rows: (1..=40).map(&mut wallet).collect() };
    let mut before = changes("ignored", columns.clone(), 34_200, &mut |_, at| wallet(41 + at));
    before.columns.remove(1);
    before.rows.iter_mut().for_each(|row| drop(row.remove(1)));
    let after = changes("dms_timestamp", columns, 36_000, &mut |_, at| wallet(60 + at));
    [
        ("LOAD00000001", load),
        ("2022/12/01/20221201-093000650", before),
        ("2022/12/01/20221201-100000120", after),
    ]
    .map(|(name, table)| {
        landed(format!("{AT}/wallet/{name}.parquet"), dms::file(&table), &table, "casino_a.wallet")
    })
    .to_vec()
}

/// Two tables that one rule with a pattern sends to another dataset; GZIP and dictionaries; a file without rows.
fn logs() -> Vec<File> {
    let dice = &mut Dice::new("log");
    let columns = vec![
        column("id", Type::Int64),
        column("player_id", Type::UInt32),
        column("succeeded", Type::Boolean),
        column("attempts", Type::Int8),
        column("port", Type::UInt16),
        column("utc_offset_min", Type::Int16),
        column("latency_ms", Type::Float),
        column("score", Type::Double),
        column("context", Type::Text),
        column("happened_at", Type::TimestampMillis),
        column("session_note", Type::Text),
    ];
    let mut entry = |id: i64| -> Vec<Cell> {
        let context =
            format!(r#"{{"ip":"198.51.100.{}","agent":"{}"}}"#, dice.below(255), dice.pick(&["app", "web"]));
        vec![
            id.into(),
            (1 + dice.below(216)).into(),
            dice.or_null(8, id % 4 != 0),
            (dice.below(10) - 1).into(),
            dice.below(65_536).into(),
            (dice.below(24) * 60 - 720).into(),
            Cell::Real(dice.below(4_000) as f64 / 8.0),
            Cell::Real(dice.below(1 << 40) as f64 / 1_048_576.0),
            context.into(),
            ((MIDNIGHT + id) * 1_000 + 7).into(),
            Cell::Null,
        ]
    };
    let mut files = Vec::new();
    for (table_name, first_id) in [("log_login", 1), ("log_session", 10_001)] {
        let destination = format!("logs.game_{table_name}");
        let load = Table {
            columns: [vec![dms_timestamp("dms_timestamp")], columns.clone()].concat(),
            rows: (0..150).map(|row| [vec![stamp(7_400, row)], entry(first_id + row)].concat()).collect(),
        };
        files.push(landed(
            format!("{AT}/{table_name}/LOAD00000001.parquet"),
            gzip::file(&load),
            &load,
            &destination,
        ));
        let cdc = changes("dms_timestamp", columns.clone(), 34_290, &mut |_, at| entry(first_id + 150 + at));
        let path = format!("{AT}/{table_name}/2022/12/01/20221201-093130001.parquet");
        files.push(landed(path, gzip::file(&cdc), &cdc, &destination));
    }
    let mut empty = changes("dms_timestamp", columns, 34_300, &mut |_, at| entry(at));
    empty.rows.clear();
    files.push(landed(
        format!("{AT}/log_session/2022/12/01/20221201-093230002.parquet"),
        dms::file(&empty),
        &empty,
        "logs.game_log_session",
    ));
    files
}

/// Names with a space, a plus, an equals sign and letters that are not ASCII. BigQuery takes the first and
/// the last; for the others the mapping gives a name.
fn odd_names() -> Vec<File> {
    let columns = vec![
        dms_timestamp("dms_timestamp"),
        column("id", Type::Int32),
        column("메모", Type::Text),
        column("valid_until", Type::Date),
    ];
    let names = [
        ("bonus rules", "casino_a.bonus rules"),
        ("vip+promo", "casino_a.vip_promo"),
        ("variant=b", "casino_a.variant_b"),
        ("플레이어_메모", "casino_a.플레이어_메모"),
    ];
    names
        .map(|(name, destination)| {
            let row = |id: i64| {
                vec![stamp(7_500, id), id.into(), format!("{name} №{id}").into(), (DAY + id).into()]
            };
            let table = Table { columns: columns.clone(), rows: (1..=9).map(row).collect() };
            landed(format!("{AT}/{name}/LOAD00000001.parquet"), dms::file(&table), &table, destination)
        })
        .to_vec()
}

/// A table that a rule of the mapping excludes.
fn excluded() -> Vec<File> {
    let rows = (1..=3_i64).map(|id| vec![id.into()]).collect();
    let table = Table { columns: vec![column("id", Type::Int32)], rows };
    vec![File::ignored(format!("{AT}/tmp_import/LOAD00000001.parquet"), dms::file(&table))]
}
