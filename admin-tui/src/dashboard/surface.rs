//! What the dashboard is drawn on: a terminal, or a buffer in tests.

use std::fmt::Write as _;
use std::io::{self, Stdout, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crossterm::event::{
    DisableBracketedPaste, DisableFocusChange, DisableMouseCapture, EnableBracketedPaste,
    EnableFocusChange, EnableMouseCapture,
};
use crossterm::terminal::{
    BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
    disable_raw_mode, enable_raw_mode,
};
use crossterm::{Command, cursor};
use ratatui::backend::{Backend, CrosstermBackend};
use tollgate_common::secret::Secret;

/// What the dashboard is drawn on.
pub(crate) trait Surface: Backend<Error = io::Error> {
    /// Offers a text to the clipboard of whoever sits at the terminal.
    fn copy(&mut self, text: &Secret) -> io::Result<()>;

    /// Takes the mouse or gives it back.
    fn take_mouse(&mut self, on: bool) -> io::Result<()>;

    /// Gives the terminal back to the shell until it continues the program.
    fn suspend(&mut self) -> io::Result<()>;
}

/// Gathers what a frame writes, so that the terminal gets it in one piece and shows it at once.
#[derive(Debug)]
pub(crate) struct FrameWriter {
    gathered: Vec<u8>,
    terminal: Stdout,
    synchronized: bool,
}

impl Write for FrameWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.gathered.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        let mut frame = Vec::with_capacity(self.gathered.len() + 20);
        if self.synchronized {
            crossterm::queue!(frame, BeginSynchronizedUpdate)?;
        }
        frame.append(&mut self.gathered);
        if self.synchronized {
            crossterm::queue!(frame, EndSynchronizedUpdate)?;
        }
        self.terminal.write_all(&frame)?;
        self.terminal.flush()
    }
}

/// The terminal of standard output.
pub(crate) type Tty = CrosstermBackend<FrameWriter>;

/// Takes the terminal over. `synchronized`: whether frames are marked, so that it shows each whole.
pub(crate) fn enter(synchronized: bool) -> io::Result<Tty> {
    let mut terminal = io::stdout();
    enter_modes(&mut terminal)?;
    Ok(CrosstermBackend::new(FrameWriter {
        gathered: Vec::new(),
        terminal,
        synchronized,
    }))
}

fn enter_modes(terminal: &mut Stdout) -> io::Result<()> {
    enable_raw_mode()?;
    crossterm::execute!(
        terminal,
        EnterAlternateScreen,
        EnableBracketedPaste,
        EnableFocusChange,
        cursor::Hide
    )
}

/// Gives the terminal back as it was. Safe to call at any time and more than once.
pub(crate) fn leave() {
    let mut text = String::new();
    write_ansi(&mut text, EndSynchronizedUpdate);
    write_ansi(&mut text, DisableMouseCapture);
    write_ansi(&mut text, DisableFocusChange);
    write_ansi(&mut text, DisableBracketedPaste);
    write_ansi(&mut text, LeaveAlternateScreen);
    write_ansi(&mut text, cursor::Show);
    let mut terminal = io::stdout();
    // A terminal that is gone has nothing to be restored.
    let _ = terminal.write_all(text.as_bytes());
    let _ = terminal.flush();
    let _ = disable_raw_mode();
}

fn write_ansi(text: &mut String, command: impl Command) {
    // A string takes whatever is written.
    let _ = command.write_ansi(text);
}

/// The longest text that terminals commonly take, in bytes of base64.
const COPY_BYTES_MAX: usize = 74_994;

/// The sequence that offers a text to the terminal's clipboard (OSC 52), bare and, inside tmux, in
/// the wrapping that tmux passes on if it is allowed to.
fn copy_sequence(text: &str, in_tmux: bool) -> io::Result<String> {
    let encoded = STANDARD.encode(text);
    if encoded.len() > COPY_BYTES_MAX {
        return Err(io::Error::other("too long for a clipboard"));
    }
    let mut sequence = format!("\u{1b}]52;c;{encoded}\u{7}");
    if in_tmux {
        let _ = write!(
            sequence,
            "\u{1b}Ptmux;\u{1b}\u{1b}]52;c;{encoded}\u{7}\u{1b}\\"
        );
    }
    Ok(sequence)
}

impl Surface for Tty {
    fn copy(&mut self, text: &Secret) -> io::Result<()> {
        let in_tmux = std::env::var_os("TMUX").is_some();
        let sequence = copy_sequence(text.expose(), in_tmux)?;
        let mut terminal = io::stdout();
        terminal.write_all(sequence.as_bytes())?;
        terminal.flush()
    }

    fn take_mouse(&mut self, on: bool) -> io::Result<()> {
        let mut terminal = io::stdout();
        if on {
            crossterm::execute!(terminal, EnableMouseCapture)
        } else {
            crossterm::execute!(terminal, DisableMouseCapture)
        }
    }

    fn suspend(&mut self) -> io::Result<()> {
        leave();
        signal_hook::low_level::raise(signal_hook::consts::SIGTSTP)?;
        enter_modes(&mut io::stdout())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tmux_gets_the_text_in_both_forms() {
        assert_eq!(copy_sequence("a", false).unwrap(), "\u{1b}]52;c;YQ==\u{7}");
        let both = copy_sequence("a", true).unwrap();
        assert!(both.starts_with("\u{1b}]52;c;YQ==\u{7}\u{1b}Ptmux;\u{1b}\u{1b}]52"));
        assert!(copy_sequence(&"a".repeat(60_000), false).is_err());
    }
}
