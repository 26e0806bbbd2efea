//! Derives Amazon's region from a host name.

/// The default region of requests.
const DEFAULT_REGION: &str = "us-east-1";

/// Returns true if the endpoint is a service of Amazon.
pub(super) fn is_amazon(endpoint: &str) -> bool {
    amazon_name(endpoint).is_some()
}

/// Returns the region in the host name of an Amazon service (`s3.eu-west-1.amazonaws.com`),
/// otherwise the default region.
pub(super) fn region_of(endpoint: &str) -> &str {
    let name = amazon_name(endpoint).unwrap_or_default();
    let rest = name.strip_prefix("s3").unwrap_or_default();
    let rest = rest.strip_prefix(".dualstack").unwrap_or(rest);
    match rest.get(1..) {
        Some(region) if !region.is_empty() => region,
        _ => DEFAULT_REGION,
    }
}

/// Returns the part of the host name before Amazon's domain.
fn amazon_name(endpoint: &str) -> Option<&str> {
    let host = endpoint
        .split_once("://")
        .map_or(endpoint, |(_, rest)| rest);
    let host = host.split(['/', ':']).next().unwrap_or_default();
    host.strip_suffix(".amazonaws.com")
        .or_else(|| host.strip_suffix(".amazonaws.com.cn"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn region_is_derived_from_amazon_host_names() {
        for (endpoint, region) in [
            ("https://s3.eu-west-1.amazonaws.com", "eu-west-1"),
            ("https://s3-eu-west-1.amazonaws.com:443", "eu-west-1"),
            ("https://s3.dualstack.eu-west-1.amazonaws.com", "eu-west-1"),
            ("https://s3.cn-north-1.amazonaws.com.cn", "cn-north-1"),
            ("http://s3.amazonaws.com", "us-east-1"),
            ("http://s3.example.org:9000", "us-east-1"),
            ("http://127.0.0.1:9000/s3", "us-east-1"),
        ] {
            assert_eq!(region_of(endpoint), region, "{endpoint}");
        }
        assert!(is_amazon("https://s3.amazonaws.com"));
        assert!(!is_amazon("https://amazonaws.com.example.org"));
    }
}
