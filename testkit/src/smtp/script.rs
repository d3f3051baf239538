use super::action::{Action, Verb};
use super::certificates::Identity;

/// When a rule holds.
#[derive(Debug, Clone)]
enum When {
    Always,
    Nth(u64),
    Once { used: bool },
}

#[derive(Debug, Clone)]
struct Rule {
    verb: Verb,
    when: When,
    action: Action,
}

/// What a server offers and how it answers.
///
/// Without a word more it offers `PIPELINING`, `SIZE 10240000`, `ENHANCEDSTATUSCODES`,
/// `8BITMIME`, `DSN` and `SMTPUTF8`, no TLS and no login, and takes every mail.
#[derive(Debug, Clone)]
pub struct Script {
    pub(crate) banner: String,
    pub(crate) extensions: Vec<String>,
    pub(crate) hidden: Vec<String>,
    pub(crate) size: u64,
    pub(crate) identity: Option<Identity>,
    pub(crate) implicit: bool,
    pub(crate) login: Option<(String, String)>,
    pub(crate) mechanisms: Vec<String>,
    pub(crate) auth_before_tls: bool,
    pub(crate) most_recipients: Option<usize>,
    pub(crate) too_many: String,
    pub(crate) known: Option<Vec<String>>,
    recipients: Vec<(String, Action)>,
    rules: Vec<Rule>,
    /// How often each verb came since this script was set.
    counts: Vec<(Verb, u64)>,
}

impl Script {
    /// A server that behaves.
    #[must_use]
    pub fn new() -> Self {
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        Self {
            banner: "relay.example ESMTP".to_owned(),
            extensions: words(&[
                "PIPELINING",
                "ENHANCEDSTATUSCODES",
                "8BITMIME",
                "DSN",
                "SMTPUTF8",
            ]),
            hidden: Vec::new(),
            size: 10_240_000,
            identity: None,
            implicit: false,
            login: None,
            mechanisms: words(&["PLAIN", "LOGIN", "XOAUTH2"]),
            auth_before_tls: false,
            most_recipients: None,
            too_many: "452 4.5.3 Error: too many recipients".to_owned(),
            known: None,
            recipients: Vec::new(),
            rules: Vec::new(),
            counts: Vec::new(),
        }
    }

    /// The text after `220`; a line feed makes it a reply of several lines.
    #[must_use]
    pub fn banner(mut self, text: &str) -> Self {
        text.clone_into(&mut self.banner);
        self
    }

    /// Offers these extensions only; STARTTLS, AUTH and SIZE have methods of their own and stay.
    #[must_use]
    pub fn extensions(mut self, offered: &[&str]) -> Self {
        self.extensions = offered.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// Does not offer this extension, whichever method put it there.
    #[must_use]
    pub fn without(mut self, extension: &str) -> Self {
        self.hidden.push(extension.to_owned());
        self
    }

    /// The most octets of a message, named by SIZE; 0 is no limit. Default: 10 240 000.
    #[must_use]
    pub fn size(mut self, octets: u64) -> Self {
        self.size = octets;
        self
    }

    /// Offers STARTTLS, with this certificate.
    #[must_use]
    pub fn certificate(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Speaks TLS from the first byte, with this certificate.
    #[must_use]
    pub fn implicit_tls(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self.implicit = true;
        self
    }

    /// Asks for this login before MAIL, and offers AUTH where there is TLS.
    #[must_use]
    pub fn login(mut self, user: &str, password: &str) -> Self {
        self.login = Some((user.to_owned(), password.to_owned()));
        self
    }

    /// The mechanisms of AUTH, of `PLAIN`, `LOGIN`, `XOAUTH2`, `CRAM-MD5` and `SCRAM-SHA-256`.
    /// Default: the first three. Others may be named and are refused when a client takes one.
    #[must_use]
    pub fn mechanisms(mut self, offered: &[&str]) -> Self {
        self.mechanisms = offered.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// Whether AUTH is offered and taken without TLS as well. Default: no.
    #[must_use]
    pub fn auth_before_tls(mut self, offered: bool) -> Self {
        self.auth_before_tls = offered;
        self
    }

    /// The most recipients of a transaction; those after it get `452 4.5.3`. Default: no limit.
    #[must_use]
    pub fn most_recipients(mut self, most: usize) -> Self {
        self.most_recipients = Some(most);
        self
    }

    /// The answer to a recipient too many, in place of `452 4.5.3`.
    #[must_use]
    pub fn too_many(mut self, reply: &str) -> Self {
        reply.clone_into(&mut self.too_many);
        self
    }

    /// Refuses all but these addresses with `550 5.1.1`.
    #[must_use]
    pub fn known(mut self, addresses: &[&str]) -> Self {
        self.known = Some(addresses.iter().map(|&one| one.to_owned()).collect());
        self
    }

    /// Answers RCPT for this address with this text.
    #[must_use]
    pub fn refuse(self, address: &str, reply: &str) -> Self {
        self.on_recipient(address, reply)
    }

    /// Lets RCPT for this address (case does not matter) meet an action, before all rules.
    #[must_use]
    pub fn on_recipient(mut self, address: &str, action: impl Into<Action>) -> Self {
        self.recipients.push((address.to_owned(), action.into()));
        self
    }

    /// Lets every such command meet an action. Rules for one time go before this.
    #[must_use]
    pub fn on(self, verb: Verb, action: impl Into<Action>) -> Self {
        self.rule(verb, When::Always, action.into())
    }

    /// Lets the `n`-th such command meet an action, from 1, over all connections since the script
    /// was set.
    #[must_use]
    pub fn on_nth(self, verb: Verb, n: u64, action: impl Into<Action>) -> Self {
        self.rule(verb, When::Nth(n), action.into())
    }

    /// Lets the next such command meet an action. Said twice, the second holds for the one after.
    #[must_use]
    pub fn once(self, verb: Verb, action: impl Into<Action>) -> Self {
        self.rule(verb, When::Once { used: false }, action.into())
    }

    fn rule(mut self, verb: Verb, when: When, action: Action) -> Self {
        self.rules.push(Rule { verb, when, action });
        self
    }

    /// Counts a command, and says what it meets, if it is not the usual.
    pub(crate) fn next(&mut self, verb: Verb, recipient: Option<&str>) -> Option<Action> {
        let count = match self.counts.iter_mut().find(|(of, _)| *of == verb) {
            Some((_, count)) => {
                *count += 1;
                *count
            }
            None => {
                self.counts.push((verb, 1));
                1
            }
        };
        let named = recipient.and_then(|to| {
            let mut all = self.recipients.iter();
            all.find(|(address, _)| address.eq_ignore_ascii_case(to))
        });
        if let Some((_, action)) = named {
            return Some(action.clone());
        }
        let of_verb = || {
            self.rules
                .iter()
                .enumerate()
                .filter(|(_, r)| r.verb == verb)
        };
        let at = of_verb()
            .find(|(_, rule)| matches!(rule.when, When::Nth(n) if n == count))
            .or_else(|| of_verb().find(|(_, rule)| matches!(rule.when, When::Once { used: false })))
            .or_else(|| of_verb().find(|(_, rule)| matches!(rule.when, When::Always)))
            .map(|(at, _)| at)?;
        let rule = &mut self.rules[at];
        if let When::Once { used } = &mut rule.when {
            *used = true;
        }
        Some(rule.action.clone())
    }

    /// Whether an extension is to be named in the answer to EHLO.
    pub(crate) fn shows(&self, extension: &str) -> bool {
        let word = extension.split(' ').next().unwrap_or_default();
        !self.hidden.iter().any(|h| h.eq_ignore_ascii_case(word))
    }

    /// Whether STARTTLS is offered on a connection without TLS.
    pub(crate) fn offers_starttls(&self) -> bool {
        self.identity.is_some() && !self.implicit && self.shows("STARTTLS")
    }
}

impl Default for Script {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::{Action, Script, Verb};

    #[test]
    fn rules_for_one_time_go_before_those_for_all() {
        let mut script = Script::new()
            .on(Verb::Mail, "450 all")
            .on_nth(Verb::Mail, 2, "450 second")
            .once(Verb::Mail, "450 first")
            .once(Verb::Mail, "450 third");
        let mut next = || match script.next(Verb::Mail, None) {
            Some(Action::Reply(text)) => text,
            other => panic!("{other:?}"),
        };
        let met: Vec<String> = (0..5).map(|_| next()).collect();
        assert_eq!(
            met,
            ["450 first", "450 second", "450 third", "450 all", "450 all"]
        );
        assert_eq!(script.next(Verb::Quit, None), None);
    }

    #[test]
    fn a_recipient_of_its_own_goes_first() {
        let mut script = Script::new()
            .on(Verb::Rcpt, "451 all")
            .refuse("A@x", "550 a");
        assert_eq!(
            script.next(Verb::Rcpt, Some("a@x")),
            Some(Action::reply("550 a"))
        );
        assert_eq!(
            script.next(Verb::Rcpt, Some("b@x")),
            Some(Action::reply("451 all"))
        );
    }

    #[test]
    fn what_is_hidden_is_not_offered_whatever_its_parameters() {
        let script = Script::new().without("size");
        assert!(!script.shows("SIZE 100"));
        assert!(script.shows("8BITMIME"));
        assert!(!script.offers_starttls());
    }
}
