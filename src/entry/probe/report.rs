//! How a probe is told: what it will take, each answer, and the lines for the page.

use std::io::{self, Write};

use serde_json::json;

use super::bench::ScratchDataset;
use super::catalog::{EXPERIMENTS, FOR_A_PERSON};
use super::experiment::{Answer, Experiment, Needs, Trouble, Verdict};
use crate::entry::stdout::on_one_line;

/// The width of the column of names.
const NAME_WIDTH: usize = 24;

/// All experiments, and the rows that are none.
pub(super) fn list(out: &mut dyn Write) -> io::Result<()> {
    for experiment in EXPERIMENTS {
        let needs = needs(experiment.needs);
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

fn needs(needs: Needs) -> &'static str {
    match needs {
        Needs::Dataset => "",
        Needs::Bucket => " (needs --bucket-prefix)",
        Needs::Queue => " (needs --queue)",
        Needs::News => " (needs --bucket-prefix and --queue)",
    }
}

/// What will be asked, and what it takes at most.
pub(super) fn plan(
    dataset: &ScratchDataset,
    asked: &[&Experiment],
    left: &[&Experiment],
    out: &mut dyn Write,
) -> io::Result<()> {
    let jobs: u32 = asked.iter().map(|experiment| experiment.cost.jobs).sum();
    let bytes: u64 = asked.iter().map(|experiment| experiment.cost.bytes).sum();
    let secs: u32 = asked.iter().map(|experiment| experiment.cost.secs).sum();
    writeln!(
        out,
        "{} experiments in {dataset}: at most {jobs} load jobs, {:.1} MiB and {} min. Tables, objects and queues of its own are \
         deleted at the end; load jobs stay in the project's history.",
        asked.len(),
        bytes as f64 / (1024.0 * 1024.0),
        secs.div_ceil(60)
    )?;
    for experiment in left {
        writeln!(out, "left out: {} {}{}", experiment.number, experiment.name, needs(experiment.needs))?;
    }
    writeln!(out)
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

pub(super) fn answer_as_json(
    experiment: &Experiment,
    answer: &Answer,
    out: &mut dyn Write,
) -> io::Result<()> {
    let (_, evidence) = in_words(answer);
    let line = json!({
        "number": experiment.number,
        "name": experiment.name,
        "assumed": experiment.assumed,
        "answer": slug(answer),
        "evidence": evidence,
    });
    writeln!(out, "{line}")
}

fn in_words(answer: &Answer) -> (&'static str, &str) {
    match answer {
        Ok(Verdict::AsAssumed(evidence)) => ("as assumed", evidence),
        Ok(Verdict::Otherwise(evidence)) => ("OTHERWISE", evidence),
        Err(Trouble::NotHere(evidence)) => ("not here", evidence),
        Err(Trouble::Failed(evidence)) => ("not asked", evidence),
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

/// What to do with the answers: the lines for the page, and what deserves an issue.
pub(super) fn summary(
    answers: &[(&Experiment, Answer)],
    place: impl Fn(&Experiment) -> Option<String>,
    today: &str,
    out: &mut dyn Write,
) -> io::Result<()> {
    let lines: Vec<String> = answers
        .iter()
        .filter_map(|(experiment, answer)| {
            Some(line(experiment, answer.as_ref().ok()?, &place(experiment)?, today))
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

/// A row of the page's table of answers.
fn line(experiment: &Experiment, verdict: &Verdict, place: &str, today: &str) -> String {
    let (as_assumed, evidence) = match verdict {
        Verdict::AsAssumed(evidence) => ("yes", evidence),
        Verdict::Otherwise(evidence) => ("**no**", evidence),
    };
    let evidence = on_one_line(evidence).replace('|', "\\|");
    format!("| {} | {as_assumed} | {today} | {place} | {evidence} |", experiment.number)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may end by a panic")]

    use super::*;

    fn told(answers: &[Answer], place: Option<&str>) -> String {
        let answers: Vec<(&Experiment, Answer)> = EXPERIMENTS.iter().zip(answers.iter().cloned()).collect();
        let mut out = Vec::new();
        summary(&answers, |_| place.map(str::to_owned), "2026-11-21", &mut out).unwrap();
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
    fn what_a_stand_in_answers_is_nothing_for_the_page() {
        let told = told(&[Ok(Verdict::AsAssumed("loaded".to_owned()))], None);
        assert!(told.contains("Nothing for docs/verified.md") && !told.contains("| 1 |"), "{told}");
    }
}
