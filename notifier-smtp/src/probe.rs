//! A look whether a relay would take a mail.

use lettre::transport::smtp::{commands::Rset, extension::MailParameter};

use crate::{
    address::Address,
    envelope::{mail, rcpt},
    error::{Failure, Step},
    session::Session,
    transaction::strange,
};

/// Asks for the sender and these recipients, and sends nothing.
///
/// # Errors
/// The first refusal.
pub(crate) async fn probe(
    session: &mut Session,
    sender: &Address,
    to: &[Address],
) -> Result<(), Failure> {
    let (who, within) = (session.who.clone(), session.reply);
    let mut everybody = to.iter().chain([sender]);
    let parameters = match session.offers.utf8 && everybody.any(Address::needs_utf8) {
        true => vec![MailParameter::SmtpUtfEight],
        false => Vec::new(),
    };
    let link = &mut session.link;
    let mut steps = vec![(Step::Mail(sender.to_string()), mail(sender, parameters)?)];
    for one in to {
        steps.push((Step::Rcpt(one.to_string()), rcpt(one)?));
    }
    for (step, command) in steps {
        let reply = link.ask(&command, within).await;
        let reply = reply.map_err(|fault| who.broken(&step, &fault))?;
        if reply.is_transient() || reply.is_permanent() {
            return Err(who.refused(&step, &reply));
        }
        if !reply.is_done() {
            return Err(who.broken(&step, &strange(&reply)));
        }
    }
    match link.ask(&Rset.to_string(), within).await {
        Ok(_) => Ok(()),
        Err(fault) => Err(who.broken(&Step::Rset, &fault)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rig::{Does::Say, relay, session};

    const OK: crate::rig::Does = Say("250 2.1.5 Ok");

    #[tokio::test(start_paused = true)]
    async fn a_probe_sends_nothing() {
        let (mut session, theirs) = session(true);
        let lines = relay(
            theirs,
            vec![("MAIL", OK), ("RCPT", OK), ("RCPT", Say("550 5.1.1 no"))],
        );
        let sender = Address::read("f@x.example").unwrap();
        let failure = probe(
            &mut session,
            &sender,
            &[
                Address::read("a@x.example").unwrap(),
                Address::read("b@x.example").unwrap(),
            ],
        )
        .await
        .unwrap_err();
        assert_eq!(failure.code.as_deref(), Some("550 5.1.1"));
        drop(session);
        assert_eq!(lines.await.unwrap().len(), 3);
    }
}
