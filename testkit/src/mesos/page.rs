//! Answers that are kept until something changes.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::model::Model;
use super::render;
use super::render::operator::{self, Part};
use crate::http::lock;

/// The shortest answer that is compressed, in bytes.
const WORTH_GZIP: usize = 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Page {
    Master(usize),
    Agent(usize),
    Operator(Part),
}

/// A rendered page and the generation of the model it shows.
#[derive(Debug, Clone)]
pub(crate) struct Rendered {
    page: Page,
    generation: u64,
    pub(crate) plain: Arc<[u8]>,
    gzip: Option<Arc<[u8]>>,
}

#[derive(Debug, Default)]
pub(crate) struct Pages(Mutex<HashMap<Page, Rendered>>);

impl Pages {
    /// A page, rendered again only if something changed.
    pub(crate) fn get(&self, model: &Model, page: Page) -> Rendered {
        let mut pages = lock(&self.0);
        if let Some(rendered) = pages.get(&page)
            && rendered.generation == model.generation
        {
            return rendered.clone();
        }
        // What is stale goes first: a state can be large.
        pages.remove(&page);
        let plain = match page {
            Page::Master(index) => render::master_state(model, index),
            Page::Agent(index) => render::agent_state(model, index),
            Page::Operator(part) => operator::part(model, part),
        };
        let rendered = Rendered {
            page,
            generation: model.generation,
            plain: plain.into(),
            gzip: None,
        };
        pages.insert(page, rendered.clone());
        rendered
    }

    /// The page compressed, if it is long enough to be worth it.
    pub(crate) fn gzip(&self, rendered: Rendered) -> Option<Arc<[u8]>> {
        if rendered.plain.len() < WORTH_GZIP {
            return None;
        }
        if let Some(gzip) = rendered.gzip {
            return Some(gzip);
        }
        let gzip: Arc<[u8]> = compressed(&rendered.plain)?.into();
        if let Some(kept) = lock(&self.0).get_mut(&rendered.page)
            && kept.generation == rendered.generation
        {
            kept.gzip = Some(Arc::clone(&gzip));
        }
        Some(gzip)
    }
}

fn compressed(plain: &[u8]) -> Option<Vec<u8>> {
    // Fast: clients see the format, not the ratio.
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain).ok()?;
    encoder.finish().ok()
}
