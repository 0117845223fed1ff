//! The metadata server: Compute Engine's, Cloud Run's, and the one that GKE shows to pods with a
//! workload identity (cloud.google.com/compute/docs/metadata/overview).

use reqwest::Url;
use reqwest::header::HeaderName;

use super::GoogleMetadata;
use crate::registry::cloud::ask::{Question, machine_says};
use crate::registry::cloud::token::{Granted, Lack, Token};
use crate::registry::transport::Pool;

/// By number, so that no name server is asked outside of Google's networks.
const USUAL: &str = "169.254.169.254";
const PATH: &str = "/computeMetadata/v1/instance/service-accounts/default/token";
/// Sent, so that nobody is talked into asking; and answered, so that it is Google's that answers:
/// other clouds use the same address.
const FLAVOR: HeaderName = HeaderName::from_static("metadata-flavor");
const GOOGLE: &str = "Google";
/// `Google` or `Google Compute Engine` on machines of Google's.
const PRODUCT: &str = "/sys/class/dmi/id/product_name";

pub(super) async fn token(http: &Pool, metadata: &GoogleMetadata) -> Result<Token, Lack> {
    let (host, given) = match metadata {
        GoogleMetadata::Usual => (USUAL, false),
        GoogleMetadata::At(host) => (host.as_str(), true),
    };
    let nobody = |why: String| Lack::Nobody(format!("the metadata server at {host} {why}"));
    if !given && !machine_says(PRODUCT, GOOGLE) {
        let root = url(host, "/").map_err(Lack::Broken)?;
        let question = Question::get(root).header(FLAVOR, GOOGLE);
        question.probe(http).await.map_err(nobody)?;
    }
    let url = url(host, PATH).map_err(Lack::Broken)?;
    let reply =
        Question::get(url).header(FLAVOR, GOOGLE).send_nearby(http).await.map_err(nobody)?;
    let flavor = reply.headers.get(FLAVOR).is_some_and(|flavor| flavor == GOOGLE);
    if !flavor {
        return Err(nobody("is not Google's".into()));
    }
    if reply.status == 404 {
        return Err(nobody("knows no service account of this machine".into()));
    }
    let granted = reply.read::<Granted>();
    let source = "this machine's service account (the metadata server)".to_owned();
    granted
        .and_then(|granted| granted.token(source))
        .map_err(|why| Lack::Broken(format!("no token of this machine's service account: {why}")))
}

fn url(host: &str, path: &str) -> Result<Url, String> {
    let url = Url::parse(&format!("http://{host}{path}"));
    url.map_err(|_| format!("GCE_METADATA_HOST is no host: `{host}`"))
}
