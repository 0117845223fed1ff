//! What commands get beside the Dockerfile's word. [`super::mounts`] reads the values.

use std::ffi::OsString;

use clap::Args;

/// Secrets, agents, limits, network, caches.
#[derive(Debug, Default, Args)]
pub(super) struct MountsFlags {
    #[arg(long, value_name = "id=ID[,src=FILE|,env=NAME]")]
    pub(super) secret: Vec<String>,
    #[arg(long, value_name = "ID[=SOCKET]")]
    pub(super) ssh: Vec<String>,
    #[arg(long, value_name = "NAME=SOFT[:HARD]")]
    pub(super) ulimit: Vec<String>,
    #[arg(long, value_name = "MODE")]
    pub(super) network: Option<String>,
    #[arg(long, value_name = "ENTITLEMENT")]
    pub(super) allow: Vec<String>,
    #[arg(long, value_name = "DIR")]
    pub(super) cache_mount_dir: Option<OsString>,
}
