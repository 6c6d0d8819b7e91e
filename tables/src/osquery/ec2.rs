//! The metadata of EC2 (`IMDSv2`), for the tables that show it.

use super::cloud::{self, ADDRESS};
use crate::reader::Scan;

/// How long the token is good, in seconds.
const TOKEN_LIFE: &str = "60";

/// The way to the metadata.
pub(super) struct Metadata<'a> {
    scan: &'a Scan,
    token: String,
}

impl<'a> Metadata<'a> {
    pub fn of(scan: &'a Scan) -> Option<Self> {
        let is_here = cloud::firmware_says(scan, "sys_vendor", "Amazon EC2")
            || cloud::firmware_says(scan, "bios_vendor", "Amazon EC2")
            || cloud::firmware_says(scan, "product_uuid", "ec2");
        if !is_here {
            scan.warn_of_no_subject("this is no machine of Amazon EC2");
            return None;
        }
        let headers = [("X-aws-ec2-metadata-token-ttl-seconds", TOKEN_LIFE)];
        let token = cloud::ask(scan, ADDRESS, "PUT", "/latest/api/token", &headers)?;
        let token = String::from_utf8(token).ok().filter(|token| token.bytes().all(|byte| byte.is_ascii_graphic()))?;
        Some(Metadata { scan, token })
    }

    /// A value below `/latest/`.
    pub fn get(&self, path: &str) -> Option<String> {
        let headers = [("X-aws-ec2-metadata-token", self.token.as_str())];
        let value = cloud::ask(self.scan, ADDRESS, "GET", &format!("/latest/{path}"), &headers)?;
        String::from_utf8(value).ok()
    }
}
