//! From option declarations to settings: Go-style flags, environment, TOML, help.

mod env;
mod file;
mod go;
mod help;
mod problem;
mod raw;
mod settings;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use notifiers::{
    BackendSettings, OptionGroup, OptionKind, OptionSpec, Origin, Secret, parse_bool, redact,
};

use self::raw::{Raw, learn};
pub use self::{
    env::{Env, NotUtf8},
    problem::Problems,
    settings::{Parsed, ProgramSettings},
};

/// The key of the option that names the file.
const CONFIG: &str = "config";
/// The key of the option that lists reporters.
const REPORTERS: &str = "reporters";

/// The key of the option that names the uploader.
const UPLOADER: &str = "uploader";

/// Variables that AWS's own libraries read.
const AWS_SECRETS: [&str; 3] = [
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
];

/// The uploader that needs no options.
pub(crate) const NOOP: &str = "noop";

/// Where a group's options stand in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// At the top.
    Program,
    /// `[mesos]`.
    Section,
    /// `[reporters.slack]`.
    Reporter,
    /// `[uploaders.s3]`.
    Uploader,
}

#[derive(Clone, Debug)]
pub(crate) struct Section {
    pub(crate) title: &'static str,
    pub(crate) group: OptionGroup,
    pub(crate) place: Place,
}

type Check = Arc<dyn Fn(&Parsed, &mut Problems) + Send + Sync>;

/// A program's command line: what it declares, and how to read it.
///
/// Flags are Go's: `-x=v`, `-x v`, `--x` the same; booleans `-x` and `-x=false`,
/// never `-x false`; a value may begin with a dash; of a flag given twice the last
/// one counts, unless it is declared as repeated. `-h`, `-help` and `-version` are
/// always there. For each option the flag beats the environment, the environment
/// beats the file, the file beats the default, and an empty value counts as unset.
/// Where the original took no notice of arguments behind the flags, and of booleans
/// in the environment that are none, these are errors here.
///
/// ```
/// use notifier_runtime::{Cli, Env, Invocation};
/// use notifiers::{OptionGroup, OptionKind, OptionSpec};
///
/// const PROGRAM: &[OptionSpec] = &[
///     OptionSpec::new("name", "the watcher's name").env("COMPLAINER_NAME").default("default"),
///     OptionSpec::new("default", "imply the default instance").kind(OptionKind::Bool).default("true"),
/// ];
/// const PAGER: OptionGroup = OptionGroup::new("pager", &[OptionSpec::new("room", "where to")]);
///
/// let cli = Cli::new("pager-watcher", "1.0.0", "Pages people.")
///     .program("Options", PROGRAM)
///     .reporter(PAGER);
/// let env = Env::from_pairs([("COMPLAINER_NAME", "dog"), ("PAGER_ROOM", "7")]);
/// let args = ["-default=false", "--pager.room", "9"].map(Into::into);
/// let Invocation::Run(parsed) = cli.parse(args, &env)? else { panic!() };
/// assert_eq!(parsed.program.text("name"), "dog");
/// assert!(!parsed.program.bool("default"));
/// assert_eq!(parsed.backends["pager"].instance("default").get("room"), Some("9"));
/// # Ok::<(), notifier_runtime::Problems>(())
/// ```
#[derive(Clone)]
pub struct Cli {
    name: &'static str,
    version: &'static str,
    about: &'static str,
    sections: Vec<Section>,
    required: Vec<&'static str>,
    port_for: Option<&'static str>,
    state_directory_for: Option<&'static str>,
    synonyms: Vec<(&'static str, &'static str)>,
    switches: Vec<Switch>,
    presets: Vec<(&'static str, &'static str)>,
    styles: Vec<Style>,
    command: Option<&'static str>,
    own_keys: Vec<&'static str>,
    checks: Vec<Check>,
}

/// A boolean flag that stands for a value of another one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Switch {
    pub(crate) name: &'static str,
    pub(crate) flag: &'static str,
    pub(crate) value: &'static str,
}

/// Defaults that go with a value of an option.
#[derive(Clone, Copy, Debug)]
struct Style {
    key: &'static str,
    value: &'static str,
    presets: &'static [(&'static str, &'static str)],
}

/// What a command line asks for.
#[derive(Debug)]
pub enum Invocation {
    /// To run with these settings.
    Run(Parsed),
    /// To print this text on the standard output and exit with 0: help, or the version.
    Print(String),
}

impl Cli {
    /// A command line without options. `about` is one or more sentences for the top of the help.
    pub fn new(name: &'static str, version: &'static str, about: &'static str) -> Self {
        Self {
            name,
            version,
            about,
            sections: Vec::new(),
            required: Vec::new(),
            port_for: None,
            state_directory_for: None,
            synonyms: Vec::new(),
            switches: Vec::new(),
            presets: Vec::new(),
            styles: Vec::new(),
            command: None,
            own_keys: Vec::new(),
            checks: Vec::new(),
        }
    }

    /// The program's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The program's version.
    pub fn version(&self) -> &'static str {
        self.version
    }

    /// Adds options of the program itself under a heading of the help.
    #[must_use]
    pub fn program(mut self, title: &'static str, options: &'static [OptionSpec]) -> Self {
        let group = OptionGroup::new("", options);
        self.sections.push(Section {
            title,
            group,
            place: Place::Program,
        });
        self
    }

    /// Adds a named group that is neither reporter nor uploader: a source.
    #[must_use]
    pub fn section(mut self, title: &'static str, group: OptionGroup) -> Self {
        self.sections.push(Section {
            title,
            group,
            place: Place::Section,
        });
        self
    }

    /// Adds a reporter's options.
    #[must_use]
    pub fn reporter(mut self, group: OptionGroup) -> Self {
        self.sections.push(Section {
            title: "Reporter",
            group,
            place: Place::Reporter,
        });
        self
    }

    /// Adds an uploader's options.
    #[must_use]
    pub fn uploader(mut self, group: OptionGroup) -> Self {
        self.sections.push(Section {
            title: "Uploader",
            group,
            place: Place::Uploader,
        });
        self
    }

    /// The same declarations for another program, with which nothing must be set and
    /// nothing is checked but each value by itself: a tool that reads a watcher's settings.
    #[must_use]
    pub fn for_tool(mut self, name: &'static str, about: &'static str) -> Self {
        self.name = name;
        self.about = about;
        self.required.clear();
        self.checks.clear();
        self.port_for = None;
        self
    }

    /// Names options of the program that must be set.
    #[must_use]
    pub fn require(mut self, keys: &[&'static str]) -> Self {
        self.required.extend(keys);
        self
    }

    /// Lets `PORT` in the environment stand for an address `:PORT`, where the option is not set otherwise.
    #[must_use]
    pub fn port_for(mut self, key: &'static str) -> Self {
        self.port_for = Some(key);
        self
    }

    /// Lets `STATE_DIRECTORY` in the environment, as systemd sets it, stand for a folder,
    /// where the option is not set otherwise. Of several folders it is the first.
    #[must_use]
    pub fn state_directory_for(mut self, key: &'static str) -> Self {
        self.state_directory_for = Some(key);
        self
    }

    /// Gives flags other names in this program alone, `(name, flag)`: those of the program that
    /// it takes the place of.
    #[must_use]
    pub fn also_called(mut self, names: &[(&'static str, &'static str)]) -> Self {
        self.synonyms.extend(names);
        self
    }

    /// Adds a boolean flag that stands for a value of another flag: `-mail_ssl` for `-smtp.tls=implicit`.
    #[must_use]
    pub fn switch(mut self, name: &'static str, flag: &'static str, value: &'static str) -> Self {
        self.switches.push(Switch { name, flag, value });
        self
    }

    /// Sets a default that this program alone has, by the flag's name. Whatever is said beats it.
    #[must_use]
    pub fn preset(mut self, flag: &'static str, value: &'static str) -> Self {
        self.presets.push((flag, value));
        self
    }

    /// Sets defaults that hold where an option of the program has this value, `(flag, value)` each.
    /// Whatever is said beats them.
    #[must_use]
    pub fn style(
        mut self,
        key: &'static str,
        value: &'static str,
        presets: &'static [(&'static str, &'static str)],
    ) -> Self {
        self.styles.push(Style {
            key,
            value,
            presets,
        });
        self
    }

    /// Makes it the command line of one of the program's commands: `usage` is what stands before the
    /// flags, such as `unit NAME`, and `about` what the help says of it.
    #[must_use]
    pub fn command(mut self, usage: &'static str, about: &'static str) -> Self {
        self.command = Some(usage);
        self.about = about;
        self
    }

    /// Names keys and tables at the top of the file that the program reads by itself: they are
    /// taken no notice of here.
    #[must_use]
    pub fn own_keys(mut self, names: &[&'static str]) -> Self {
        self.own_keys.extend(names);
        self
    }

    /// Adds a check of the settings as a whole. All checks are made, after all values were read.
    #[must_use]
    pub fn check(mut self, check: impl Fn(&Parsed, &mut Problems) + Send + Sync + 'static) -> Self {
        self.checks.push(Arc::new(check));
        self
    }

    /// The help text. No value is in it but declared defaults.
    pub fn help(&self) -> String {
        help::help(self)
    }

    pub(crate) fn sections(&self) -> &[Section] {
        &self.sections
    }

    pub(crate) fn about(&self) -> &'static str {
        self.about
    }

    pub(crate) fn usage(&self) -> Option<&'static str> {
        self.command
    }

    /// The other names of a flag in this program.
    pub(crate) fn synonyms(&self, flag: &str) -> impl Iterator<Item = &'static str> {
        let these = self.synonyms.iter().filter(move |(_, f)| *f == flag);
        these.map(|(name, _)| *name)
    }

    pub(crate) fn switches(&self) -> &[Switch] {
        &self.switches
    }

    /// The default of a flag in this program, if it is not the declared one, where nothing is said.
    pub(crate) fn preset_of(&self, flag: &str) -> Option<&'static str> {
        self.preset_where(flag, &|key| self.default_of(key))
    }

    /// The same where options of the program have these values.
    fn preset_where<'a>(
        &'a self,
        flag: &str,
        value_of: &dyn Fn(&str) -> Option<&'a str>,
    ) -> Option<&'static str> {
        let styled = self
            .styles
            .iter()
            .filter(|s| value_of(s.key) == Some(s.value));
        let presets = self.presets.iter().chain(styled.flat_map(|s| s.presets));
        presets
            .filter(|(f, _)| *f == flag)
            .map(|(_, value)| *value)
            .next_back()
    }

    /// The declared default of an option of the program.
    fn default_of(&self, key: &str) -> Option<&'static str> {
        let sections = self.sections.iter().filter(|s| s.place == Place::Program);
        let mut options = sections.flat_map(|s| s.group.options);
        options.find(|o| o.key == key).and_then(|o| o.default)
    }

    pub(crate) fn is_required(&self, key: &str) -> bool {
        self.required.contains(&key)
    }

    /// Reads a command line, without the program's own name, and the environment.
    ///
    /// # Errors
    /// Everything that is wrong, one line each, without secrets.
    pub fn parse(
        &self,
        args: impl IntoIterator<Item = OsString>,
        env: &Env,
    ) -> Result<Invocation, Problems> {
        let mut problems = Problems::new();
        let mut index: BTreeMap<&str, (usize, &'static OptionSpec)> = BTreeMap::new();
        let names: Vec<(String, usize, &'static OptionSpec)> = self
            .sections
            .iter()
            .enumerate()
            .flat_map(|(i, s)| s.group.options.iter().map(move |o| (s.group.flag(o), i, o)))
            .collect();
        for (flag, i, spec) in &names {
            for name in [flag.as_str()]
                .into_iter()
                .chain(spec.aliases.iter().copied())
            {
                index.entry(name).or_insert((*i, spec));
            }
        }
        for (name, flag) in &self.synonyms {
            if let Some(found) = index.get(flag).copied() {
                index.insert(name, found);
            }
        }
        let switches: BTreeMap<&str, Switch> = self.switches.iter().map(|s| (s.name, *s)).collect();
        let known: Vec<&str> = index.keys().chain(switches.keys()).copied().collect();

        let mut words = Vec::new();
        for (i, arg) in args.into_iter().enumerate() {
            match arg.into_string() {
                Ok(word) => words.push(word),
                Err(_) => problems.push(format!("argument {} is not UTF-8", i + 1)),
            }
        }
        let boolean = |name: &str| match index.get(name) {
            Some((_, o)) => Some(o.kind == OptionKind::Bool),
            None => switches.get(name).map(|_| true),
        };
        let flags = go::parse(&words, boolean, &known, &mut problems);
        if flags.help {
            return Ok(Invocation::Print(self.help()));
        }
        if flags.version {
            return Ok(Invocation::Print(format!(
                "{} v{}\n",
                self.name, self.version
            )));
        }

        let mut raw = Raw::default();
        for (name, value) in &flags.set {
            let mut value = value.as_str();
            let mut target = name.as_str();
            if let Some(switch) = switches.get(target) {
                match parse_bool(value) {
                    Some(true) => (target, value) = (switch.flag, switch.value),
                    Some(false) => continue,
                    None => {
                        problems.push(format!("-{name}: {value:?} is neither true nor false"));
                        continue;
                    }
                }
            }
            if let Some((section, spec)) = index.get(target) {
                raw.add(
                    *section,
                    spec,
                    Origin::Flag,
                    format!("-{name}"),
                    vec![value.to_owned()],
                );
            }
        }
        self.read_env(env, &mut raw, &mut problems);
        let config = raw.last(CONFIG, |s| self.sections[s].place == Place::Program);
        if let Some(path) = config {
            self.read_file(&PathBuf::from(path), env, &mut raw, &mut problems);
        }
        self.finish(raw, &words, env, problems).map(Invocation::Run)
    }

    /// Reads a file alone, as if it were given with `-config`: what is wrong with it, without starting anything.
    ///
    /// Options that must be set are not asked for, since flags may set them.
    ///
    /// # Errors
    /// Everything that is wrong, one line each, without secrets.
    pub fn check_file(&self, path: &Path, env: &Env) -> Result<Parsed, Problems> {
        let mut problems = Problems::new();
        let mut raw = Raw::default();
        self.read_file(path, env, &mut raw, &mut problems);
        let relaxed = Self {
            required: Vec::new(),
            ..self.clone()
        };
        relaxed.finish(raw, &[], env, problems)
    }

    fn read_env(&self, env: &Env, raw: &mut Raw, problems: &mut Problems) {
        for (i, s) in self.sections.iter().enumerate() {
            for spec in s.group.options {
                let Some(name) = s.group.env(spec) else {
                    continue;
                };
                match env.get(&name) {
                    Some(Ok(v)) => raw.add(i, spec, Origin::Env, name, vec![v.to_owned()]),
                    Some(Err(e)) => problems.push(format!("{name}: {e}")),
                    None => {}
                }
            }
        }
    }

    fn read_file(&self, path: &Path, env: &Env, raw: &mut Raw, problems: &mut Problems) {
        let text = match file::read(path) {
            Ok(text) => text,
            Err(why) => {
                raw.broken = true;
                return problems.push(why);
            }
        };
        let content = file::load(path, &text, &self.sections, &self.own_keys, env, problems);
        raw.broken |= content.broken;
        let listed = content
            .found
            .iter()
            .any(|f| f.spec.key == REPORTERS && self.sections[f.section].place == Place::Program);
        for f in content.found {
            match f.instance {
                Some(instance) => raw
                    .instances
                    .push((f.section, instance, f.spec, f.at, f.values)),
                None => raw.add(f.section, f.spec, Origin::File, f.at, f.values),
            }
        }
        // Tables under `reporters` say which reporters there are, unless something says it outright.
        let place = |s: &Section| s.place == Place::Program;
        let spec = self
            .sections
            .iter()
            .enumerate()
            .filter(|(_, s)| place(s))
            .find_map(|(i, s)| {
                s.group
                    .options
                    .iter()
                    .find(|o| o.key == REPORTERS)
                    .map(|o| (i, o))
            });
        if let (false, Some((i, spec)), false) = (listed, spec, content.reporters.is_empty()) {
            let list = content.reporters.join(",");
            raw.add(
                i,
                spec,
                Origin::File,
                path.display().to_string(),
                vec![list],
            );
        }
    }

    fn finish(
        &self,
        raw: Raw,
        words: &[String],
        env: &Env,
        mut problems: Problems,
    ) -> Result<Parsed, Problems> {
        let broken = raw.broken;
        let mut program = ProgramSettings::default();
        let mut backends: BTreeMap<&'static str, BackendSettings> = BTreeMap::new();
        let mut secrets: Vec<String> = Vec::new();
        for s in &self.sections {
            match s.place {
                Place::Program => program.declare(s.group.options),
                _ => {
                    backends.insert(s.group.name, BackendSettings::new(s.group));
                }
            }
        }
        let said: BTreeMap<&str, String> = self
            .styles
            .iter()
            .filter_map(|style| {
                let program = |i: usize| self.sections[i].place == Place::Program;
                Some((style.key, raw.last(style.key, program)?))
            })
            .collect();
        let value_of = |key: &str| match said.get(key) {
            Some(value) => Some(value.as_str()),
            None => self.default_of(key),
        };
        for s in &self.sections {
            for spec in s.group.options {
                let Some(value) = self.preset_where(&s.group.flag(spec), &value_of) else {
                    continue;
                };
                match (s.place, backends.get_mut(s.group.name)) {
                    (Place::Program, _) => {
                        program.set(spec, Origin::Default, vec![value.to_owned()]);
                    }
                    (_, Some(b)) => {
                        problems.take(b.set(Origin::Default, spec.key, value));
                    }
                    (_, None) => {}
                }
            }
        }
        // What is wrong in values of a reporter that is not asked for does not matter.
        let mut unasked: Vec<(usize, String)> = Vec::new();
        for e in raw.entries {
            let s = &self.sections[e.section];
            for v in &e.values {
                learn(&mut secrets, e.spec, v);
                if let Err(err) = if v.is_empty() {
                    Ok(())
                } else {
                    e.spec.check(v)
                } {
                    unasked.push((e.section, format!("{}: {}", e.label, err.report())));
                }
            }
            match s.place {
                Place::Program => program.set(e.spec, e.origin, e.values),
                _ => {
                    if let Some(b) = backends.get_mut(s.group.name) {
                        let value = if e.spec.repeated {
                            e.values.join("\n")
                        } else {
                            e.values.last().cloned().unwrap_or_default()
                        };
                        // A wrong value was told above, with the name it was set by.
                        let _ = b.set(e.origin, e.spec.key, &value);
                    }
                }
            }
        }
        for name in AWS_SECRETS {
            if let Some(Ok(secret)) = env.get(name) {
                secrets.push(secret.to_owned());
            }
        }
        for (section, instance, spec, label, values) in raw.instances {
            let value = values.join(if spec.repeated { "\n" } else { "," });
            learn(&mut secrets, spec, &value);
            if let Err(err) = if value.is_empty() {
                Ok(())
            } else {
                spec.check(&value)
            } {
                unasked.push((section, format!("{label}: {}", err.report())));
            }
            if let Some(b) = backends.get_mut(self.sections[section].group.name) {
                let _ = b.set_instance(&instance, spec.key, &value);
            }
        }
        if let Some(key) = self.port_for
            && program.get(key).is_none()
            && let Some(spec) = program.spec(key)
        {
            match env.get("PORT") {
                Some(Ok(port)) if port.parse::<u16>().is_ok() => {
                    program.set(spec, Origin::Env, vec![format!(":{port}")]);
                }
                Some(Ok(port)) => problems.push(format!("PORT: {port:?} is not a port")),
                Some(Err(e)) => problems.push(format!("PORT: {e}")),
                None => {}
            }
        }
        if let Some(key) = self.state_directory_for
            && program.get(key).is_none()
            && let Some(spec) = program.spec(key)
        {
            match env.get("STATE_DIRECTORY") {
                Some(Ok(folders)) => {
                    let first = folders.split(':').next().unwrap_or_default();
                    program.set(spec, Origin::Env, vec![first.to_owned()]);
                }
                Some(Err(e)) => problems.push(format!("STATE_DIRECTORY: {e}")),
                None => {}
            }
        }
        let asked = program.list(REPORTERS);
        let all = program.spec(REPORTERS).is_none() || asked.is_empty();
        let uploader = program.get(UPLOADER);
        for (section, line) in unasked {
            let s = &self.sections[section];
            let asked = match s.place {
                Place::Reporter => all || asked.contains(&s.group.name),
                Place::Uploader => uploader.is_none_or(|u| u == s.group.name),
                Place::Program | Place::Section => true,
            };
            if asked {
                problems.push(line);
            }
        }
        for key in self.required.iter().filter(|_| !broken) {
            if let Err(e) = program.require(key) {
                problems.push(e.to_string());
            }
        }
        self.check_names(&program, &mut problems);
        let redactor = crate::mask::redactor(&secrets);
        let command_line = self.mask_words(words, &redactor);
        let secrets = secrets.into_iter().map(Secret::from).collect();
        let parsed = Parsed {
            program,
            backends,
            secrets,
            command_line,
            env: env.clone(),
        };
        for check in self.checks.iter().filter(|_| !broken) {
            check(&parsed, &mut problems);
        }
        problems.masked(&redactor).into_result()?;
        Ok(parsed)
    }

    /// Reporters and uploader must be ones that there are.
    fn check_names(&self, program: &ProgramSettings, problems: &mut Problems) {
        let names = |place: Place| {
            let these = self.sections.iter().filter(move |s| s.place == place);
            these.map(|s| s.group.name)
        };
        let known: Vec<&str> = names(Place::Reporter).collect();
        for name in program
            .list(REPORTERS)
            .into_iter()
            .filter(|n| !known.contains(n))
        {
            problems.push(unknown(REPORTERS, name, &known));
        }
        let known: Vec<&str> = [NOOP].into_iter().chain(names(Place::Uploader)).collect();
        if let Some(name) = program.get(UPLOADER).filter(|n| !known.contains(n)) {
            problems.push(unknown(UPLOADER, name, &known));
        }
    }

    /// The command line as it may be shown.
    fn mask_words(&self, words: &[String], redactor: &redact::Redactor) -> Vec<String> {
        let secret = |flag: &str| {
            let synonym = self.synonyms.iter().find(|(name, _)| *name == flag);
            let flag = synonym.map_or(flag, |(_, flag)| *flag);
            self.sections.iter().any(|s| {
                s.group
                    .options
                    .iter()
                    .any(|o| o.secret && (s.group.flag(o) == flag || o.aliases.contains(&flag)))
            })
        };
        let mut hide_next = false;
        words
            .iter()
            .map(|w| {
                if std::mem::take(&mut hide_next) {
                    return redact::MASK.to_owned();
                }
                if let Some(flag) = w
                    .strip_prefix('-')
                    .map(|f| f.strip_prefix('-').unwrap_or(f))
                {
                    match flag.split_once('=') {
                        Some((name, _)) if secret(name) => {
                            return format!("-{name}={}", redact::MASK);
                        }
                        None if secret(flag) => hide_next = true,
                        _ => {}
                    }
                }
                redactor.redact(w).into_owned()
            })
            .collect()
    }
}

/// Says that there is no backend of a name, and which there are.
pub(crate) fn unknown(option: &str, name: &str, known: &[&str]) -> String {
    format!(
        "{option}: there is no {name:?}; there is {}",
        known.join(", ")
    )
}

/// The known name nearest to a wrong one, if one is near.
pub(crate) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .filter(|k| !k.is_empty())
        .map(|k| (strsim::damerau_levenshtein(name, k), *k))
        .filter(|(d, k)| *d <= 1 + k.len().min(name.len()) / 4)
        .min()
        .map(|(_, k)| k)
}

impl fmt::Debug for Cli {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cli")
            .field("name", &self.name)
            .field("version", &self.version)
            .field("groups", &self.sections.len())
            .finish_non_exhaustive()
    }
}
