//! `docker_image_history`: how images were built, step by step.

use super::docker::{self, Docker};
use super::json::{joined, number, text};
use crate::reader::Scan;
use crate::schema::{Rows, row, table};

table! {
    /// Steps by which images of Docker were built.
    docker_image_history: live_only {
        id: Text [index],
        created: BigInt,
        size: BigInt,
        created_by: Text,
        tags: Text,
        comment: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let Some(docker) = Docker::of(scan) else { return Box::new(std::iter::empty()) };
    Box::new(docker.images().into_iter().flat_map(move |(id, image)| {
        let own = text(&image, "/Id").map(docker::id).unwrap_or_default();
        docker.list(&format!("/images/{own}/history"), "").into_iter().map(move |step| {
            row! {
                id: id.as_str(),
                created: number(&step, "/Created"),
                size: number(&step, "/Size"),
                created_by: text(&step, "/CreatedBy"),
                tags: joined(&step, "/Tags", ","),
                comment: text(&step, "/Comment"),
            }
        })
    }))
}
