//! Corrections: refunds, which give back of a job never more than it was charged, and adjustments.
#![deny(clippy::arithmetic_side_effects)]

use super::{Account, Cause, Entry, EntryKind, Refusal, negative, post, require_room};
use crate::id::JobId;
use crate::money::Credits;

/// What a job was charged, and what of it was given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobCharge {
    /// The job.
    pub job_id: JobId,
    /// What its deduction and overrun took.
    pub charged: Credits,
    /// What its refunds gave back.
    pub refunded: Credits,
}

/// Gives spent credits back: all that was spent, or of one job what it was charged and has not got
/// back yet.
pub fn refund(
    account: &mut Account,
    credits: Credits,
    job: Option<JobCharge>,
    cause: Cause<'_>,
) -> Result<Entry, Refusal> {
    if !credits.is_positive() {
        return Err(Refusal::NotPositive);
    }
    if let Some(job) = job
        && credits > job.charged.minus(job.refunded)
    {
        return Err(Refusal::RefundAboveCharge {
            amount: credits,
            job_id: job.job_id,
            charged: job.charged,
            refunded: job.refunded,
        });
    }
    if credits > account.used {
        return Err(Refusal::RefundAboveUse {
            amount: credits,
            used: account.used,
        });
    }
    let job_id = job.map(|job| job.job_id);
    Ok(post(account, EntryKind::Refund, credits, job_id, cause))
}

/// Corrects a balance up or down; what is spent or held stays.
pub fn adjust(account: &mut Account, credits: Credits, cause: Cause<'_>) -> Result<Entry, Refusal> {
    if credits == Credits::ZERO {
        return Err(Refusal::NotPositive);
    }
    require_room(account, credits)?;
    let available = account.available();
    if negative(credits) > available {
        return Err(Refusal::AdjustmentAboveAvailable {
            amount: negative(credits),
            available,
        });
    }
    Ok(post(account, EntryKind::Adjustment, credits, None, cause))
}
