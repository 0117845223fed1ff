//! A registry's log, read as transfers.

use testkit::{Registry, Request};

/// What was asked of a registry since its log was last cleared.
#[derive(Debug)]
pub struct Traffic(Vec<Request>);

impl Traffic {
    pub fn of(registry: &Registry) -> Self {
        Self(registry.requests())
    }

    fn those<'a>(&'a self, method: &'a str, path: &'a str) -> impl Iterator<Item = &'a Request> {
        let fits = move |r: &&Request| r.method == method && r.path.contains(path);
        self.0.iter().filter(fits)
    }

    /// Number of requests with this method whose path contains the text.
    pub fn count(&self, method: &str, path: &str) -> usize {
        self.those(method, path).count()
    }

    /// Downloads of this blob, from whatever repository.
    pub fn downloads(&self, digest: &str) -> usize {
        self.count("GET", &format!("/blobs/{digest}"))
    }

    /// Uploads of blobs: each ends with a PUT.
    pub fn uploads(&self) -> usize {
        self.count("PUT", "/blobs/uploads/")
    }

    /// Mounts that the registry did.
    pub fn mounts(&self) -> usize {
        self.those("POST", "/blobs/uploads/")
            .filter(|r| r.query.contains("mount=") && r.status == 201)
            .count()
    }

    /// Bytes of blobs that clients sent.
    pub fn uploaded_bytes(&self) -> u64 {
        ["POST", "PATCH", "PUT"]
            .iter()
            .flat_map(|method| self.those(method, "/blobs/uploads/"))
            .map(|r| r.bytes_in)
            .sum()
    }

    /// Bytes of blobs that clients fetched.
    pub fn downloaded_bytes(&self) -> u64 {
        self.those("GET", "/blobs/").map(|r| r.bytes_out).sum()
    }

    /// `METHOD path` of everything, in order.
    pub fn lines(&self) -> Vec<String> {
        self.0.iter().map(Request::line).collect()
    }

    /// The same, one a line, for messages.
    pub fn text(&self) -> String {
        let line = |r: &Request| {
            let query = if r.query.is_empty() { String::new() } else { format!("?{}", r.query) };
            format!(
                "{}{query} -> {} ({} in, {} out)\n",
                r.line(),
                r.status,
                r.bytes_in,
                r.bytes_out
            )
        };
        self.0.iter().map(line).collect()
    }
}

/// The digests of an image's layers and, last, of its config.
pub fn blobs(registry: &Registry, repo: &str, tag: &str) -> (Vec<String>, String) {
    let (bytes, _) = registry.manifest(repo, tag).expect("a manifest");
    let manifest: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
    let text = |value: &serde_json::Value| value["digest"].as_str().expect("a digest").to_owned();
    let layers = manifest["layers"].as_array().expect("layers").iter().map(text).collect();
    (layers, text(&manifest["config"]))
}
