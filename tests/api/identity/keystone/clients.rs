//! OpenStack's own clients, which log in at Keystone and find the node by the catalogue:
//! python-glanceclient, openstackclient, and openstacksdk under a script of ours.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::setup;
use crate::support::backends::keystone::{Keystone, Options};
use crate::support::server::Server;

/// A cloud of its own: the catalogue leads to this node.
struct Cloud {
    keystone: Keystone,
    server: Server,
}

fn start() -> Cloud {
    let keystone = Keystone::start(&Options::default());
    let server = setup(&keystone, &keystone.auth_url).start();
    keystone.set_endpoint("image", &format!("http://{}", server.address()));
    Cloud { keystone, server }
}

/// A program of the clients' environment.
fn program(name: &str) -> PathBuf {
    let given = std::env::var_os("GLANCE_TEST_VENV").map(PathBuf::from);
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    let program = given.unwrap_or_else(|| target.join("test-venv"));
    let program = program.join("bin").join(name);
    let path = program.display();
    assert!(program.exists(), "{path} is missing; tests/run installs it");
    program
}

impl Cloud {
    /// A program with a user's credentials in its environment, and nothing on its standard
    /// input, not even an empty file: that would be taken for an image.
    fn run(&self, user: &str, name: &str, words: &[&str]) -> Output {
        let user = self.keystone.user(user);
        let mut command = Command::new("sh");
        command
            .args(["-c", "exec \"$0\" \"$@\" <&-"])
            .arg(program(name))
            .args(words)
            .env_clear()
            .env("HOME", self.server.folder())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("LC_ALL", "C.UTF-8")
            .env("OS_IMAGE_API_VERSION", "1")
            .env("OS_IDENTITY_API_VERSION", "3")
            .env("OS_AUTH_URL", &self.keystone.auth_url)
            .env("OS_USERNAME", &user.name)
            .env("OS_PASSWORD", &user.password)
            .env("OS_PROJECT_NAME", &user.project)
            .env("OS_USER_DOMAIN_ID", &self.keystone.domain_id)
            .env("OS_PROJECT_DOMAIN_ID", &self.keystone.domain_id)
            .env("OS_REGION_NAME", &self.keystone.region);
        command.output().expect("the client starts")
    }

    /// Runs `glance`, which must succeed, and returns its output.
    #[track_caller]
    fn glance(&self, user: &str, words: &[&str]) -> String {
        let output = self.run(user, "glance", words);
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {stdout}{stderr}");
        stdout
    }

    /// Runs `glance`, which must fail, and returns its error output.
    #[track_caller]
    fn glance_fails(&self, user: &str, words: &[&str]) -> String {
        let output = self.run(user, "glance", words);
        assert!(!output.status.success(), "{words:?}: {output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }
}

/// The value of a row in the tables that the client prints.
fn row(table: &str, name: &str) -> Option<String> {
    let rows = table.lines().filter_map(|line| {
        let mut cells = line.strip_prefix('|')?.strip_suffix('|')?.splitn(2, '|');
        Some((cells.next()?.trim(), cells.next()?.trim()))
    });
    let found = rows.into_iter().find(|(known, _)| *known == name);
    found.map(|(_, value)| value.to_owned())
}

#[test]
fn clients_share_an_image_between_tenants() {
    let cloud = start();
    let file = cloud.server.folder().join("image");
    std::fs::write(&file, b"shared data").unwrap();
    let file = file.display().to_string();
    let created = cloud.glance(
        "alice",
        &[
            "image-create",
            "--name",
            "ours",
            "--disk-format",
            "raw",
            "--container-format",
            "bare",
            "--file",
            &file,
        ],
    );
    let id = row(&created, "id").expect("an id");
    let tenant = |user| cloud.keystone.user(user).project_id.clone();
    assert_eq!(row(&created, "owner"), Some(tenant("alice")));
    assert!(
        cloud.glance("adam", &["image-list"]).contains(&id),
        "a colleague"
    );

    let listed = |user| cloud.glance(user, &["image-list"]).contains(&id);
    assert!(!listed("bob"));
    let unseen = cloud.glance_fails("bob", &["image-show", &id]);
    assert!(unseen.contains(&id), "{unseen}");

    cloud.glance("alice", &["member-create", &id, &tenant("bob")]);
    assert!(listed("bob"));
    let members = cloud.glance("alice", &["member-list", "--image-id", &id]);
    assert!(members.contains(&tenant("bob")), "{members}");
    let shared = cloud.glance("bob", &["member-list", "--tenant-id", &tenant("bob")]);
    assert!(shared.contains(&id), "{shared}");

    let copy = cloud.server.folder().join("copy").display().to_string();
    cloud.glance("bob", &["image-download", &id, "--file", &copy]);
    assert_eq!(std::fs::read(&copy).unwrap(), b"shared data");
    cloud.glance_fails("bob", &["image-update", &id, "--name", "mine"]);
    // This command prints the error on its standard output and exits with success.
    let refused = cloud.glance("bob", &["image-delete", &id]);
    assert!(refused.contains("404") && listed("alice"), "{refused}");
    cloud.glance_fails("bob", &["member-create", &id, &tenant("glance")]);

    cloud.glance("alice", &["member-delete", &id, &tenant("bob")]);
    assert!(!listed("bob"));
    cloud.glance_fails("bob", &["image-show", &id]);
    cloud.glance("alice", &["image-delete", &id]);
    assert!(!listed("alice"));
    cloud.server.await_nothing_stored(&id);
}

#[test]
fn wrong_password_is_refused() {
    let cloud = start();
    let complaint = cloud.glance_fails("alice", &["--os-password", "wrong", "image-list"]);
    assert!(complaint.contains("401"), "{complaint}");
}

/// Runs a program, which must succeed, and returns its output.
#[track_caller]
fn printed(output: &Output) -> String {
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stdout}{stderr}");
    stdout
}

/// An image of alice's. openstackclient and the methods of openstacksdk under it list and
/// delete by v1; they register images by JSON and look for data below `/file`, neither of
/// which v1 has.
#[track_caller]
fn create(cloud: &Cloud) -> String {
    let file = cloud.server.folder().join("image");
    std::fs::write(&file, "data").unwrap();
    let file = file.display().to_string();
    let words = ["image-create", "--name", "ours", "--file", file.as_str()];
    let formats = ["--disk-format", "raw", "--container-format", "bare"];
    let created = cloud.glance("alice", &[&words[..], &formats].concat());
    row(&created, "id").expect("an id")
}

#[track_caller]
fn share_with_bob(cloud: &Cloud, id: &str) {
    let tenant = &cloud.keystone.user("bob").project_id;
    cloud.glance("alice", &["member-create", id, tenant]);
}

#[test]
fn openstackclient_uses_the_catalog() {
    let cloud = start();
    let id = create(&cloud);
    let openstack = |user: &str, words: &[&str]| cloud.run(user, "openstack", words);
    let list = |user| {
        printed(&openstack(
            user,
            &["image", "list", "-f", "value", "-c", "ID"],
        ))
    };
    assert!(list("alice").contains(&id) && list("adam").contains(&id));
    assert!(!list("bob").contains(&id));
    share_with_bob(&cloud, &id);
    assert!(list("bob").contains(&id));
    // This command treats a missing image as deleted.
    printed(&openstack("bob", &["image", "delete", &id]));
    assert!(list("alice").contains(&id));
    printed(&openstack("alice", &["image", "delete", &id]));
    assert!(!list("alice").contains(&id));
    cloud.server.await_nothing_stored(&id);
}

const SDK: &str = r#"
import sys, openstack
image = openstack.connect().image
match sys.argv[1:]:
    case ["create"]:
        named = {"name": "ours", "disk_format": "raw", "container_format": "bare"}
        headers = {f"x-image-meta-{key}": value for key, value in named.items()}
        headers["Content-Type"] = "application/octet-stream"
        made = image.post("/images", headers=headers, data=b"by openstacksdk")
        print(made.json()["image"]["id"])
    case ["list"]:
        print(*(found.id for found in image.images()))
    case ["download", found]:
        answer = image.get(f"/images/{found}")
        answer.raise_for_status()
        print(answer.text)
    case ["delete", found]:
        image.delete_image(found, ignore_missing=False)
"#;

#[test]
fn openstacksdk_uses_the_catalog() {
    let cloud = start();
    let sdk = |user: &str, words: &[&str]| {
        let words = [&["-c", SDK], words].concat();
        cloud.run(user, "python", &words)
    };
    let id = printed(&sdk("alice", &["create"])).trim().to_owned();
    let list = |user| printed(&sdk(user, &["list"]));
    assert!(list("alice").contains(&id) && !list("bob").contains(&id));
    let unseen = sdk("bob", &["download", &id]);
    assert!(!unseen.status.success(), "{unseen:?}");
    share_with_bob(&cloud, &id);
    assert!(list("bob").contains(&id));
    let data = printed(&sdk("bob", &["download", &id]));
    assert_eq!(data.trim(), "by openstacksdk");
    assert!(!sdk("bob", &["delete", &id]).status.success());
    printed(&sdk("alice", &["delete", &id]));
    assert!(!list("alice").contains(&id));
}
