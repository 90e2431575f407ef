//! SQL of models' fallbacks.

use std::collections::{HashMap, HashSet};

use sqlx::{AnyConnection, AnyPool};

use crate::command::CommandError;
use crate::db::StoreError;
use crate::db::rows::Columns;
use crate::id::ModelAlias;
use crate::model::{FALLBACKS_MAX, Fallback, WEIGHTS};

const DELETE_FALLBACKS: &str = "DELETE FROM model_fallbacks WHERE alias = $1";

const INSERT_FALLBACK: &str = "
    INSERT INTO model_fallbacks (alias, fallback, priority, weight)
    SELECT $1, alias, $3, $4 FROM models WHERE alias = $2";

/// Replaces the fallbacks of a model.
pub(super) async fn replace(
    connection: &mut AnyConnection,
    alias: &ModelAlias,
    fallbacks: Option<&[Fallback]>,
) -> Result<(), CommandError> {
    let Some(fallbacks) = fallbacks else {
        return Ok(());
    };
    check(alias, fallbacks).map_err(CommandError::Refused)?;
    sqlx::query(DELETE_FALLBACKS)
        .bind(alias.to_string())
        .execute(&mut *connection)
        .await?;
    for fallback in fallbacks {
        let result = sqlx::query(INSERT_FALLBACK)
            .bind(alias.to_string())
            .bind(fallback.alias.to_string())
            .bind(fallback.priority)
            .bind(fallback.weight)
            .execute(&mut *connection)
            .await?;
        if result.rows_affected() == 0 {
            return Err(CommandError::not_found("model", &fallback.alias));
        }
    }
    Ok(())
}

fn check(alias: &ModelAlias, fallbacks: &[Fallback]) -> Result<(), String> {
    if fallbacks.len() > FALLBACKS_MAX {
        return Err(format!(
            "fallback: model '{alias}' would have {} of them; give at most {FALLBACKS_MAX}",
            fallbacks.len()
        ));
    }
    let mut seen = HashSet::new();
    for fallback in fallbacks {
        let name = &fallback.alias;
        if name == alias {
            return Err(format!(
                "fallback: model '{alias}' cannot be its own; give another one"
            ));
        }
        if !seen.insert(name) {
            return Err(format!("fallback: '{name}' is given twice; give it once"));
        }
        if fallback.priority < 0 || !WEIGHTS.contains(&fallback.weight) {
            return Err(format!(
                "fallback: '{name}' needs a priority of at least 0 and a weight from {} to {}",
                WEIGHTS.start(),
                WEIGHTS.end()
            ));
        }
    }
    Ok(())
}

const LIST_FALLBACKS: &str = "
    SELECT alias, fallback, priority, weight
    FROM model_fallbacks
    ORDER BY alias, priority, fallback";

/// The fallbacks of each model that has any, by priority and alias.
pub(super) async fn list(pool: &AnyPool) -> Result<HashMap<ModelAlias, Vec<Fallback>>, StoreError> {
    let mut fallbacks: HashMap<ModelAlias, Vec<Fallback>> = HashMap::new();
    for row in &sqlx::query(LIST_FALLBACKS).fetch_all(pool).await? {
        let mut columns = Columns::of(row);
        let alias = columns.parse()?;
        let fallback = Fallback {
            alias: columns.parse()?,
            priority: columns.take()?,
            weight: columns.take()?,
        };
        fallbacks.entry(alias).or_default().push(fallback);
    }
    Ok(fallbacks)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fallback(alias: &str, priority: i64, weight: i64) -> Fallback {
        Fallback {
            alias: alias.parse().unwrap(),
            priority,
            weight,
        }
    }

    #[test]
    fn fallbacks_are_others_each_once_with_a_place_and_a_share() {
        let alias = "a".parse().unwrap();
        let check = |fallbacks: &[Fallback]| check(&alias, fallbacks);
        assert_eq!(
            check(&[fallback("b", 0, 1), fallback("c", 9, 1_000)]),
            Ok(())
        );
        let refusal = |fallbacks: &[Fallback]| check(fallbacks).unwrap_err();
        assert!(refusal(&[fallback("a", 1, 1)]).contains("cannot be its own"));
        let twice = [fallback("b", 1, 1), fallback("b", 2, 1)];
        assert!(refusal(&twice).contains("'b' is given twice"));
        for (priority, weight) in [(-1, 1), (0, 0), (0, 1_001)] {
            let refused = refusal(&[fallback("b", priority, weight)]);
            assert!(refused.contains("weight from 1 to 1000"), "{refused}");
        }
        let many: Vec<Fallback> = (0..=FALLBACKS_MAX)
            .map(|n| fallback(&format!("m{n}"), 1, 1))
            .collect();
        assert_eq!(check(&many[1..]), Ok(()));
        assert!(refusal(&many).contains("at most 16"));
    }
}
