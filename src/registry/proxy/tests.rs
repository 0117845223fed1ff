//! What is a proxy's address, and what is shown of it.

use super::*;

fn settings(address: &str) -> ProxySettings {
    let proxy = ProxyVariable { variable: "HTTPS_PROXY".into(), address: address.into() };
    ProxySettings { https: Some(proxy), ..ProxySettings::default() }
}

#[test]
fn addresses_may_leave_out_their_scheme() {
    for (address, shown) in [
        ("proxy:3128", "http://proxy:3128"),
        ("http://proxy", "http://proxy"),
        ("https://u:geheim@proxy:3129/", "https://proxy:3129"),
        (" 10.0.0.1:3128 ", "http://10.0.0.1:3128"),
        ("u:geheim@proxy:3128", "http://proxy:3128"),
    ] {
        let proxies = Proxies::new(&settings(address)).expect(address);
        let url = Url::parse("https://r.io/v2/").expect("a url");
        assert_eq!(proxies.of(&url).expect("a proxy").to_string(), shown);
        assert!(!format!("{proxies:?}").contains("geheim"));
        let plain = Url::parse("http://r.io/v2/").expect("a url");
        assert!(proxies.of(&plain).is_none());
    }
    for address in ["http://", "ftp://proxy", "http://u:geheim@a b", "socks5://proxy:1080"] {
        let error = Proxies::new(&settings(address)).expect_err(address).to_string();
        assert!(error.contains("`HTTPS_PROXY`") && !error.contains("geheim"), "{error}");
    }
}

#[test]
fn a_proxy_that_is_silent_is_named() {
    let proxy = settings("http://u:geheim@proxy:3128").https.expect("a proxy");
    let proxy = Proxy::read(&proxy).expect("an address");
    let text = refusal::silent(&proxy, "r.io").to_string();
    for part in ["`r.io`", "`http://proxy:3128`", "within 30 s", "Check HTTPS_PROXY", "NO_PROXY"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("geheim"), "{text}");
}
