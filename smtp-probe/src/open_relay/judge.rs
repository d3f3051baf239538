//! From what became of the forms to one verdict.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    report::{Check, Class, Phase, State},
    target::Expect,
};

use super::{
    ID,
    battery::Halt,
    form::Ending,
    vantage::Vantage,
    verdict::{Tried, Verdict, shortened},
    words::{MOST_NAMED, count, families, is_inner, relays_as},
};

/// What to do about 450 and 451.
const LATER: &str =
    "ask again in some minutes: a server that greylists, or that lacks something, takes it then";

/// All that was found.
pub(super) struct Findings<'a> {
    pub(super) expect: Expect,
    pub(super) may_send: bool,
    pub(super) vantage: Vantage,
    pub(super) domain: &'a str,
    pub(super) tried: &'a [Tried],
    pub(super) is_catch_all: &'a dyn Fn(Ending) -> bool,
    pub(super) halted: Option<Halt>,
    /// What a login opens, where it must.
    pub(super) login: Option<AfterLogin>,
    /// Whether the target has a login; that is used only where it must open it.
    pub(super) has_login: bool,
    /// What else is to be said.
    pub(super) notes: Vec<String>,
}

/// What became of the first form after the login.
#[derive(Debug)]
pub(super) enum AfterLogin {
    NoneGiven,
    Asked(Tried),
    Halted(Halt),
}

impl Findings<'_> {
    pub(super) fn judge(self) -> Check {
        let mut check = match self.expect {
            Expect::Closed | Expect::Auth => self.closed(),
            Expect::Trusted => self.trusted(),
        };
        if let Some(login) = &self.login {
            check = self.after_login(login, check);
        }
        for note in &self.notes {
            check.text.push_str("; ");
            check.text.push_str(note);
        }
        check.data(self.data())
    }

    /// What the login adds to what is so without it. The worse of both counts.
    fn after_login(&self, login: &AfterLogin, without: Check) -> Check {
        let (failed, text) = match login {
            AfterLogin::NoneGiven => (None, "no login was given to try what it opens".to_owned()),
            AfterLogin::Asked(tried) if tried.verdict.is_open() => {
                (None, "a login opens it, as it must".to_owned())
            }
            AfterLogin::Asked(tried) => {
                let text = format!(
                    "the login opens nothing: {} ({})",
                    tried.asked(),
                    self.answer(tried)
                );
                let (state, phase, hint) = match tried.verdict {
                    _ if tried.is_for_now() => (State::Warn, tried.at, LATER),
                    Verdict::RefusedData => (
                        State::Crit,
                        Phase::Data,
                        "look what refuses the message itself: smtpd_data_restrictions, or a filter",
                    ),
                    _ if tried.at == Phase::Mail => (
                        State::Crit,
                        Phase::Mail,
                        "let the login send from this address (smtpd_sender_login_maps), or name one with --from that it may use",
                    ),
                    _ => (
                        State::Crit,
                        Phase::Rcpt,
                        "put permit_sasl_authenticated before the rejects of smtpd_relay_restrictions",
                    ),
                };
                let check = none(state, phase, text.clone());
                let check = self.with_reply(check.class(class(tried.verdict)), tried);
                (Some(check.hint(hint)), text)
            }
            AfterLogin::Halted(halt) => {
                let check = match halt {
                    Halt::Broken(stop) => stop.clone().check(ID),
                    _ => halted(halt, None),
                };
                let text = format!("the login could not be tried: {}", check.text);
                (Some(check), text)
            }
        };
        match failed {
            Some(failed) if failed.state > without.state => Check {
                text: format!("{text}; {}", without.text),
                ..failed
            },
            _ => Check {
                text: format!("{}; {text}", without.text),
                ..without
            },
        }
    }

    fn data(&self) -> Value {
        let expect = match self.expect {
            Expect::Closed => "closed",
            Expect::Trusted => "trusted",
            Expect::Auth => "auth",
        };
        json!({
            "vantage": self.vantage.data(),
            "expect": expect,
            "own_domain": self.domain,
            "forms": self.tried.iter().map(Tried::data).collect::<Vec<_>>(),
        })
    }

    /// Whether a catch-all takes it for one of its own.
    fn may_be_local(&self, tried: &Tried) -> bool {
        tried.form.is_own() && (self.is_catch_all)(tried.form.ending)
    }

    /// Nobody may relay.
    fn closed(&self) -> Check {
        let taken: Vec<&Tried> = self.tried.iter().filter(|t| t.verdict.is_open()).collect();
        if let Some(first) = taken
            .iter()
            .find(|t| t.verdict == Verdict::AcceptedData && !self.may_be_local(t) && !is_inner(t))
        {
            let text = format!("open: it took a message {}", first.asked());
            return self.open(first, &taken, Phase::Eod, &text);
        }
        let open: Vec<&Tried> = taken
            .iter()
            .filter(|t| !self.may_be_local(t) && !is_inner(t))
            .copied()
            .collect();
        if let Some(first) = open.first() {
            let what = match first.pretended {
                None => format!("it takes {}", first.asked()),
                Some(_) => relays_as(&open),
            };
            let text = format!("open (unconfirmed): {what}");
            return self.open(first, &open, Phase::Rcpt, &text);
        }
        if let Some(halt) = &self.halted {
            return halted(halt, Some(self));
        }
        let inner: Vec<&Tried> = taken.iter().filter(|t| is_inner(t)).copied().collect();
        if let Some(first) = inner.first() {
            let text = format!("{}; closed from here, {}", relays_as(&inner), self.vantage);
            return self.with_reply(none(State::Warn, Phase::Rcpt, text), first).hint(
                "take this network out of mynetworks if connections from elsewhere come by it, as behind an ingress network",
            );
        }
        if let Some(first) = taken.first() {
            let text = format!(
                "suspicious: it takes {}, and any other user there: {} that end in its own names may be local ones ({}), {}",
                first.asked(),
                count(taken.len(), "form"),
                families(&taken),
                self.vantage
            );
            return self.with_reply(none(State::Warn, Phase::Rcpt, text), first).hint(
                "refuse unknown users (local_recipient_maps, virtual_mailbox_maps), so that these forms can be told from relaying",
            );
        }
        self.shut()
    }

    /// All was refused.
    fn shut(&self) -> Check {
        let deferred = self.with(Verdict::Deferred);
        let at_data = self.with(Verdict::RefusedData);
        let mut text = match () {
            () if at_data == self.tried.len() => "closed, at DATA",
            () if deferred == self.tried.len() => "closed, deferred",
            () => "closed",
        }
        .to_owned();
        text.push_str(&format!(
            ": {} refused ({})",
            count(self.tried.len(), "form"),
            self.codes()
        ));
        for (n, what) in [
            (deferred, "deferred only"),
            (at_data, "refused at DATA only"),
        ] {
            if n > 0 && n < self.tried.len() {
                text.push_str(&format!(", {n} {what}"));
            }
        }
        text.push_str(&format!(", {}", self.vantage));
        if self.vantage.is_inside() {
            text.push_str(": others may be trusted for their address");
        }
        let phase = match at_data {
            0 => Phase::Rcpt,
            _ => Phase::Data,
        };
        let check = Check::ok(ID, phase, text);
        match self.tried.first() {
            Some(first) => self.with_reply(check, first),
            None => check,
        }
    }

    /// Something is open.
    fn open(&self, first: &Tried, open: &[&Tried], phase: Phase, text: &str) -> Check {
        let mut text = text.to_owned();
        if open.len() > 1 && first.pretended.is_none() {
            let others = count(open.len(), "form");
            text.push_str(&format!(
                " ({others} of {}: {})",
                self.tried.len(),
                families(open)
            ));
        }
        let pretended: Vec<&Tried> = open
            .iter()
            .filter(|t| t.pretended.is_some())
            .copied()
            .collect();
        if first.pretended.is_none() && !pretended.is_empty() {
            text.push_str(&format!("; {}", relays_as(&pretended)));
        }
        text.push_str(&format!("; {}", self.vantage));
        if self.vantage.is_inside() && first.pretended.is_none() {
            text.push_str(": an outsider may be refused");
        }
        let mut hint = first.form.family.hint().to_owned();
        if phase == Phase::Rcpt && !self.may_send {
            hint.push_str("; --send shows whether a message goes through");
        }
        self.with_reply(none(State::Crit, phase, text), first)
            .hint(hint)
    }

    /// We may relay.
    fn trusted(&self) -> Check {
        let (pretended, ours): (Vec<&Tried>, Vec<&Tried>) =
            self.tried.iter().partition(|t| t.pretended.is_some());
        let Some(ours) = ours.first() else {
            return match &self.halted {
                Some(halt) => halted(halt, Some(self)),
                None => Check::unknown(ID, Phase::Rcpt, Class::Proto, "nothing was answered"),
            };
        };
        let answer = self.answer(ours);
        if !ours.verdict.is_open() {
            let text = format!(
                "not trusted: it refuses {} ({answer}), {}",
                ours.asked(),
                self.vantage
            );
            if ours.is_for_now() {
                let text = format!("deferred: {text}");
                let check = Check::warn(ID, ours.at, Class::Reply4, text);
                return self.with_reply(check, ours).hint(LATER);
            }
            let phase = match ours.verdict {
                Verdict::RefusedData => Phase::Data,
                _ => ours.at,
            };
            return self
                .with_reply(Check::crit(ID, phase, class(ours.verdict), text), ours)
                .hint(match self.has_login {
                    true => format!("add {} to mynetworks", self.vantage.local),
                    false => format!("add {} to mynetworks, or log in", self.vantage.local),
                });
        }
        let public: Vec<&Tried> = pretended
            .into_iter()
            .filter(|t| t.verdict.is_open() && !is_inner(t))
            .collect();
        if let Some(first) = public.first() {
            let text = format!(
                "open (unconfirmed): {}; {}",
                relays_as(&public),
                self.vantage
            );
            let check = none(State::Crit, Phase::Rcpt, text);
            return self.with_reply(check, first).hint(first.form.family.hint());
        }
        let text = format!(
            "trusted, as expected: it takes {}, {}",
            ours.asked(),
            self.vantage
        );
        self.with_reply(Check::ok(ID, Phase::Rcpt, text), ours)
    }

    fn with(&self, verdict: Verdict) -> usize {
        self.tried.iter().filter(|t| t.verdict == verdict).count()
    }

    fn answer(&self, tried: &Tried) -> String {
        match &tried.reply {
            Some(reply) => format!("{} {}", reply.codes(), shortened(&reply.text())),
            None => "it hung up".to_owned(),
        }
    }

    /// `554 5.7.1: 40, 501: 3`, the most frequent first.
    fn codes(&self) -> String {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for tried in self.tried {
            let codes = tried.reply.as_ref().map(|r| r.codes());
            *counts
                .entry(codes.unwrap_or_else(|| "hung up".to_owned()))
                .or_default() += 1;
        }
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
        let named = counts.iter().take(MOST_NAMED);
        let named: Vec<String> = named.map(|(code, n)| format!("{code}: {n}")).collect();
        named.join(", ")
    }

    fn with_reply(&self, check: Check, tried: &Tried) -> Check {
        let check = check.sent(tried.command());
        match &tried.reply {
            Some(reply) => check.reply(reply),
            None => check,
        }
    }
}

/// A check of a state that no failure of the connection explains.
fn none(state: State, phase: Phase, text: String) -> Check {
    Check::ok(ID, phase, text).state(state)
}

/// What kind of refusal it is.
fn class(verdict: Verdict) -> Class {
    match verdict {
        Verdict::Deferred => Class::Reply4,
        Verdict::HungUp => Class::Eof,
        _ => Class::Reply5,
    }
}

/// Why the battery could not be finished.
pub(super) fn halted(halt: &Halt, findings: Option<&Findings<'_>>) -> Check {
    let (phase, class, what) = match halt {
        Halt::RateLimited(reply) => (
            Phase::Rcpt,
            Class::Reply4,
            format!(
                "rate limited: {} {}",
                reply.codes(),
                shortened(&reply.text())
            ),
        ),
        Halt::Broken(stop) => (stop.phase, stop.class, stop.text.clone()),
        Halt::OutOfTime => (
            Phase::Rcpt,
            Class::Timeout,
            "the server is too slow to ask all forms".to_owned(),
        ),
    };
    let mut text = what;
    if let Some(findings) = findings {
        text.push_str(&format!(
            ", after {} that were refused, {}",
            count(findings.tried.len(), "form"),
            findings.vantage
        ));
    }
    let check = Check::unknown(ID, phase, class, text);
    match halt {
        Halt::RateLimited(reply) => check
            .reply(reply)
            .hint("try again later, or except this address from the server's limits"),
        Halt::Broken(stop) => {
            let check = match &stop.reply {
                Some(reply) => check.reply(reply),
                None => check,
            };
            match &stop.hint {
                Some(hint) => check.hint(hint.clone()),
                None => check,
            }
        }
        Halt::OutOfTime => check.hint("give it more time with --timeout"),
    }
}
