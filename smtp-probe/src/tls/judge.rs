//! Three verdicts on one handshake's certificate: chain, name, dates.

use notifier_core::jiff::Timestamp;
use rustls::{
    RootCertStore,
    client::verify_server_name,
    pki_types::{CertificateDer, ServerName},
    server::ParsedCertificate,
};
use serde_json::json;

use super::{
    Session,
    certificate::Certificate,
    chain::{self, Flaw},
};
use crate::{
    report::{Check, Class, Measure, Phase, State},
    target::{Bounds, Target},
};

const DAY: f64 = 86_400.0;

/// What a certificate is worth.
#[derive(Debug)]
pub(crate) struct Judged {
    /// `cert_chain`, `cert_name`, `cert_expiry`.
    pub(crate) checks: Vec<Check>,
    /// Whether it proves now that the server has the name that was asked for.
    pub(crate) is_trusted: bool,
}

/// The version that was agreed on; older ones than TLS 1.2 cannot be.
pub(crate) fn version(session: &Session, only_13: bool) -> Check {
    let (version, cipher) = (session.version, &session.cipher);
    let text = format!("{version} with {cipher}");
    let check = match only_13 && version != "TLSv1.3" {
        false => Check::ok("tls_version", Phase::Tls, text),
        true => Check::warn("tls_version", Phase::Tls, Class::Tls, text)
            .hint("TLS 1.3 was asked for: allow it at the server, or update its library"),
    };
    check.data(json!({ "version": version, "cipher": cipher }))
}

/// Judges what the server sent. `roots` is why there are none to trust, if so.
pub(crate) fn judge(
    der: &[CertificateDer<'_>],
    roots: Result<&RootCertStore, &str>,
    target: &Target,
    now: Timestamp,
) -> Judged {
    let name = target.tls_name();
    let chain: Option<Vec<Certificate>> = der.iter().map(|d| Certificate::read(d)).collect();
    let Some(chain) = chain.filter(|c| !c.is_empty()) else {
        let text = "what the server sent is no certificate";
        let of = |id| Check::crit(id, Phase::Tls, Class::Cert, text);
        return Judged {
            checks: ["cert_chain", "cert_name", "cert_expiry"].map(of).to_vec(),
            is_trusted: false,
        };
    };
    let has_name = has_name(&der[0], name);
    let holds = roots.is_ok_and(|roots| chain::holds(der, &chain, roots, now));
    let chain_check = match roots {
        Ok(roots) => chain_check(&chain, chain::flaw(der, &chain, roots, now)),
        Err(why) => Check::unknown("cert_chain", Phase::Tls, Class::Local, why).hint(
            "name a file of authorities with --ca, or install the system's (ca-certificates)",
        ),
    };
    Judged {
        checks: vec![
            chain_check,
            name_check(&chain[0], name, has_name),
            expiry_check(&chain, now, target.thresholds.cert_days, holds),
        ],
        is_trusted: holds && has_name,
    }
}

fn has_name(leaf: &CertificateDer<'_>, name: &str) -> bool {
    let parsed = ParsedCertificate::try_from(leaf);
    let name = ServerName::try_from(name);
    matches!((parsed, name), (Ok(leaf), Ok(name)) if verify_server_name(&leaf, &name).is_ok())
}

fn chain_check(chain: &[Certificate], flaw: Option<Flaw>) -> Check {
    let leaf = &chain[0];
    let data = json!({
        "chain": chain
            .iter()
            .map(|c| json!({ "subject": c.subject, "issuer": c.issuer }))
            .collect::<Vec<_>>(),
    });
    let Some(flaw) = flaw else {
        let text = format!("{} by {}", leaf.subject, leaf.issuer);
        return Check::ok("cert_chain", Phase::Tls, text).data(data);
    };
    let (text, hint) = match &flaw {
        Flaw::SelfSigned => (
            format!("{} is self-signed", leaf.subject),
            "nobody trusts a certificate that signed itself: use one of an authority, or give this one with --ca if it is meant".to_owned(),
        ),
        Flaw::Alone { issuer } => (
            format!("the server sends only its own certificate; its issuer {issuer} is missing"),
            format!("put the certificate of {issuer} behind the server's own in smtpd_tls_chain_files (or fullchain.pem for cert.pem); if {issuer} is an authority of your own, give it with --ca"),
        ),
        Flaw::BreaksOff { last, issuer } => (
            // Roots are not sent: what is missing is most likely one.
            format!("the chain ends at {last}; its authority {issuer} is not trusted here"),
            format!("give the certificate of {issuer} with --ca if it is your own; else use one of a public authority"),
        ),
        Flaw::ForeignRoot { root } => (
            format!("the chain ends in {root}, which is not trusted here"),
            format!("give the certificate of {root} with --ca if it is your own; else use one of a public authority"),
        ),
        Flaw::BadSignature { issuer } => (
            format!("the signature is not by the {issuer} that is trusted here"),
            format!("another authority calls itself {issuer}: renew the server's certificate by the right one, or --ca is out of date"),
        ),
        Flaw::Other(what) => (
            what.clone(),
            "make a new certificate for the server: clients will not take this one".to_owned(),
        ),
    };
    Check::crit("cert_chain", Phase::Tls, Class::Cert, text)
        .hint(hint)
        .data(data)
}

fn name_check(leaf: &Certificate, name: &str, has_name: bool) -> Check {
    let names = match leaf.names.is_empty() {
        true => "no alternative names at all".to_owned(),
        false => leaf.names.join(", "),
    };
    let check = match has_name {
        true => Check::ok("cert_name", Phase::Tls, format!("{name} is in {names}")),
        false => Check::crit(
            "cert_name",
            Phase::Tls,
            Class::Cert,
            format!("it is for {names}, not for {name}"),
        )
        .hint(match leaf.names.is_empty() {
            true => format!("a common name does not count any more: make a certificate with {name} as subjectAltName"),
            false => format!("add {name} to the certificate, connect by a name that it has, or set --tls-name to that"),
        }),
    };
    check.data(json!({ "asked": name, "names": leaf.names }))
}

/// The first of the sent certificates to expire decides. Where the chain `holds` now, one that is out
/// of date is not needed for it, and is told besides.
fn expiry_check(chain: &[Certificate], now: Timestamp, bounds: Bounds, holds: bool) -> Check {
    let (idle, counted): (Vec<&Certificate>, Vec<&Certificate>) =
        chain.iter().partition(|c| holds && !c.is_current(now));
    let soonest = counted.iter().copied().min_by_key(|c| c.not_after);
    let soonest = soonest.unwrap_or(&chain[0]);
    let latest = counted.iter().copied().max_by_key(|c| c.not_before);
    let latest = latest.unwrap_or(soonest);
    let left = now.until(soonest.not_after).map_or(0.0, |s| {
        s.total(notifier_core::jiff::Unit::Second)
            .unwrap_or_default()
            / DAY
    });
    let measure = Measure::new((left * 100.0).round() / 100.0, "d").below(bounds.warn, bounds.crit);
    let whose = match *soonest == chain[0] {
        true => String::new(),
        false => format!(" of {}", soonest.subject),
    };
    let check = if now > soonest.not_after {
        let text = format!("the certificate{whose} expired on {}", soonest.not_after);
        Check::crit("cert_expiry", Phase::Tls, Class::Cert, text).hint(
            "renew it and restart or reload the server; see why the job that renews it did not",
        )
    } else if now < latest.not_before {
        let text = format!("the certificate is not valid before {}", latest.not_before);
        Check::crit("cert_expiry", Phase::Tls, Class::Cert, text)
            .hint("look at the clocks of both machines, or wait with this certificate")
    } else {
        let text = format!("{:.1} days left{whose}, until {}", left, soonest.not_after);
        match (measure.state(), idle.first()) {
            (State::Ok, None) => Check::ok("cert_expiry", Phase::Tls, text),
            (State::Ok, Some(idle)) => {
                let name = &idle.subject;
                let text = format!(
                    "{text}; {name}, which is sent along and not needed, is valid until {} only",
                    idle.not_after
                );
                Check::warn("cert_expiry", Phase::Tls, Class::Cert, text)
                    .hint(format!("leave that certificate of {name} out of the server's chain: old clients refuse all of it"))
            }
            (state, _) => Check::crit("cert_expiry", Phase::Tls, Class::Cert, text)
                .state(state)
                .hint("renew it now, and see why the job that renews it did not"),
        }
    };
    check.measure(measure).data(json!({
        "not_before": latest.not_before.to_string(),
        "not_after": soonest.not_after.to_string(),
        "not_after_seconds": soonest.not_after.as_second(),
    }))
}

#[cfg(test)]
mod tests;
