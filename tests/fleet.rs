//! What docs/performance.md says of many hosts is what the module does: the model's schedule of polls is that of the flow, and its calls are
//! those that the simulator counts.

#[allow(
    dead_code,
    unused_imports,
    reason = "the script plays more than a push"
)]
mod script;
mod world;

use onelogin_simulator::{ProtectListing, PushBehaviour};
use pam_bench::fleet::{self, Factor, Habit, Host, VISIT};
use pam_host::{Case, Code, Flaw, Gateway, Pki};
use script::{ACCEPTED, PENDING, Script, Step, one, push};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use world::{World, fresh_code};

const PAGE: &str = include_str!("../docs/performance.md");

#[test]
fn the_table_of_the_page_is_that_of_the_model() {
    let (_, rest) = PAGE.split_once("<!-- fleet -->\n").unwrap();
    let (table, _) = rest.split_once("<!-- /fleet -->").unwrap();
    assert!(table == fleet::table(), "please type: make fleet");
}

#[test]
fn the_model_keeps_what_the_configuration_keeps_by_default() {
    let config = script::config("");
    assert_eq!(config.users.cache, fleet::DIRECTORY);
    assert_eq!(config.push_wait, fleet::WAIT);
}

#[test]
fn the_flow_polls_as_the_model_says() {
    for seconds in [1, 2, 3, 10, 19, 25, 43] {
        let pauses = fleet::polls(Duration::from_secs(seconds));
        let mut steps = vec![
            Step::Looks("alice", one("1001")),
            Step::Lists("1001", vec![push("601")]),
            Step::Asks("Verification code, or Enter for a push to Phone: ", ""),
            Step::Denies,
            Step::Activates("601", Ok("v1")),
            Step::Tells("Push sent to Phone. Approve it to continue."),
        ];
        let mut waited = Duration::ZERO;
        for pause in pauses {
            waited += pause;
            let is_approved = waited >= Duration::from_secs(seconds);
            let answer = if is_approved { ACCEPTED } else { PENDING };
            steps.push(Step::WaitsFor(pause));
            steps.push(Step::Polls("601", "v1", answer));
        }
        steps.push(Step::Allows);
        let end = Script::of_steps(steps).waited().run();
        assert_eq!(end, "accepted factor=push id=1001", "{seconds} s");
    }
}

#[test]
fn the_module_calls_as_often_as_the_model_says() {
    for version in [1, 2] {
        let api = format!("onelogin.api_version = {version}");
        let world = World::with([world::totp()], &[&api]);
        let mut visit = Visit::to(&world, version);
        for (later, factor) in VISIT.into_iter().zip(Habit::Codes.visit()) {
            let login = visit.ssh();
            visit.costs(later, factor, login.answer(fresh_code()));
        }

        let world = World::with([world::push()], &[&api, "first_factor = \"assumed\""]);
        world.onelogin.set_protect_listing(ProtectListing::Twice);
        let behaviour = PushBehaviour::ApproveAfterPolls(0);
        world.onelogin.on_push(behaviour);
        let mut visit = Visit::to(&world, version);
        let login = visit.ssh();
        visit.costs(0, Factor::PushThenEnter, login.answers(["", ""]));
        // Approved before the first poll.
        let factor = Factor::Push(Duration::from_secs(1));
        let login = world.host("sudo");
        visit.costs(60, factor, login.answer(""));
    }
}

#[test]
fn a_gateway_sends_on_as_many_calls_as_the_model_says() {
    let world = World::with([world::totp()], &[]);
    let pki = Pki::new();
    let gateway = Gateway::before(&world.onelogin, &pki, &[], &[]);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    gateway.set_token(&world.onelogin.give_token(), now.as_secs() + 3600);
    let identity = pki.host("web1.hosts.test", 1, Flaw::None);
    let config = gateway.config_of_host(&world.place, &identity, gateway.port());
    world.place.config(config);
    let mut host = Host::default();
    for second in VISIT {
        let before = world.onelogin.count("", "");
        let outcome = world.ssh().answer(fresh_code()).run();
        assert_eq!(outcome.code, Code::SUCCESS, "{:?}", outcome.log);
        let expected = host.calls(Duration::from_secs(second), 0, Factor::Code);
        let calls = world.onelogin.count("", "") - before;
        assert_eq!(calls, expected.through_a_gateway(), "{second}");
    }
}

/// Logins that follow each other at once, for which the model is told the seconds of a visit.
struct Visit<'a> {
    world: &'a World,
    version: u8,
    host: Host,
}

impl<'a> Visit<'a> {
    fn to(world: &'a World, version: u8) -> Self {
        Self {
            world,
            version,
            host: Host::default(),
        }
    }

    fn ssh(&self) -> Case {
        self.world.ssh()
    }

    fn costs(&mut self, second: u64, factor: Factor, login: Case) {
        let onelogin = &self.world.onelogin;
        let requests = || (onelogin.count("", ""), onelogin.count("", "/api/1/"));
        let before = requests();
        let outcome = login.run();
        assert_eq!(outcome.code, Code::SUCCESS, "{:?}", outcome.log);
        let expected = self.host.calls(Duration::from_secs(second), 0, factor);
        let after = requests();
        let calls = (after.0 - before.0, after.1 - before.1);
        let expected = (expected.all(), expected.counted(self.version));
        assert_eq!(calls, expected, "{factor:?} {second} v{}", self.version);
    }
}
