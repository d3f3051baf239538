use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::sync::broadcast;

use super::action::{Action, Verb};
use super::script::Script;
use super::server::Shared;
use super::transaction::Transaction;
use super::wire::{End, Wire};

/// What was answered, by its code alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sent(pub(crate) u16);

impl Sent {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let digits = bytes
            .get(..3)
            .and_then(|code| std::str::from_utf8(code).ok());
        Self(digits.and_then(|code| code.parse().ok()).unwrap_or(0))
    }

    pub(crate) fn is_done(self) -> bool {
        self.0 / 100 == 2
    }
}

/// What EHLO or HELO settled.
pub(crate) struct Greeting {
    pub(crate) name: String,
    /// Lines of the answer to EHLO; empty after HELO.
    pub(crate) offered: Vec<String>,
}

/// One connection.
pub(crate) struct Session {
    pub(crate) wire: Wire,
    pub(crate) shared: Arc<Shared>,
    farewells: broadcast::Receiver<String>,
    pub(crate) number: usize,
    pub(crate) greeting: Option<Greeting>,
    pub(crate) login: Option<(String, String)>,
    pub(crate) transaction: Option<Transaction>,
}

impl Session {
    pub(crate) fn new(stream: TcpStream, shared: Arc<Shared>, number: usize) -> Self {
        Self {
            wire: Wire::new(stream),
            farewells: shared.farewells(),
            shared,
            number,
            greeting: None,
            login: None,
            transaction: None,
        }
    }

    pub(crate) async fn run(mut self) {
        let end = match self.converse().await {
            Ok(()) => End::Cut,
            Err(end) => end,
        };
        self.wire.end(end).await;
    }

    pub(crate) fn fault(&self, what: impl Into<String>) {
        let what = what.into();
        self.shared.change(|state| state.faults.push(what));
    }

    pub(crate) fn record(&self, line: &[u8]) {
        let line = String::from_utf8_lossy(line).into_owned();
        let number = self.number;
        self.shared
            .change(|state| state.sessions[number].push(line));
    }

    /// Ends with `Ok` after QUIT.
    async fn converse(&mut self) -> Result<(), End> {
        let script = self.shared.script();
        let mut banner = self.shared.action(Verb::Connect, None);
        if let Some(identity) = script.identity.as_ref().filter(|_| script.implicit) {
            if let Some(action) = banner.take_if(|action| action.is_no_tls()) {
                return Err(self.no_tls(&action).await);
            }
            self.wire.handshake(identity.acceptor()).await?;
        }
        let usual = lines("220", script.banner.split('\n'));
        if let Some(Action::Delay(time, text)) = banner {
            self.wire.pause(time).await?;
            banner = (!text.is_empty()).then_some(Action::Reply(text));
        }
        if self.wire.has_more().await {
            self.fault("the client talked before the greeting");
        }
        self.carry_out(banner, &usual).await?;
        loop {
            let line = self.command().await?;
            if self.obey(&line).await? == Verb::Quit {
                return Ok(());
            }
        }
    }

    /// The next command; or the end, when the server hangs up meanwhile.
    pub(crate) async fn command(&mut self) -> Result<Vec<u8>, End> {
        let line = tokio::select! {
            line = self.wire.line() => line?,
            text = self.farewells.recv() => {
                if let Ok(text) = text && !text.is_empty() {
                    self.wire.write(&crlf(&text)).await?;
                }
                return Err(End::Cut);
            }
        };
        self.record(&line);
        self.look_at(&line, "a command");
        Ok(line)
    }

    /// Notes what no line may have.
    pub(crate) fn look_at(&self, line: &[u8], what: &str) {
        if line.contains(&b'\r') || line.contains(&b'\n') {
            self.fault(format!("{what} with a CR or LF alone"));
        }
    }

    async fn obey(&mut self, line: &[u8]) -> Result<Verb, End> {
        let text = String::from_utf8_lossy(line).into_owned();
        let (word, argument) = text.split_once(' ').unwrap_or((&text, ""));
        let word = word.to_ascii_uppercase();
        let verb = verb_of(&word);
        // RFC 5321 §4.5.3.1.4; RFC 4954 §4; and what MAIL and RCPT get from their extensions.
        let most = match verb {
            Verb::Auth => 12_288,
            Verb::Mail | Verb::Rcpt => 1024,
            _ => 512,
        };
        if line.len() + 2 > most {
            self.fault(format!("{word} of {} octets", line.len() + 2));
        }
        if self.wire.has_more().await {
            self.ahead(verb, &word);
        }
        let script = self.shared.script();
        match verb {
            Verb::Ehlo | Verb::Helo => self.greet(verb, argument, &script).await?,
            Verb::StartTls => self.start_tls(&script).await?,
            Verb::Auth => self.log_in(argument, &script).await?,
            Verb::Mail => self.mail(argument, &script).await?,
            Verb::Rcpt => self.rcpt(argument, &script).await?,
            Verb::Data => self.data(&script).await?,
            Verb::Rset => {
                if self.answer(verb, "250 2.0.0 Ok").await?.is_done() {
                    self.transaction = None;
                }
            }
            Verb::Noop => {
                self.answer(verb, "250 2.0.0 Ok").await?;
            }
            Verb::Quit => {
                self.answer(verb, "221 2.0.0 Bye").await?;
            }
            _ => {
                let usual = "502 5.5.2 Error: command not recognized";
                self.answer(verb, usual).await?;
            }
        }
        Ok(verb)
    }

    /// Notes commands that came before the answer to this one (RFC 2920 §3.1).
    pub(crate) fn ahead(&self, verb: Verb, word: &str) {
        let offered = self.greeting.as_ref().map_or(&[][..], |g| &g.offered);
        let may = matches!(verb, Verb::Mail | Verb::Rcpt | Verb::Rset);
        if !may {
            self.fault(format!("more was sent before the answer to {word}"));
        } else if !offered
            .iter()
            .any(|line| line.eq_ignore_ascii_case("PIPELINING"))
        {
            self.fault(format!(
                "more was sent before the answer to {word} without PIPELINING"
            ));
        }
    }

    pub(crate) async fn answer(&mut self, verb: Verb, usual: &str) -> Result<Sent, End> {
        let action = self.shared.action(verb, None);
        self.carry_out(action, usual).await
    }

    async fn reply(&mut self, text: &str) -> Result<Sent, End> {
        let bytes = crlf(text);
        self.wire.write(&bytes).await?;
        Ok(Sent::of(&bytes))
    }

    pub(crate) async fn carry_out(
        &mut self,
        action: Option<Action>,
        usual: &str,
    ) -> Result<Sent, End> {
        let or_usual = |text: String| {
            if text.is_empty() {
                usual.to_owned()
            } else {
                text
            }
        };
        match action {
            None
            | Some(
                Action::InBody(..)
                | Action::InjectBeforeTls
                | Action::GarbageTls
                | Action::TlsAlert
                | Action::OldTls
                | Action::CutTls
                | Action::StallTls,
            ) => self.reply(usual).await,
            Some(Action::Reply(text)) => self.reply(&text).await,
            Some(Action::Bytes(bytes)) => {
                self.wire.write(&bytes).await?;
                Ok(Sent::of(&bytes))
            }
            Some(Action::Stall | Action::TakeThenStall) => Err(self.wire.left().await),
            Some(Action::Freeze) => std::future::pending().await,
            Some(Action::Cut | Action::TakeThenCut) => Err(End::Cut),
            Some(Action::Reset) => Err(End::Reset),
            Some(Action::HalfClose) => {
                self.wire.half_close().await?;
                Err(self.wire.left().await)
            }
            Some(Action::ReplyThenCut(text)) => {
                self.reply(&text).await?;
                Err(End::Cut)
            }
            Some(Action::Delay(time, text)) => {
                self.wire.pause(time).await?;
                self.reply(&or_usual(text)).await
            }
            Some(Action::Split(text)) => {
                let bytes = crlf(&or_usual(text));
                self.wire.drip(&bytes).await?;
                Ok(Sent::of(&bytes))
            }
        }
    }

    async fn greet(&mut self, verb: Verb, name: &str, script: &Script) -> Result<(), End> {
        let mut offered = Vec::new();
        if verb == Verb::Ehlo {
            offered = self.offers(script);
        }
        let usual = if name.is_empty() {
            "501 5.5.4 Syntax: EHLO hostname".to_owned()
        } else {
            let host = script.banner.split([' ', '\n']).next().unwrap_or_default();
            let all = std::iter::once(host).chain(offered.iter().map(String::as_str));
            lines("250", all)
        };
        if self.answer(verb, &usual).await?.is_done() {
            self.transaction = None;
            self.greeting = Some(Greeting {
                name: name.to_owned(),
                offered,
            });
        }
        Ok(())
    }

    fn offers(&self, script: &Script) -> Vec<String> {
        let mut all = script.extensions.clone();
        all.push(format!("SIZE {}", script.size));
        if script.offers_starttls() && !self.wire.is_tls() {
            all.push("STARTTLS".to_owned());
        }
        if script.login.is_some() && (self.wire.is_tls() || script.auth_before_tls) {
            all.push(format!("AUTH {}", script.mechanisms.join(" ")));
        }
        all.retain(|line| script.shows(line));
        all
    }

    async fn start_tls(&mut self, script: &Script) -> Result<(), End> {
        let identity = script.identity.as_ref();
        let Some(identity) = identity.filter(|_| script.offers_starttls() && !self.wire.is_tls())
        else {
            let usual = "502 5.5.1 Error: STARTTLS is not offered";
            self.answer(Verb::StartTls, usual).await?;
            return Ok(());
        };
        let usual = "220 2.0.0 Ready to start TLS";
        let action = self.shared.action(Verb::StartTls, None);
        let sent = if action == Some(Action::InjectBeforeTls) {
            let both = format!("{usual}\n250 2.0.0 injected");
            self.reply(&both).await?
        } else {
            self.carry_out(action.clone(), usual).await?
        };
        if sent.0 != 220 {
            return Ok(());
        }
        if let Some(action) = action.filter(Action::is_no_tls) {
            return Err(self.no_tls(&action).await);
        }
        // RFC 3207 §4.2: all that was learnt before is forgotten.
        self.greeting = None;
        self.transaction = None;
        self.wire.handshake(identity.acceptor()).await
    }

    /// What stands in the place of a handshake, from the client's first bytes on.
    async fn no_tls(&mut self, action: &Action) -> End {
        if let Err(end) = self.wire.any().await {
            return end;
        }
        let bytes: &[u8] = match action {
            Action::GarbageTls => b"500 5.5.2 Error: bad syntax\r\n",
            // A record (RFC 8446 §5.1) of type alert, TLS 1.2, with a fatal handshake_failure.
            Action::TlsAlert => &[0x15, 3, 3, 0, 2, 2, 40],
            Action::OldTls => &[0x15, 3, 1, 0, 2, 2, 70],
            Action::CutTls => return End::Cut,
            _ => b"",
        };
        match self.wire.write(bytes).await {
            Ok(()) => self.wire.left().await,
            Err(end) => end,
        }
    }
}

fn verb_of(word: &str) -> Verb {
    match word {
        "EHLO" => Verb::Ehlo,
        "HELO" => Verb::Helo,
        "STARTTLS" => Verb::StartTls,
        "AUTH" => Verb::Auth,
        "MAIL" => Verb::Mail,
        "RCPT" => Verb::Rcpt,
        "DATA" => Verb::Data,
        "RSET" => Verb::Rset,
        "NOOP" => Verb::Noop,
        "QUIT" => Verb::Quit,
        _ => Verb::Other,
    }
}

/// A reply of these lines, of which all but the last have a hyphen behind the code.
fn lines<'a>(code: &str, texts: impl Iterator<Item = &'a str>) -> String {
    let texts: Vec<&str> = texts.collect();
    let last = texts.len().saturating_sub(1);
    let mut all = texts.iter().enumerate().map(|(at, text)| {
        let mark = if at < last { '-' } else { ' ' };
        format!("{code}{mark}{text}")
    });
    let first = all.next().unwrap_or_default();
    all.fold(first, |reply, line| format!("{reply}\n{line}"))
}

/// Lines parted by LF or CRLF, each ended by CRLF.
fn crlf(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() + 2);
    for line in text.trim_end_matches('\n').split('\n') {
        bytes.extend_from_slice(line.trim_end_matches('\r').as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}
