//! Units that should run, and that no machine has.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    fall::{Fall, Place, Sign},
    wire::Unit,
};

/// In so many lists in a row a unit is missing before it counts as destroyed: a list that is
/// read while others change may lack one that is there.
const LISTS: u32 = 3;

/// Follows the list of units.
#[derive(Debug, Default)]
pub(crate) struct Lost {
    /// Since when nothing has them.
    since: HashMap<String, Instant>,
    /// Told, and in how many lists in a row they are missing.
    told: HashMap<String, u32>,
    /// The first list is over.
    pub(crate) is_based: bool,
    pub(crate) is_changed: bool,
}

impl Lost {
    pub(crate) fn resume(told: Option<Vec<String>>) -> Self {
        Self {
            is_based: told.is_some(),
            told: told.into_iter().flatten().map(|name| (name, 0)).collect(),
            ..Self::default()
        }
    }

    /// Takes in a list of units, and which of them a machine has; what is lost for so long is
    /// the answer. In the first list it counts as told, unless that is to be told too.
    pub(crate) fn see(
        &mut self,
        units: &[Unit],
        places: &HashSet<Place>,
        settle: Duration,
        tells_first: bool,
        stamp: i64,
    ) -> Vec<Fall> {
        let now = Instant::now();
        let there: HashSet<&str> = places.iter().map(|p| p.unit.as_str()).collect();
        let mut falls = Vec::new();
        let mut lost = HashSet::new();
        for unit in units {
            let is_lost = unit.desired == "launched"
                && !unit.is_global()
                && !there.contains(unit.name.as_str());
            if !is_lost {
                self.since.remove(&unit.name);
                self.is_changed |= self.told.remove(&unit.name).is_some();
                continue;
            }
            lost.insert(unit.name.as_str());
            if let Some(missed) = self.told.get_mut(&unit.name) {
                *missed = 0;
                continue;
            }
            let since = *self.since.entry(unit.name.clone()).or_insert(now);
            let is_first = !self.is_based && !tells_first;
            if is_first || now - since >= settle {
                self.since.remove(&unit.name);
                self.told.insert(unit.name.clone(), 0);
                self.is_changed = true;
                if !is_first {
                    falls.push(fall_of(&unit.name, stamp));
                }
            }
        }
        self.since.retain(|name, _| lost.contains(name.as_str()));
        let before = self.told.len();
        self.told.retain(|name, missed| {
            *missed += u32::from(!lost.contains(name.as_str()));
            *missed < LISTS
        });
        self.is_changed |= self.told.len() < before || !self.is_based;
        self.is_based = true;
        falls
    }

    /// What is to be kept, in order.
    pub(crate) fn told(&self) -> Vec<String> {
        let mut all: Vec<String> = self.told.keys().cloned().collect();
        all.sort();
        all
    }
}

fn fall_of(unit: &str, stamp: i64) -> Fall {
    Fall {
        place: Place {
            unit: unit.to_owned(),
            machine: String::new(),
        },
        hash: String::new(),
        load: String::new(),
        active: String::new(),
        sub: String::new(),
        sign: Sign::Lost,
        stamp,
        since: Some(Instant::now()),
        flight: None,
        refused: 0,
        not_before: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn unit(name: &str, desired: &str) -> Unit {
        Unit {
            name: name.to_owned(),
            desired: desired.to_owned(),
            ..Unit::default()
        }
    }

    fn at(names: &[&str]) -> HashSet<Place> {
        let place = |name: &&str| Place {
            unit: (*name).to_owned(),
            machine: "m".to_owned(),
        };
        names.iter().map(place).collect()
    }

    fn see(lost: &mut Lost, units: &[Unit], there: &[&str]) -> Vec<String> {
        let falls = lost.see(units, &at(there), MINUTE, false, 1);
        falls.into_iter().map(|f| f.place.unit).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn told_once_after_a_while_and_again_after_it_was_there() {
        let units = [
            unit("a", "launched"),
            unit("b", "loaded"),
            unit("c", "launched"),
        ];
        let mut lost = Lost::default();
        // c is lost from the start, and known.
        assert!(see(&mut lost, &units, &["a"]).is_empty());
        assert_eq!(lost.told(), ["c"]);
        assert!(see(&mut lost, &units, &[]).is_empty());
        tokio::time::advance(MINUTE / 2).await;
        assert!(see(&mut lost, &units, &["a"]).is_empty());
        assert!(see(&mut lost, &units, &[]).is_empty());
        tokio::time::advance(MINUTE).await;
        assert_eq!(see(&mut lost, &units, &[]), ["a"]);
        tokio::time::advance(MINUTE).await;
        assert!(see(&mut lost, &units, &[]).is_empty());
        let mut again = Lost::resume(Some(lost.told()));
        assert!(see(&mut again, &units, &[]).is_empty());
        see(&mut again, &units, &["a", "c"]);
        assert!(again.told().is_empty());
        see(&mut again, &units, &["a"]);
        tokio::time::advance(MINUTE).await;
        assert_eq!(see(&mut again, &units, &["a"]), ["c"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_that_lacks_a_unit_does_not_make_it_new() {
        let units = [unit("a", "launched")];
        let mut lost = Lost::resume(Some(vec!["a".to_owned()]));
        for _ in 0..5 {
            assert!(see(&mut lost, &[], &[]).is_empty());
            assert!(see(&mut lost, &units, &[]).is_empty());
            tokio::time::advance(MINUTE).await;
        }
        for _ in 0..LISTS {
            see(&mut lost, &[], &[]);
        }
        assert!(lost.told().is_empty());
        let mut global = unit("g", "launched");
        let line = ("X-Fleet", "Global", "true");
        let line = (line.0.to_owned(), line.1.to_owned(), line.2.to_owned());
        global.options.push(line);
        see(&mut lost, std::slice::from_ref(&global), &[]);
        tokio::time::advance(MINUTE).await;
        assert!(see(&mut lost, &[global], &[]).is_empty());
    }
}
