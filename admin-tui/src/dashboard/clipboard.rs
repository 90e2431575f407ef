//! What becomes of a text that is offered to the terminal's clipboard. No terminal ever says that
//! it took one, but tmux says whether it passes one on.

use std::process::Command;
use std::time::Duration;

/// How long tmux may take to answer.
const PATIENCE: Duration = Duration::from_millis(500);

/// What stands between a copied text and the terminal's clipboard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Clipboard {
    /// Nothing: the terminal gets the text itself.
    Terminal,
    /// tmux with these settings; empty ones are not known.
    Tmux {
        /// `on`, `external` or `off`.
        set_clipboard: String,
        /// `on`, `all` or `off`.
        allow_passthrough: String,
    },
}

impl Clipboard {
    /// Whether the text gets as far as the terminal; `None` if nobody knows.
    pub(crate) fn passes(&self) -> Option<bool> {
        match self {
            Self::Terminal => Some(true),
            Self::Tmux {
                set_clipboard,
                allow_passthrough,
            } => {
                if set_clipboard == "on" || matches!(allow_passthrough.as_str(), "on" | "all") {
                    Some(true)
                } else if set_clipboard.is_empty() || allow_passthrough.is_empty() {
                    None
                } else {
                    Some(false)
                }
            }
        }
    }

    /// The settings of tmux, in words.
    pub(crate) fn settings(&self) -> Option<String> {
        let shown = |text: &str| if text.is_empty() { "unknown" } else { text }.to_owned();
        match self {
            Self::Terminal => None,
            Self::Tmux {
                set_clipboard,
                allow_passthrough,
            } => Some(format!(
                "set-clipboard {}, allow-passthrough {}",
                shown(set_clipboard),
                shown(allow_passthrough)
            )),
        }
    }
}

/// Asks tmux for its settings, if this runs in one.
pub(crate) async fn find_out() -> Clipboard {
    if std::env::var_os("TMUX").is_none() {
        return Clipboard::Terminal;
    }
    Clipboard::Tmux {
        set_clipboard: option("set-clipboard").await,
        allow_passthrough: option("allow-passthrough").await,
    }
}

/// An option of tmux as it is in effect in this pane; empty if tmux does not say.
async fn option(name: &str) -> String {
    let format = format!("#{{{name}}}");
    let answer = tokio::task::spawn_blocking(move || {
        Command::new("tmux")
            .args(["display-message", "-p", &format])
            .output()
    });
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(Ok(Ok(output))) => word(String::from_utf8_lossy(&output.stdout).trim()),
        _ => String::new(),
    }
}

/// Older versions show what can only be on or off as a digit.
fn word(text: &str) -> String {
    match text {
        "0" => "off".to_owned(),
        "1" => "on".to_owned(),
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tmux(set_clipboard: &str, allow_passthrough: &str) -> Option<bool> {
        let clipboard = Clipboard::Tmux {
            set_clipboard: set_clipboard.to_owned(),
            allow_passthrough: allow_passthrough.to_owned(),
        };
        clipboard.passes()
    }

    #[test]
    fn tmux_passes_a_text_on_only_if_it_is_set_to() {
        assert_eq!(Clipboard::Terminal.passes(), Some(true));
        assert_eq!(tmux("external", "off"), Some(false), "as tmux comes");
        assert_eq!(tmux("on", "off"), Some(true));
        assert_eq!(tmux("external", "on"), Some(true));
        assert_eq!(tmux("", "off"), None);
    }
}
