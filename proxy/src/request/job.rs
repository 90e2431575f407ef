//! What a job is created with, alone or together with its only call.

use tollgate_common::clock::Timestamp;
use tollgate_common::db::work::{IdempotencyClaim, OpenJob};
use tollgate_common::id::JobId;
use tollgate_common::metadata::Metadata;
use tollgate_common::money::{CREDITS_MAX, Credits};

use super::CallRequest;
use crate::error::ApiError;
use crate::fields::Fields;
use crate::steps::authenticate::Caller;

/// The longest id of a team, in characters.
const TEAM_ID_LENGTH_MAX: usize = 64;

/// The longest kind of a job, in characters.
const JOB_TYPE_LENGTH_MAX: usize = 100;

/// The longest id of an end user, in characters.
const USER_ID_LENGTH_MAX: usize = 255;

/// What a job is created with.
#[derive(Debug, Clone)]
pub(crate) struct JobSpec {
    /// The team that the caller names, if it has to.
    team_id: Option<String>,
    job_type: String,
    user_id: Option<String>,
    metadata: Metadata,
    credits_max: Option<Credits>,
}

impl JobSpec {
    /// A job that its caller does not know by name.
    pub(crate) fn implicit(job_type: &str) -> Self {
        Self {
            team_id: None,
            job_type: job_type.to_owned(),
            user_id: None,
            metadata: Metadata::default(),
            credits_max: None,
        }
    }

    /// Reads the fields of a job; its metadata may go by one of several names.
    pub(crate) fn of_fields(
        fields: &mut Fields<'_>,
        metadata_names: &[&str],
        metadata_bytes_max: usize,
    ) -> Self {
        let team_id = fields.required_text("team_id", TEAM_ID_LENGTH_MAX);
        let job_type = fields.required_text("job_type", JOB_TYPE_LENGTH_MAX);
        let user_id = fields.optional_text("user_id", USER_ID_LENGTH_MAX);
        let name = metadata_names
            .iter()
            .find(|name| fields.raw(name).is_some());
        let metadata = name
            .and_then(|name| fields.optional_metadata(name, metadata_bytes_max))
            .unwrap_or_default();
        let credits_max = fields.optional_integer("max_credits", 1).map(Credits);
        if credits_max.is_some_and(|credits| credits > CREDITS_MAX) {
            let message = format!("must be at most {CREDITS_MAX}");
            fields.problem("max_credits", message, "less_than_equal");
        }
        Self {
            team_id: Some(team_id),
            job_type,
            user_id,
            metadata,
            credits_max,
        }
    }

    /// Refuses a team that is not the caller's.
    pub(crate) fn require_team_of(&self, caller: &Caller) -> Result<(), ApiError> {
        match &self.team_id {
            Some(named) if named != caller.team.id.as_str() => {
                let message = format!("API key does not belong to team '{named}'");
                Err(ApiError::Forbidden(message))
            }
            _ => Ok(()),
        }
    }

    /// The work that opens the job for the caller.
    pub(crate) fn into_work(
        self,
        caller: &Caller,
        id: JobId,
        single_call: bool,
        claim: Option<IdempotencyClaim>,
        now: Timestamp,
    ) -> OpenJob {
        OpenJob {
            id,
            team_id: caller.team.id.clone(),
            org_id: caller.team.org_id.clone(),
            terms: caller.team.terms,
            job_type: self.job_type,
            user_id: self.user_id,
            metadata: self.metadata,
            credits_max: self.credits_max,
            single_call,
            failed: None,
            claim,
            now,
        }
    }
}

/// Parses the body of a job with its only call; reports everything that is wrong with it.
pub(crate) fn parse(
    body: &[u8],
    metadata_bytes_max: usize,
) -> Result<(JobSpec, CallRequest<'_>), ApiError> {
    let mut fields = Fields::of_body(body)?;
    let names = ["job_metadata", "metadata"];
    let spec = JobSpec::of_fields(&mut fields, &names, metadata_bytes_max);
    let request = CallRequest::of_job_call(&mut fields, metadata_bytes_max);
    fields.finish()?;
    let request = request.ok_or_else(|| ApiError::field("messages", "Field required"))?;
    Ok((spec, request))
}
