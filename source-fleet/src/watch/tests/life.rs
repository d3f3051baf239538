//! A long random life of a cluster, against what may and what must be told.

use super::*;

const MACHINES: usize = 20;
const UNITS: usize = 200;
const LOOKS: usize = 300;

/// How a unit is on a machine, as whoever looks can see it.
#[derive(Debug, Clone, Default, PartialEq)]
struct Seen {
    /// The failure it is in, by number.
    episode: Option<usize>,
    hash: String,
}

/// What a cluster does by itself, and what of it can be known.
struct Life {
    model: FleetModel,
    rng: fastrand::Rng,
    /// Where each unit is.
    at: Vec<usize>,
    /// The agents that are silent.
    silent: BTreeSet<usize>,
    next_episode: usize,
    /// What was shown last of each place, in a list that is known to be whole.
    shown: BTreeMap<(String, String), Seen>,
    /// Failures that were shown at any time.
    may: BTreeSet<usize>,
    /// Failures that were seen to begin.
    must: BTreeSet<usize>,
    /// Failures that were there at the first look.
    base: BTreeSet<usize>,
    /// Units that changed while the pages were read.
    touched: BTreeSet<String>,
    steps: usize,
}

fn unit(n: usize) -> String {
    format!("u{n:03}.service")
}

fn machine(n: usize) -> String {
    format!("m{n:02}")
}

impl Life {
    fn new(seed: u64) -> Self {
        let model = FleetModel::new();
        for n in 0..MACHINES {
            model.machine(&machine(n), &format!("10.0.0.{n}"), []);
        }
        let mut life = Self {
            model,
            rng: fastrand::Rng::with_seed(seed),
            at: (0..UNITS).map(|n| n % MACHINES).collect(),
            silent: BTreeSet::new(),
            next_episode: 0,
            shown: BTreeMap::new(),
            may: BTreeSet::new(),
            must: BTreeSet::new(),
            base: BTreeSet::new(),
            touched: BTreeSet::new(),
            steps: 0,
        };
        for n in 0..UNITS {
            life.model
                .unit(UnitSpec::new(unit(n)).on(&machine(life.at[n])));
            if life.rng.bool() {
                life.model.run(&unit(n), &machine(life.at[n]));
            } else {
                life.fail(n);
            }
        }
        life
    }

    /// It fails: which time this is, its sub state says.
    fn fail(&mut self, n: usize) {
        let episode = self.next_episode;
        self.next_episode += 1;
        let sub = format!("failed-{episode}");
        self.model
            .set(&unit(n), &machine(self.at[n]), "failed", &sub);
    }

    /// One thing happens.
    fn step(&mut self) {
        self.steps += 1;
        let n = self.rng.usize(..UNITS);
        self.touched.insert(unit(n));
        let (name, place) = (unit(n), machine(self.at[n]));
        match self.rng.u8(..24) {
            0..=5 => self.model.run(&name, &place),
            6..=11 => {
                // systemd starts what failed before it fails again.
                self.model.run(&name, &place);
                self.watch_between();
                self.fail(n);
            }
            12 | 13 => self.model.restart(&name, &place),
            14 => self.model.stop(&name, &place),
            15 => self.model.hide(&name),
            16 => self.model.publish(&name),
            17 => self.model.lose_hash(&name, &place),
            18 => {
                let silent = self.rng.usize(..MACHINES);
                if self.silent.len() < 4 && self.silent.insert(silent) {
                    self.model.agent_down(&machine(silent));
                }
            }
            19 | 20 => {
                if let Some(back) = self.silent.pop_first() {
                    self.model.agent_up(&machine(back));
                }
            }
            21 => {
                // Moved: it is taken off the one and runs on the other.
                self.model.unload(&name, &place);
                self.at[n] = self.rng.usize(..MACHINES);
                self.model.schedule(&name, Some(&machine(self.at[n])));
                self.model.run(&name, &machine(self.at[n]));
            }
            22 => {
                // A new file, which runs.
                self.model
                    .redeploy(&name, &format!("hash-{}", self.rng.u32(..)));
                self.model.run(&name, &place);
            }
            _ => {
                self.model.destroy(&name);
                self.model.unit(UnitSpec::new(&name).on(&place));
                self.model.run(&name, &place);
            }
        }
        self.watch_between();
    }

    /// Whatever is shown at any time may be told.
    fn watch_between(&mut self) {
        let all = self.model.visible();
        self.may
            .extend(all.iter().filter_map(|row| episode(&row.sub)));
    }

    /// A list is read that is known to be whole.
    fn shown(&mut self, is_first: bool, is_quiet: bool) {
        let touched = std::mem::take(&mut self.touched);
        let mut now = BTreeMap::new();
        for row in self.model.visible() {
            let seen = Seen {
                episode: episode(&row.sub).filter(|_| row.active == "failed"),
                hash: row.hash.clone(),
            };
            now.insert((row.name, row.machine), seen);
        }
        for (place, seen) in now {
            let before = self.shown.get(&place);
            let was_failed = before.is_some_and(|b| b.episode.is_some());
            // What changed while the pages were read may have been seen in between.
            let is_clear = is_quiet || !touched.contains(&place.0);
            match seen.episode {
                Some(episode) if is_first => _ = self.base.insert(episode),
                Some(episode) if is_clear && !was_failed => _ = self.must.insert(episode),
                _ => {}
            }
            self.shown.insert(place, seen);
        }
    }
}

fn episode(sub: &str) -> Option<usize> {
    sub.strip_prefix("failed-")?.parse().ok()
}

/// A look while the cluster goes on between the pages.
async fn noisy_look(life: Life, w: &mut Watched) -> Life {
    let shared = Arc::new(Mutex::new(life));
    let hooked = Arc::clone(&shared);
    let model = shared.lock().unwrap().model.clone();
    let mut left = 3;
    model.before_page(move |_, page| {
        if page > 1 && left > 0 {
            left -= 1;
            hooked.lock().unwrap().step();
        }
    });
    w.look().await;
    model.no_hook();
    Arc::try_unwrap(shared)
        .ok()
        .expect("nobody else has it")
        .into_inner()
        .unwrap()
}

/// Runs a life, and watches it all along; with restarts of the watcher if asked for. The answer
/// is how many failures were told.
async fn run(seed: u64, page: usize, restarts: bool) -> usize {
    let mut life = Life::new(seed);
    life.model.page_size(page);
    life.model.strict_tokens(seed.is_multiple_of(2));
    let mut w = Watched::of(&life.model);
    life.shown(true, true);
    w.look().await;
    for _ in 0..LOOKS {
        life.touched.clear();
        for _ in 0..life.rng.usize(..4) {
            life.step();
        }
        let is_quiet = life.rng.u8(..3) > 0;
        if !is_quiet {
            life = noisy_look(life, &mut w).await;
        }
        // What is there now is seen by a look in peace.
        life.shown(false, is_quiet);
        w.look().await;
        if restarts && life.rng.u8(..50) == 0 {
            let told = std::mem::take(&mut w.told);
            let keys = std::mem::take(&mut w.keys);
            w = Watched::new(source(direct(&life.model), |b| b), w.cursor.take());
            (w.told, w.keys) = (told, keys);
        }
        // Now and then long enough for what an agent published to expire.
        if life.rng.u8(..40) == 0 {
            w.within(Duration::from_secs(31)).await;
            life.watch_between();
        }
    }
    w.within(SETTLE * 3).await;
    assert_eq!(w.errors, 0);
    let told: Vec<usize> = w
        .told
        .iter()
        .map(|f| episode(&f.details["sub_state"]).unwrap())
        .collect();
    let once: BTreeSet<usize> = told.iter().copied().collect();
    assert_eq!(once.len(), told.len(), "seed {seed}: told twice");
    let invented: Vec<_> = once.difference(&life.may).collect();
    assert!(invented.is_empty(), "seed {seed}: invented {invented:?}");
    assert!(
        once.is_disjoint(&life.base),
        "seed {seed}: told of old ones"
    );
    assert!(life.steps > LOOKS);
    let missed: Vec<_> = life.must.difference(&once).collect();
    assert!(missed.is_empty(), "seed {seed}: missed {missed:?}");
    once.len()
}

#[tokio::test(start_paused = true)]
async fn no_failure_is_missed_and_none_is_invented() {
    for (seed, page, restarts) in [
        (1, 100, false),
        (2, 67, false),
        (3, 29, true),
        (4, 50, true),
    ] {
        let told = run(seed, page, restarts).await;
        assert!(told > 70, "seed {seed}: only {told}");
    }
}
