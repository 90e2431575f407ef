//! Figures, their medians, and the table.

use std::fmt::{self, Write as _};
use std::fs;
use std::time::Duration;

use crate::Rounds;

/// CPU time that all threads of a process have used, as the scheduler counts it (Linux).
pub(crate) fn cpu_time(process: u32) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let nanos = tasks.filter_map(|task| {
        let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}

/// The memory of a process that is there (resident set), in KiB (Linux). What the system keeps for
/// its sockets is not in it.
pub(crate) fn resident_kib(process: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.unwrap().split_whitespace().next().unwrap();
    number.parse().unwrap()
}

pub(crate) const fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

/// The value that this share of the sorted values does not exceed, in microseconds.
pub(crate) fn percentile(sorted: &[Duration], share: f64) -> f64 {
    let index = (sorted.len() as f64 * share) as usize;
    micros(sorted[index.min(sorted.len() - 1)])
}

/// One column of a table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figure {
    title: &'static str,
    decimals: usize,
    /// The title of the column that compares it with the first row's.
    compared: Option<&'static str>,
}

impl Figure {
    pub(crate) const fn new(title: &'static str, decimals: usize) -> Self {
        Self {
            title,
            decimals,
            compared: None,
        }
    }

    pub(crate) const fn compared(self, title: &'static str) -> Self {
        Self {
            compared: Some(title),
            ..self
        }
    }
}

/// What the rounds against one target came to.
pub(crate) struct Row {
    name: &'static str,
    rounds: Vec<Vec<f64>>,
}

impl Row {
    pub(crate) const fn new(name: &'static str) -> Self {
        Self {
            name,
            rounds: Vec::new(),
        }
    }

    /// Adds a round: a value for each figure of the table.
    pub(crate) fn add(&mut self, figures: Vec<f64>) {
        self.rounds.push(figures);
    }

    fn median(&self, place: usize) -> f64 {
        let mut values: Vec<f64> = self.rounds.iter().map(|round| round[place]).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    }

    /// Prints all rows; the first one is what the others are compared with.
    pub(crate) fn print(figures: &[Figure], rows: &[Self]) {
        let comparisons = || {
            figures
                .iter()
                .enumerate()
                .filter(|(_, f)| f.compared.is_some())
        };
        let mut header = format!("{:<32}", "target");
        let compared = comparisons().filter_map(|(_, figure)| figure.compared);
        for title in figures.iter().map(|figure| figure.title).chain(compared) {
            let _ = write!(header, " {title:>11}");
        }
        println!("{header}");
        for row in rows {
            let mut line = format!("{:<32}", row.name);
            for (place, figure) in figures.iter().enumerate() {
                let _ = write!(line, " {:>11.*}", figure.decimals, row.median(place));
            }
            for (place, _) in comparisons() {
                let ratio = row.median(place) / rows[0].median(place);
                let _ = write!(line, " {ratio:>11.2}");
            }
            println!("{line}");
        }
    }
}

impl fmt::Display for Rounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rounds of {:?}", self.count, self.duration)
    }
}
