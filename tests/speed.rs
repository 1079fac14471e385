//! What a login asks of OneLogin, how often it waits for the network, and its system calls: counted, never timed. No root.

mod world;

use onelogin_simulator::{Device, Dialect, Options, PushBehaviour, Tickets};
use pam_host::{Case, Code, Proxy};
use std::time::Duration;
use world::{DIALECTS, World, fresh_code, push, sms, totp};

/// What one login costs: requests, and round trips up to the first prompt, from each answer to the next prompt, and from the
/// last answer on. A connection is a round trip, and so is its TLS handshake.
#[derive(Debug, PartialEq, Eq)]
struct Course {
    requests: usize,
    trips: &'static [usize],
}

// What it is today, and what the contract wants where that is less. A change for the better is made here, and here alone.

/// Nothing is known: token, user and devices are asked for.
const COLD_CODE: Course = course(4, &[5, 1]);
/// Token, user and devices are known; TCP and TLS are done before the prompt.
const WARM_CODE: Course = course(1, &[2, 1]);
const WARM_CODE_AT_THE_SECOND_TRY: Course = course(2, &[2, 1, 1]);
/// With the activation, and one poll after an Enter that comes when the push is approved.
const WARM_PUSH: Course = course(2, &[2, 1, 1]);
const WARM_MESSAGE: Course = course(2, &[2, 1, 1]);
/// The stack runs again after a denial.
const RERUN: Course = course(0, &[0]);

/// System calls in the state folder of a warm login with a code, whatever the limits are.
const STATE_CALLS_IN_SSH: usize = 24;
const STATE_CALLS_IN_SUDO: usize = 20;

const fn course(requests: usize, trips: &'static [usize]) -> Course {
    Course { requests, trips }
}

#[test]
fn a_code_that_nothing_is_known_for_costs_the_token_and_two_look_ups_more() {
    for dialect in DIALECTS {
        let slow = Slow::with(totp(), dialect);
        slow.costs(&COLD_CODE, &[&fresh_code()], Code::SUCCESS);
    }
}

#[test]
fn a_warm_code_costs_no_more_than_it_did() {
    for dialect in DIALECTS {
        let slow = Slow::with(totp(), dialect).warm(&[&fresh_code()]);
        slow.costs(&WARM_CODE, &[&fresh_code()], Code::SUCCESS);
        slow.costs(
            &WARM_CODE_AT_THE_SECOND_TRY,
            &["000000", &fresh_code()],
            Code::SUCCESS,
        );
    }
}

#[test]
fn a_warm_push_that_is_approved_before_enter_costs_one_poll() {
    for dialect in DIALECTS {
        let slow = Slow::with(push(), dialect);
        slow.world
            .onelogin
            .on_push(PushBehaviour::ApproveAfterPolls(0));
        let slow = slow.warm(&["", ""]);
        slow.costs(&WARM_PUSH, &["", ""], Code::SUCCESS);
    }
}

#[test]
fn a_warm_text_message_costs_one_request_before_the_code_and_one_for_it() {
    for dialect in DIALECTS {
        let slow = Slow::with(sms(), dialect);
        slow.world.onelogin.set_next_code("123123");
        let slow = slow.warm(&["", "123123"]);
        slow.world.onelogin.set_next_code("321321");
        slow.costs(&WARM_MESSAGE, &["", "321321"], Code::SUCCESS);
    }
}

#[test]
fn a_rerun_after_a_denial_costs_nothing() {
    let slow = Slow::with(totp(), Dialect::Docs);
    let denied = slow.case().answers(["000000", "111111", "222222"]).run();
    assert_eq!(denied.code, Code::MAXTRIES);
    slow.costs(&RERUN, &[], Code::MAXTRIES);
}

/// What a login does in `state_dir` does not grow with what `limits` allow.
#[test]
fn r22_a_warm_login_makes_few_calls_in_the_state_folder() {
    let counted = [10, 100].map(|failures| {
        let limit = format!("limits.failures = {failures}");
        // A real sudo proves its user by its real uid, which only root can set here.
        let world = World::with([totp()], &["first_factor = \"assumed\"", &limit]);
        let ssh = state_calls(&world, World::ssh);
        let sudo = state_calls(&world, |world| world.host("sudo"));
        (ssh, sudo)
    });
    let [(ssh, sudo), _] = counted;
    assert_eq!(counted, [(ssh, sudo); 2], "(ssh, sudo) for 10 and for 100");
    assert!(ssh <= STATE_CALLS_IN_SSH, "ssh: {ssh}");
    assert!(sudo <= STATE_CALLS_IN_SUDO, "sudo: {sudo}");
}

/// The system calls in the state folder of a warm login: the fewest of three, as a minute or a cache that ends during one of
/// them costs more.
fn state_calls(world: &World, case: fn(&World) -> Case) -> usize {
    let warm = case(world).answer(fresh_code()).run();
    assert_eq!(warm.code, Code::SUCCESS, "{:?}", warm.log);
    let counts = [(); 3].map(|()| {
        let case = case(world).answer(fresh_code()).unwatched();
        let (outcome, calls) = case.run_counted(&world.place.state_path());
        assert_eq!(outcome.code, Code::SUCCESS, "{:?}", outcome.log);
        calls.in_folder
    });
    counts.into_iter().min().unwrap()
}

/// A world behind a wire that counts.
struct Slow {
    world: World,
    wire: Proxy,
    connection: String,
}

impl Slow {
    fn with(device: Device, dialect: Dialect) -> Self {
        let options = Options {
            tickets: Tickets::Withheld,
            ..Options::default()
        };
        let world = World::started(options, [device], &[]).speaking(dialect);
        let wire = Proxy::to(world.onelogin.port(), Duration::ZERO);
        world.config(&[&format!(
            "onelogin.url = \"https://localhost:{}\"",
            wire.port()
        )]);
        Self {
            world,
            wire,
            connection: world::connection(),
        }
    }

    /// After a login with these answers, in a connection of its own.
    fn warm(mut self, answers: &[&str]) -> Self {
        let outcome = self.case().answers(answers.iter().copied()).run();
        assert_eq!(outcome.code, Code::SUCCESS, "{:?}", outcome.log);
        self.connection = world::connection();
        self
    }

    fn case(&self) -> Case {
        self.world.ssh_again(&self.connection)
    }

    /// One login with these answers costs this, on one connection at most.
    fn costs(&self, course: &Course, answers: &[&str], code: Code) {
        let onelogin = &self.world.onelogin;
        let (requests, connections) = (onelogin.requests().len(), onelogin.connections());
        let mut counted = vec![self.wire.trips()];
        let mut login = self.case().spawn();
        for answer in answers {
            login.wait_prompt();
            counted.push(self.wire.trips());
            login.reply(*answer);
        }
        let outcome = login.finish();
        counted.push(self.wire.trips());
        assert_eq!(outcome.code, code, "{:?}", outcome.log);
        let trips: Vec<_> = counted.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(trips, course.trips, "round trips: {:?}", outcome.log);
        let requests = onelogin.requests().len() - requests;
        assert_eq!(requests, course.requests, "requests");
        let connections = onelogin.connections() - connections;
        assert_eq!(connections, u64::from(requests > 0), "connections");
    }
}
