use std::time::Duration;

use super::*;

#[test]
fn flags_are_read_in_the_spellings_of_oslo() {
    for (text, value) in [("True", true), ("1", true), ("OFF", false), ("no", false)] {
        assert_eq!(Flag.parse(text), Some(value), "{text}");
    }
    for bad in ["", "2", "maybe", "tru e"] {
        assert_eq!(Flag.parse(bad), None, "{bad:?}");
    }
}

#[test]
fn numbers_keep_their_limits() {
    let port = Int::<u16>::new(1, 65_535, "");
    assert_eq!(port.parse("9292"), Some(9292));
    for bad in ["0", "65536", "-1", "+1", "1.0", "0x10", "", " 1", "1e3"] {
        assert_eq!(port.parse(bad), None, "{bad:?}");
    }
    assert_eq!(
        Int::<u64>::new(0, u64::MAX, "").parse("18446744073709551616"),
        None
    );
    assert_eq!(
        Int::<u64>::new(1, 9, "bytes").expected(),
        "a whole number of bytes from 1 to 9"
    );
}

#[test]
fn zero_seconds_mean_none() {
    let kind = SecondsOrOff { max: 100 };
    assert_eq!(kind.parse("0"), Some(None));
    assert_eq!(kind.parse("60"), Some(Some(Duration::from_secs(60))));
    assert_eq!(kind.parse("101"), None);
    assert_eq!(Seconds { min: 1, max: 5 }.parse("0"), None);
}

#[test]
fn addresses_are_numeric() {
    assert_eq!(
        Address.parse("[::1]"),
        Some("::1".parse().expect("an address"))
    );
    assert_eq!(
        Address.parse("0.0.0.0"),
        Some("0.0.0.0".parse().expect("an address"))
    );
    for bad in ["localhost", "127.1", "127.0.0.1:80", ""] {
        assert_eq!(Address.parse(bad), None, "{bad:?}");
    }
}

#[test]
fn paths_and_empty_values_are_read() {
    assert_eq!(FilePath.parse("a/b"), Some("a/b".into()));
    assert_eq!(FilePath.parse(""), None);
    assert_eq!(FilePath.parse("a\0b"), None);
    assert_eq!(Optional(FilePath).parse(""), Some(None));
    assert_eq!(Optional(FilePath).parse("a"), Some(Some("a".into())));
    assert_eq!(Optional(Flag).parse("a"), None);
}

#[test]
fn word_lists_are_read() {
    assert_eq!(
        Words.parse(" raw,qcow2,\nraw ,"),
        Some(vec!["raw".into(), "qcow2".into()])
    );
    assert_eq!(Words.parse(" , "), None);
    assert_eq!(Words.parse("a b"), None);
}

#[test]
fn permissions_are_octal() {
    assert_eq!(FileMode.parse("0640"), Some(Some(0o640)));
    assert_eq!(FileMode.parse("0o600"), Some(Some(0o600)));
    assert_eq!(FileMode.parse("0"), Some(None));
    for bad in ["0999", "1777", "0040", "", "rw", "-1"] {
        assert_eq!(FileMode.parse(bad), None, "{bad:?}");
    }
}

#[test]
fn negative_limits_mean_none() {
    assert_eq!(Limit.parse("128"), Some(Some(128)));
    assert_eq!(Limit.parse("0"), Some(Some(0)));
    assert_eq!(Limit.parse("-1"), Some(None));
    for bad in ["-", "--1", "-0", "none", ""] {
        assert_eq!(Limit.parse(bad), None, "{bad:?}");
    }
}

#[test]
fn endpoints_are_plain_urls() {
    assert_eq!(
        Endpoint.parse("https://h:9292/image/"),
        Some("https://h:9292/image".into())
    );
    for bad in [
        "ftp://h/",
        "h:9292",
        "http://u:p@h/",
        "http://h/?a",
        "http://h/#a",
        "",
        "http://",
    ] {
        assert_eq!(Endpoint.parse(bad), None, "{bad:?}");
    }
}

#[test]
fn hosts_without_scheme_use_http() {
    for (text, url) in [
        ("s3.example.org:9000", "http://s3.example.org:9000"),
        ("https://h/", "https://h"),
        ("[::1]:80", "http://[::1]:80"),
    ] {
        assert_eq!(HostUrl.parse(text).as_deref(), Some(url));
    }
    for bad in ["", "ftp://h", "u:p@h", "h?a", "a b"] {
        assert_eq!(HostUrl.parse(bad), None, "{bad:?}");
    }
}

#[test]
fn choices_accept_only_their_words() {
    let kind = Choice(&[("a", 1), ("b", 2)]);
    assert_eq!(kind.parse("b"), Some(2));
    assert_eq!(kind.parse("B"), None);
    assert_eq!(kind.expected(), "one of a, b");
}

#[test]
fn lists_may_be_empty_bracketed_and_quoted() {
    let words = |text| WordList.parse(text).map(|words| words.join(" "));
    for text in [
        "http,HTTPS",
        "[http, https]",
        "['http', \"https\"]",
        " http ,, https",
    ] {
        assert_eq!(words(text).as_deref(), Some("http https"), "{text}");
    }
    for text in ["", "[]", ","] {
        assert_eq!(words(text).as_deref(), Some(""), "{text}");
    }
    assert_eq!(words("a b"), None);
    let ports = NumberList::<u16>::new(1, 65_535);
    assert_eq!(ports.parse("[80, 443]"), Some(vec![80, 443]));
    assert_eq!(ports.parse(""), Some(vec![]));
    for bad in ["0", "65536", "80;443", "http", "-1"] {
        assert_eq!(ports.parse(bad), None, "{bad:?}");
    }
}

#[test]
fn storage_quotas_have_units() {
    for (text, bytes) in [
        ("0", None),
        ("0GB", None),
        ("1", Some(1)),
        ("7B", Some(7)),
        ("2KB", Some(2 << 10)),
        ("3MB", Some(3 << 20)),
        ("10GB", Some(10 << 30)),
        ("16777215TB", Some(16_777_215 << 40)),
        ("18446744073709551615", Some(u64::MAX)),
    ] {
        assert_eq!(StorageQuota.parse(text), Some(bytes), "{text}");
    }
    for text in [
        "",
        "B",
        "-1",
        "+1",
        "1 GB",
        "1gb",
        "1G",
        "1PB",
        "1.5GB",
        "16777216TB",
        "1KBB",
    ] {
        assert_eq!(StorageQuota.parse(text), None, "{text}");
    }
}
