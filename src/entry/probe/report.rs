//! How a probe is told: what it will take, each answer, and the lines for the page.

use std::io::{self, Write};

use serde_json::json;

use super::bench::ScratchDataset;
use super::catalog::{EXPERIMENTS, FOR_A_PERSON};
use super::experiment::{Answer, Cost, Experiment, Needs, Trouble, Verdict};
use crate::entry::check::{CheckFormat, counted};
use crate::entry::stdout::on_one_line;

/// The answer, in JSON, of what was not asked.
const NOT_ASKED: &str = "not_asked";

/// What stands on the page for a name that is nobody's business.
const A_NAME: &str = "…";

/// The width of the column of names.
const NAME_WIDTH: usize = 24;

/// All experiments, and the rows that are none.
pub(super) fn list(format: CheckFormat, out: &mut dyn Write) -> io::Result<()> {
    if matches!(format, CheckFormat::Json) {
        return list_as_json(out);
    }
    for experiment in EXPERIMENTS {
        let needs = in_brackets(experiment.needs);
        writeln!(
            out,
            "{:>3}  {:<NAME_WIDTH$} {}{needs}",
            experiment.number, experiment.name, experiment.assumed
        )?;
    }
    writeln!(out, "\nFor a person:\n")?;
    for (number, why) in FOR_A_PERSON {
        writeln!(out, "{number:>3}  {why}")?;
    }
    Ok(())
}

fn list_as_json(out: &mut dyn Write) -> io::Result<()> {
    for Experiment { number, name, assumed, cost, needs, .. } in EXPERIMENTS {
        let line = json!({
            "number": number,
            "name": name,
            "assumed": assumed,
            "needs": options(*needs),
            "load_jobs": cost.jobs,
            "size_bytes": cost.bytes,
            "duration_s": cost.secs,
        });
        writeln!(out, "{line}")?;
    }
    for (number, why) in FOR_A_PERSON {
        writeln!(out, "{}", json!({ "number": number, "for_a_person": why }))?;
    }
    Ok(())
}

/// The options that an experiment needs besides the dataset.
fn options(needs: Needs) -> &'static [&'static str] {
    match needs {
        Needs::Dataset => &[],
        Needs::Bucket => &["--bucket-prefix"],
        Needs::Queue => &["--queue"],
        Needs::News => &["--bucket-prefix", "--queue"],
    }
}

fn in_brackets(needs: Needs) -> String {
    match options(needs) {
        [] => String::new(),
        options => format!(" (needs {})", options.join(" and ")),
    }
}

/// What experiments that somebody named lack.
pub(super) fn lacking(left: &[&Experiment]) -> String {
    let lack = |experiment: &&Experiment| {
        format!("{} {} needs {}", experiment.number, experiment.name, options(experiment.needs).join(" and "))
    };
    left.iter().map(lack).collect::<Vec<_>>().join("; ")
}

/// What will be asked, and what it takes at most.
pub(super) struct Plan<'p> {
    pub(super) dataset: &'p ScratchDataset,
    pub(super) asked: &'p [&'p Experiment],
    /// What lacks something.
    pub(super) left: &'p [&'p Experiment],
}

impl Plan<'_> {
    fn cost(&self) -> Cost {
        let costs = || self.asked.iter().map(|experiment| experiment.cost);
        Cost {
            jobs: costs().map(|cost| cost.jobs).sum(),
            bytes: costs().map(|cost| cost.bytes).sum(),
            secs: costs().map(|cost| cost.secs).sum(),
        }
    }

    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let cost = self.cost();
        writeln!(
            out,
            "{} in {}: {}, {} and {} at most. Tables, objects and queues of its own are deleted at the end; load jobs stay \
             in the project's history.",
            counted(self.asked.len(), "experiment"),
            self.dataset,
            counted(cost.jobs as usize, "load job"),
            size(cost.bytes),
            counted(cost.secs.div_ceil(60) as usize, "minute"),
        )?;
        for experiment in self.left {
            let needs = in_brackets(experiment.needs);
            writeln!(out, "left out: {} {}{needs}", experiment.number, experiment.name)?;
        }
        writeln!(out)
    }

    pub(super) fn write_as_json(&self, out: &mut dyn Write) -> io::Result<()> {
        let left = |Experiment { number, name, needs, .. }: &&Experiment| json!({ "number": number, "name": name, "needs": options(*needs) });
        let cost = self.cost();
        let line = json!({
            "dataset": self.dataset.to_string(),
            "experiments": self.asked.iter().map(|experiment| experiment.number).collect::<Vec<_>>(),
            "left_out": self.left.iter().map(left).collect::<Vec<_>>(),
            "load_jobs": cost.jobs,
            "size_bytes": cost.bytes,
            "duration_s": cost.secs,
        });
        writeln!(out, "{line}")
    }
}

fn size(bytes: u64) -> String {
    const KIB: u64 = 1024;
    const MIB: u64 = 1024 * KIB;
    match bytes {
        0 => "no bytes".to_owned(),
        1..MIB => format!("{} KiB", bytes.div_ceil(KIB)),
        MIB.. => format!("{:.1} MiB", bytes as f64 / MIB as f64),
    }
}

/// One answer, as soon as it is there.
pub(super) fn answer(experiment: &Experiment, answer: &Answer, out: &mut dyn Write) -> io::Result<()> {
    let (word, evidence) = in_words(answer);
    writeln!(
        out,
        "{:>3}  {:<NAME_WIDTH$} {word:<11} {}",
        experiment.number,
        experiment.name,
        on_one_line(evidence)
    )?;
    out.flush()
}

/// The same for a program.
pub(super) fn answer_as_json(
    experiment: &Experiment,
    answer: &Answer,
    out: &mut dyn Write,
) -> io::Result<()> {
    let (_, evidence) = in_words(answer);
    write_json(experiment, slug(answer), evidence, out)
}

fn write_json(experiment: &Experiment, answer: &str, evidence: &str, out: &mut dyn Write) -> io::Result<()> {
    let Experiment { number, name, assumed, .. } = experiment;
    let line = json!({
        "number": number, "name": name, "assumed": assumed, "answer": answer, "evidence": evidence,
    });
    writeln!(out, "{line}")?;
    out.flush()
}

/// What was not asked since somebody stopped it.
pub(super) fn unasked(unasked: &[&Experiment]) -> String {
    let numbers: Vec<String> = unasked.iter().map(|experiment| experiment.number.to_string()).collect();
    format!("{} not asked: {}", unasked.len(), numbers.join(", "))
}

/// A line for each that was not asked, so that there is one for every experiment.
pub(super) fn unasked_as_json(
    unasked: &[&Experiment],
    left: &[&Experiment],
    out: &mut dyn Write,
) -> io::Result<()> {
    for experiment in unasked {
        write_json(experiment, NOT_ASKED, "somebody stopped the probe", out)?;
    }
    for experiment in left {
        let evidence = format!("it needs {}", options(experiment.needs).join(" and "));
        write_json(experiment, NOT_ASKED, &evidence, out)?;
    }
    Ok(())
}

fn in_words(answer: &Answer) -> (&'static str, &str) {
    match answer {
        Ok(Verdict::AsAssumed(evidence)) => ("as assumed", evidence),
        Ok(Verdict::Otherwise(evidence)) => ("OTHERWISE", evidence),
        Err(Trouble::NotHere(evidence)) => ("not here", evidence),
        Err(Trouble::Failed(evidence)) => ("no answer", evidence),
    }
}

fn slug(answer: &Answer) -> &'static str {
    match answer {
        Ok(Verdict::AsAssumed(_)) => "as_assumed",
        Ok(Verdict::Otherwise(_)) => "otherwise",
        Err(Trouble::NotHere(_)) => "not_here",
        Err(Trouble::Failed(_)) => "failed",
    }
}

/// What the lines for the page need besides the answers.
pub(super) struct Page<'p> {
    /// Names that do not belong on a public page.
    pub(super) names: Vec<&'p str>,
    /// The day in UTC.
    pub(super) today: &'p str,
}

/// What to do with the answers: the lines for the page, and what deserves an issue.
pub(super) fn summary(
    answers: &[(&Experiment, Answer)],
    place: impl Fn(&Experiment) -> Option<String>,
    page: &Page<'_>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let lines: Vec<String> = answers
        .iter()
        .filter_map(|(experiment, answer)| {
            Some(line(experiment, answer.as_ref().ok()?, &place(experiment)?, page))
        })
        .collect();
    if lines.is_empty() {
        writeln!(
            out,
            "\nNothing for docs/verified.md: a stand-in was asked (BIGQUERY_EMULATOR_HOST, AWS_ENDPOINT_URL), or nothing answered."
        )?;
    } else {
        writeln!(out, "\nFor docs/verified.md, under \"Answers\":\n\n{}", lines.join("\n"))?;
    }
    let otherwise = answers.iter().filter(|(_, answer)| matches!(answer, Ok(Verdict::Otherwise(_))));
    let otherwise: Vec<&Experiment> = otherwise.map(|(experiment, _)| *experiment).collect();
    if !otherwise.is_empty() {
        writeln!(out, "\nOtherwise than assumed. Open an issue before you change the page:")?;
        for experiment in otherwise {
            writeln!(
                out,
                "  {} {}: it is assumed that {}",
                experiment.number, experiment.name, experiment.assumed
            )?;
        }
    }
    Ok(())
}

/// A row of the page's table of answers. The page is public: it tells nothing of whose project it was.
fn line(experiment: &Experiment, verdict: &Verdict, place: &str, page: &Page<'_>) -> String {
    let (as_assumed, evidence) = match verdict {
        Verdict::AsAssumed(evidence) => ("yes", evidence),
        Verdict::Otherwise(evidence) => ("**no**", evidence),
    };
    let evidence = without(&page.names, &on_one_line(evidence)).replace('|', "\\|");
    format!("| {} | {as_assumed} | {} | {place} | {evidence} |", experiment.number, page.today)
}

/// A text without these names. What goes on behind one (`_12`) stays; what is a part of a longer word is none.
fn without(names: &[&str], text: &str) -> String {
    let mut names: Vec<&str> = names.iter().copied().filter(|name| !name.is_empty()).collect();
    names.sort_by_key(|name| std::cmp::Reverse(name.len()));
    let mut kept = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_in_word = kept.ends_with(char::is_alphanumeric);
        let found = names.iter().filter(|_| !is_in_word).find_map(|name| {
            rest.strip_prefix(name).filter(|after| !after.starts_with(char::is_alphanumeric))
        });
        match found {
            Some(after) => {
                kept.push_str(A_NAME);
                rest = after;
            }
            None => {
                kept.push(first);
                rest = rest.get(first.len_utf8()..).unwrap_or_default();
            }
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may end by a panic")]

    use super::*;

    fn told(answers: &[Answer], place: Option<&str>) -> String {
        let answers: Vec<(&Experiment, Answer)> = EXPERIMENTS.iter().zip(answers.iter().cloned()).collect();
        let mut out = Vec::new();
        let page = Page { names: vec!["acme-dw", "scratch", "dms2bq_probe_1"], today: "2026-11-21" };
        summary(&answers, |_| place.map(str::to_owned), &page, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_answer_of_the_real_services_is_a_line_for_the_page() {
        let answers = [
            Ok(Verdict::AsAssumed("loaded".to_owned())),
            Ok(Verdict::Otherwise("loaded | twice\n".to_owned())),
            Err(Trouble::Failed("no route".to_owned())),
            Err(Trouble::NotHere("501".to_owned())),
        ];
        let told = told(&answers, Some("asia-northeast3"));
        let lines: Vec<&str> = told.lines().filter(|line| line.starts_with('|')).collect();
        assert_eq!(
            lines,
            [
                "| 1 | yes | 2026-11-21 | asia-northeast3 | loaded |",
                "| 2 | **no** | 2026-11-21 | asia-northeast3 | loaded \\| twice  |",
            ]
        );
        assert!(told.contains("Open an issue") && told.contains("  2 required-by-inference"), "{told}");
    }

    #[test]
    fn the_page_learns_no_names_of_projects_datasets_and_tables() {
        let names = ["acme-dw", "scratch", "dms2bq_probe", "dms2bq_probe_17", "my-bucket", "q", ""];
        for (told, on_the_page) in [
            ("Table acme-dw:scratch.dms2bq_probe_17_3 was not found", "Table …:….…_3 was not found"),
            ("no dataset: Dataset acme-dw:dms2bq_probe_nowhere", "no dataset: Dataset …:…_nowhere"),
            ("quota of query q-dead; scratches é scratch", "quota of query …-dead; scratches é …"),
        ] {
            assert_eq!(without(&names, told), on_the_page);
        }
        let answers =
            [Ok(Verdict::Otherwise("Already Exists: Job acme-dw:EU.dms2bq_probe_1_job_2".to_owned()))];
        assert!(told(&answers, Some("EU")).contains("| Already Exists: Job …:EU.…_job_2 |"));
    }

    #[test]
    fn what_a_stand_in_answers_is_nothing_for_the_page() {
        let told = told(&[Ok(Verdict::AsAssumed("loaded".to_owned()))], None);
        assert!(told.contains("Nothing for docs/verified.md") && !told.contains("| 1 |"), "{told}");
    }
}
