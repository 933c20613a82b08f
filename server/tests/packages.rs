//! Packages through the real program: what opens them, how long, and what the trail and the lists say of them.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::fs;

use common::hand_over::City;
use storage::{Catalogue, Layout};

fn is_passphrase_kept(city: &City, hand_over: &str) -> bool {
    let dir = city.house.dir();
    let layout = Layout::new(dir.join("data"), dir.join("root"));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut catalogue = Catalogue::open_read_only(&layout).await.unwrap();
        let kept = catalogue.kept_passphrase(hand_over.parse().unwrap()).await;
        kept.unwrap().is_some()
    })
}

#[test]
fn a_passphrase_is_forgotten_when_it_is_shown_and_when_nobody_may_see_it_any_more() {
    let city = City::new();
    let pack = |name: &str| {
        let id = city.approved();
        let package = city.path(name);
        city.done(
            "taro",
            &["handover", "package", &id, "--out", &package, "--zip"],
        );
        id
    };
    let (shown, unseen) = (pack("shown.zip"), pack("unseen.zip"));
    assert!(is_passphrase_kept(&city, &shown) && is_passphrase_kept(&city, &unseen));

    city.done("hanako", &["handover", "passphrase", &shown]);
    assert!(!is_passphrase_kept(&city, &shown) && is_passphrase_kept(&city, &unseen));

    let certificate = city.path("certificate");
    fs::write(&certificate, "渡さずに廃棄しました").unwrap();
    let destroyed = [
        "handover",
        "destroyed",
        &unseen,
        "--certificate",
        &certificate,
    ];
    city.done("hanako", &destroyed);
    assert!(!is_passphrase_kept(&city, &unseen));
}
