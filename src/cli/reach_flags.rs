//! How a registry is reached; all that commands have which pull through no mirror.

use clap::Args;

use super::flags::RegistryFlags;
use super::transfer_flags::TransferFlags;
use super::values;

/// TLS, or not.
#[derive(Debug, Default, Args)]
pub(super) struct ReachFlags {
    #[arg(long)]
    pub(super) insecure: bool,
    #[arg(long, value_name = "HOST", value_parser = values::host)]
    pub(super) insecure_registry: Vec<String>,
    #[arg(long)]
    pub(super) skip_tls_verify: bool,
    #[arg(long, value_name = "HOST", value_parser = values::host)]
    pub(super) skip_tls_verify_registry: Vec<String>,
    #[arg(long, value_name = "HOST=FILE", value_parser = values::host_path)]
    pub(super) registry_certificate: Vec<(String, String)>,
    #[arg(long, value_name = "HOST=CERTIFICATE,KEY", value_parser = values::host_certificate)]
    pub(super) registry_client_cert: Vec<(String, String, String)>,
}

impl ReachFlags {
    /// The same among all flags of registries. What is pushed to by plain HTTP is read so too.
    pub(super) fn with_retries(self, push_retry: u32, transfer: TransferFlags) -> RegistryFlags {
        let insecure_pull = self.insecure;
        RegistryFlags { insecure_pull, reach: self, push_retry, transfer, ..Default::default() }
    }
}
