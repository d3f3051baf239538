//! Any dialogue: what a relay says decides, and nothing else.

use notifier_core::Delivery;
use proptest::prelude::*;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream};

use super::*;
use crate::rig::session;

/// What a relay does when it is asked.
#[derive(Clone, Debug)]
enum Answer {
    Say(String),
    Close,
}

impl Answer {
    fn is(&self, begin: &str) -> bool {
        matches!(self, Self::Say(line) if line.starts_with(begin) && !line.contains('#'))
    }
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        6 => Just("250 2.0.0 ok"),
        3 => Just("354 go"),
        1 => Just("421 4.3.2 bye"),
        1 => Just("450 4.2.0 later"),
        1 => Just("452 4.5.3 too many"),
        1 => Just("452 4.2.2 full"),
        1 => Just("550 5.1.1 no"),
        1 => Just("552 many"),
        1 => Just("503 5.5.1 sequence"),
        1 => Just("nothing # like it"),
        1 => Just("250-open\r\n550 # closed"),
        1 => Just(""),
    ]
    .prop_map(|line| match line {
        "" => Answer::Close,
        line => Answer::Say(line.to_owned()),
    })
}

/// What the relay knows in the end.
#[derive(Debug, Default)]
struct Knows {
    /// Recipients to whom it said yes in the open transaction.
    to: Vec<String>,
    /// Whom it said to have the message for.
    delivered: Vec<String>,
    /// It read a whole message for somebody.
    read: bool,
    mail: bool,
}

/// Answers each command by the next answer, and keeps account as a relay does.
async fn relay(stream: DuplexStream, answers: Vec<Answer>) -> Knows {
    let mut stream = BufReader::new(stream);
    let mut knows = Knows::default();
    let mut answers = answers.into_iter();
    let mut in_body = false;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return knows;
        }
        let line = line.trim_end().to_owned();
        if in_body && line != "." {
            continue;
        }
        let was_body = std::mem::take(&mut in_body);
        let answer = answers
            .next()
            .unwrap_or_else(|| Answer::Say("250 ok".to_owned()));
        let yes = answer.is("250");
        if was_body {
            knows.read |= !knows.to.is_empty();
            if yes {
                knows.delivered.append(&mut knows.to);
            }
            knows.to.clear();
        } else if line.starts_with("MAIL") {
            knows.mail = yes;
        } else if let Some(to) = line.strip_prefix("RCPT TO:<") {
            if yes && knows.mail {
                knows.to.push(to.trim_end_matches('>').to_owned());
            }
        } else if line == "DATA" {
            in_body = answer.is("354");
        }
        match answer {
            Answer::Say(text) => {
                let _ = stream.write_all(format!("{text}\r\n").as_bytes()).await;
            }
            Answer::Close => return knows,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn nobody_is_told_what_the_relay_did_not_say(
        answers in prop::collection::vec(answer(), 0..9),
        count in 1..5usize,
        pipelining: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let (mut session, theirs) = session(pipelining);
            let knows = tokio::spawn(relay(theirs, answers));
            let sender = Address::read("f@x").unwrap();
            let to: Vec<Address> =
                (0..count).map(|n| Address::read(&format!("u{n}@x")).unwrap()).collect();
            let envelope = crate::rig::hi(&sender);
            let outcome = send(&mut session, &envelope, &to).await;
            drop(session);
            let knows = knows.await.unwrap();
            prop_assert_eq!(outcome.verdicts.len(), count);
            for (to, verdict) in to.iter().zip(&outcome.verdicts) {
                let has_it = knows.delivered.contains(&to.to_string());
                let may = matches!(verdict, Verdict::Failed(f) if f.delivery == Delivery::Unknown);
                let is_delivered = matches!(verdict, Verdict::Delivered(_));
                prop_assert!(!is_delivered || has_it, "{to} is said to have it: {knows:?}");
                prop_assert!(!has_it || is_delivered || may, "{to} has it: {verdict:?}");
                prop_assert!(!may || knows.read, "{to} cannot have it: {verdict:?}");
            }
            // What was left for a next transaction has one that got further before it.
            let many = outcome.verdicts.iter().filter(|v| **v == Verdict::TooMany).count();
            prop_assert!(many < count);
            Ok(())
        })?;
    }
}
