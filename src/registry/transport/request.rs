//! One question to a registry.

use reqwest::header::HeaderName;
use reqwest::{Method, Url};

use crate::registry::reference::Repository;

/// Reading or writing: decides about plain HTTP and about what a token must allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::registry) enum Access {
    Pull,
    Push,
    Delete,
}

/// A repository, and what kiln wants there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::registry) struct Place {
    pub(in crate::registry) registry: String,
    pub(in crate::registry) name: String,
    pub(in crate::registry) access: Access,
}

impl Place {
    pub(in crate::registry) fn pull(repository: &Repository) -> Self {
        Self::new(repository, Access::Pull)
    }

    pub(in crate::registry) fn push(repository: &Repository) -> Self {
        Self::new(repository, Access::Push)
    }

    pub(in crate::registry) fn delete(repository: &Repository) -> Self {
        Self::new(repository, Access::Delete)
    }

    fn new(repository: &Repository, access: Access) -> Self {
        Self { registry: repository.registry.clone(), name: repository.name.clone(), access }
    }

    /// The host to connect to.
    pub(in crate::registry) fn host(&self) -> &str {
        crate::registry::reference::api_host(&self.registry)
    }

    /// The scope of a token, as distribution's scope.md spells it.
    pub(in crate::registry) fn scope(&self) -> String {
        let actions = match self.access {
            Access::Pull => "pull",
            Access::Push => "pull,push",
            Access::Delete => "pull,delete",
        };
        format!("repository:{}:{actions}", self.name)
    }
}

/// Where a request goes.
#[derive(Debug, Clone)]
pub(in crate::registry) enum Target {
    /// What follows `/v2/NAME/`.
    Path(String),
    /// A URL that the registry named.
    Url(Url),
}

/// One question to a registry.
#[derive(Debug, Clone)]
pub(in crate::registry) struct Request {
    pub(in crate::registry) method: Method,
    pub(in crate::registry) place: Place,
    pub(in crate::registry) target: Target,
    pub(in crate::registry) headers: Vec<(HeaderName, String)>,
    pub(in crate::registry) body: Vec<u8>,
    /// A repository of the same registry that the token must let kiln read as well.
    pub(in crate::registry) also_pull: Option<String>,
    /// For errors: "kiln wanted to …".
    pub(in crate::registry) action: String,
    /// For a 404: "… does not exist".
    pub(in crate::registry) what: String,
}

impl Request {
    pub(in crate::registry) fn new(
        method: Method,
        place: &Place,
        target: Target,
        action: impl Into<String>,
    ) -> Self {
        Self {
            method,
            place: place.clone(),
            target,
            headers: Vec::new(),
            body: Vec::new(),
            also_pull: None,
            action: action.into(),
            what: format!("the repository `{}/{}`", place.registry, place.name),
        }
    }

    /// Adds a header.
    pub(in crate::registry) fn header(
        mut self,
        name: HeaderName,
        value: impl Into<String>,
    ) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Names what a 404 is about.
    pub(in crate::registry) fn what(mut self, what: impl Into<String>) -> Self {
        self.what = what.into();
        self
    }

    /// The scopes that a token must have; the one that is written to first, as some token servers
    /// look at no other.
    pub(in crate::registry) fn scopes(&self) -> Vec<String> {
        // A question to the registry itself.
        if self.place.name.is_empty() {
            return Vec::new();
        }
        let other = self.also_pull.as_ref().map(|name| format!("repository:{name}:pull"));
        std::iter::once(self.place.scope()).chain(other).collect()
    }
}
