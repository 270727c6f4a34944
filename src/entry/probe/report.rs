//! How a probe is told: what it will take, each answer, and the lines for the page.

use std::io::{self, Write};

use serde_json::json;

use super::catalog::{EXPERIMENTS, FOR_A_PERSON};
use super::experiment::{Answer, Experiment, Needs, Trouble, Verdict};

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
    dataset: &str,
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
        printable(evidence)
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
    location: &str,
    today: &str,
    out: &mut dyn Write,
) -> io::Result<()> {
    writeln!(out, "\nFor docs/verified.md, under \"Answers\":\n")?;
    for (experiment, answer) in answers {
        if let Ok(verdict) = answer {
            let (yes, evidence) = match verdict {
                Verdict::AsAssumed(evidence) => ("yes", evidence),
                Verdict::Otherwise(evidence) => ("**no**", evidence),
            };
            let evidence = printable(evidence).replace('|', "\\|");
            writeln!(out, "| {} | {yes} | {today} | {location} | {evidence} |", experiment.number)?;
        }
    }
    let otherwise: Vec<&Experiment> = answers
        .iter()
        .filter(|(_, answer)| matches!(answer, Ok(Verdict::Otherwise(_))))
        .map(|(experiment, _)| *experiment)
        .collect();
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

/// What services say is not ours to send to a terminal as it is.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
