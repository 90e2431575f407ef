//! `tollgate-admin export`: rows as comma-separated values.

use std::io::{BufWriter, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;

use super::error::Failure;
use super::every;
use crate::dashboard::export;
use crate::session::Session;
use crate::text::printable;

/// What to write, and where.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// What
    #[arg(value_parser = export::NOUNS)]
    noun: String,
    /// Only these rows, as "team:acme since:7d"
    #[arg(
        long,
        value_name = "FILTER",
        default_value = "",
        allow_hyphen_values = true
    )]
    filter: String,
    #[arg(
        long,
        value_name = "FILE",
        help = "A new file, readable by its owner only; for the role owner, and not under a forced \
                command of SSH [default: standard output]"
    )]
    output: Option<PathBuf>,
}

/// Writes the rows.
pub(super) async fn run(session: &Session, asked: Export, raw: bool) -> Result<(), Failure> {
    // A filter that is not understood must not leave a file behind.
    if let Some(vocabulary) = export::vocabulary(&asked.noun) {
        every::filter(vocabulary, &asked.filter, session.now())?;
    }
    if asked.output.is_some() {
        let target = format!("export:{}", asked.noun);
        session.require_files("export --output", target).await?;
    }
    let file = asked.output.as_ref().map(|path| path.display().to_string());
    let (noun, filter) = (&asked.noun, &asked.filter);
    session.record_export(noun, filter, file.as_deref()).await?;
    match &asked.output {
        Some(path) => to_file(session, &asked, path, raw).await,
        None => to_stdout(session, &asked, raw).await,
    }
}

async fn to_file(session: &Session, asked: &Export, path: &Path, raw: bool) -> Result<(), Failure> {
    let name = path.display().to_string();
    let named = |why: std::io::Error| Failure::File(name.clone(), why);
    let file = export::create_new(path).map_err(named)?;
    let mut out = BufWriter::new(file);
    let rows = export::stream(session, (&asked.noun, &asked.filter), raw, &mut out).await;
    let finished = match rows {
        Ok(rows) => out.flush().map(|()| rows).map_err(named),
        Err(problem) => Err(Failure::Export(problem.sentence)),
    };
    match finished {
        Ok(rows) => {
            // The rows are where they belong; that nobody is told of them is no failure.
            let _ = writeln!(std::io::stderr(), "{rows} rows in {}", printable(&name));
            Ok(())
        }
        Err(failure) => {
            drop(out);
            // Half a file would be taken for a whole one; nothing more can be done if it stays.
            let _ = std::fs::remove_file(path);
            Err(failure)
        }
    }
}

async fn to_stdout(session: &Session, asked: &Export, raw: bool) -> Result<(), Failure> {
    let mut out = Stdout {
        out: BufWriter::new(std::io::stdout().lock()),
        is_closed: false,
    };
    let rows = export::stream(session, (&asked.noun, &asked.filter), raw, &mut out).await;
    let flushed = out.flush();
    match rows {
        // Whoever reads has seen enough.
        _ if out.is_closed => Ok(()),
        Ok(_) => flushed.map_err(Failure::Output),
        Err(problem) => Err(Failure::Export(problem.sentence)),
    }
}

/// Standard output that remembers whether its reader has left.
struct Stdout<W: std::io::Write> {
    out: W,
    is_closed: bool,
}

impl<W: std::io::Write> Stdout<W> {
    fn noting<T>(&mut self, result: std::io::Result<T>) -> std::io::Result<T> {
        let closed = |error: &std::io::Error| error.kind() == ErrorKind::BrokenPipe;
        self.is_closed |= result.as_ref().is_err_and(closed);
        result
    }
}

impl<W: std::io::Write> std::io::Write for Stdout<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let result = self.out.write(bytes);
        self.noting(result)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let result = self.out.flush();
        self.noting(result)
    }
}
