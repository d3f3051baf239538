//! Addresses of owners that are no addresses.

use std::collections::HashMap;

use notifier_core::{Error, Result};

use crate::address::Address;

/// Names and what they stand for.
#[derive(Debug)]
pub(crate) struct Owners(HashMap<String, Vec<Address>>);

impl Owners {
    /// Reads `NAME=ADDRESS, NAME=ADDRESS`; a name given twice has several. Letters of any case
    /// are the same in names.
    pub(crate) fn read(table: &str) -> Result<Self> {
        let mut owners: HashMap<String, Vec<Address>> = HashMap::new();
        for row in Address::split(table) {
            let (name, address) = row
                .split_once('=')
                .filter(|(name, _)| !name.trim().is_empty())
                .ok_or_else(|| Error::config(format!("{row:?} is not of the form NAME=ADDRESS")))?;
            owners
                .entry(key(name))
                .or_default()
                .push(Address::read(address)?);
        }
        Ok(Self(owners))
    }

    /// What an owner stands for: what the table says, else itself if it is an address.
    pub(crate) fn addresses(&self, owner: &str) -> Result<Vec<Address>> {
        match self.0.get(&key(owner)) {
            Some(known) => Ok(known.clone()),
            None => Ok(vec![Address::read(owner)?]),
        }
    }
}

fn key(name: &str) -> String {
    name.trim().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_addresses() {
        let owners = Owners::read("core=a@b, Core = c@d, old@x=new@x").unwrap();
        let of = |owner: &str| -> Vec<String> {
            let list = owners.addresses(owner).unwrap();
            list.iter().map(ToString::to_string).collect()
        };
        assert_eq!(of("CORE "), ["a@b", "c@d"]);
        assert_eq!(of("old@x"), ["new@x"]);
        assert_eq!(of("e@f"), ["e@f"]);
        assert!(owners.addresses("other").is_err());
    }

    #[test]
    fn what_is_no_table_is_refused() {
        for table in ["core", "=a@b", "core=alice"] {
            assert!(Owners::read(table).is_err(), "{table}");
        }
    }
}
