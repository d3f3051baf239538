//! The name of a topic.

use std::{fmt, str::FromStr};

use notifier_core::{Error, ErrorKind, Result};

/// The longest ARN that is read, in bytes. A topic's name has at most 256.
const LONGEST: usize = 400;

/// The ARN of an SNS topic: `arn:PARTITION:sns:REGION:ACCOUNT:NAME`.
///
/// ```
/// use source_sns::TopicArn;
/// let topic: TopicArn = "arn:aws:sns:eu-west-1:123456789012:fleet-alert".parse()?;
/// assert_eq!((topic.region(), topic.name()), ("eu-west-1", "fleet-alert"));
/// assert_eq!(topic.endpoint(), "https://sns.eu-west-1.amazonaws.com");
/// # Ok::<(), notifier_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicArn(String);

impl TopicArn {
    /// The whole ARN.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `aws`, `aws-cn`, `aws-us-gov`, ….
    pub fn partition(&self) -> &str {
        self.part(1)
    }

    /// The region: `eu-west-1`.
    pub fn region(&self) -> &str {
        self.part(3)
    }

    /// The number of the account.
    pub fn account(&self) -> &str {
        self.part(4)
    }

    /// The topic's name, with `.fifo` where it has that.
    pub fn name(&self) -> &str {
        self.part(5)
    }

    /// The address of SNS in the topic's region, without a slash at its end.
    pub fn endpoint(&self) -> String {
        let domain = match self.partition() {
            "aws-cn" => "amazonaws.com.cn",
            _ => "amazonaws.com",
        };
        format!("https://sns.{}.{domain}", self.region())
    }

    fn part(&self, n: usize) -> &str {
        self.0.splitn(6, ':').nth(n).unwrap_or_default()
    }
}

impl FromStr for TopicArn {
    type Err = Error;

    /// # Errors
    /// [`ErrorKind::Config`] that says what is wrong; it never holds the text itself.
    fn from_str(text: &str) -> Result<Self> {
        let wrong = |what: &str| {
            Err(Error::new(
                ErrorKind::Config,
                format!(
                    "no ARN of a topic, such as arn:aws:sns:eu-west-1:123456789012:alerts: {what}"
                ),
            ))
        };
        if text.len() > LONGEST {
            return wrong("it is too long");
        }
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let [arn, partition, service, region, account, name] = parts[..] else {
            return wrong("it has fewer than six parts");
        };
        if arn != "arn" || service != "sns" {
            return wrong("it is not one of SNS");
        }
        let lower = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let is_word = |s: &str| !s.is_empty() && s.bytes().all(lower);
        if !is_word(partition) || !partition.starts_with("aws") {
            return wrong("the partition is unknown");
        }
        if !is_word(region) {
            return wrong("it has no region");
        }
        if account.is_empty() || !account.bytes().all(|b| b.is_ascii_digit()) {
            return wrong("it has no account number");
        }
        let bare = name.strip_suffix(".fifo").unwrap_or(name);
        let in_name = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if bare.is_empty() || !bare.bytes().all(in_name) {
            return wrong("the topic's name has other characters than letters, digits, - and _");
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for TopicArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TopicArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parts_of_topics() {
        for (text, partition, endpoint, name) in [
            (
                "arn:aws:sns:us-east-1:000000000000:t.fifo",
                "aws",
                "https://sns.us-east-1.amazonaws.com",
                "t.fifo",
            ),
            (
                "arn:aws-cn:sns:cn-north-1:1234567:A_b-9",
                "aws-cn",
                "https://sns.cn-north-1.amazonaws.com.cn",
                "A_b-9",
            ),
            (
                "arn:aws-us-gov:sns:us-gov-west-1:1:x",
                "aws-us-gov",
                "https://sns.us-gov-west-1.amazonaws.com",
                "x",
            ),
        ] {
            let t: TopicArn = text.parse().unwrap();
            assert_eq!(
                (t.partition(), t.endpoint().as_str(), t.name(), t.as_str()),
                (partition, endpoint, name, text)
            );
        }
    }

    #[test]
    fn what_is_none() {
        for text in [
            "",
            "arn:aws:sns:us-east-1:1",
            "arn:aws:sqs:us-east-1:1:t",
            "arn:evil:sns:us-east-1:1:t",
            "arn:aws:sns::1:t",
            "arn:aws:sns:evil.example/:1:t",
            "arn:aws:sns:US-EAST-1:1:t",
            "arn:aws:sns:us-east-1:one:t",
            "arn:aws:sns:us-east-1::t",
            "arn:aws:sns:us-east-1:1:",
            "arn:aws:sns:us-east-1:1:.fifo",
            "arn:aws:sns:us-east-1:1:*",
            "arn:aws:sns:us-east-1:1:t:11111111-2222",
            "arn:aws:sns:us-east-1:1:t\n",
        ] {
            assert!(text.parse::<TopicArn>().is_err(), "{text:?}");
        }
        let long = format!("arn:aws:sns:us-east-1:1:{}", "t".repeat(LONGEST));
        assert!(long.parse::<TopicArn>().is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_is_read_is_harmless(text in "(arn:aws:sns:)?.{0,60}") {
            if let Ok(t) = text.parse::<TopicArn>() {
                prop_assert!(t.as_str().bytes().all(|b| b.is_ascii_graphic()));
            }
        }
    }
}
