//! What a Windows image says about itself: its name and version, for `os_version`.

use crate::windows::machine::Machine;

const VERSION: &str = r"Microsoft\Windows NT\CurrentVersion";
const ENVIRONMENT: &str = r"Control\Session Manager\Environment";
/// Windows 11 still calls itself 10; its builds begin here.
const FIRST_BUILD_OF_11: u64 = 22_000;

/// A version of Windows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version {
    pub name: String,
    pub major: u64,
    pub minor: u64,
    pub build: String,
    /// Seconds since 1970.
    pub installed: Option<u64>,
    /// The number of the last cumulative update within the build.
    pub revision: Option<u64>,
    pub arch: Option<&'static str>,
}

pub(crate) fn version(machine: &Machine) -> Option<Version> {
    let key = machine.software(VERSION)?;
    let text = |name: &str| key.text(name).unwrap_or_default();
    let build = text("CurrentBuildNumber");
    let is_11 = build.parse().is_ok_and(|build: u64| build >= FIRST_BUILD_OF_11);
    let product = text("ProductName");
    let product = if is_11 { product.replace("Windows 10", "Windows 11") } else { product };
    // Before Windows 10 the version is in a text only.
    let old = text("CurrentVersion");
    let (old_major, old_minor) = old.split_once('.').unwrap_or((&old, "0"));
    let number = |name: &str, old: &str| key.number(name).unwrap_or_else(|| old.parse().unwrap_or(0));
    let environment = machine.control_set(ENVIRONMENT);
    let processor = environment.and_then(|key| key.text("PROCESSOR_ARCHITECTURE")).unwrap_or_default();
    Some(Version {
        name: if product.starts_with("Microsoft") { product } else { format!("Microsoft {product}") },
        major: number("CurrentMajorVersionNumber", old_major),
        minor: number("CurrentMinorVersionNumber", old_minor),
        build,
        installed: key.number("InstallDate"),
        revision: key.number("UBR"),
        arch: match processor.as_str() {
            "AMD64" => Some("64-bit"),
            "ARM64" => Some("ARM 64-bit Processor"),
            "x86" => Some("32-bit"),
            _ => None,
        },
    })
}
