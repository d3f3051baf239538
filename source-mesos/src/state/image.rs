//! The image a task's container is made of.

use serde::Deserialize;

use super::lenient::{self, Object, Text};

/// The image of a container; empty if it has none, nothing if it cannot be read.
pub(super) fn read(container: &[u8]) -> Option<String> {
    let image = lenient::read(container, |text| {
        let container = lenient::object::<ContainerJson<'_>>(text)?;
        Ok(container.map(ContainerJson::image).unwrap_or_default())
    });
    image.ok()
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ContainerJson<'a> {
    #[serde(borrow)]
    docker: Object<ImageJson<'a>>,
    #[serde(borrow)]
    mesos: Object<MesosJson<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct MesosJson<'a> {
    #[serde(borrow)]
    image: Object<ImagesJson<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ImagesJson<'a> {
    #[serde(borrow)]
    docker: Object<ImageJson<'a>>,
    #[serde(borrow)]
    appc: Object<ImageJson<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ImageJson<'a> {
    #[serde(borrow)]
    image: Text<'a>,
    #[serde(borrow)]
    name: Text<'a>,
}

impl ContainerJson<'_> {
    fn image(self) -> String {
        let images = self.mesos.0.and_then(|m| m.image.0).unwrap_or_default();
        let names = [
            self.docker.0.map(|d| d.image),
            images.docker.0.map(|d| d.name),
            images.appc.0.map(|a| a.name),
        ];
        names
            .into_iter()
            .flatten()
            .find(|n| !n.is_empty())
            .map(String::from)
            .unwrap_or_default()
    }
}
