//! What the server knows.

use std::{collections::BTreeMap, net::IpAddr};

use hickory_proto::{
    op::{Message, MessageType, ResponseCode},
    rr::{
        Name, RData, Record, RecordType,
        rdata::{A, AAAA, CNAME, MX, PTR, TXT},
    },
};

/// Seconds that an answer holds.
const TTL: u32 = 60;
/// Aliases that are followed.
const ALIASES: usize = 8;

/// What happens at a name instead of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    Code(ResponseCode),
    Silence,
    /// The answer fits into TCP only.
    Truncated,
}

/// Names with their records, and what else may happen there. Names have no regard for case.
#[derive(Clone, Debug, Default)]
#[must_use = "a server has to be started with it"]
pub struct Zone {
    records: BTreeMap<String, Vec<RData>>,
    troubles: BTreeMap<String, Trouble>,
}

impl Zone {
    /// An empty one: no name exists.
    pub fn new() -> Self {
        Self::default()
    }

    /// An A or an AAAA record.
    ///
    /// # Panics
    ///
    /// It is no address.
    pub fn address(self, name: &str, ip: &str) -> Self {
        let data = match ip.parse().expect("an address") {
            IpAddr::V4(ip) => RData::A(A(ip)),
            IpAddr::V6(ip) => RData::AAAA(AAAA(ip)),
        };
        self.record(name, data)
    }

    /// A TXT record, in strings of at most 255 octets.
    pub fn text(self, name: &str, text: &str) -> Self {
        let strings = text.as_bytes().chunks(255).collect();
        self.record(name, RData::TXT(TXT::from_bytes(strings)))
    }

    /// An MX record; `.` is the null MX of RFC 7505.
    pub fn mx(self, name: &str, preference: u16, host: &str) -> Self {
        self.record(name, RData::MX(MX::new(preference, absolute(host))))
    }

    /// A CNAME record.
    pub fn alias(self, name: &str, to: &str) -> Self {
        self.record(name, RData::CNAME(CNAME(absolute(to))))
    }

    /// The PTR record of an address.
    ///
    /// # Panics
    ///
    /// It is no address.
    pub fn pointer(self, ip: &str, name: &str) -> Self {
        let ip: IpAddr = ip.parse().expect("an address");
        let reverse = Name::from(ip).to_ascii();
        self.record(&reverse, RData::PTR(PTR(absolute(name))))
    }

    /// SERVFAIL at this name.
    pub fn fails(self, name: &str) -> Self {
        self.trouble(name, Trouble::Code(ResponseCode::ServFail))
    }

    /// REFUSED at this name.
    pub fn refuses(self, name: &str) -> Self {
        self.trouble(name, Trouble::Code(ResponseCode::Refused))
    }

    /// No answer at this name.
    pub fn silent(self, name: &str) -> Self {
        self.trouble(name, Trouble::Silence)
    }

    /// By UDP only that the answer does not fit (TC); all of it by TCP.
    pub fn truncated(self, name: &str) -> Self {
        self.trouble(name, Trouble::Truncated)
    }

    fn record(mut self, name: &str, data: RData) -> Self {
        self.records.entry(key(name)).or_default().push(data);
        self
    }

    fn trouble(mut self, name: &str, trouble: Trouble) -> Self {
        self.troubles.insert(key(name), trouble);
        self
    }

    /// The answer to a message; nothing where there is silence.
    pub(super) fn answer(&self, asked: &Message, is_tcp: bool) -> Option<Message> {
        let mut reply = Message::new();
        reply
            .set_id(asked.id())
            .set_op_code(asked.op_code())
            .set_message_type(MessageType::Response)
            .set_recursion_desired(asked.recursion_desired())
            .set_recursion_available(true);
        let Some(query) = asked.queries().first() else {
            reply.set_response_code(ResponseCode::FormErr);
            return Some(reply);
        };
        reply.add_query(query.clone());
        let name = key(&query.name().to_ascii());
        match self.troubles.get(&name) {
            Some(Trouble::Silence) => return None,
            Some(Trouble::Code(code)) => {
                reply.set_response_code(*code);
                return Some(reply);
            }
            Some(Trouble::Truncated) if !is_tcp => {
                reply.set_truncated(true);
                return Some(reply);
            }
            _ => {}
        }
        let (answers, exists) = self.look_up(query.name(), query.query_type());
        if !exists {
            reply.set_response_code(ResponseCode::NXDomain);
        }
        reply.add_answers(answers);
        Some(reply)
    }

    /// The records of a type, over aliases, and whether the name exists.
    fn look_up(&self, name: &Name, kind: RecordType) -> (Vec<Record>, bool) {
        let mut answers = Vec::new();
        let mut name = name.clone();
        for _ in 0..=ALIASES {
            let key = key(&name.to_ascii());
            let Some(records) = self.records.get(&key) else {
                // One that only has names under it exists too.
                let under = format!(".{key}");
                let exists = self.records.keys().any(|k| k.ends_with(&under));
                return (answers, exists);
            };
            let mut next = None;
            for data in records {
                if data.record_type() == kind {
                    answers.push(Record::from_rdata(name.clone(), TTL, data.clone()));
                } else if let RData::CNAME(CNAME(to)) = data {
                    answers.push(Record::from_rdata(name.clone(), TTL, data.clone()));
                    next = Some(to.clone());
                }
            }
            match next {
                Some(to) => name = to,
                None => return (answers, true),
            }
        }
        (answers, true)
    }
}

/// Lower case, without the dot at the end.
fn key(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

fn absolute(name: &str) -> Name {
    let mut name = Name::from_ascii(name).expect("a name");
    name.set_fqdn(true);
    name
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::Query;

    use super::*;

    fn ask(zone: &Zone, name: &str, kind: RecordType, is_tcp: bool) -> Option<Message> {
        let mut asked = Message::new();
        asked
            .set_id(7)
            .add_query(Query::query(absolute(name), kind));
        zone.answer(&asked, is_tcp)
    }

    #[test]
    fn answers_and_the_lack_of_them() {
        let zone = Zone::new()
            .address("a.example", "192.0.2.1")
            .alias("b.example", "A.example")
            .mx("a.example", 10, ".")
            .pointer("192.0.2.1", "a.example");
        let reply = ask(&zone, "b.example", RecordType::A, false).unwrap();
        assert_eq!((reply.id(), reply.answers().len()), (7, 2));
        let none = ask(&zone, "a.example", RecordType::TXT, false).unwrap();
        assert_eq!(none.response_code(), ResponseCode::NoError);
        assert!(none.answers().is_empty());
        let not = ask(&zone, "c.example", RecordType::A, false).unwrap();
        assert_eq!(not.response_code(), ResponseCode::NXDomain);
        let above = ask(&zone, "0.192.in-addr.arpa", RecordType::PTR, false).unwrap();
        assert_eq!(above.response_code(), ResponseCode::NoError);
        let pointer = ask(&zone, "1.2.0.192.in-addr.arpa", RecordType::PTR, false).unwrap();
        assert_eq!(pointer.answers().len(), 1);
    }

    #[test]
    fn troubles() {
        let zone = Zone::new()
            .text("long.example", &"x".repeat(600))
            .truncated("long.example")
            .fails("fails.example")
            .silent("silent.example");
        let cut = ask(&zone, "long.example", RecordType::TXT, false).unwrap();
        assert!(cut.truncated() && cut.answers().is_empty());
        let whole = ask(&zone, "long.example", RecordType::TXT, true).unwrap();
        assert!(!whole.truncated() && whole.answers().len() == 1);
        let failed = ask(&zone, "FAILS.example", RecordType::A, true).unwrap();
        assert_eq!(failed.response_code(), ResponseCode::ServFail);
        assert!(ask(&zone, "silent.example", RecordType::A, false).is_none());
    }
}
