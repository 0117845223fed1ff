//! What kiln asks of a registry.

use testkit::Request;

use super::trace::Counts;

/// Requests by method and what they are about, and the bytes of their bodies.
pub fn counted(requests: &[Request]) -> Counts {
    let mut counts = Counts::new();
    for request in requests {
        *counts.entry(format!("{} {}", request.method, about(&request.path))).or_default() += 1;
    }
    let sum = |of: fn(&Request) -> u64| requests.iter().map(of).sum();
    counts.insert("bytes of bodies sent".to_owned(), sum(|request| request.bytes_in));
    counts.insert("bytes of bodies received".to_owned(), sum(|request| request.bytes_out));
    counts
}

/// The part of the distribution specification that a path belongs to.
fn about(path: &str) -> &'static str {
    match path {
        "/v2/" | "/v2" => "ping",
        _ if path.contains("/manifests/") => "manifest",
        // Before the blobs, below which they are.
        _ if path.contains("/blobs/uploads") => "upload",
        _ if path.contains("/blobs/") => "blob",
        _ => "other",
    }
}
