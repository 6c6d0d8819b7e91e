//! The one walk of the file system that all queries of an engine share.

/// Placeholder type replaced below.
#[derive(Debug, Default)]
pub(crate) struct WalkCache;
