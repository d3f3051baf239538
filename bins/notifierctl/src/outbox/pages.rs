//! Deliveries, a page at a time: an outbox may hold more than fits into memory.

use notifier_runtime::{Exit, Fatal};
use notifiers::{DeliveryFilter, DeliveryId, DeliveryView, Outbox};

/// How many deliveries are held at once.
const PAGE: usize = 200;
/// The fewest digits that an id can be named by.
const FEWEST: usize = 4;
/// How many ids are told of an ambiguous one.
const MOST_TOLD: usize = 5;

/// The deliveries of a filter.
pub(crate) struct Pages<'a> {
    outbox: &'a dyn Outbox,
    filter: DeliveryFilter,
    /// How many are still wanted, `None` for all.
    left: Option<usize>,
    ended: bool,
}

impl<'a> Pages<'a> {
    /// At most `limit` deliveries, or all for 0.
    pub(crate) fn new(outbox: &'a dyn Outbox, filter: DeliveryFilter, limit: usize) -> Self {
        Self {
            outbox,
            filter,
            left: (limit > 0).then_some(limit),
            ended: false,
        }
    }

    /// The next ones, empty at the end.
    pub(crate) async fn next(&mut self) -> Result<Vec<DeliveryView>, Fatal> {
        let want = self.left.unwrap_or(PAGE).min(PAGE);
        if self.ended || want == 0 {
            return Ok(Vec::new());
        }
        self.filter.limit = want;
        let page = self.outbox.inspect(&self.filter).await?;
        self.ended = page.len() < want;
        self.filter.after = page.last().map(|v| v.sequence);
        if let Some(left) = &mut self.left {
            *left -= page.len().min(*left);
        }
        Ok(page)
    }

    /// Whether there are more than were asked for.
    pub(crate) async fn more(&mut self) -> Result<bool, Fatal> {
        if self.ended {
            return Ok(false);
        }
        self.filter.limit = 1;
        Ok(!self.outbox.inspect(&self.filter).await?.is_empty())
    }
}

/// The deliveries that ids, or their first digits, name; each once.
pub(crate) async fn find(outbox: &dyn Outbox, names: &[&str]) -> Result<Vec<DeliveryId>, Fatal> {
    let mut found: Vec<(String, Vec<DeliveryId>)> = Vec::new();
    for name in names {
        let name = name.trim().to_ascii_lowercase();
        if name.chars().count() < FEWEST {
            return Err(Fatal::new(
                Exit::Usage,
                format!("{name:?} is too short for an id: at least {FEWEST} digits are needed"),
            ));
        }
        let id = DeliveryId::new(name.as_str());
        let ids = match outbox.story(&id).await? {
            Some(_) => vec![id],
            None => begin_with(outbox, &name).await?,
        };
        found.push((name, ids));
    }
    let mut out: Vec<DeliveryId> = Vec::new();
    for (name, ids) in found {
        match ids.as_slice() {
            [] => {
                return Err(Fatal::new(
                    Exit::Data,
                    format!("there is no delivery {name:?}"),
                ));
            }
            [id] => {
                if !out.contains(id) {
                    out.push(id.clone());
                }
            }
            several => {
                let told: Vec<&str> = several
                    .iter()
                    .take(MOST_TOLD)
                    .map(DeliveryId::as_str)
                    .collect();
                let more = if several.len() > MOST_TOLD {
                    ", …"
                } else {
                    ""
                };
                return Err(Fatal::new(
                    Exit::Data,
                    format!(
                        "{name:?} is ambiguous: {}{more}; give more digits",
                        told.join(", ")
                    ),
                ));
            }
        }
    }
    Ok(out)
}

/// The ids that begin with this, or some of them if there are many.
async fn begin_with(outbox: &dyn Outbox, name: &str) -> Result<Vec<DeliveryId>, Fatal> {
    let mut filter = DeliveryFilter::default();
    filter.id_prefix = Some(name.to_owned());
    filter.limit = MOST_TOLD + 1;
    let found = outbox.inspect(&filter).await?;
    Ok(found.into_iter().map(|v| v.delivery.id).collect())
}
