//! SQL of notes about the usage of calls.

use sqlx::AnyConnection;

use crate::db::StoreError;
use crate::db::rows::{Columns, Values, execute_tuples};
use crate::db::work::SettleCall;
use crate::id::CallId;
use crate::usage_note::UsageNote;

/// What is to be known about the usage of calls, around the rows.
pub const UPDATE_USAGE_NOTES: (&str, &str) = (
    "UPDATE calls
     SET usage_note = v.column2
     FROM (VALUES ",
    ") AS v WHERE calls.id = v.column1",
);

/// Writes what is to be known.
pub(super) async fn update_usage_notes(
    connection: &mut AnyConnection,
    calls: &[&SettleCall],
) -> Result<(), StoreError> {
    let noted = |call: &&SettleCall| Some((call.id, call.result.usage_note?));
    let noted: Vec<(CallId, UsageNote)> = calls.iter().filter_map(noted).collect();
    let bind = |values: &mut Values, (id, note): &(CallId, UsageNote)| {
        values.push_text(id);
        values.push(note.as_str());
    };
    execute_tuples(connection, UPDATE_USAGE_NOTES, 2, &noted, bind).await?;
    Ok(())
}

/// Words of later releases are notes that this one does not know.
pub(super) fn read_note(columns: &mut Columns<'_>) -> Result<Option<UsageNote>, StoreError> {
    let word: Option<String> = columns.take()?;
    Ok(word.and_then(|word| word.parse().ok()))
}
