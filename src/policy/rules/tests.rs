use super::*;
use crate::image::{ImageId, Member, Timestamp, Visibility};

fn caller(user: &str, tenant: &str, roles: &[&str]) -> Caller {
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    Caller {
        user: some(user),
        tenant: some(tenant),
        owner: some(tenant),
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        is_admin: roles.contains(&"admin"),
        ..Caller::default()
    }
}

fn image(owner: Option<&str>) -> Image {
    let mut image = Image::queued(ImageId::random(), Timestamp::from_micros(0));
    image.owner = owner.map(str::to_owned);
    image.visibility = Visibility::Public;
    image.min_disk_gb = 7;
    let property = ("x_test_key".to_owned(), Some("test_1234".to_owned()));
    image
        .properties
        .extend([property, ("empty_key".to_owned(), None)]);
    image
}

/// Returns true if alice (tenant a, role member) may get an image of tenant a under this rule.
fn alice_may(rule: &str) -> bool {
    let text = serde_json::json!({"get_image": rule, "me": "user_id:alice", "no": "!"});
    let policy = Policy::parse(&text.to_string(), "default").expect(rule);
    let alice = caller("alice", "a", &["member"]);
    policy.allows(Action::GetImage, &alice, Some(&image(Some("a"))))
}

fn wrong(text: &str) -> String {
    let error = Policy::parse(text, "default").expect_err(text);
    error.to_string()
}

#[test]
fn default_policy_reserves_publishing_and_cache_for_administrators() {
    for policy in [Policy::default(), Policy::parse("", "default").unwrap()] {
        for action in Action::ALL {
            let member = policy.allows(action, &caller("u", "t", &["member"]), None);
            let is_for_all = !matches!(action, Action::PublicizeImage | Action::ManageImageCache);
            assert_eq!(member, is_for_all, "{action:?}");
            assert!(policy.allows(action, &caller("u", "t", &["admin"]), None));
        }
        assert!(!policy.makes_admin(&caller("u", "t", &["admin"])));
    }
}

#[test]
fn each_kind_of_check_is_evaluated() {
    for (rule, expected) in [
        ("", true),
        ("  ", true),
        ("@", true),
        ("!", false),
        ("role:member", true),
        ("role:Member", true),
        ("role:members", false),
        ("rule:me", true),
        ("rule:no", false),
        ("user_id:alice", true),
        ("user_id:bob", false),
        ("tenant:%(owner)s", true),
        ("project_id:%(project_id)s", true),
        ("tenant:b", false),
        ("is_admin:True", false),
        ("is_admin:False", true),
        ("read_only:False", true),
        ("roles:member", true),
        ("service_roles:member", false),
        ("True:%(is_public)s", true),
        ("False:%(is_public)s", false),
        ("'queued':%(status)s", true),
        ("7:%(min_disk)s", true),
        ("'test_1234':%(x_test_key)s", true),
        ("'test_1234':%(other_key)s", false),
        ("None:%(name)s", true),
        ("None:%(owner)s", false),
        // A missing key does not equal None.
        ("None:%(other_key)s", false),
        ("not None:%(other_key)s", true),
        ("None:%(empty_key)s", true),
        ("None:%(virtual_size)s", true),
        ("'public':%(visibility)s", true),
        ("\"shared\":%(visibility)s", false),
        ("project_id:%(member_id)s", false),
        ("tenant:%(target.image.owner)s", true),
        ("'test_1234':%(target.image.x_test_key)s", true),
        ("user_id:%(name)s", false),
    ] {
        assert_eq!(alice_may(rule), expected, "{rule}");
    }
}

/// The rule of current Glance's `get_image`, without the administrators.
#[test]
fn visibility_and_members_can_be_checked() {
    let text = serde_json::json!({"get_image": "role:reader and (project_id:%(project_id)s or \
        project_id:%(member_id)s or \"community\":%(visibility)s or \"public\":%(visibility)s)"});
    let policy = Policy::parse(&text.to_string(), "default").unwrap();
    let mut image = image(Some("a"));
    let may = |image: &Image, tenant| {
        policy.allows(
            Action::GetImage,
            &caller("u", tenant, &["reader"]),
            Some(image),
        )
    };
    assert!(may(&image, "a") && may(&image, "b"));
    image.visibility = Visibility::Shared;
    assert!(may(&image, "a") && !may(&image, "b"));
    let member = Member::new("b", false, image.created_at);
    image.members.push(member);
    assert!(may(&image, "b") && !may(&image, "c") && !may(&image, ""));
    let shared = Policy::parse(r#"{"get_image": "'shared':%(visibility)s"}"#, "default").unwrap();
    let anybody = caller("u", "c", &[]);
    assert!(shared.allows(Action::GetImage, &anybody, Some(&image)));
    assert!(!shared.allows(Action::GetImage, &anybody, None));
}

/// As `json.loads` and `yaml.safe_load` read files, and oslo.policy rules.
#[test]
fn duplicate_and_null_rules_behave_as_in_oslo_policy() {
    for text in [
        r#"{"get_image": "!", "add_image": null, "get_image": "@", "get_members": [null, ""]}"#,
        "get_image: '!'\nadd_image:\nget_image: '@'\nget_members: [~, '']\n",
    ] {
        let policy = Policy::parse(text, "default").expect(text);
        let anybody = caller("u", "t", &[]);
        for (action, allowed) in [
            (Action::GetImage, true),
            (Action::AddImage, true),
            (Action::GetMembers, false),
        ] {
            assert_eq!(
                policy.allows(action, &anybody, None),
                allowed,
                "{action:?}: {text}"
            );
        }
    }
}

#[test]
fn precedence_is_not_and_or() {
    for (rule, expected) in [
        ("@ or @ and !", true),
        ("(@ or @) and !", false),
        ("! and ! or @", true),
        ("not ! and @", true),
        ("not (! and @)", true),
        ("not @ or @", true),
        ("not not @", true),
        ("NOT ! AND @ Or !", true),
        ("((role:member) and (not role:admin))", true),
        ("(tenant:%(owner)s)", true),
        ("( tenant:%(owner)s and role:admin ) or rule:me", true),
    ] {
        assert_eq!(alice_may(rule), expected, "{rule}");
    }
}

#[test]
fn invalid_rule_is_refused_with_its_name() {
    for (rule, problem) in [
        ("@ @", "\"and\" or \"or\" is expected"),
        ("(@", "unclosed"),
        ("@)", "\")\""),
        ("and @", "a check is expected"),
        ("@ or", "ends where"),
        ("not", "ends where"),
        ("admin", "not a check"),
        ("True", "not a check"),
        ("rule:unheard_of", "unheard_of"),
        ("role:%(owner)s", "cannot be an attribute of the image"),
        ("http://policy/check", "not supported"),
        ("system_scope:all", "only have the attributes"),
        ("tenant:x%(owner)s", "whole match"),
        ("tenant:%(owner)", "whole match"),
        ("'False':%(os_hidden)s", "not supported"),
        ("'x':%(target.image.tags)s", "not supported"),
        ("user_id:%(target.user.id)s", "not supported"),
    ] {
        let error = wrong(&serde_json::json!({"get_image": rule}).to_string());
        assert!(error.starts_with("rule \"get_image\" "), "{error}");
        assert!(error.contains(problem), "{rule}: {error}");
    }
    let deep = format!("{}@{}", "(".repeat(5000), ")".repeat(5000));
    let error = wrong(&serde_json::json!({ "get_image": deep }).to_string());
    assert!(error.contains("nested"), "{error}");
}

#[test]
fn cyclic_rules_are_refused() {
    let error =
        wrong(r#"{"a": "rule:b", "b": "not (@ and rule:c)", "c": "rule:a", "d": "rule:a"}"#);
    assert_eq!(error, "rule \"a\" refers to itself");
    let error = wrong(r#"{"default": "rule:unheard_of"}"#);
    assert!(error.contains("itself"), "{error}");
    // A rule that two others refer to is no cycle.
    Policy::parse(
        r#"{"a": "rule:c", "b": "rule:c and rule:a", "c": "@"}"#,
        "default",
    )
    .unwrap();
}

#[test]
fn json_yaml_and_list_form_are_equivalent() {
    let yaml = "# a comment\n\"get_image\": \"role:member\"\nadd_image: role:admin or\n  role:boss\n\
                delete_image: []\nmodify_image: [[\"role:member\", \"role:boss\"], \"role:admin\"]\n\
                get_members: [[]]\n";
    let json = r#"{"get_image": "role:member", "add_image": "role:admin or role:boss",
        "delete_image": [], "get_members": [[]],
        "modify_image": [["role:member", "role:boss"], ["role:admin"]]}"#;
    for text in [yaml, json] {
        let policy = Policy::parse(text, "default").unwrap();
        let allowed = |roles: &[&str]| {
            let asked = [
                Action::GetImage,
                Action::AddImage,
                Action::DeleteImage,
                Action::ModifyImage,
                Action::GetMembers,
            ];
            asked.map(|action| policy.allows(action, &caller("u", "t", roles), None))
        };
        assert_eq!(allowed(&["member"]), [true, false, true, false, false]);
        assert_eq!(allowed(&["boss"]), [false, true, true, false, false]);
        assert_eq!(allowed(&["admin"]), [false, true, true, true, false]);
        assert_eq!(
            allowed(&["member", "boss"]),
            [true, true, true, true, false]
        );
    }
    for bad in [
        "[]",
        "get_image",
        "get_image: {a: b}",
        "get_image: true",
        "{",
        "a: @",
    ] {
        assert!(wrong(bad).starts_with("is not JSON or YAML"), "{bad}");
    }
}

#[test]
fn default_rule_applies_to_missing_rules() {
    let text = r#"{"get_image": "@", "fallback": "role:boss", "default": "!", "x": "rule:y"}"#;
    let policy = Policy::parse(text, "fallback").unwrap();
    let may = |action, role| policy.allows(action, &caller("u", "t", &[role]), None);
    assert!(may(Action::GetImage, "member") && !may(Action::GetImages, "member"));
    assert!(may(Action::GetImages, "boss") && may(Action::PublicizeImage, "boss"));
    // The default rule never makes administrators.
    assert!(!policy.makes_admin(&caller("u", "t", &["boss"])));
    let without = Policy::parse(r#"{"get_image": "!"}"#, "default").unwrap();
    assert!(without.allows(Action::GetImages, &caller("u", "t", &[]), None));
}

#[test]
fn context_is_admin_makes_administrators() {
    let policy = Policy::parse(
        r#"{"context_is_admin": "role:admin or role:boss"}"#,
        "default",
    );
    let policy = policy.unwrap();
    assert!(policy.makes_admin(&caller("u", "t", &["boss"])));
    assert!(!policy.makes_admin(&caller("u", "t", &["member"])));
}

/// A missing attribute of the caller does not equal a missing attribute of the image.
#[test]
fn image_without_owner_matches_no_caller() {
    let policy = Policy::parse(r#"{"get_image": "tenant:%(owner)s"}"#, "default").unwrap();
    let may = |tenant, owner| {
        let image = image(owner);
        policy.allows(Action::GetImage, &caller("u", tenant, &[]), Some(&image))
    };
    assert!(may("a", Some("a")));
    assert!(!may("a", Some("b")) && !may("a", None) && !may("", None) && !may("", Some("b")));
    // Without an image its attributes are missing.
    assert!(!policy.allows(Action::GetImage, &caller("u", "a", &[]), None));
}
