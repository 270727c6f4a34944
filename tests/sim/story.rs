//! What happens in a world, written down before it begins: what lands, what is sent, and what people do to it.

use std::collections::BTreeMap;
use std::time::Duration;

use dms2bq::cloud::memory::queue::MovedMessages;
use dms2bq::route::TableRef;
use serde_json::json;

use crate::files::{self, File, Shape};
use crate::rng::Rng;
use crate::secrets;
use crate::truth::{End, Form, Identity, Letter, PROJECT, Piece, Version, record};

pub(crate) const BUCKET: &str = "acme-landing";
pub(crate) const VERSIONED_BUCKET: &str = "acme-versioned";

/// Over how long things happen.
const STORY: u64 = 90_000;

/// How a world is set up.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) workers: usize,
    pub(crate) batch: usize,
    /// The function's timeout, and the queue's visibility timeout.
    pub(crate) invocation: Duration,
    pub(crate) visibility: Duration,
    pub(crate) max_receive_count: u32,
    /// Whether the event source honours partial replies, and the handler is told so.
    pub(crate) partial_replies: bool,
    /// Whether the handler says when returned messages come back.
    pub(crate) sets_visibility: bool,
    pub(crate) moved: MovedMessages,
    /// So many calls in a hundred go wrong.
    pub(crate) faults_percent: u64,
    /// So many invocations in a hundred are killed.
    pub(crate) kills_percent: u64,
    /// So many jobs in a hundred do not take the usual course.
    pub(crate) odd_jobs_percent: u64,
    /// Whether BigQuery counts the changes of a table.
    pub(crate) limits_changes: bool,
    /// When BigQuery does not answer, if ever.
    pub(crate) outage: Option<Outage>,
    /// When all of that ends.
    pub(crate) calm_at: Duration,
}

/// A while without answers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outage {
    pub(crate) from: Duration,
    pub(crate) until: Duration,
    /// Whether lookups are answered all the same.
    pub(crate) of_uploads_only: bool,
}

/// Something that happens.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// An object lands, perhaps in place of another.
    Put { version: usize },
    /// A message is sent about it.
    Send { letter: usize },
    /// An object is deleted.
    Delete { version: usize },
    /// A deleted object is put back.
    Restore { version: usize },
    /// A job of this object's id is there before, and is another's.
    TakeId { version: usize, other_destination: bool },
    /// Somebody drops a table.
    DropTable { table: TableRef },
    /// Somebody makes the dataset that is missing.
    MakeDataset,
    /// A message that is in flight is handed out once more.
    DeliverTwice { which: usize },
}

/// A world's story.
pub(crate) struct Story {
    pub(crate) settings: Settings,
    pub(crate) versions: Vec<Version>,
    pub(crate) letters: Vec<Letter>,
    /// In the order in which they happen.
    pub(crate) acts: Vec<(Duration, Act)>,
    /// Whether the dataset `logs` is there from the start.
    pub(crate) has_logs: bool,
    /// Whether reading the mappings fails now and then.
    pub(crate) mappings_fail: bool,
}

pub(crate) fn tell(rng: &mut Rng) -> Story {
    let settings = settings(rng);
    let mut teller = Teller {
        rng: rng.fork(),
        files: BTreeMap::new(),
        only_table: rng.percent(25).then_some("player"),
        story: Story {
            settings,
            versions: Vec::new(),
            letters: Vec::new(),
            acts: Vec::new(),
            has_logs: rng.percent(80),
            mappings_fail: rng.percent(20),
        },
    };
    for _ in 0..rng.between(3, 12) {
        teller.object();
    }
    if rng.percent(10) {
        teller.crowd();
    }
    for _ in 0..rng.below(4) {
        teller.nonsense();
    }
    teller.people();
    let mut story = teller.story;
    story.acts.sort_by_key(|(at, _)| *at);
    story
}

fn settings(rng: &mut Rng) -> Settings {
    let invocation = Duration::from_secs(rng.between(5, 60));
    // Six times the function's timeout is what AWS asks for; less lets messages come back in mid-work.
    let visibility = if rng.percent(60) { invocation * 6 } else { invocation * 3 / 4 };
    let wild = rng.percent(75);
    Settings {
        workers: 1 + rng.index(4),
        batch: 1 + rng.index(10),
        invocation,
        visibility,
        max_receive_count: u32::try_from(rng.between(2, 12)).expect("it is small"),
        partial_replies: rng.percent(75),
        sets_visibility: rng.percent(80),
        moved: *rng.pick(&[MovedMessages::NameTheirSource, MovedMessages::LookNew]),
        faults_percent: if wild { rng.between(1, 40) } else { 0 },
        kills_percent: if wild { rng.below(60) } else { 0 },
        odd_jobs_percent: rng.below(90),
        limits_changes: rng.percent(50),
        outage: rng.percent(20).then(|| {
            let from = Duration::from_millis(rng.below(STORY));
            let until = from + Duration::from_millis(rng.below(STORY));
            Outage { from, until, of_uploads_only: rng.percent(40) }
        }),
        calm_at: Duration::from_millis(3 * STORY + rng.below(STORY)),
    }
}

struct Teller {
    rng: Rng,
    /// How many files of each shape are taken.
    files: BTreeMap<usize, usize>,
    /// The table of all objects, in a world that has one.
    only_table: Option<&'static str>,
    story: Story,
}

impl Teller {
    fn moment(&mut self) -> Duration {
        Duration::from_millis(self.rng.below(STORY))
    }

    fn soon_after(&mut self, moment: Duration) -> Duration {
        // Often within the milliseconds in which a worker is at it, sometimes a minute later.
        let most = *self.rng.pick(&[50, 500, 5_000, 60_000]);
        moment + Duration::from_millis(self.rng.between(1, most))
    }

    fn act(&mut self, at: Duration, act: Act) {
        self.story.acts.push((at, act));
    }

    fn next_file(&mut self, shape: Shape) -> File {
        let taken = self.files.entry(shape as usize).or_default();
        *taken += 1;
        files::file(shape, *taken).clone()
    }

    /// An object, its message or messages, and what becomes of it.
    fn object(&mut self) {
        let bucket = if self.rng.percent(25) { VERSIONED_BUCKET } else { BUCKET };
        let table =
            self.only_table.unwrap_or(*self.rng.pick(&["player", "player", "ledger", "log_in", "fixed"]));
        let n = self.story.versions.len();
        let name = match self.rng.percent(40) {
            true => format!("LOAD{:08X}", n + 1),
            false => format!("20221201-0930{:05}", 15_000 + n),
        };
        let shape = match table {
            "fixed" => *self.rng.pick(&[Shape::Plain, Shape::OtherType]),
            _ => *self.rng.pick(&Shape::COMPATIBLE),
        };
        let file = self.next_file(shape);
        let version = self.version(bucket, table, &name, file);
        if shape == Shape::OtherType {
            self.story.versions[version].spoiled = Some("the column has another type in the table");
        }
        let landed = self.moment();
        self.act(landed, Act::Put { version });
        let names_etag = self.rng.percent(85);
        self.news_of(version, landed, names_etag, false);
        match self.rng.below(20) {
            0..=2 => self.replaced(version, landed, names_etag),
            3 => self.deleted(version, landed),
            4 if names_etag => self.copied_in_place(version, landed),
            5 if shape != Shape::OtherType => {
                self.story.versions[version].spoiled = Some("its id is taken by another's job");
                let other_destination = self.rng.percent(50);
                self.act(Duration::ZERO, Act::TakeId { version, other_destination });
            }
            6 => self.story.versions[version].spoiled = Some(SHORT),
            7 => self.spoil_bytes(version),
            _ => {}
        }
    }

    fn version(&mut self, bucket: &'static str, table: &str, name: &str, file: File) -> usize {
        let key = format!("dms/casino a/game/{table}/{name}.parquet");
        let n = self.story.versions.len();
        let etag = format!("{:032x}", u128::from(self.rng.next()));
        let table_ref = destination(table);
        let file_name = name.replace('-', "");
        let identity = Identity::of(&[&file_name, "game", table], bucket, &key, &etag, &table_ref);
        self.story.versions.push(Version {
            bucket,
            key,
            etag,
            version_id: None,
            file,
            table: table_ref,
            identity,
            replaced_at: None,
            is_deleted: false,
            spoiled: None,
            is_held: false,
            rows_dropped_at: None,
        });
        n
    }

    /// Sends one message or several about an object that landed.
    fn news_of(&mut self, version: usize, landed: Duration, names_etag: bool, copied: bool) {
        let copies = if self.rng.percent(20) { 2 } else { 1 };
        for _ in 0..copies {
            let names_version = self.rng.percent(80);
            let piece = Piece::Object { version, names_etag, names_version, copied };
            let sent = self.soon_after(landed);
            let last = self.story.letters.len().checked_sub(1);
            // S3's format has room for several records, and somebody who gathers them uses it.
            let joins = last.filter(|last| {
                let letter = &self.story.letters[*last];
                letter.form == Form::S3 && letter.raw.is_none()
            });
            match joins {
                Some(last) if self.rng.percent(25) => self.join(last, piece, sent),
                Some(_) | None => self.letter(piece, sent),
            }
        }
    }

    fn letter(&mut self, piece: Piece, sent: Duration) {
        let forms = [Form::S3, Form::S3, Form::SnsAroundS3, Form::EventBridge, Form::SnsAroundEventBridge];
        let form = *self.rng.pick(&forms);
        let mut pieces = vec![piece];
        if form == Form::S3 && self.rng.percent(20) {
            let other = self.other_record();
            pieces.push(other);
        }
        self.post(Letter { form, pieces, raw: None }, sent);
    }

    fn post(&mut self, letter: Letter, sent: Duration) {
        let n = self.story.letters.len();
        self.story.letters.push(letter);
        self.act(sent, Act::Send { letter: n });
    }

    /// Puts another record into a letter, which then is sent no earlier than the record's object is there.
    fn join(&mut self, letter: usize, piece: Piece, sent: Duration) {
        self.story.letters[letter].pieces.push(piece);
        for (at, act) in &mut self.story.acts {
            if matches!(act, Act::Send { letter: other } if *other == letter) {
                *at = sent.max(*at);
            }
        }
    }

    fn other_record(&mut self) -> Piece {
        let object =
            |key: &str| json!({ "key": key, "size": 10, "eTag": "0123456789abcdef0123456789abcdef" });
        let put = "ObjectCreated:Put";
        let (record, end) = match self.rng.below(7) {
            0 => (
                record("ObjectRemoved:Delete", BUCKET, &object("dms/casino+a/game/player/LOAD1.parquet")),
                End::Ignored,
            ),
            1 => (record(put, BUCKET, &object("dms/casino+a/game/tmp_x/LOAD00000001.parquet")), End::Ignored),
            2 => (record(put, BUCKET, &object("dms/casino+a/game/player/LOAD00000001.csv")), End::Poison),
            3 => (record(put, BUCKET, &object("dms/casino+a/lost/x/LOAD00000001.parquet")), End::Poison),
            4 => (
                record(put, "somebody-elses", &object("dms/casino+a/game/player/LOAD00000001.parquet")),
                End::Poison,
            ),
            5 => (record(put, BUCKET, &object("dms/casino+a/game/player/LOAD0000DEAD.parquet")), End::Poison),
            _ => (json!({ "eventVersion": "9.0", "eventSource": "aws:s3", "eventName": put }), End::Poison),
        };
        Piece::Other { record, end }
    }

    /// A message with more records than are worked on at once, all of one object whose job takes its time.
    fn crowd(&mut self) {
        let file = self.next_file(Shape::Plain);
        let version = self.version(BUCKET, "player", "LOAD0000C0DE", file);
        self.story.versions[version].is_held = true;
        let landed = self.moment();
        self.act(landed, Act::Put { version });
        let piece = Piece::Object { version, names_etag: true, names_version: false, copied: false };
        let sent = self.soon_after(landed);
        self.post(Letter { form: Form::S3, pieces: vec![piece; 24], raw: None }, sent);
    }

    /// A message that is of no object at all.
    fn nonsense(&mut self) {
        let bodies = [
            (format!("this is no JSON: {}", secrets::BODY), End::Poison),
            (format!("{{\"token\": \"{}\"}}", secrets::BODY), End::Poison),
            ("null".to_owned(), End::Poison),
            (
                json!({ "Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": BUCKET }).to_string(),
                End::Ignored,
            ),
            (json!({ "Records": [] }).to_string(), End::Ignored),
        ];
        let (body, end) = self.rng.pick(&bodies).clone();
        let pieces = vec![Piece::Other { record: json!(null), end }];
        let sent = self.moment();
        self.post(Letter { form: Form::S3, pieces, raw: Some(body) }, sent);
    }

    fn replaced(&mut self, version: usize, landed: Duration, names_etag: bool) {
        let old = self.story.versions[version].clone();
        let (table, name) = names_of(&old);
        let shape = if table == "fixed" { Shape::Plain } else { *self.rng.pick(&Shape::COMPATIBLE) };
        let file = self.next_file(shape);
        let new = self.version(old.bucket, &table, &name, file);
        let at = self.soon_after(landed);
        self.act(at, Act::Put { version: new });
        self.news_of(new, at, names_etag, false);
    }

    fn deleted(&mut self, version: usize, landed: Duration) {
        let at = self.soon_after(landed);
        self.act(at, Act::Delete { version });
        if self.rng.percent(50) {
            let at = self.soon_after(at);
            self.act(at, Act::Restore { version });
        }
    }

    /// The same bytes under the same key, and another etag: their rows must not come twice.
    fn copied_in_place(&mut self, version: usize, landed: Duration) {
        let old = self.story.versions[version].clone();
        let (table, name) = names_of(&old);
        let copy = self.version(old.bucket, &table, &name, old.file.clone());
        self.story.versions[copy].spoiled = Some("it is a copy");
        let at = self.soon_after(landed);
        self.act(at, Act::Put { version: copy });
        self.news_of(copy, at, true, true);
    }

    fn spoil_bytes(&mut self, version: usize) {
        let whole = &self.story.versions[version].file.bytes;
        let bytes = match self.rng.below(3) {
            0 => whole.slice(..whole.len() - 9),
            1 => format!("id,name\n1,{}\n", secrets::ROW).into(),
            _ => whole.slice(..6),
        };
        self.story.versions[version].file = File { bytes, row_count: 0 };
        self.story.versions[version].spoiled = Some("it is no Parquet file");
    }

    fn people(&mut self) {
        if !self.story.has_logs && self.rng.percent(50) {
            let at = self.moment();
            self.act(at, Act::MakeDataset);
        }
        if self.rng.percent(20) {
            self.dropped_table();
        }
        if self.rng.percent(10) {
            self.tidied_away();
        }
        for _ in 0..self.rng.below(6) {
            let at = self.moment();
            let which = self.rng.index(64);
            self.act(at, Act::DeliverTwice { which });
        }
    }
}

impl Teller {
    /// Somebody drops a table, and later an object that was loaded into it is announced once more.
    fn dropped_table(&mut self) {
        let name = if self.rng.percent(50) { "player" } else { "ledger" };
        let table = destination(name);
        let known = self.clean_letter(|version| version.table == table);
        let dropped = match known {
            Some((_, sent)) => sent + self.some_seconds(),
            None => self.moment(),
        };
        self.act(dropped, Act::DropTable { table });
        if let Some((letter, _)) = known {
            let again = dropped + self.some_seconds();
            self.act(again, Act::Send { letter });
        }
    }

    /// An object goes once it is loaded, and is announced once more.
    fn tidied_away(&mut self) {
        let Some((letter, sent)) = self.clean_letter(|version| version.bucket == BUCKET) else { return };
        let pieces = self.story.letters[letter].pieces.clone();
        let gone = sent + self.some_seconds();
        for piece in pieces {
            if let Piece::Object { version, .. } = piece {
                self.act(gone, Act::Delete { version });
            }
        }
        let again = gone + self.some_seconds();
        self.act(again, Act::Send { letter });
    }

    /// A letter that is only of such objects, none of them replaced or deleted, and when it is sent.
    fn clean_letter(&self, is_such: impl Fn(&Version) -> bool) -> Option<(usize, Duration)> {
        let changed = |n: usize, version: &Version| {
            let is_alike = |(m, other): (usize, &Version)| m != n && other.key == version.key;
            let deleted = self
                .story
                .acts
                .iter()
                .any(|(_, act)| matches!(act, Act::Delete { version } if *version == n));
            deleted || self.story.versions.iter().enumerate().any(is_alike)
        };
        let is_clean = |piece: &Piece| match piece {
            Piece::Object { version: n, .. } => {
                let version = &self.story.versions[*n];
                piece.is_clean() && version.spoiled.is_none() && is_such(version) && !changed(*n, version)
            }
            Piece::Other { .. } => false,
        };
        let letter = self.story.letters.iter().position(|letter| letter.pieces.iter().all(is_clean))?;
        let sent = self.story.acts.iter().find_map(|(at, act)| match act {
            Act::Send { letter: other } if *other == letter => Some(*at),
            _ => None,
        });
        Some((letter, sent?))
    }

    /// Long enough for most loads, and for what BigQuery may still tell of before.
    fn some_seconds(&mut self) -> Duration {
        Duration::from_millis(self.rng.between(16_000, 60_000))
    }
}

/// Why a job of which BigQuery tells too few rows must not count.
pub(crate) const SHORT: &str = "BigQuery says it added fewer rows";

/// The table's and the file's name of a version.
fn names_of(version: &Version) -> (String, String) {
    let mut parts = version.key.rsplit('/');
    let name = parts.next().and_then(|name| name.strip_suffix(".parquet")).expect("a name");
    let table = parts.next().expect("a table");
    (table.to_owned(), name.to_owned())
}

/// Where the mappings send a table of the schema `game`.
pub(crate) fn destination(table: &str) -> TableRef {
    let (dataset, table) = match table.starts_with("log_") {
        true => ("logs", format!("game_{table}")),
        false => ("casino_a", table.to_owned()),
    };
    TableRef { project: PROJECT.to_owned(), dataset: dataset.to_owned(), table }
}

/// The mappings of every world. `lost` is what somebody forgot.
pub(crate) fn mapping(bucket: &str) -> String {
    json!({
        "source": { "bucket": bucket, "bucket_folder": "dms/casino a" },
        "destination": { "project": PROJECT, "location": crate::truth::LOCATION, "dataset": "casino_a" },
        "tables": [
            { "schema": "game", "table": "%" },
            { "schema": "game", "table": "ledger", "partition": null },
            { "schema": "game", "table": "log_%", "destination": { "dataset": "logs", "table": "{schema}_{table}" } },
            { "schema": "game", "table": "tmp_%", "action": "exclude" },
        ],
    })
    .to_string()
}
