use super::*;

const ALL: &str = "create = @\nread = @\nupdate = @\ndelete = @\n";

fn roles(text: &str) -> Protections {
    let policy = Policy::default();
    Protections::parse(text, ProtectionFormat::Roles, &policy).expect(text)
}

fn wrong(text: &str, format: ProtectionFormat) -> String {
    let policy = Policy::parse(r#"{"known": "@"}"#, "default").unwrap();
    let error = Protections::parse(text, format, &policy).expect_err(text);
    error.to_string()
}

fn caller(role: &str) -> Caller {
    Caller {
        roles: vec![role.to_owned()],
        ..Caller::default()
    }
}

fn permitted(protections: &Protections, role: &str, property: &str) -> [bool; 4] {
    let policy = Policy::default();
    Operation::ALL.map(|operation| protections.permit(operation, &caller(role), property, &policy))
}

#[test]
fn first_matching_section_decides() {
    let protections = roles(
        "[^x_.*]\ncreate = admin, Member\nread = member\nupdate = !\ndelete =\n\
         [billing]\ncreate = !\nread = @\nupdate = @, member\ndelete = !, member\n\
         [^y]\ncreate = @\nread = @\nupdate = @\ndelete = @\n",
    );
    let of = |role: &str, property: &str| permitted(&protections, role, property);
    assert_eq!(of("member", "x_billing"), [true, true, false, false]);
    assert_eq!(of("admin", "x_"), [true, false, false, false]);
    // Searched for, not matched from the start.
    assert_eq!(of("member", "y_billing_y"), [false, true, true, false]);
    assert_eq!(of("nobody", "y"), [true; 4]);
    assert_eq!(of("admin", "z"), [false; 4], "in no section");
    assert_eq!(permitted(&roles(""), "member", "z"), [true; 4]);
}

#[test]
fn policies_format_refers_to_policy_rules() {
    let text = "[.*]\ncreate = boss_only\nread = @\nupdate = get_image\ndelete = !\n";
    let policy = r#"{"boss_only": "role:boss", "get_image": "role:member"}"#;
    let policy = Policy::parse(policy, "default").unwrap();
    let protections = Protections::parse(text, ProtectionFormat::Policies, &policy).unwrap();
    let of = |role: &str| {
        Operation::ALL.map(|operation| protections.permit(operation, &caller(role), "p", &policy))
    };
    assert_eq!(of("boss"), [true, true, false, false]);
    assert_eq!(of("member"), [false, true, true, false]);
}

#[test]
fn error_has_its_line() {
    use ProtectionFormat::{Policies, Roles};
    for (text, format, line, problem) in [
        ("create = @\n", Roles, 1, "before the first"),
        (
            "[a(]\ncreate = @\n",
            Roles,
            1,
            "not a supported regular expression",
        ),
        (
            "[(?=a)]\ncreate = @\n",
            Roles,
            1,
            "not a supported regular expression",
        ),
        (
            "[a]\ncreate = @\nread = @\nupdate = @\n",
            Roles,
            1,
            "no line for delete",
        ),
        ("[a]\ncreate = @\nraed = @\n", Roles, 3, "unknown key raed"),
        (
            "[a]\ncreate = @, !\nread = @\nupdate = @\ndelete = @\n",
            Roles,
            2,
            "both",
        ),
        (
            "[a]\ncreate = known, b\nread = @\nupdate = @\ndelete = @\n",
            Policies,
            2,
            "several",
        ),
        (
            "[a]\nread = @\ncreate = b\nupdate = @\ndelete = @\n",
            Policies,
            3,
            "\"b\"",
        ),
        (&format!("[a]\n{ALL}[a]\n{ALL}"), Roles, 1, "duplicate"),
    ] {
        let error = wrong(text, format);
        assert!(error.starts_with(&format!("line {line}: ")), "{error}");
        assert!(error.contains(problem), "{error}");
    }
}
