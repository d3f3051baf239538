//! A message, where one may be sent.

use notifier_core::Clock;
use serde_json::json;
use smtp_wire::Sent;
use tokio::time::Instant;

use super::{
    advice, message,
    record::Record,
    transaction::{Asked, ask, is_address, mail, no_address, unique},
};
use crate::{
    connection::{Connection, Stop},
    report::Phase,
    target::Target,
};

/// Sends one message to the first recipient.
pub(super) async fn data_end(
    connection: &mut Connection,
    target: &Target,
    from: &str,
    clock: &dyn Clock,
    record: &mut Record,
) -> Result<(), Stop> {
    const ID: &str = "data_end";
    let to = unique(&target.rcpt[0]);
    let text = message::probe(from, &to, &connection.helo, clock.now());
    let Some(text) = text.filter(|_| is_address(&to)) else {
        record.push(no_address(ID, Phase::Rcpt, &to));
        return Ok(());
    };
    let steps = [
        (Phase::Mail, mail(connection, from, [&to], 0)),
        (Phase::Rcpt, format!("RCPT TO:<{to}>")),
        (Phase::Data, "DATA".to_owned()),
    ];
    for (phase, command) in steps {
        let asked = match ask(connection, phase, command, record).await {
            Ok(asked) => asked,
            Err((stop, took)) => return Err(record.stop(ID, stop, took)),
        };
        let is_taken = match phase {
            Phase::Data => asked.reply.code() == 354,
            _ => asked.reply.is_done(),
        };
        if !is_taken {
            let check = match asked.reply.is_done() {
                true => Stop::refused(phase, asked.reply.clone()).check(ID),
                false => asked.check(ID, phase),
            };
            record.push(check.sent(&asked.sent).subject(&to));
            return Ok(());
        }
    }
    let begun = Instant::now();
    let within = connection.within;
    let sent = connection.link.send(&text, within).await;
    let is_whole = sent == Sent::Whole;
    let reply = match sent {
        Sent::Broken(_, fault) => Err(fault),
        // What it says meanwhile is its answer.
        Sent::Whole | Sent::Interrupted => connection.link.reply(within).await,
    };
    let took = begun.elapsed();
    record.spent(Phase::Eod, took);
    let reply = match reply {
        Ok(reply) => reply,
        Err(fault) => {
            let stop = advice::silent(Stop::broken(Phase::Eod, &fault));
            return Err(record.stop(ID, stop, took));
        }
    };
    if !is_whole {
        // The dot did not go, so that nothing can be asked any more.
        let text = format!(
            "the server answers before the message is whole: {} {}",
            reply.codes(),
            reply.text()
        );
        let stop = Stop::refused(Phase::Eod, reply);
        let stop = advice::silent(Stop {
            text,
            over: true,
            ..stop
        })
        .with_hint("the server's log says why it breaks off");
        return Err(record.stop(ID, stop, took));
    }
    let asked = Asked {
        sent: "a message".to_owned(),
        reply,
        took,
        standing: connection.standing(),
    };
    let check = asked.check(ID, Phase::Eod).subject(&to);
    if asked.reply.is_closing() {
        let stop = Stop::refused(Phase::Eod, asked.reply);
        record.push(check);
        record.end(&stop);
        return Err(stop);
    }
    record.push(match asked.reply.queue_id() {
        Some(id) => check.data(json!({ "queue_id": id })),
        None => check,
    });
    Ok(())
}
