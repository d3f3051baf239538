//! The services of master.cf: master(5).

use super::{
    config::{Place, Setting},
    lines::{Line, logical, unbraced, words},
};

/// One service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Service {
    /// `smtp`, `127.0.0.1:2525`, `public/pickup`.
    pub(super) name: String,
    /// `inet`, `unix`, `unix-dgram`, `fifo`, `pass`.
    pub(super) kind: String,
    /// `y`, `n` or `-`.
    pub(super) chroot: String,
    /// The program: `smtpd`.
    pub(super) program: String,
    pub(super) line: usize,
    /// What its `-o` say.
    pub(super) overrides: Vec<Setting>,
}

/// All services.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Master {
    pub(super) services: Vec<Service>,
    /// Lines with fewer than eight fields.
    pub(super) malformed: Vec<Place>,
}

/// Names of services that stand for ports (services(5)).
const PORTS: &[(&str, u16)] = &[
    ("smtp", 25),
    ("submission", 587),
    ("submissions", 465),
    ("smtps", 465),
    ("urd", 465),
    ("qmqp", 628),
];

impl Service {
    /// The host part of an `inet` service, without brackets; empty if it has none.
    pub(super) fn host(&self) -> &str {
        let host = self.name.rsplit_once(':').map_or("", |(host, _)| host);
        host.trim_start_matches('[').trim_end_matches(']')
    }

    /// The port of an `inet` service, if it is a number or a well-known name.
    pub(super) fn port(&self) -> Option<u16> {
        if self.kind != "inet" {
            return None;
        }
        let port = self.name.rsplit_once(':').map_or(&*self.name, |(_, p)| p);
        let known = PORTS.iter().find(|(name, _)| *name == port);
        known.map_or_else(|| port.parse().ok(), |(_, port)| Some(*port))
    }

    /// Whether only programs of the same machine reach it.
    pub(super) fn is_local(&self, inet_interfaces: &[String]) -> bool {
        let is_loopback = |host: &str| {
            host == "localhost"
                || host == "loopback-only"
                || host
                    .trim_matches(['[', ']'])
                    .parse()
                    .is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
        };
        match self.host() {
            "" => !inet_interfaces.is_empty() && inet_interfaces.iter().all(|i| is_loopback(i)),
            host => is_loopback(host),
        }
    }
}

impl Master {
    /// Reads the file.
    pub(super) fn parse(text: &str) -> Self {
        let mut master = Self::default();
        for line in logical(text) {
            match service(&line) {
                Some(service) => master.services.push(service),
                None => master.malformed.push(Place {
                    file: "master.cf".to_owned(),
                    line: line.number(),
                    service: None,
                }),
            }
        }
        master
    }

    /// The ports on which it takes mail.
    pub(super) fn mail_ports(&self) -> Vec<u16> {
        let services = self.services.iter();
        let servers = services.filter(|s| s.program == "smtpd" || s.program == "postscreen");
        servers.filter_map(Service::port).collect()
    }
}

fn service(line: &Line) -> Option<Service> {
    let text = line.text();
    let mut rest = text.as_str();
    let mut fields = Vec::new();
    for _ in 0..8 {
        rest = rest.trim_start();
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        if end == 0 {
            return None;
        }
        fields.push(&rest[..end]);
        rest = &rest[end..];
    }
    let mut service = Service {
        name: fields[0].to_owned(),
        kind: fields[1].to_owned(),
        chroot: fields[4].to_owned(),
        program: fields[7].to_owned(),
        line: line.number(),
        overrides: Vec::new(),
    };
    service.overrides = overrides(&service, line, rest);
    Some(service)
}

fn overrides(service: &Service, line: &Line, arguments: &str) -> Vec<Setting> {
    let mut settings = Vec::new();
    let mut arguments = words_of_arguments(arguments).into_iter();
    while let Some(argument) = arguments.next() {
        let Some(option) = argument.strip_prefix("-o") else {
            continue;
        };
        let option = match option.is_empty() {
            true => arguments.next().unwrap_or_default(),
            false => option.to_owned(),
        };
        let option = unbraced(&option).unwrap_or(&option);
        if let Some((name, value)) = option.split_once('=') {
            let name = name.trim();
            let is_there = |text: &str| text.contains(name) && text.contains("-o");
            let at = line.pieces.iter().find(|(_, text)| is_there(text));
            settings.push(Setting {
                name: name.to_owned(),
                value: value.trim().to_owned(),
                place: Place {
                    file: "master.cf".to_owned(),
                    line: at.map_or(service.line, |(number, _)| *number),
                    service: Some(format!("{} {}", service.name, service.program)),
                },
                pieces: Vec::new(),
            });
        }
    }
    settings
}

/// Arguments are divided by spaces alone; commas belong to values.
fn words_of_arguments(text: &str) -> Vec<String> {
    const COMMA: &str = "\u{1}";
    let kept = text.replace(',', COMMA);
    let words = words(&kept).into_iter();
    words.map(|word| word.replace(COMMA, ",")).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "\
smtp      inet  n       -       y       -       -       smtpd
submission inet n - n - - smtpd
  -o syslog_name=postfix/submission -o smtpd_tls_security_level=encrypt
# users
  -o { smtpd_relay_restrictions = permit_sasl_authenticated, reject }
  -o smtpd_client_restrictions=permit_mynetworks,reject
127.0.0.1:10025 inet n - n - - smtpd
broken line
";

    #[test]
    fn services_and_what_they_override() {
        let master = Master::parse(TEXT);
        let [smtp, submission, back] = master.services.as_slice() else {
            panic!("{master:?}");
        };
        assert_eq!((smtp.port(), smtp.chroot.as_str()), (Some(25), "y"));
        assert_eq!(submission.port(), Some(587));
        let said: Vec<(&str, &str, usize)> = submission
            .overrides
            .iter()
            .map(|s| (s.name.as_str(), s.value.as_str(), s.place.line))
            .collect();
        assert_eq!(
            said,
            [
                ("syslog_name", "postfix/submission", 3),
                ("smtpd_tls_security_level", "encrypt", 3),
                (
                    "smtpd_relay_restrictions",
                    "permit_sasl_authenticated, reject",
                    5
                ),
                ("smtpd_client_restrictions", "permit_mynetworks,reject", 6),
            ]
        );
        assert!(back.is_local(&["all".to_owned()]));
        assert!(!smtp.is_local(&["all".to_owned()]));
        assert!(smtp.is_local(&["127.0.0.1".to_owned(), "[::1]".to_owned()]));
        assert_eq!(master.malformed[0].line, 8);
        assert_eq!(master.mail_ports(), [25, 587, 10025]);
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in r"(?s)((smtp|\[::1\]:25) inet( [ny-]){0,5} smtpd\n?( -o ?[{}a=,x ]{0,9}\n?){0,3}){0,6}|.{0,200}") {
            let master = Master::parse(&text);
            for service in &master.services {
                let _ = (service.port(), service.is_local(&[]));
            }
        }
    }
}
