//! Who gets a mail.

use std::collections::HashSet;

use notifier_core::{
    BackendSettings, Error, FailureRecord, Origin, Report, Result, Scope, Settings,
};

use crate::address::Address;

use super::owners::Owners;

/// The most warnings of addresses that are none.
const MOST_WARNINGS: usize = 10;

/// Who gets a mail, nobody twice.
#[derive(Debug, Default)]
pub(crate) struct Recipients {
    /// Those it is addressed to.
    pub(crate) to: Vec<Address>,
    /// Those who get it besides.
    pub(crate) cc: Vec<Address>,
    /// Those who get it if nobody else can; none of them is among the others.
    pub(crate) fallback: Vec<Address>,
    /// What is no address, and who has none.
    pub(crate) warnings: Vec<String>,
}

impl Recipients {
    /// Who gets this report: `to` if it is set, else the failure's owners; `cc` besides; if that
    /// is nobody, `fallback`. A label `to` that names nobody counts for nothing: what is
    /// `configured` holds, else the owners.
    ///
    /// # Errors
    /// Config, if there is nobody at all.
    pub(crate) fn of(report: &Report, settings: &Settings, configured: &Settings) -> Result<Self> {
        let mut all = Self::default();
        let mut fallback = Vec::new();
        all.to = all.list(settings, "to");
        if all.to.is_empty() && settings.origin("to") == Some(Origin::Label) {
            all.to = all.list(configured, "to");
        }
        if all.to.is_empty()
            && let Some(failure) = report.subject().failure()
        {
            all.to = all.owners(report, failure, settings);
        }
        all.cc = all.list(settings, "cc");
        fallback.append(&mut all.list(settings, "fallback"));
        all.tidy(report);
        unique(&mut all.to, &[]);
        unique(&mut all.cc, &all.to);
        if all.to.is_empty() && all.cc.is_empty() {
            all.to.append(&mut fallback);
            unique(&mut all.to, &[]);
        }
        unique(&mut fallback, &[&all.to[..], &all.cc[..]].concat());
        all.fallback = fallback;
        if all.to.is_empty() && all.cc.is_empty() {
            let mut text =
                "nobody to write to: set -smtp.to, an owner with an address, -smtp.owners or -smtp.fallback"
                    .to_owned();
            if !all.warnings.is_empty() {
                text += &format!(" ({})", all.warnings.join("; "));
            }
            // It says nothing of the relay.
            return Err(Error::config(text).with_scope(Scope::Target));
        }
        Ok(all)
    }

    /// Warnings without secrets, and not more than can be read; names of data without secrets.
    fn tidy(&mut self, report: &Report) {
        let more = self.warnings.len().saturating_sub(MOST_WARNINGS);
        self.warnings.truncate(MOST_WARNINGS);
        if more > 0 {
            self.warnings.push(format!("{more} more are no addresses"));
        }
        let mask = |text: &mut String| *text = report.redactor().redact(text).into_owned();
        self.warnings.iter_mut().for_each(mask);
        let people = self.to.iter_mut().chain(&mut self.cc);
        people.for_each(|address| mask(&mut address.name));
    }

    /// The addresses of an option; what is none is told and left out.
    fn list(&mut self, settings: &Settings, key: &str) -> Vec<Address> {
        let mut list = Vec::new();
        for part in Address::split(settings.text(key)) {
            match Address::read(part) {
                Ok(address) => list.push(address),
                Err(e) => self.warnings.push(format!("smtp.{key}: {e}")),
            }
        }
        list
    }

    /// The owners' addresses. Chronos splits each on commas, and so do we.
    fn owners(
        &mut self,
        report: &Report,
        failure: &FailureRecord,
        settings: &Settings,
    ) -> Vec<Address> {
        let table = settings.text("owners");
        let table = Owners::read(table).or_else(|e| {
            self.warnings.push(format!("smtp.owners: {e}"));
            Owners::read("")
        });
        let Ok(table) = table else {
            return Vec::new();
        };
        let owners: Vec<&str> = failure
            .owners
            .iter()
            .flat_map(|owner| Address::split(owner))
            .collect();
        let mut list = Vec::new();
        for owner in &owners {
            match table.addresses(owner) {
                Ok(found) => list.extend(found),
                Err(e) => self.warnings.push(format!("an owner has no address: {e}")),
            }
        }
        // The name is that of the owner: of whom, it does not say.
        if let ([_], [only]) = (&owners[..], &mut list[..])
            && only.name.is_empty()
            && let Some(name) = failure.details.get("owner_name")
        {
            let name = report.redactor().redact(name);
            let name = name.replace(char::is_control, " ");
            only.name = name.split_whitespace().collect::<Vec<_>>().join(" ");
        }
        list
    }

    /// Checks what settings say of recipients, before any report.
    ///
    /// # Errors
    /// Config, with the option's name.
    pub(crate) fn check(settings: &BackendSettings) -> Result<()> {
        let named = |key: &str, e: &Error| Error::config(format!("smtp.{key}: {e}"));
        for key in ["to", "cc", "fallback"] {
            for list in settings.all_values(key) {
                for part in Address::split(&list) {
                    Address::read(part).map_err(|e| named(key, &e))?;
                }
            }
        }
        for table in settings.all_values("owners") {
            Owners::read(&table).map_err(|e| named("owners", &e))?;
        }
        Ok(())
    }
}

/// Leaves out who is there already.
fn unique(list: &mut Vec<Address>, others: &[Address]) {
    let mut known: HashSet<String> = others.iter().map(ToString::to_string).collect();
    list.retain(|address| known.insert(address.to_string()));
}
