//! What an answer of the Graph API means for the events that were sent. Sorted by numbers only: the texts are
//! translated to the caller's language, and the HTTP status contradicts the code at times. Source: Meta, "Handling
//! errors" of the Graph API and the Conversions API's error reference. Must not know what is done about it.

use std::time::Duration;

use serde::Deserialize;

/// An answer as it came in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    /// The HTTP status.
    pub(crate) status: u16,
    /// What `Retry-After` asked for, if it was a number of seconds.
    pub(crate) retry_after: Option<Duration>,
    /// What `X-Business-Use-Case-Usage` says until access comes back.
    pub(crate) regain: Option<Duration>,
    /// The body, cut at the bound.
    pub(crate) body: Vec<u8>,
}

/// What the answer means. `reason` is a code such as `100/2804003` or `http_500`: no text of theirs, no data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// Meta has the events.
    Accepted {
        /// How many it says it has.
        received: u64,
    },
    /// Their trouble or ours, not the events': the same again later.
    Retry {
        /// What it was.
        reason: String,
        /// How long they ask us to wait.
        after: Option<Duration>,
    },
    /// The token does not work any more.
    DeadToken {
        /// What it was.
        reason: String,
    },
    /// The target is set up wrongly or blocked: no event can pass.
    Misconfigured {
        /// What it was.
        reason: String,
    },
    /// At least one of the events is at fault.
    BadEvent {
        /// What it was.
        reason: String,
        /// The key of `user_data` without which the event may pass.
        without: Option<&'static str>,
    },
}

#[derive(Deserialize)]
struct Accepted {
    events_received: u64,
}

#[derive(Deserialize)]
struct Refused {
    error: GraphError,
}

#[derive(Deserialize)]
struct GraphError {
    code: i64,
    error_subcode: Option<i64>,
    is_transient: Option<bool>,
}

/// Sorts an answer.
pub(crate) fn sort(answer: &Answer) -> Reply {
    let after = answer.retry_after.or(answer.regain);
    if let Ok(refused) = serde_json::from_slice::<Refused>(&answer.body) {
        return sort_error(&refused.error, answer.status, after);
    }
    let success = (200..300).contains(&answer.status);
    if let (true, Ok(accepted)) = (success, serde_json::from_slice::<Accepted>(&answer.body)) {
        return Reply::Accepted { received: accepted.events_received };
    }
    let reason = if success { "unreadable_answer".to_owned() } else { format!("http_{}", answer.status) };
    // Too large a request is cured by a smaller one, whoever says so.
    if answer.status == 413 {
        return Reply::BadEvent { reason, without: None };
    }
    // No Graph answer: a page of some machine in between. It says nothing about the events.
    Reply::Retry { reason, after }
}

fn sort_error(error: &GraphError, status: u16, after: Option<Duration>) -> Reply {
    let reason = error.error_subcode.map_or_else(|| error.code.to_string(), |subcode| format!("{}/{subcode}", error.code));
    match (error.code, error.error_subcode) {
        // A session mismatch may heal by itself.
        (452, _) | (190 | 102, Some(452)) => Reply::Retry { reason, after },
        (190 | 102, _) => Reply::DeadToken { reason },
        _ if error.is_transient == Some(true) => Reply::Retry { reason, after },
        (1 | 2 | 5_000 | 4 | 17 | 32 | 341 | 613 | 80_000..=80_014, _) => Reply::Retry { reason, after },
        (3 | 10 | 104 | 200..=299 | 368, _) | (100, Some(33)) => Reply::Misconfigured { reason },
        (100, Some(2_804_001)) => Reply::BadEvent { reason, without: Some("fbc") },
        (100, Some(2_804_036)) => Reply::BadEvent { reason, without: Some("lead_id") },
        (100, _) => Reply::BadEvent { reason, without: None },
        _ if status == 429 || status >= 500 => Reply::Retry { reason, after },
        _ => Reply::BadEvent { reason, without: None },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn error(status: u16, code: i64, subcode: Option<i64>, transient: bool) -> Reply {
        let body =
            serde_json::json!({"error": {"message": "m", "code": code, "error_subcode": subcode, "is_transient": transient}});
        sort(&Answer { status, body: body.to_string().into_bytes(), ..Answer::default() })
    }

    fn plain(status: u16, body: &str) -> Reply {
        sort(&Answer { status, body: body.as_bytes().to_vec(), ..Answer::default() })
    }

    #[test]
    fn only_a_readable_success_counts_as_accepted() {
        assert_eq!(plain(200, r#"{"events_received":3,"messages":[],"fbtrace_id":"x"}"#), Reply::Accepted { received: 3 });
        for body in ["<html>sign in to the network</html>", "{}", "", r#"{"events_received":"3"}"#] {
            assert!(matches!(plain(200, body), Reply::Retry { .. }), "{body}");
        }
        assert!(matches!(plain(302, r#"{"events_received":3}"#), Reply::Retry { .. }));
    }

    #[test]
    fn numbers_decide_and_not_the_status() {
        for status in [400, 401, 500] {
            assert_eq!(error(status, 190, Some(463), false), Reply::DeadToken { reason: "190/463".into() });
        }
        assert!(matches!(error(400, 1, None, false), Reply::Retry { .. }));
        assert!(matches!(error(400, 100, Some(99), true), Reply::Retry { .. }));
        assert!(matches!(error(400, 80_004, None, false), Reply::Retry { .. }));
        assert!(matches!(error(400, 452, None, false), Reply::Retry { .. }));
        assert!(matches!(error(400, 190, Some(452), false), Reply::Retry { .. }));
        assert!(matches!(error(500, 987_654, None, false), Reply::Retry { .. }));
        assert!(matches!(error(400, 987_654, None, false), Reply::BadEvent { .. }));
    }

    #[test]
    fn every_code_of_their_trouble_or_of_too_many_calls_is_tried_again() {
        for code in [1, 2, 4, 17, 32, 341, 613, 5_000, 80_000, 80_004, 80_014] {
            assert_eq!(error(400, code, None, false), Reply::Retry { reason: code.to_string(), after: None });
        }
    }

    #[test]
    fn a_wrong_target_is_told_from_a_wrong_event() {
        for (code, subcode) in
            [(3, None), (10, None), (200, None), (294, None), (299, None), (104, None), (368, None), (100, Some(33))]
        {
            assert!(matches!(error(400, code, subcode, false), Reply::Misconfigured { .. }), "{code}");
        }
        assert_eq!(error(400, 100, Some(2_804_003), false), Reply::BadEvent { reason: "100/2804003".into(), without: None });
        assert_eq!(
            error(400, 100, Some(2_804_001), false),
            Reply::BadEvent { reason: "100/2804001".into(), without: Some("fbc") }
        );
        assert_eq!(
            error(400, 100, Some(2_804_036), false),
            Reply::BadEvent { reason: "100/2804036".into(), without: Some("lead_id") }
        );
    }

    #[test]
    fn a_page_instead_of_an_answer_blames_no_event() {
        for status in [301, 302, 400, 403, 404, 429, 500, 502, 503] {
            assert!(matches!(plain(status, "<!doctype html>"), Reply::Retry { .. }), "{status}");
        }
        assert!(matches!(plain(413, "too large"), Reply::BadEvent { .. }));
    }

    #[test]
    fn a_throttle_waits_as_long_as_it_asks() {
        let body = br#"{"error":{"code":80004}}"#.to_vec();
        let wait = |retry_after, regain| sort(&Answer { status: 400, retry_after, regain, body: body.clone() });
        let reply = |seconds| Reply::Retry { reason: "80004".into(), after: Some(Duration::from_secs(seconds)) };
        assert_eq!(wait(Some(Duration::from_secs(7)), Some(Duration::from_mins(1))), reply(7));
        assert_eq!(wait(None, Some(Duration::from_mins(1))), reply(60));
    }

    proptest! {
        #[test]
        fn no_bytes_are_a_panic_or_a_success_unless_they_say_so(status in 0_u16..700, body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let reply = sort(&Answer { status, body, ..Answer::default() });
            let decisive = matches!(reply, Reply::Accepted { .. } | Reply::DeadToken { .. });
            prop_assert!(!decisive);
        }
    }
}
