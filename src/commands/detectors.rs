//! `nhiwatch detectors`: the list of detectors, or the page of one.

use std::fmt::Write as _;
use std::process::ExitCode;

use nhiwatch_detectors::{CARDS, Configs};

use crate::config::nearest;
use crate::failure::Failure;

/// List the detectors, or show the page of one
#[derive(Debug, clap::Args)]
pub struct DetectorsArgs {
    /// The detector whose page to show
    #[arg(value_name = "NAME", env = "NHIWATCH_DETECTOR")]
    pub name: Option<String>,
}

/// Prints the list or the page.
///
/// # Errors
///
/// Where no detector has that name.
pub fn run(args: &DetectorsArgs) -> Result<ExitCode, Failure> {
    match &args.name {
        None => super::say(&list())?,
        Some(name) => super::say(page(name)?)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn list() -> String {
    let width = CARDS
        .iter()
        .map(|card| card.name.len())
        .max()
        .unwrap_or(0)
        .max("NAME".len());
    let mut list = format!(
        "{:width$}  SEVERITY  FAMILY       LEARNS  SUMMARY\n",
        "NAME"
    );
    let learning = Configs::default().learning();
    for (card, learning) in CARDS.iter().zip(learning) {
        let (severity, family) = (card.severity.word(), card.family.word());
        let learning = learning.map_or_else(String::new, |span| span.to_string());
        // Writing to a string cannot fail.
        let _ = writeln!(
            list,
            "{:width$}  {severity:8}  {family:11}  {learning:6}  {}",
            card.name, card.summary
        );
    }
    list
}

fn page(name: &str) -> Result<&'static str, Failure> {
    CARDS
        .iter()
        .find(|card| card.name == name)
        .map(|card| card.page)
        .ok_or_else(|| {
            let hint = match nearest(name, CARDS.iter().map(|card| card.name)) {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None => "`nhiwatch detectors` lists them".to_owned(),
            };
            Failure::Usage(format!("no detector is called `{name}`; {hint}"))
        })
}
