//! Refunds of a job never come to more than the job was charged.

use proptest::prelude::*;

use super::*;

fn charge(charged: i64, refunded: i64) -> JobCharge {
    JobCharge {
        job_id: JobId::new(NOW, &SystemRandom),
        charged: Credits(charged),
        refunded: Credits(refunded),
    }
}

fn cause_of_refund() -> Cause<'static> {
    Cause {
        reason: "refund",
        actor: "alice",
        at: NOW,
    }
}

fn spent(used: i64) -> Account {
    Account {
        balance: Credits(1_000 - used),
        allocated: Credits(1_000),
        used: Credits(used),
        ..Account::new("t".parse().unwrap())
    }
}

#[test]
fn a_refund_beyond_the_charge_is_refused_and_says_what_was_charged() {
    let mut account = spent(80);
    let why = refund(
        &mut account,
        Credits(40),
        Some(charge(1, 0)),
        cause_of_refund(),
    );
    let why = why.unwrap_err().to_string();
    assert!(why.contains("was charged 1, and 0 of that"), "{why}");
    assert!(
        refund(
            &mut account,
            Credits(1),
            Some(charge(1, 0)),
            cause_of_refund()
        )
        .is_ok()
    );
    let why = refund(
        &mut account,
        Credits(1),
        Some(charge(1, 1)),
        cause_of_refund(),
    );
    assert!(
        matches!(why, Err(Refusal::RefundAboveCharge { .. })),
        "{why:?}"
    );
    assert_eq!(account.used, Credits(79), "what is refused changes nothing");
}

proptest! {
    #[test]
    fn refunds_of_a_job_never_exceed_its_charge(
        charged in 0_i64..200,
        others in 0_i64..500,
        amounts in proptest::collection::vec(-5_i64..120, 0..20),
    ) {
        let mut account = spent(charged + others);
        let before = account.clone();
        let mut job = charge(charged, 0);
        for amount in amounts {
            match refund(&mut account, Credits(amount), Some(job), cause_of_refund()) {
                Ok(entry) => {
                    prop_assert_eq!(entry.amount, Credits(amount));
                    job.refunded = job.refunded.plus(entry.amount);
                }
                Err(_) => prop_assert!(amount <= 0 || job.refunded.0 + amount > charged),
            }
            prop_assert!(job.refunded <= job.charged);
            let given_back = before.used.minus(account.used);
            prop_assert_eq!(given_back, job.refunded);
        }
    }
}
