//! Pages of the audit log, narrowed by a filter.

use sqlx::{AnyPool, AssertSqlSafe};

use super::{AuditRecord, read_record};
use crate::db::StoreError;
use crate::db::rows::{Columns, Values};
use crate::filter::{Filter, Kind, Predicates, Vocabulary, Word};
use crate::id::AuditId;

/// The words by which the audit log is filtered.
pub const VOCABULARY: Vocabulary = Vocabulary {
    noun: "changes",
    words: &[
        word("actor", Kind::Name, "actor", false),
        word("action", Kind::Name, "action", false),
        word("target", Kind::Name, "target", true),
        // Ids sort by time, so that moments bound the part of the index that is read.
        word("since", Kind::Since, "at", true),
        word("until", Kind::Until, "at", true),
    ],
    text: &["reason", "target"],
};

const fn word(name: &'static str, kind: Kind, column: &'static str, is_indexed: bool) -> Word {
    Word {
        name,
        kind,
        column,
        is_indexed,
    }
}

/// Which part of the log, which is shown newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The newest.
    Newest,
    /// This one and those older than it.
    From(AuditId),
    /// Those older than this one.
    Below(AuditId),
    /// Those just newer than this one.
    Above(AuditId),
    /// The oldest.
    Oldest,
}

impl Place {
    /// The condition, and whether the part is read from its old end.
    const fn condition(self) -> (&'static str, bool) {
        match self {
            Self::Newest | Self::Below(_) => ("id < $1", false),
            Self::From(_) => ("id <= $1", false),
            Self::Above(_) | Self::Oldest => ("id > $1", true),
        }
    }

    fn bound(self) -> String {
        match self {
            Self::Newest => LAST.to_owned(),
            Self::Oldest => String::new(),
            Self::From(id) | Self::Below(id) | Self::Above(id) => id.to_string(),
        }
    }
}

/// A part of the log, newest first.
#[derive(Debug, Clone)]
pub struct AuditPage {
    /// The records.
    pub records: Vec<AuditRecord>,
    /// How many newer ones there are; counted up to [`ABOVE_MAX`].
    pub above: usize,
    /// Whether there are older ones.
    pub below: bool,
    /// How many there are in all, counted up to one more than [`COUNT_MAX`]; nobody counts those
    /// that no index finds.
    pub count: Option<usize>,
    /// Whether the search was given up before the end of the log.
    pub gave_up: bool,
}

/// Sorts after every id.
const LAST: &str = "audit_z";

/// How many records are looked at for conditions that no index serves.
pub const LOOKED_AT_MAX: i64 = 20_000;

/// How many records above a page are counted.
pub const ABOVE_MAX: i64 = 1_000;

/// How many records are counted in all.
pub const COUNT_MAX: i64 = 10_000;

const COLUMNS: &str = "id, at, actor, action, target, detail, reason, origin, before";

/// The statement for a part of the log, with `$1` the place, `$2` and `$3` the ids between which
/// the filter's moments are, and `$4` how many records are wanted.
pub fn page_sql(place: Place, predicates: &Predicates) -> String {
    if predicates.rest.is_empty() {
        return looked_at_sql(place, predicates, COLUMNS, "$4");
    }
    let (_, upwards) = place.condition();
    let looked_at = looked_at_sql(place, predicates, COLUMNS, &LOOKED_AT_MAX.to_string());
    format!(
        "SELECT {COLUMNS} FROM ({looked_at}) AS looked_at WHERE TRUE{} ORDER BY id {} LIMIT $4",
        predicates.rest,
        order(upwards)
    )
}

/// The records that an index finds.
fn looked_at_sql(place: Place, predicates: &Predicates, columns: &str, limit: &str) -> String {
    let (condition, upwards) = place.condition();
    format!(
        "SELECT {columns} FROM audit_log WHERE {condition} AND id >= $2 AND id < $3{} \
         ORDER BY id {} LIMIT {limit}",
        predicates.indexed,
        order(upwards)
    )
}

const fn order(upwards: bool) -> &'static str {
    if upwards { "ASC" } else { "DESC" }
}

/// Counts the records that [`page_sql`] would find.
fn count_sql(place: Place, predicates: &Predicates) -> String {
    let page = page_sql(place, predicates);
    format!("SELECT COUNT(*) FROM ({page}) AS counted")
}

/// Counts, up to `$4`, the records among which [`page_sql`] would look.
fn looked_at_count_sql(place: Place, predicates: &Predicates) -> String {
    let looked_at = looked_at_sql(place, predicates, COLUMNS, "$4");
    // The conditions decide nothing; they are there because each value needs its placeholder.
    format!(
        "SELECT COUNT(*) FROM ({looked_at}) AS looked_at WHERE TRUE OR (TRUE{})",
        predicates.rest
    )
}

/// The first placeholder of a filter's values.
const FIRST_BIND: usize = 5;

fn values(place: Place, filter: &Filter, predicates: &Predicates, limit: i64) -> Values {
    let mut values = Values::default();
    values.push_text(place.bound());
    let since = filter.moment("since").map(AuditId::least_at);
    values.push(since.map_or_else(String::new, |id| id.to_string()));
    // Within a millisecond ids have no order: the moment itself is compared too.
    let until = filter.moment("until");
    let until = until.map(|at| AuditId::least_at(at.plus(std::time::Duration::from_millis(1))));
    values.push(until.map_or_else(|| LAST.to_owned(), |id| id.to_string()));
    values.push(limit);
    values.push_binds(&predicates.binds);
    values
}

/// One question about the log.
struct Question<'a> {
    pool: &'a AnyPool,
    filter: &'a Filter,
    predicates: Predicates,
}

impl Question<'_> {
    async fn records(&self, place: Place, limit: i64) -> Result<Vec<AuditRecord>, StoreError> {
        let sql = AssertSqlSafe(page_sql(place, &self.predicates));
        let values = values(place, self.filter, &self.predicates, limit);
        let query = sqlx::query_with(sql, values.into_arguments());
        let rows = query.fetch_all(self.pool).await?;
        rows.iter()
            .map(|row| read_record(&mut Columns::of(row)))
            .collect()
    }

    async fn count(&self, sql: String, place: Place, limit: i64) -> Result<i64, StoreError> {
        let values = values(place, self.filter, &self.predicates, limit);
        let query = sqlx::query_with(AssertSqlSafe(sql), values.into_arguments());
        Columns::of(&query.fetch_one(self.pool).await?).take()
    }

    /// How many there are at a place, counted up to a limit.
    async fn found(&self, place: Place, limit: i64) -> Result<usize, StoreError> {
        let sql = count_sql(place, &self.predicates);
        let count = self.count(sql, place, limit).await?;
        Ok(usize::try_from(count).unwrap_or(0))
    }

    async fn gave_up(&self, place: Place) -> Result<bool, StoreError> {
        let sql = looked_at_count_sql(place, &self.predicates);
        Ok(self.count(sql, place, LOOKED_AT_MAX).await? >= LOOKED_AT_MAX)
    }
}

/// Reads a part of the log.
pub async fn page(
    pool: &AnyPool,
    filter: &Filter,
    place: Place,
    limit: usize,
) -> Result<AuditPage, StoreError> {
    let question = Question {
        pool,
        filter,
        predicates: filter.predicates(FIRST_BIND),
    };
    let wanted = i64::try_from(limit).unwrap_or(i64::MAX - 1) + 1;
    let mut records = question.records(place, wanted).await?;
    let more = records.len() > limit;
    records.truncate(limit);
    let (_, upwards) = place.condition();
    if upwards {
        records.reverse();
    }
    let above = match (place, records.first()) {
        (Place::Newest, _) | (_, None) => 0,
        (_, Some(first)) => question.found(Place::Above(first.id), ABOVE_MAX).await?,
    };
    let below = match (upwards, records.last()) {
        (false, _) => more,
        (true, None) => false,
        (true, Some(last)) => question.found(Place::Below(last.id), 1).await? > 0,
    };
    let is_searched = !question.predicates.rest.is_empty();
    let count = if is_searched {
        None
    } else {
        Some(question.found(Place::Newest, COUNT_MAX + 1).await?)
    };
    Ok(AuditPage {
        records,
        above,
        below,
        count,
        gave_up: is_searched && !more && question.gave_up(place).await?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{SystemRandom, Timestamp};

    fn predicates(text: &str) -> Predicates {
        let filter = Filter::parse(&VOCABULARY, text, Timestamp::from_micros(0)).unwrap();
        filter.predicates(FIRST_BIND)
    }

    #[test]
    fn what_no_index_finds_is_looked_for_in_a_bounded_part() {
        let sql = page_sql(Place::Newest, &predicates("target:team:acme since:1h"));
        assert!(
            sql.ends_with("target = $5 AND at >= $6 ORDER BY id DESC LIMIT $4"),
            "{sql}"
        );
        let sql = page_sql(Place::Oldest, &predicates("actor:bob typo"));
        assert!(
            sql.contains("ORDER BY id ASC LIMIT 20000) AS looked_at"),
            "{sql}"
        );
        assert!(sql.contains("LOWER(reason) LIKE $6"), "{sql}");
    }

    #[test]
    fn the_least_id_of_a_moment_sorts_between_those_before_and_after() {
        let at = |micros| AuditId::new(Timestamp::from_micros(micros), &SystemRandom).to_string();
        let least = AuditId::least_at(Timestamp::from_micros(5_000_900)).to_string();
        assert!(at(4_999_999) < least && least <= at(5_000_000));
        assert!(least.as_str() < LAST);
    }
}
