//! What is told of a canary.

use std::{net::IpAddr, time::Duration};

use ipnet::IpNet;
use notifier_core::jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    Flight, Late,
    bounce::Bounce,
    find::{Found, What},
    stopped::{self, Seen},
    way::{Step, delivery, steps},
};
use crate::{
    connection::Stop,
    past::Sent,
    report::{Check, Class, Measure, Phase, State, milliseconds},
    target::Target,
};

const ID: &str = "canary";

/// The end could not be looked into: that says nothing about the mail.
pub(super) fn blind(mut stop: Stop, then: &str) -> Check {
    stop.text = format!(
        "the canary's end cannot be looked into: {}; {then}",
        stop.text
    );
    stop.state = State::Unknown;
    stop.check(ID)
}

/// The same after it was sent.
pub(super) fn taken_blind(stop: Stop, flight: &Flight, target: &Target) -> Check {
    let then = format!("{target} took it{}", under(flight));
    blind(stop, &then).data(base(flight))
}

fn under(flight: &Flight) -> String {
    let id = flight.accepted.queue_id.as_deref();
    id.map_or_else(String::new, |id| format!(" as {id}"))
}

/// What is known of each that was sent.
fn base(flight: &Flight) -> Value {
    json!({
        "id": flight.mark.id,
        "queue_id": flight.accepted.queue_id,
        "smtp_ms": milliseconds(flight.accepted.took),
    })
}

fn with(mut data: Value, more: Value) -> Value {
    if let (Value::Object(data), Value::Object(more)) = (&mut data, more) {
        data.extend(more);
    }
    data
}

fn measure(target: &Target, time: Duration) -> Measure {
    let limits = &target.limits;
    Measure::seconds(time).above(
        limits.canary_warn.as_secs_f64(),
        limits.canary.as_secs_f64(),
    )
}

/// It came, or a report that it will not. What an earlier one says makes it no worse than a warning.
pub(super) fn found(
    target: &Target,
    flight: &Flight,
    found: Found,
    after: Duration,
    late: &[Late],
    now: Timestamp,
) -> Check {
    let (hops, is_altered) = match found.what {
        What::Arrived { hops, is_altered } => (hops, is_altered),
        What::Bounced(bounce) => return bounced(flight, &bounce),
    };
    let delivery = delivery(flight, &found.place, found.at, after);
    let steps = steps(flight, &hops);
    let measure = measure(target, delivery);
    let mut findings = Findings::new(measure.state().min(State::Warn));
    if findings.state == State::Warn {
        let limit = target.limits.canary_warn.as_secs();
        findings.class = Some(Class::Timeout);
        findings.hint = Some(format!(
            "mail should take less than {limit}s: see which hop it lay at, and the relay's queue"
        ));
    }
    if is_altered {
        findings.add(
            Class::Proto,
            "its headers were changed on the way",
            "look which server rewrites headers of mails that pass",
        );
    }
    let ours = flight.accepted.local.ip().to_canonical();
    let seen = hops.first().and_then(|h| h.client);
    let is_hidden = seen.is_some_and(|seen| seen != ours && is_gateway(seen));
    if let (true, Some(seen)) = (is_hidden, seen) {
        findings.add(
            Class::Local,
            format!("client address hidden: the relay saw {seen} instead of {ours}"),
            "a gateway hides who connects, so that the relay may take anybody for a neighbour: publish its port in host mode, and leave the gateway out of mynetworks",
        );
    }
    for late in late {
        earlier(target, late, now, &mut findings);
    }
    let mut text = format!("delivered in {}", seconds(delivery));
    if !steps.is_empty() {
        let shown: Vec<String> = steps.iter().map(Step::to_string).collect();
        let word = if steps.len() == 1 { "hop" } else { "hops" };
        text = format!(
            "{text} through {} {word}: {}",
            steps.len(),
            shown.join(", ")
        );
    }
    for more in &findings.texts {
        text = format!("{text}; {more}");
    }
    let data = json!({
        "delivery_ms": milliseconds(delivery),
        "hops": steps.iter().map(Step::data).collect::<Vec<_>>(),
        "client": { "ours": ours, "seen": seen, "is_hidden": is_hidden },
        // The address that the relay sends from, as the next server saw it.
        "egress": hops.get(1).and_then(|h| h.client),
    });
    let check = Check::ok(ID, Phase::Delivery, text).measure(measure);
    findings.put(check).data(with(base(flight), data))
}

/// What makes it worse than well.
struct Findings {
    state: State,
    class: Option<Class>,
    hint: Option<String>,
    texts: Vec<String>,
}

impl Findings {
    fn new(state: State) -> Self {
        Self {
            state,
            class: None,
            hint: None,
            texts: Vec::new(),
        }
    }

    /// A warning; the first one's advice is given.
    fn add(&mut self, class: Class, text: impl Into<String>, hint: &str) {
        self.state = self.state.max(State::Warn);
        self.class.get_or_insert(class);
        self.hint.get_or_insert_with(|| hint.to_owned());
        self.texts.push(text.into());
    }

    fn put(self, check: Check) -> Check {
        let mut check = check.state(self.state);
        if let Some(class) = self.class {
            check = check.class(class);
        }
        match self.hint {
            Some(hint) => check.hint(hint),
            None => check,
        }
    }
}

/// How long an earlier one took, as far as that is known.
fn way(late: &Late, now: Timestamp) -> Duration {
    let hops = match &late.found.what {
        What::Arrived { hops, .. } => hops.as_slice(),
        What::Bounced(_) => &[],
    };
    let came = late.found.at.or_else(|| hops.last()?.at).unwrap_or(now);
    let way = came.duration_since(late.sent.at);
    Duration::try_from(way).unwrap_or_default()
}

fn earlier(target: &Target, late: &Late, now: Timestamp, findings: &mut Findings) {
    let sent = clock_time(late.sent.at);
    match &late.found.what {
        What::Bounced(bounce) => findings.add(
            Class::Reply5,
            format!("the canary of {sent} bounced: {}", said(bounce)),
            "see why that one bounced",
        ),
        What::Arrived { .. } => {
            let way = way(late, now);
            if way >= target.limits.canary_warn {
                findings.add(
                    Class::Timeout,
                    format!("the canary of {sent} came late, after {}", seconds(way)),
                    "mail was held up: see the relay's log of that time",
                );
            }
        }
    }
}

fn bounced(flight: &Flight, bounce: &Bounce) -> Check {
    let class = match bounce.status.as_deref() {
        Some(status) if status.starts_with('4') => Class::Reply4,
        _ => Class::Reply5,
    };
    let text = match &bounce.reporter {
        Some(by) => format!("bounced by {by}: {}", said(bounce)),
        None => format!("bounced: {}", said(bounce)),
    };
    let mut check = Check::crit(ID, Phase::Delivery, class, text)
        .hint("see to what the server says that gave it back")
        .data(with(base(flight), json!({ "stopped_at": bounce.reporter })));
    check.enhanced = bounce.status.clone();
    check
}

fn said(bounce: &Bounce) -> &str {
    let why = bounce.why.as_deref().or(bounce.status.as_deref());
    why.unwrap_or("no reason is given")
}

/// It is no more in the queue, and only that was asked.
pub(super) fn left_queue(target: &Target, flight: &Flight, after: Duration) -> Check {
    let text = format!(
        "left the relay's queue in {}{}; whether it arrived was not asked",
        seconds(after),
        under(flight)
    );
    let measure = measure(target, after);
    let state = measure.state().min(State::Warn);
    let check = Check::ok(ID, Phase::Delivery, text)
        .state(state)
        .measure(measure)
        .data(with(
            base(flight),
            json!({ "delivery_ms": milliseconds(after) }),
        ));
    match state {
        State::Ok => check,
        _ => check
            .class(Class::Timeout)
            .hint("see why the relay kept it, in its log"),
    }
}

/// It did not come within the limit.
pub(super) fn missing(target: &Target, flight: &Flight, seen: &Seen, after: Duration) -> Check {
    let id = flight.accepted.queue_id.as_deref();
    let judged = stopped::judge(seen, &target.name, id, flight.has_sender);
    let text = format!("not delivered in {}: {}", seconds(after), judged.text);
    Check::crit(ID, Phase::Delivery, judged.class, text)
        .hint(judged.hint)
        .measure(measure(target, after))
        .data(with(
            base(flight),
            stopped_at(target, &judged.stopped_at, seen),
        ))
}

fn stopped_at(target: &Target, stopped_at: &str, seen: &Seen) -> Value {
    let reason = match seen {
        Seen::Waiting(waiting) => waiting.reason.as_deref(),
        _ => None,
    };
    json!({ "stopped_at": stopped_at, "hop": target.name, "reason": reason })
}

/// This run waits less than a canary may take, and one of an earlier run is overdue.
pub(super) fn overdue(
    target: &Target,
    flight: &Flight,
    due: &Sent,
    seen: &Seen,
    now: Timestamp,
) -> Check {
    let age = Duration::try_from(now.duration_since(due.at)).unwrap_or_default();
    let judged = stopped::judge(
        seen,
        &target.name,
        due.queue_id.as_deref(),
        flight.has_sender,
    );
    let text = format!(
        "the canary of {} was not delivered in {}: {}",
        clock_time(due.at),
        seconds(age),
        judged.text
    );
    Check::crit(ID, Phase::Delivery, judged.class, text)
        .hint(judged.hint)
        .measure(measure(target, age))
        .data(with(
            base(flight),
            stopped_at(target, &judged.stopped_at, seen),
        ))
}

/// This run waits less than a canary may take: an earlier one decides, if one came.
pub(super) fn on_its_way(
    target: &Target,
    flight: &Flight,
    late: &[Late],
    after: Duration,
    now: Timestamp,
) -> Check {
    let text = format!("on its way since {}{}", seconds(after), under(flight));
    let Some(last) = late.last() else {
        return Check::unknown(
            ID,
            Phase::Delivery,
            Class::Timeout,
            format!("{text}; the next run tells whether it came"),
        )
        .hint("wait longer for the canary, or keep what a run leaves for the next one with --state")
        .data(base(flight));
    };
    let sent = clock_time(last.sent.at);
    let (check, measured) = match &last.found.what {
        What::Bounced(bounce) => {
            let text = format!("{text}; the canary of {sent} bounced: {}", said(bounce));
            return Check::crit(ID, Phase::Delivery, Class::Reply5, text)
                .hint("see to what the server says that gave it back")
                .data(base(flight));
        }
        What::Arrived { .. } => {
            let way = way(last, now);
            let text = format!("{text}; the canary of {sent} came in {}", seconds(way));
            (Check::ok(ID, Phase::Delivery, text), measure(target, way))
        }
    };
    let state = measured.state().min(State::Warn);
    let check = check.state(state).measure(measured).data(base(flight));
    match state {
        State::Ok => check,
        _ => check
            .class(Class::Timeout)
            .hint("mail is held up: see the relay's queue and its log"),
    }
}

/// Whether clients are hidden behind this address: Docker's bridge, Swarm's ingress network and
/// its gateway bridge.
fn is_gateway(address: IpAddr) -> bool {
    ["10.255.0.0/16", "10.0.0.0/24", "172.17.0.1/32"]
        .iter()
        .filter_map(|net| net.parse::<IpNet>().ok())
        .any(|net| net.contains(&address))
}

fn seconds(time: Duration) -> String {
    match time.as_secs_f64() {
        s if s < 10.0 => format!("{s:.2}s"),
        s => format!("{s:.0}s"),
    }
}

fn clock_time(at: Timestamp) -> String {
    at.strftime("%H:%M:%S UTC").to_string()
}

#[cfg(test)]
mod tests;
