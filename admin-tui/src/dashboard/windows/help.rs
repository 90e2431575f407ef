//! Help: the key table itself.

use crate::dashboard::context::Context;
use crate::dashboard::keys::{Binding, EVERYWHERE, IN_LISTS};
use crate::dashboard::screens::Screen;
use crate::dashboard::tab::Tab;
use crate::dashboard::windows::text::Text;

/// What the keys of a screen do, and why some of them do nothing now.
pub(crate) fn help(screen: &dyn Screen, context: &Context) -> Text {
    let mut lines = vec![format!("{} here", screen.tab().title())];
    let own = screen.bindings().iter();
    lines.extend(own.map(|binding| {
        let refusal = context
            .refusal(binding.action)
            .or_else(|| screen.refusal(binding.action, context));
        described(binding, context, refusal)
    }));
    lines.push(String::new());
    lines.push("Lists".to_owned());
    lines.extend(IN_LISTS.iter().map(|b| described(b, context, None)));
    lines.push(String::new());
    lines.push("Everywhere".to_owned());
    lines.extend(EVERYWHERE.iter().map(|b| described(b, context, None)));
    let tabs = Tab::ALL.map(|tab| format!("{} {}", tab.digit(), tab.title()));
    lines.push(format!("  {}", tabs[..5].join("  ")));
    lines.push(format!("  {}", tabs[5..].join("  ")));
    Text::new("Help", lines)
}

fn described(binding: &Binding, context: &Context, refusal: Option<String>) -> String {
    let keys: Vec<String> = context
        .keymap
        .keys(binding)
        .iter()
        .map(ToString::to_string)
        .collect();
    let refusal = refusal.map(|why| format!(" ({why})")).unwrap_or_default();
    format!("  {:<12} {}{refusal}", keys.join(" "), binding.label)
}
