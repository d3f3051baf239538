//! The services of master.cf as such.

use std::{collections::BTreeMap, path::Path};

use super::super::{
    config::Place,
    finding::Review,
    master::{Master, Service},
};
use crate::report::State;

pub(super) fn look(review: &mut Review<'_>) {
    let Some(master) = review.master else { return };
    for place in &master.malformed {
        let what = "has fewer than eight fields, and Postfix does not start with it";
        let hint = "write service type private unpriv chroot wakeup maxproc command (master(5))";
        review.find_at("syntax", State::Crit, ("master.cf", place), what, hint);
    }
    ports(review, master);
    chroots(review, master);
    let has_log = master.services.iter().any(|s| s.program == "postlogd");
    if review.config.has("maillog_file")
        && !review.config.value("maillog_file").is_empty()
        && !has_log
    {
        review.find(
            "postlog",
            State::Warn,
            "maillog_file",
            "master.cf has no service postlog, so nothing is logged there",
            "add to master.cf: postlog unix-dgram n - n - 1 postlogd",
        );
    }
}

fn place(service: &Service) -> Place {
    Place {
        file: "master.cf".to_owned(),
        line: service.line,
        service: Some(format!("{} {}", service.name, service.program)),
    }
}

fn ports(review: &mut Review<'_>, master: &Master) {
    let mut taken: BTreeMap<(String, u16), usize> = BTreeMap::new();
    for service in &master.services {
        let Some(port) = service.port() else { continue };
        let host = match service.host() {
            "localhost" => "127.0.0.1",
            host => host,
        };
        let everywhere = taken.get(&(String::new(), port)).copied();
        let same = taken.get(&(host.to_owned(), port)).copied().or(everywhere);
        if let Some(line) = same {
            let what = format!(
                "port {port} is taken by the service of line {line}: Postfix does not start"
            );
            let hint = "give one of the two another port or address";
            review.find_at(
                "port-conflict",
                State::Warn,
                (&service.name, &place(service)),
                what,
                hint,
            );
        } else {
            taken.insert((host.to_owned(), port), service.line);
        }
    }
}

fn chroots(review: &mut Review<'_>, master: &Master) {
    let queue = review.config.value("queue_directory");
    let queue = Path::new(&queue);
    if !review.is_installed()
        || review
            .files
            .modified(&queue.join("etc/resolv.conf"))
            .is_some()
    {
        return;
    }
    let mut services = master.services.iter();
    if let Some(service) = services
        .find(|s| s.chroot == "y" && ["smtp", "smtpd", "lmtp"].contains(&s.program.as_str()))
    {
        let file = queue.join("etc/resolv.conf");
        let what = format!(
            "runs in a chroot, where {} is not: it resolves no names",
            file.display()
        );
        let hint = "copy /etc/resolv.conf there at each start, or write n for chroot";
        review.find_at(
            "chroot-resolv",
            State::Warn,
            (&service.name, &place(service)),
            what,
            hint,
        );
    }
}
