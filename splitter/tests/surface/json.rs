//! What programs see: the API's own types.

use std::fmt::Debug;

use serde::de::DeserializeOwned;
use splitter::api::types::{
    AddRoute, ChangeView, ErrorView, ExplainView, FlowList, RemoveRoute, RouteChange, RouteList,
    ServiceList, ServiceView, SetWeights, StatsView,
};

use super::fake::Fake;
use super::process::{run, run_at};
use super::views;

fn parsed<T: DeserializeOwned>(text: &str) -> T {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

fn same<T: DeserializeOwned + PartialEq + Debug>(fake: &Fake, line: &str, expected: &T) {
    let words: Vec<&str> = line.split(' ').collect();
    let text = run_at(&fake.socket(), &words).ok();
    assert_eq!(parsed::<T>(&text), *expected, "{line}");
}

#[test]
fn json_is_the_view_that_the_daemon_sent() {
    let fake = Fake::start();
    let client = "2001:db8::7".parse().unwrap();
    let set = SetWeights {
        weights: [("blue".into(), 50.0), ("green".into(), 50.0)].into(),
        now: true,
        dry_run: true,
    };
    same::<ServiceList>(&fake, "get services -o json", &views::services());
    same::<ServiceView>(&fake, "get service web -o json", &views::web());
    same::<ServiceView>(&fake, "-o json get service dns", &views::dns());
    same::<ChangeView>(
        &fake,
        "weight web green=50 blue=50 --now --dry-run -o json",
        &views::change("web", &set),
    );
    same::<RouteList>(&fake, "route list web -o json", &views::routes("web"));
    let added = AddRoute {
        clients: vec!["10.8.0.0/16".into(), "10.9.0.7/32".into()],
        version: "green".into(),
        ttl_seconds: Some(90),
        now: true,
        dry_run: true,
    };
    same::<RouteChange>(
        &fake,
        "route add web --clients 10.8.0.0/16,10.9.0.7 --version green --ttl 90s --now --dry-run -o json",
        &views::routed("web", &added),
    );
    let removed = RemoveRoute {
        clients: vec!["10.8.0.0/16".into()],
        now: false,
        dry_run: true,
    };
    same::<RouteChange>(
        &fake,
        "route remove web --clients 10.8.0.0/16 --dry-run -o json",
        &views::unrouted("web", &removed),
    );
    same::<ExplainView>(
        &fake,
        "explain web --client [2001:db8::7]:5 --output=json",
        &views::explain("web", client, Some(5)),
    );
    same::<FlowList>(
        &fake,
        "flows web --limit 3 -o json",
        &views::flows("web", 3),
    );
    same::<StatsView>(&fake, "stats -o json", &views::stats());
}

#[test]
fn errors_are_json_too_where_json_is_asked_for() {
    let fake = Fake::start();
    let ran = run_at(&fake.socket(), &["get", "service", "nope", "-o", "json"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""));
    let view: ErrorView = parsed(&ran.stderr);
    assert_eq!(
        view.error,
        "there is no service `nope`; there are: web, dns"
    );

    let ran = run(&["stats", "-o", "json", "--socket", "/nowhere/splitter.sock"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(3), ""));
    let view: ErrorView = parsed(&ran.stderr);
    assert!(view.error.contains("/nowhere/splitter.sock"), "{view:?}");
}
