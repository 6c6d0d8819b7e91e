//! `docker_images`: images on the host.

use super::docker::Docker;
use super::json::{joined, number};
use crate::reader::Scan;
use crate::schema::{Rows, row, table};

table! {
    /// Images of Docker.
    docker_images: live_only {
        id: Text [index],
        created: BigInt,
        size_bytes: BigInt,
        tags: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let images = Docker::of(scan).map(|docker| docker.images()).unwrap_or_default();
    Box::new(images.into_iter().map(|(id, image)| {
        row! {
            id,
            created: number(&image, "/Created"),
            size_bytes: number(&image, "/Size"),
            tags: joined(&image, "/RepoTags", ","),
        }
    }))
}
