//! What is left behind if the dashboard fails: the terminal as it was, and a report.

use std::backtrace::Backtrace;
use std::io::{IsTerminal as _, Write as _};
use std::panic::PanicHookInfo;
use std::path::{Path, PathBuf};

use tollgate_common::clock::{Clock as _, SystemClock, Timestamp};

use super::{files, surface};

/// What the process exits with after a panic, as Rust's own runtime does.
const EXIT_PANIC: i32 = 101;

/// Gives the terminal back before a panic is reported, whichever task it was in, and ends.
/// Who may write no file gets none of a report either.
pub(super) fn report_panics(no_files: Option<&'static str>) {
    std::panic::set_hook(Box::new(move |panic| {
        surface::leave();
        if !std::io::stdout().is_terminal() {
            // The terminal has gone: what fails while it is given back is no fault of the program.
            std::process::exit(EXIT_PANIC);
        }
        let what = described(panic);
        let trace = Backtrace::force_capture();
        let report = match no_files {
            Some(_) => format!("Here is where:\n{trace}"),
            None => match write(&files::state_folder(), SystemClock.now(), &what, &trace) {
                Ok(path) => format!("A report is in {}.", path.display()),
                Err(why) => format!("No report could be written: {why}."),
            },
        };
        let mut stderr = std::io::stderr();
        // Nobody is left to tell if standard error is gone.
        let _ = writeln!(stderr, "tollgate-admin has failed: {what}. {report}");
        std::process::exit(EXIT_PANIC);
    }));
}

fn described(panic: &PanicHookInfo<'_>) -> String {
    let place = panic.location().map(|place| format!(" at {place}"));
    let message = panic.payload_as_str().unwrap_or("without a message");
    format!("{message}{}", place.unwrap_or_default())
}

/// Writes what happened; nothing of what was on the screen.
fn write(folder: &Path, now: Timestamp, what: &str, trace: &Backtrace) -> std::io::Result<PathBuf> {
    let name = format!("crash-{}.txt", now.as_micros());
    let mut file = files::create(folder, &name)?;
    writeln!(
        file,
        "tollgate-admin {}\n{now}\n{what}\n\n{trace}",
        env!("CARGO_PKG_VERSION")
    )?;
    Ok(folder.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dashboard::testing::NOW;

    #[test]
    fn a_report_says_when_and_what_and_is_for_its_owner_only() {
        use std::os::unix::fs::MetadataExt as _;

        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("state");
        let path = write(&folder, NOW, "boom at a.rs:1:2", &Backtrace::disabled()).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("2026-07-01T12:41:11") && text.contains("boom at a.rs:1:2"));
        assert_eq!(path.metadata().unwrap().mode() & 0o777, files::FILE_MODE);
    }
}
