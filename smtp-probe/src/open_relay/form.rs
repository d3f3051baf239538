//! The forms in which a server is asked to relay.

use std::net::IpAddr;

use super::names::Names;

/// What a form plays on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Family {
    Plain,
    NullSender,
    OwnSender,
    LocalSender,
    UnqualifiedSender,
    SameSender,
    Percent,
    DoubleAt,
    Quoted,
    Route,
    Bang,
    Prefix,
    TrailingDot,
    Case,
    NoBrackets,
    ForeignLiteral,
    RelayDomain,
    WellKnown,
    Helo,
    Transport,
}

impl Family {
    /// The word for it in reports.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::NullSender => "null sender",
            Self::OwnSender => "own sender",
            Self::LocalSender => "localhost sender",
            Self::UnqualifiedSender => "unqualified sender",
            Self::SameSender => "sender is recipient",
            Self::Percent => "percent hack",
            Self::DoubleAt => "double at",
            Self::Quoted => "quoted",
            Self::Route => "source route",
            Self::Bang => "bang path",
            Self::Prefix => "prefix",
            Self::TrailingDot => "trailing dot",
            Self::Case => "case",
            Self::NoBrackets => "no brackets",
            Self::ForeignLiteral => "foreign literal",
            Self::RelayDomain => "relay domain",
            Self::WellKnown => "well known",
            Self::Helo => "helo",
            Self::Transport => "transport",
        }
    }

    /// What lets it through, and what to do about it.
    pub(super) fn hint(self) -> &'static str {
        match self {
            Self::OwnSender | Self::LocalSender | Self::UnqualifiedSender | Self::SameSender => {
                "take check_sender_access and the like out of smtpd_relay_restrictions: anyone may write any sender"
            }
            Self::Percent
            | Self::DoubleAt
            | Self::Quoted
            | Self::Route
            | Self::Bang
            | Self::Prefix => {
                "set allow_untrusted_routing = no, and let no table or filter rewrite what a recipient's local part names"
            }
            Self::RelayDomain => {
                "set allow_untrusted_routing = no: the server behind may send on what a local part names"
            }
            Self::WellKnown => {
                "take these domains out of relay_domains and mydestination, and of tables that permit recipients: sending there needs none of them"
            }
            Self::Helo => {
                "take check_helo_access and the like out of smtpd_relay_restrictions: anyone may greet by any name"
            }
            Self::Plain
            | Self::NullSender
            | Self::TrailingDot
            | Self::Case
            | Self::NoBrackets
            | Self::ForeignLiteral
            | Self::Transport => {
                "narrow mynetworks and end smtpd_relay_restrictions in reject_unauth_destination"
            }
        }
    }
}

/// Whose the last part of the recipient is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ending {
    /// Nobody's that the server has to do with.
    Foreign,
    /// Its domain.
    Domain,
    /// Its name.
    Host,
    /// Its address.
    Address,
    /// None: the server adds what it thinks right.
    Bare,
}

/// The name that a form greets with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Greeting {
    /// The one that all others have.
    #[default]
    Usual,
    /// Another one.
    As(String),
}

/// One way to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Form {
    /// From 1 to 38; several have the same number where they differ in a name only.
    pub(super) number: u8,
    pub(super) family: Family,
    pub(super) greeting: Greeting,
    /// As it stands between the brackets of MAIL FROM.
    pub(super) from: String,
    /// As it stands behind RCPT TO, brackets and all.
    pub(super) to: String,
    pub(super) ending: Ending,
    /// Whether a message may be sent to it: not to strangers' mailboxes, nor by way of names that
    /// were only guessed.
    pub(super) may_send: bool,
}

impl Form {
    fn new(number: u8, family: Family, from: &str, to: String, ending: Ending) -> Self {
        Self {
            number,
            family,
            greeting: Greeting::Usual,
            from: from.to_owned(),
            to: format!("<{to}>"),
            ending,
            may_send: family != Family::WellKnown,
        }
    }

    /// Whether a catch-all takes it as one of its own.
    pub(super) fn is_own(&self) -> bool {
        self.ending != Ending::Foreign && self.family != Family::RelayDomain
    }
}

/// An address as a domain.
pub(super) fn literal(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => format!("[{ip}]"),
        IpAddr::V6(ip) => format!("[IPv6:{ip}]"),
    }
}

/// The first form, which all others are variants of.
pub(super) fn plain(names: &Names) -> Form {
    Form::new(
        1,
        Family::Plain,
        &names.stranger,
        names.victim(),
        Ending::Foreign,
    )
}

/// Forms 1 to 36, which all greet alike.
pub(super) fn usual(names: &Names) -> Vec<Form> {
    let mut forms = senders(names);
    forms.extend(recipients(names));
    for domain in &names.relay_domains {
        let to = format!("{}@{domain}", names.percent());
        forms.push(Form::new(
            35,
            Family::RelayDomain,
            &names.stranger,
            to,
            Ending::Domain,
        ));
    }
    for domain in &names.well_known {
        let to = format!("{}@{domain}", names.user);
        forms.push(Form::new(
            36,
            Family::WellKnown,
            &names.stranger,
            to,
            Ending::Foreign,
        ));
    }
    for form in &mut forms {
        form.may_send &= names.may_name(&form.from, &form.to);
    }
    forms
}

/// Form 37: the first one, greeting as somebody whom the server may trust.
pub(super) fn greetings(names: &Names) -> Vec<Form> {
    let mut greetings = vec![names.domain.clone(), names.host.clone()];
    greetings.dedup();
    greetings.extend(["localhost".to_owned(), names.address.clone()]);
    let form = |greeting| Form {
        number: 37,
        family: Family::Helo,
        greeting: Greeting::As(greeting),
        ..plain(names)
    };
    greetings.into_iter().map(form).collect()
}

/// Form 38: the first one, with TLS where the others had none, and without where they had it.
pub(super) fn transport(names: &Names) -> Form {
    Form {
        number: 38,
        family: Family::Transport,
        ..plain(names)
    }
}

/// Forms 1 to 8.
fn senders(names: &Names) -> Vec<Form> {
    let at = |domain: &str| format!("relay-test@{domain}");
    let sender = |number, family, from: &str| {
        Form::new(number, family, from, names.victim(), Ending::Foreign)
    };
    vec![
        plain(names),
        sender(2, Family::NullSender, ""),
        sender(3, Family::OwnSender, &at(&names.domain)),
        sender(4, Family::OwnSender, &at(&names.host)),
        sender(5, Family::OwnSender, &at(&names.address)),
        sender(6, Family::LocalSender, "root@localhost"),
        sender(7, Family::UnqualifiedSender, "root"),
        sender(8, Family::SameSender, &names.victim()),
    ]
}

/// Forms 9 to 34.
fn recipients(names: &Names) -> Vec<Form> {
    use Ending::{Address, Bare, Domain, Foreign, Host};
    let (victim, percent) = (names.victim(), names.percent());
    let (d, h, i) = (&names.domain, &names.host, &names.address);
    let bang = format!("{}!{}", names.foreign, names.user);
    let ours = names.at_server();
    let to =
        |number, family, to: String, ending| Form::new(number, family, &names.stranger, to, ending);
    let own = |number, to: String, ending| Form::new(number, Family::Percent, &ours, to, ending);
    let mut forms = vec![
        own(9, format!("{percent}@{d}"), Domain),
        own(10, format!("{percent}@{h}"), Host),
        own(11, format!("{percent}@{i}"), Address),
        to(12, Family::Percent, percent.clone(), Bare),
        to(13, Family::Percent, format!("\"{percent}\"@{d}"), Domain),
        to(14, Family::DoubleAt, format!("{victim}@{d}"), Domain),
        to(15, Family::DoubleAt, format!("{victim}@{i}"), Address),
        to(16, Family::Quoted, format!("\"{victim}\""), Bare),
        to(17, Family::Quoted, format!("\"{victim}\"@{d}"), Domain),
        to(18, Family::Quoted, format!("\"{victim}\"@{h}"), Host),
        to(19, Family::Quoted, format!("\"{victim}\"@{i}"), Address),
        to(20, Family::Route, format!("@{d}:{victim}"), Foreign),
        to(21, Family::Route, format!("@{h}:{victim}"), Foreign),
        to(22, Family::Route, format!("@{i}:{victim}"), Foreign),
        to(23, Family::Route, format!("@{d},@{h}:{victim}"), Foreign),
        to(24, Family::Bang, bang.clone(), Bare),
        to(25, Family::Bang, format!("{bang}@{d}"), Domain),
        to(26, Family::Bang, format!("{bang}@{h}"), Host),
        to(27, Family::Bang, format!("{bang}@{i}"), Address),
        to(28, Family::Bang, format!("{d}!{bang}"), Bare),
        to(29, Family::Bang, format!("@{d}:{bang}"), Bare),
        to(30, Family::Prefix, format!("smtp:{victim}"), Foreign),
        to(31, Family::TrailingDot, format!("{victim}."), Foreign),
        to(32, Family::Case, victim.to_ascii_uppercase(), Foreign),
        to(33, Family::NoBrackets, victim.clone(), Foreign),
        to(
            34,
            Family::ForeignLiteral,
            format!("{}@[203.0.113.5]", names.user),
            Foreign,
        ),
    ];
    for form in &mut forms {
        if form.family == Family::NoBrackets {
            form.to.clone_from(&victim);
        }
    }
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_thirty_eight_are_there_and_none_twice() {
        let names = Names::example();
        let mut forms = usual(&names);
        forms.extend(greetings(&names));
        forms.push(transport(&names));
        let numbers: Vec<u8> = forms.iter().map(|f| f.number).collect();
        for number in 1..=38 {
            assert!(numbers.contains(&number), "{number}");
        }
        assert!(numbers.is_sorted());
        for (n, form) in forms.iter().enumerate() {
            let is_twin =
                |f: &&Form| (&f.from, &f.to, &f.greeting) == (&form.from, &form.to, &form.greeting);
            // Form 38 is the first one over another transport.
            let twins = forms[..n].iter().filter(is_twin).count();
            assert_eq!(twins, usize::from(form.number == 38), "{form:?}");
        }
    }

    #[test]
    fn forms_are_written_as_the_table_has_them() {
        let forms = usual(&Names::example());
        let find = |number| {
            let form = forms.iter().find(|f| f.number == number).unwrap();
            (form.from.as_str(), form.to.as_str())
        };
        let stranger = "relay-test@example.org";
        for (number, from, to) in [
            (1, stranger, "<victim@example.net>"),
            (2, "", "<victim@example.net>"),
            (3, "relay-test@own.test", "<victim@example.net>"),
            (4, "relay-test@mx.own.test", "<victim@example.net>"),
            (5, "relay-test@[192.0.2.1]", "<victim@example.net>"),
            (7, "root", "<victim@example.net>"),
            (8, "victim@example.net", "<victim@example.net>"),
            (9, "relay-test@[192.0.2.1]", "<victim%example.net@own.test>"),
            (13, stranger, "<\"victim%example.net\"@own.test>"),
            (14, stranger, "<victim@example.net@own.test>"),
            (16, stranger, "<\"victim@example.net\">"),
            (23, stranger, "<@own.test,@mx.own.test:victim@example.net>"),
            (28, stranger, "<own.test!example.net!victim>"),
            (29, stranger, "<@own.test:example.net!victim>"),
            (30, stranger, "<smtp:victim@example.net>"),
            (31, stranger, "<victim@example.net.>"),
            (32, stranger, "<VICTIM@EXAMPLE.NET>"),
            (33, stranger, "victim@example.net"),
            (35, stranger, "<victim%example.net@backup.test>"),
            (36, stranger, "<victim@gmail.com>"),
        ] {
            assert_eq!(find(number), (from, to), "{number}");
        }
    }

    #[test]
    fn nobody_at_a_real_provider_is_sent_anything() {
        for form in usual(&Names::example()) {
            assert_eq!(form.may_send, form.number != 36, "{form:?}");
        }
    }
}
