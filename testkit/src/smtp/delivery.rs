//! A mail from MAIL to the answer to its dot.

use super::action::{Action, Verb};
use super::mail::ReceivedMail;
use super::script::Script;
use super::session::{Sent, Session};
use super::transaction::{Transaction, path, refusal, too_large};
use super::wire::End;

impl Session {
    pub(crate) async fn mail(&mut self, argument: &str, script: &Script) -> Result<(), End> {
        let read = path(argument, "FROM:");
        let offered = self.greeting.as_ref().map(|g| g.offered.clone());
        let usual = match (&offered, &read) {
            (None, _) => "503 5.5.1 Error: send HELO/EHLO first".to_owned(),
            _ if self.transaction.is_some() => "503 5.5.1 Error: nested MAIL command".to_owned(),
            _ if script.login.is_some() && self.login.is_none() => {
                if script.offers_starttls() && !self.wire.is_tls() {
                    "530 5.7.0 Must issue a STARTTLS command first".to_owned()
                } else {
                    "530 5.7.0 Authentication required".to_owned()
                }
            }
            (_, None) => "501 5.5.4 Syntax: MAIL FROM:<address>".to_owned(),
            (Some(offered), Some((_, parameters))) => {
                refusal(parameters, offered, script).unwrap_or_else(|| "250 2.1.0 Ok".to_owned())
            }
        };
        let done = self.answer(Verb::Mail, &usual).await?.is_done();
        if let Some((from, from_parameters)) = read
            && done
        {
            let transaction = Transaction {
                from,
                from_parameters,
                recipients: Vec::new(),
            };
            if let Some(fault) = transaction.envelope_fault(&transaction.from) {
                self.fault(fault);
            }
            self.transaction = Some(transaction);
        }
        Ok(())
    }

    pub(crate) async fn rcpt(&mut self, argument: &str, script: &Script) -> Result<(), End> {
        let read = path(argument, "TO:");
        let offered = self.greeting.as_ref().map(|g| g.offered.clone());
        let usual = match (&self.transaction, &read) {
            (None, _) => "503 5.5.1 Error: need MAIL command".to_owned(),
            (_, None) => "501 5.5.4 Syntax: RCPT TO:<address>".to_owned(),
            (Some(transaction), Some((to, parameters))) => {
                let full = |most| transaction.recipients.len() >= most;
                let same = |known: &String| known.eq_ignore_ascii_case(to);
                if let Some(text) = refusal(parameters, &offered.unwrap_or_default(), script) {
                    text
                } else if script.most_recipients.is_some_and(full) {
                    script.too_many.clone()
                } else if script
                    .known
                    .as_ref()
                    .is_some_and(|all| !all.iter().any(same))
                {
                    format!("550 5.1.1 <{to}>: Recipient address rejected: User unknown")
                } else {
                    "250 2.1.5 Ok".to_owned()
                }
            }
        };
        let to = read.as_ref().map(|(to, _)| to.as_str());
        let action = self.shared.action(Verb::Rcpt, to);
        let done = self.carry_out(action, &usual).await?.is_done();
        if let Some(transaction) = &mut self.transaction
            && let Some(read) = read
            && done
        {
            let fault = transaction.envelope_fault(&read.0);
            transaction.recipients.push(read);
            if let Some(fault) = fault {
                self.fault(fault);
            }
        }
        Ok(())
    }

    pub(crate) async fn data(&mut self, script: &Script) -> Result<(), End> {
        let usual = match &self.transaction {
            None => "503 5.5.1 Error: need MAIL command",
            Some(transaction) if transaction.recipients.is_empty() => {
                "554 5.5.1 Error: no valid recipients"
            }
            Some(_) => "354 End data with <CR><LF>.<CR><LF>",
        };
        let action = self.shared.action(Verb::Data, None);
        let within = match &action {
            Some(Action::InBody(octets, action)) => Some((*octets, (**action).clone())),
            _ => None,
        };
        if self.carry_out(action, usual).await?.0 != 354 {
            return Ok(());
        }
        let data = self.message(within).await?;
        self.record(b".");
        let transaction = self.transaction.take().unwrap_or_default();
        for fault in transaction.message_faults(&data) {
            self.fault(fault);
        }
        if self.wire.has_more().await {
            self.ahead(Verb::Rset, "the dot");
        }
        self.take(transaction, data, script).await
    }

    /// Reads a message up to its dot.
    async fn message(&mut self, mut within: Option<(usize, Action)>) -> Result<Vec<u8>, End> {
        let mut data = Vec::new();
        loop {
            if let Some((_, action)) = within.take_if(|(octets, _)| data.len() >= *octets) {
                let end = match self.carry_out(Some(action), "250 2.0.0 Ok").await {
                    Ok(_) => continue,
                    // Reading on would let the client think that all of it arrived.
                    Err(End::Cut) => End::CutAtOnce,
                    Err(end) => end,
                };
                return Err(end);
            }
            let line = self.wire.line().await?;
            if line == b"." {
                return Ok(data);
            }
            self.look_at(&line, "a line of a message");
            let line = line.strip_prefix(b".").unwrap_or(&line);
            // RFC 5321 §4.5.3.1.6, the dot that was added for the transfer not counted.
            let octets = line.len() + 2;
            if octets > 1000 {
                self.fault(format!("a line of a message of {octets} octets"));
            }
            data.extend_from_slice(line);
            data.extend_from_slice(b"\r\n");
        }
    }

    /// Answers the dot, and keeps the mail if that says so.
    async fn take(&mut self, of: Transaction, data: Vec<u8>, script: &Script) -> Result<(), End> {
        let number = self.shared.change(|state| state.mails.len());
        let id = format!("4F{:03X}{number:05X}", self.number);
        let large = script.size > 0 && data.len() as u64 > script.size;
        let usual = if large {
            too_large().to_owned()
        } else if of.recipients.is_empty() {
            "554 5.5.1 Error: no valid recipients".to_owned()
        } else {
            format!("250 2.0.0 Ok: queued as {id}")
        };
        let mail = ReceivedMail {
            id,
            from: of.from,
            from_parameters: of.from_parameters,
            recipients: of.recipients,
            data,
            tls: self.wire.is_tls(),
            login: self.login.clone(),
            helo: self
                .greeting
                .as_ref()
                .map_or_else(String::new, |g| g.name.clone()),
        };
        let action = self.shared.action(Verb::Body, None);
        if matches!(action, Some(Action::TakeThenCut | Action::TakeThenStall)) {
            self.shared.change(|state| state.mails.push(mail));
            self.carry_out(action, &usual).await?;
            return Ok(());
        }
        // Kept before it is answered: who has the answer finds the mail.
        let said = match &action {
            None => usual.as_bytes(),
            Some(Action::Delay(_, text) | Action::Split(text)) if text.is_empty() => {
                usual.as_bytes()
            }
            Some(
                Action::Reply(text)
                | Action::ReplyThenCut(text)
                | Action::Delay(_, text)
                | Action::Split(text),
            ) => text.as_bytes(),
            Some(Action::Bytes(bytes)) => bytes,
            Some(_) => b"",
        };
        let takes = Sent::of(said).is_done();
        // Nobody gets a mail without recipients, whatever is answered.
        if takes && !mail.recipients.is_empty() {
            self.shared.change(|state| state.mails.push(mail));
        }
        self.carry_out(action, &usual).await?;
        Ok(())
    }
}
