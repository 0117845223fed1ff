//! What may be taken from earlier builds.

/// What the user wants to be made or fetched anew.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Freshness {
    /// Ask registries for base images, whatever a cache of base images has.
    pub pull: bool,
    /// Take no result from an earlier build. Those of this one are kept all the same.
    pub no_cache: bool,
    /// The same for these stages only, by name or number.
    pub no_cache_filter: Vec<String>,
}
