//! A program in a terminal: what it writes is shown on a screen that tests can read.

use std::io::{Read as _, Write};
use std::num::NonZeroU16;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

use crate::process::{Environment, binary, kept_variables};
use crate::wait;

/// Width and height in characters.
pub type Size = (u16, u16);

/// What has arrived from the program.
struct Seen {
    parser: vt100::Parser,
    bytes: u64,
    at: Instant,
    raw: Vec<u8>,
}

/// How much of what was written is kept as it came.
const RAW_MAX: usize = 4_000_000;

/// A program in a terminal. Dropping it kills the program.
pub struct Terminal {
    master: Box<dyn MasterPty + Send>,
    writer: Box<dyn Write + Send>,
    child: Box<dyn Child + Send + Sync>,
    seen: Arc<Mutex<Seen>>,
}

impl std::fmt::Debug for Terminal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Terminal").finish_non_exhaustive()
    }
}

const fn pty_size((cols, rows): Size) -> PtySize {
    PtySize {
        rows,
        cols,
        pixel_width: 0,
        pixel_height: 0,
    }
}

fn length(cells: u16) -> NonZeroU16 {
    NonZeroU16::new(cells).expect("a terminal has rows and columns")
}

impl Terminal {
    /// Starts a binary in a terminal of this size.
    pub fn start(
        name: &str,
        arguments: &[&str],
        folder: &Path,
        environment: &Environment,
        size: Size,
    ) -> Self {
        let pair = native_pty_system()
            .openpty(pty_size(size))
            .expect("the system has terminals");
        let mut command = CommandBuilder::new(binary(name));
        command.args(arguments);
        command.cwd(folder);
        command.env_clear();
        for (variable, value) in kept_variables() {
            command.env(variable, value);
        }
        command.env("TERM", "xterm-256color");
        command.env("LANG", "C.UTF-8");
        command.env("XDG_STATE_HOME", folder.join("state"));
        command.env("XDG_CONFIG_HOME", folder.join("config"));
        for (variable, value) in environment {
            command.env(variable, value);
        }
        let child = pair
            .slave
            .spawn_command(command)
            .expect("the binary starts");
        drop(pair.slave);
        let seen = Arc::new(Mutex::new(Seen {
            parser: vt100::Parser::new(length(size.1), length(size.0), 0),
            bytes: 0,
            at: Instant::now(),
            raw: Vec::new(),
        }));
        let mut reader = pair.master.try_clone_reader().expect("a way to read");
        let target = Arc::clone(&seen);
        std::thread::spawn(move || {
            let mut buffer = vec![0_u8; 65_536];
            // A terminal whose program is gone ends or fails; either is the end.
            while let Ok(count) = reader.read(&mut buffer) {
                if count == 0 {
                    break;
                }
                let mut seen = target.lock().unwrap_or_else(PoisonError::into_inner);
                seen.parser.process(&buffer[..count]);
                seen.bytes += count as u64;
                seen.at = Instant::now();
                if seen.raw.len() < RAW_MAX {
                    seen.raw.extend_from_slice(&buffer[..count]);
                }
            }
        });
        Self {
            writer: pair.master.take_writer().expect("a way to write"),
            master: pair.master,
            child,
            seen,
        }
    }

    fn with<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        look(&self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Types.
    pub fn keys(&mut self, keys: &str) {
        self.writer
            .write_all(keys.as_bytes())
            .expect("the terminal takes keys");
        self.writer.flush().expect("the terminal takes keys");
    }

    /// The screen as text.
    pub fn contents(&self) -> String {
        self.with(|seen| seen.parser.screen().contents())
    }

    /// How many bytes the program has written so far, and when the last came.
    pub fn written(&self) -> (u64, Instant) {
        self.with(|seen| (seen.bytes, seen.at))
    }

    /// All that the program has written, as it came.
    pub fn raw(&self) -> String {
        self.with(|seen| String::from_utf8_lossy(&seen.raw).into_owned())
    }

    /// Whether a full-screen program has the terminal: the alternate screen, pasted text in
    /// brackets, no cursor.
    pub fn is_taken(&self) -> bool {
        self.with(|seen| {
            let screen = seen.parser.screen();
            screen.alternate_screen() || screen.bracketed_paste() || screen.hide_cursor()
        })
    }

    /// Whether any cell has a colour of its own.
    pub fn is_coloured(&self) -> bool {
        self.with(|seen| {
            let screen = seen.parser.screen();
            let (rows, columns) = screen.size();
            let cells =
                (0..rows.get()).flat_map(|row| (0..columns.get()).map(move |column| (row, column)));
            cells
                .filter_map(|(row, column)| screen.cell(row, column))
                .any(|cell| {
                    cell.fgcolor() != vt100::Color::Default
                        || cell.bgcolor() != vt100::Color::Default
                })
        })
    }

    /// Gives the terminal another size.
    pub fn resize(&self, size: Size) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.parser
            .screen_mut()
            .set_size(length(size.1), length(size.0));
        drop(seen);
        self.master
            .resize(pty_size(size))
            .expect("the terminal takes a size");
    }

    /// Waits until the screen is as it should be.
    pub async fn until_screen(&self, what: &str, is_so: impl Fn(&str) -> bool) {
        let begun = Instant::now();
        loop {
            let contents = self.contents();
            if is_so(&contents) {
                return;
            }
            assert!(
                begun.elapsed() < wait::DEADLINE,
                "waited in vain until {what}; the screen is\n{contents}"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until a text is on the screen.
    pub async fn until(&self, text: &str) {
        self.until_screen(&format!("{text:?} is shown"), |shown| shown.contains(text))
            .await;
    }

    /// Waits until a text is not on the screen.
    pub async fn until_gone(&self, text: &str) {
        self.until_screen(&format!("{text:?} is gone"), |shown| !shown.contains(text))
            .await;
    }

    /// Waits until nothing was written for so long.
    pub async fn until_quiet(&self, pause: Duration) {
        wait::until("the program writes nothing", async || {
            (self.written().1.elapsed() >= pause).then_some(())
        })
        .await;
    }

    /// The process.
    pub fn process_id(&self) -> u32 {
        self.child.process_id().expect("the program runs")
    }

    /// Sends a signal, as `TERM`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([&format!("-{name}"), &self.process_id().to_string()])
            .status()
            .expect("kill runs");
        assert!(status.success(), "the program is there to be told");
    }

    /// Waits until the program has ended; its exit code.
    pub async fn ended(&mut self) -> u32 {
        let status = wait::until("the program has ended", async || {
            self.child.try_wait().expect("the child can be asked")
        })
        .await;
        status.exit_code()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // A program that is gone already cannot be killed again.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
