//! How a registry is reached, for commands that pull through no mirror.

use clap::Args;

use super::flags::RegistryFlags;
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
    pub(super) fn with_retries(self, push_retry: u32) -> RegistryFlags {
        RegistryFlags {
            registry_mirror: Vec::new(),
            registry_map: Vec::new(),
            skip_default_registry_fallback: false,
            insecure: self.insecure,
            insecure_pull: self.insecure,
            insecure_registry: self.insecure_registry,
            skip_tls_verify: self.skip_tls_verify,
            skip_tls_verify_registry: self.skip_tls_verify_registry,
            registry_certificate: self.registry_certificate,
            registry_client_cert: self.registry_client_cert,
            push_retry,
            skip_push_permission_check: false,
        }
    }
}
