use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::model::{FleetModel, Row, State};

/// What a request asks for.
struct Asked {
    machine: Option<String>,
    unit: Option<String>,
    token: Vec<String>,
}

impl Asked {
    fn of(query: &str) -> Self {
        let mut asked = Self {
            machine: None,
            unit: None,
            token: Vec::new(),
        };
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "machineID" => asked.machine = Some(value.into_owned()),
                "unitName" => asked.unit = Some(value.into_owned()),
                "nextPageToken" => asked.token.push(value.into_owned()),
                _ => {}
            }
        }
        asked
    }

    /// Tells the lists and their filters apart.
    fn list(&self, resource: &str) -> String {
        format!("{resource} {:?} {:?}", self.machine, self.unit)
    }
}

impl FleetModel {
    /// The answer to a GET of this path and query: status and body.
    #[must_use]
    pub fn get(&self, target: &str) -> (u16, String) {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let bases: &[&str] = if self.state().is_old {
            &["/v1-alpha"]
        } else {
            &["/fleet/v1", "/v1-alpha"]
        };
        let resource = bases.iter().find_map(|base| path.strip_prefix(base));
        let asked = Asked::of(query);
        match resource {
            Some("/state") => self.states(&asked),
            Some("/machines") => {
                let known = |state: &State, id: &str| state.is_known(&state.machines[id]);
                self.page(
                    "machines",
                    &asked,
                    |state| {
                        state
                            .machines
                            .keys()
                            .filter(|id| known(state, id))
                            .collect()
                    },
                    machine,
                )
            }
            Some("/units") => self.page(
                "units",
                &asked,
                |state| state.units.keys().collect(),
                |state, name: &String| unit(state, name),
            ),
            Some(other) => match other.strip_prefix("/units/") {
                Some(name) => {
                    let state = self.state();
                    let name = decoded(name);
                    if state.units.contains_key(&name) {
                        (200, unit(&state, &name).to_string())
                    } else {
                        error(404, "unit does not exist")
                    }
                }
                None => error(404, ""),
            },
            None => error(404, ""),
        }
    }

    fn states(&self, asked: &Asked) -> (u16, String) {
        let (page, _) = match self.place("state", asked) {
            Ok(place) => place,
            Err(what) => return error(400, &what),
        };
        self.run_hook(page);
        let is_asked = |row: &&Row| {
            asked.machine.as_ref().is_none_or(|m| *m == row.machine)
                && asked.unit.as_ref().is_none_or(|u| *u == row.name)
        };
        self.page(
            "state",
            asked,
            |state| state.shown().filter(is_asked).collect(),
            |_, of: &Row| row(of),
        )
    }

    /// The number of the page that is asked for, from 1, and how many rows it has.
    fn place(&self, resource: &str, asked: &Asked) -> Result<(usize, usize), String> {
        let state = self.state();
        let size = state.page;
        let token = match asked.token.as_slice() {
            [] => return Ok((1, size)),
            [token] => token,
            _ => return Err("too many values for page token".to_owned()),
        };
        let page = if state.is_strict {
            let own = token.strip_suffix(&format!("&{}", asked.list(resource)));
            own.and_then(|page| page.strip_prefix("+/=%"))
                .and_then(|page| page.parse().ok())
        } else {
            plain_token(token)
                .filter(|place| place.1 == size)
                .map(|place| place.0)
        };
        page.filter(|page| *page > 0)
            .map(|page| (page, size))
            .ok_or_else(|| "invalid value of nextPageToken query parameter".to_owned())
    }

    fn page<T>(
        &self,
        resource: &str,
        asked: &Asked,
        entries: impl FnOnce(&State) -> Vec<&T>,
        render: impl Fn(&State, &T) -> Value,
    ) -> (u16, String) {
        let (page, size) = match self.place(resource, asked) {
            Ok(place) => place,
            Err(what) => return error(400, &what),
        };
        let state = self.state();
        let all = entries(&state);
        let start = (page - 1) * size;
        let stop = page * size;
        let mut answer = Map::new();
        if start < all.len() {
            let name = if resource == "state" {
                "states"
            } else {
                resource
            };
            let cut = &all[start..stop.min(all.len())];
            let cut: Vec<Value> = cut.iter().map(|entry| render(&state, entry)).collect();
            answer.insert(name.into(), cut.into());
            if stop <= all.len() {
                let next = page + 1;
                let token = if state.is_strict {
                    format!("+/=%{next}&{}", asked.list(resource))
                } else {
                    token_of(next, size)
                };
                answer.insert("nextPageToken".into(), token.into());
            }
        }
        (200, Value::Object(answer).to_string())
    }
}

/// Size and page, 16 bits each, the lower byte first, in hexadecimal.
fn token_of(page: usize, size: usize) -> String {
    let mut text = String::new();
    for n in [size, page] {
        for byte in [n & 255, n >> 8 & 255] {
            let _ = write!(text, "{byte:02x}");
        }
    }
    text
}

/// Page and size.
fn plain_token(token: &str) -> Option<(usize, usize)> {
    let n = u32::from_str_radix(token, 16).ok()?.to_be_bytes();
    let pair = |low: u8, high: u8| usize::from(low) | usize::from(high) << 8;
    (token.len() == 8).then(|| (pair(n[2], n[3]), pair(n[0], n[1])))
}

fn machine(state: &State, id: &String) -> Value {
    let machine = &state.machines[id];
    lean(json!({"id": id, "primaryIP": machine.ip, "metadata": machine.metadata}))
}

fn row(row: &Row) -> Value {
    lean(json!({
        "name": row.name,
        "hash": row.hash,
        "machineID": row.machine,
        "systemdLoadState": row.load,
        "systemdActiveState": row.active,
        "systemdSubState": row.sub,
    }))
}

fn unit(state: &State, name: &str) -> Value {
    let Some(unit) = state.units.get(name) else {
        return Value::Null;
    };
    let options: Vec<Value> = unit
        .options
        .iter()
        .map(|(section, name, value)| json!({"section": section, "name": name, "value": value}))
        .collect();
    let current = match &unit.machine {
        Some(_) => unit.desired.as_str(),
        None => "inactive",
    };
    lean(json!({
        "name": name,
        "options": options,
        "desiredState": unit.desired,
        "currentState": current,
        "machineID": unit.machine.as_deref().unwrap_or_default(),
    }))
}

/// Without what is empty, as Go's `omitempty` has it.
fn lean(value: Value) -> Value {
    let Value::Object(members) = value else {
        return value;
    };
    let is_empty = |v: &Value| {
        v.as_str() == Some("")
            || v.as_array().is_some_and(Vec::is_empty)
            || v.as_object().is_some_and(Map::is_empty)
    };
    members.into_iter().filter(|(_, v)| !is_empty(v)).collect()
}

fn error(code: u16, message: &str) -> (u16, String) {
    let body = json!({"error": {"code": code, "message": message}});
    (code, body.to_string())
}

fn decoded(text: &str) -> String {
    // In a path a plus is one.
    let text = text.replace('+', "%2B");
    url::form_urlencoded::parse(format!("x={text}").as_bytes())
        .next()
        .map_or_else(String::new, |(_, v)| v.into_owned())
}
