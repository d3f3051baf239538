//! A topic's name in full, its ARN.

use std::fmt;

use notifier_core::{Error, Result};

/// The longest name of a topic (docs.aws.amazon.com/sns/latest/api/API_CreateTopic.html, read 2026).
const MAX_NAME: usize = 256;

/// `arn:PARTITION:sns:REGION:ACCOUNT:NAME`, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Topic<'a> {
    /// All of it.
    pub(crate) arn: &'a str,
    /// Where it is, and where requests go.
    pub(crate) region: &'a str,
    /// Its last part.
    pub(crate) name: &'a str,
}

impl<'a> Topic<'a> {
    /// Reads one.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](notifier_core::ErrorKind::Config) with what is wrong.
    pub(crate) fn parse(arn: &'a str) -> Result<Self> {
        let wrong = |what: &dyn fmt::Display| {
            let shown: String = arn.chars().take(120).collect();
            Err(Error::config(format!(
                "sns.topic: {shown:?} {what}; an ARN such as arn:aws:sns:eu-west-1:123456789012:alerts is needed"
            )))
        };
        let parts: Vec<&str> = arn.split(':').collect();
        let &[scheme, partition, service, region, account, name] = parts.as_slice() else {
            return match parts.len() {
                7 if parts[2] == "sns" => wrong(&"is a subscription, not a topic"),
                _ => wrong(&"is no topic"),
            };
        };
        if scheme != "arn" || service != "sns" {
            return wrong(&"is no topic");
        }
        if !(partition == "aws" || is_word(partition, "aws-")) {
            return wrong(&format_args!("has no partition of AWS but {partition:?}"));
        }
        if !is_region(region) {
            return wrong(&format_args!("has no region but {region:?}"));
        }
        // Elsewhere the keys would be sent to a host of another partition.
        let own = match region {
            r if r.starts_with("cn-") => "aws-cn",
            r if r.starts_with("us-gov-") => "aws-us-gov",
            _ if matches!(partition, "aws-cn" | "aws-us-gov") => "aws",
            _ => partition,
        };
        if own != partition {
            return wrong(&format_args!(
                "has the region {region}, which is not one of {partition}"
            ));
        }
        if account.len() != 12 || !account.bytes().all(|b| b.is_ascii_digit()) {
            return wrong(&"has no account of 12 digits");
        }
        let stem = name.strip_suffix(".fifo").unwrap_or(name);
        let is_name = !stem.is_empty()
            && name.len() <= MAX_NAME
            && stem
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        if !is_name {
            return wrong(&"does not end in a topic's name");
        }
        Ok(Self { arn, region, name })
    }

    /// Whether it keeps the order of messages and drops second ones.
    pub(crate) fn is_fifo(&self) -> bool {
        self.name.ends_with(".fifo")
    }
}

/// Whether it begins so, and goes on with lower-case words.
fn is_word(text: &str, start: &str) -> bool {
    text.len() <= 32
        && text.strip_prefix(start).is_some_and(|rest| {
            !rest.is_empty()
                && rest
                    .split('-')
                    .all(|w| !w.is_empty() && w.bytes().all(|b| b.is_ascii_lowercase()))
        })
}

/// `eu-west-1`, `us-gov-east-1`: words, then a number. It becomes part of a host's name.
pub(crate) fn is_region(text: &str) -> bool {
    let Some((words, number)) = text.rsplit_once('-') else {
        return false;
    };
    text.len() <= 32
        && (1..=2).contains(&number.len())
        && number.bytes().all(|b| b.is_ascii_digit())
        && words.contains('-')
        && words
            .split('-')
            .all(|w| !w.is_empty() && w.bytes().all(|b| b.is_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn topics_of_every_partition_are_read() {
        for (arn, region, name, is_fifo) in [
            (
                "arn:aws:sns:eu-west-1:123456789012:alerts",
                "eu-west-1",
                "alerts",
                false,
            ),
            (
                "arn:aws-cn:sns:cn-northwest-1:123456789012:a_b-c.fifo",
                "cn-northwest-1",
                "a_b-c.fifo",
                true,
            ),
            (
                "arn:aws-us-gov:sns:us-gov-east-1:000000000000:X",
                "us-gov-east-1",
                "X",
                false,
            ),
            (
                "arn:aws-iso-b:sns:us-isob-east-1:123456789012:x",
                "us-isob-east-1",
                "x",
                false,
            ),
        ] {
            let t = Topic::parse(arn).unwrap();
            assert_eq!(
                (t.arn, t.region, t.name, t.is_fifo()),
                (arn, region, name, is_fifo)
            );
        }
    }

    #[test]
    fn what_is_no_topic_is_refused_with_the_reason() {
        for (arn, why) in [
            ("alerts", "is no topic"),
            ("arn:aws:sqs:eu-west-1:123456789012:alerts", "is no topic"),
            (
                "arn:aws:sns:eu-west-1:123456789012:alerts:6b0e71bd",
                "is a subscription",
            ),
            ("arn:evil:sns:eu-west-1:123456789012:a", "no partition"),
            ("arn:aws:sns:evil.example/:123456789012:a", "no region"),
            ("arn:aws:sns::123456789012:a", "no region"),
            ("arn:aws:sns:cn-north-1:123456789012:a", "not one of aws"),
            (
                "arn:aws-cn:sns:eu-west-1:123456789012:a",
                "not one of aws-cn",
            ),
            ("arn:aws:sns:eu-west-1:1234:a", "12 digits"),
            ("arn:aws:sns:eu-west-1:123456789012:", "topic's name"),
            ("arn:aws:sns:eu-west-1:123456789012:.fifo", "topic's name"),
            ("arn:aws:sns:eu-west-1:123456789012:a.b", "topic's name"),
        ] {
            let e = Topic::parse(arn).unwrap_err().to_string();
            assert!(
                e.starts_with("sns.topic: ") && e.contains(why),
                "{arn}: {e}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_region_is_a_part_of_a_hosts_name(text in "[a-z0-9./:@-]{0,20}") {
            if is_region(&text) {
                prop_assert!(text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,100}") {
            let _ = Topic::parse(&text);
        }
    }
}
