"""Drives the simulator with the Python package onelogin 2.0.4, which takes arrays and objects, strings and integers.

Errors do not raise: a call gives None or False, and the client keeps status and message.
"""

import os

from harness import case, equal, main, totp
from onelogin.api.client import OneLoginClient
from onelogin.api.util.constants import Constants

ALICE, BOB, CAROL, DAVE, NOFACTOR, ERIN = 1001, 1002, 1003, 1004, 1006, 1007
FRANK, GRACE, HEIDI, IVAN, JUDY = 1008, 1009, 1010, 1011, 1012
PROTECT, AUTHENTICATOR, SMS, EMAIL, VOICE = 101, 102, 103, 104, 105
YUBIKEY = "ccccccgrrcekdvlhjbnvitfkruehugdjtlcnrgkvidgd"
ALL = ("docs", "live", "py4")

URLS = {name: url for name, url in vars(Constants).items() if "%s.onelogin.com" in str(url)}


class Client:
    """The package's client for each version of the API."""

    def __init__(self, simulator):
        # The package has its addresses in constants and leaves the CA to the environment.
        os.environ["REQUESTS_CA_BUNDLE"] = simulator.ca
        for name, url in URLS.items():
            setattr(Constants, name, url.replace("%s.onelogin.com", f"%s:{simulator.port}"))
        self.v1, self.v2 = (
            OneLoginClient(
                simulator.client_id,
                simulator.client_secret,
                subdomain="localhost",
                api_configuration={"mfa": version, "user": version},
            )
            for version in (1, 2)
        )
        # The settings are one dictionary for all clients.
        for version, client in ((1, self.v1), (2, self.v2)):
            client.api_configuration = dict(client.api_configuration, mfa=version, user=version)


def failed(client, got, status, message):
    """A call that failed, with this status and message."""
    assert not got, got
    equal((client.error, client.error_description), (str(status), message))


def names(devices):
    return [device.auth_factor_name for device in devices]


# --- tokens, users ---


@case("docs")
def a_token_is_given_for_the_named_header_and_revoked(_, client):
    token = client.v2.get_access_token()
    equal((token.token_type, token.expires_in), ("bearer", 36000))
    equal(client.v1.get_access_token().access_token, token.access_token)
    equal(client.v2.revoke_token(), True)
    # The message is the documented one, not the word after which this client gets a new token.
    failed(client.v1, client.v1.get_enrolled_factors(ALICE), 401, "Authentication Failure")


@case("docs")
def the_rate_limit_is_read(_, client):
    first, second = client.v2.get_rate_limits(), client.v2.get_rate_limits()
    equal((first.limit, first.remaining), (5000, second.remaining))


@case(*ALL)
def users_are_found_in_both_versions(_, client):
    for version in (client.v1, client.v2):
        for query in ({"username": "alice"}, {"email": "alice@*"}):
            equal([user.id for user in version.get_users(query)], [ALICE])
        equal(version.get_user(BOB).username, "bob")
    equal(len(client.v1.get_users({"username": "!alice"})), 11)
    failed(client.v2, client.v2.get_user(9), 404, "The resource can't be found")
    failed(client.v1, client.v1.get_user(9), 404, "User for id 9 was not found")
    message = "bogus is not a valid attribute for user model"
    failed(client.v1, client.v1.get_users({"bogus": "x"}), 400, message)
    failed(client.v2, client.v2.get_users({"bogus": "x"}), 400, "unknown attribute: bogus")


# --- v2 ---


@case(*ALL)
def factors_and_devices_are_listed(_, client):
    factors = client.v2.get_factors(JUDY)
    equal([factor.id for factor in factors], [101, 102, 103, 104, 105, 107, 108])
    devices = client.v2.get_enrolled_factors(BOB)
    equal([device.id for device in devices], ["502", "503", "504"])
    equal(names(devices), ["OneLogin", "SMS", "Google Authenticator"])
    equal([device.default for device in devices], [True, False, False])
    equal(names(client.v2.get_factors(BOB)), ["OneLogin Email", "OneLogin Voice"])
    equal(client.v2.get_enrolled_factors(NOFACTOR), [])


@case(*ALL)
def codes_are_sent_and_checked(simulator, client):
    # This client believes the documented success and no other.
    believes = simulator.dialect == "docs"
    sms = client.v2.activate_factor(CAROL, 505, 300, "Your code is {{otp_code}}")
    equal((sms.user_id, sms.device_id, sms.auth_factor_name), (CAROL, "505", "SMS"))
    code = simulator.message("carol")
    equal(client.v2.verify_factor_otp(CAROL, sms.id, "wrong"), False)
    if simulator.dialect != "live":
        equal(client.v2.error, "401")
    equal(client.v2.verify_factor_otp(CAROL, sms.id, code), believes)
    equal(client.v2.error, None)
    equal(client.v2.verify_factor_otp(CAROL, sms.id, code), False)

    email = client.v2.activate_factor(ERIN, "508")
    code = simulator.message("erin")
    equal(client.v2.verify_factor_otp(ERIN, email.id, code), believes)
    for user, device, otp in ((ALICE, 501, "123456"), (GRACE, 510, YUBIKEY), (IVAN, 512, "888888")):
        activated = client.v2.activate_factor(user, device)
        equal(client.v2.verify_factor_otp(user, activated.id, otp, device), believes)
        equal(client.v2.error, None)


@case(*ALL)
def pushes_calls_and_links_are_polled(simulator, client):
    for user, device in ((DAVE, 506), (FRANK, 509), (HEIDI, 511)):
        for answer, status in ((simulator.approve, "accepted"), (simulator.deny, "rejected")):
            activated = client.v2.activate_factor(user, device)
            if user == FRANK:
                equal(len(activated.factor_data["verification_token"]), 6)
            polled = client.v2.verify_factor_poll(user, activated.id)
            equal((polled.status, polled.device_id), ("pending", str(device)))
            equal(answer(), activated.id)
            equal(client.v2.verify_factor_poll(user, activated.id).status, status)
    simulator.expire()
    gone = client.v2.verify_factor_poll(HEIDI, activated.id)
    failed(client.v2, gone, 404, "The resource can't be found")


@case(*ALL)
def factors_are_enrolled_by_code(simulator, client):
    sms = client.v2.enroll_factor(JUDY, SMS, "Mine", expires_in=300)
    equal((sms.status, sms.auth_factor_name, sms.user_display_name), ("pending", "SMS", "Mine"))
    code = simulator.message("judy")
    equal(client.v2.verify_enroll_factor_otp(JUDY, sms.id, "wrong").status, "pending")
    accepted = client.v2.verify_enroll_factor_otp(JUDY, sms.id, code)
    equal((accepted.id, accepted.status), (sms.id, "accepted"))
    equal([d.id for d in client.v2.get_enrolled_factors(JUDY)], [accepted.device_id])

    app = client.v2.enroll_factor(JUDY, AUTHENTICATOR, "Mine")
    otp = totp(app.factor_data["verification_token"])
    equal(client.v2.verify_enroll_factor_otp(JUDY, app.id, otp).status, "accepted")

    protect = client.v2.enroll_factor(JUDY, PROTECT, "Mine")
    otp = simulator.registration_code(protect.id)
    equal(client.v2.verify_enroll_factor_otp(JUDY, protect.id, int(otp)).status, "accepted")
    equal(len(client.v2.get_enrolled_factors(JUDY)), 3)


@case(*ALL)
def factors_are_enrolled_by_poll_or_at_once(simulator, client):
    for factor in (PROTECT, VOICE):
        started = client.v2.enroll_factor(JUDY, factor, "Mine")
        token = started.factor_data["verification_token"]
        equal(token.startswith("01-"), factor == PROTECT)
        equal(client.v2.verify_enroll_factor_poll(JUDY, started.id).status, "pending")
        equal(simulator.approve(), started.id)
        polled = client.v2.verify_enroll_factor_poll(JUDY, started.id)
        equal(polled.status, "accepted")
        assert polled.device_id in [d.id for d in client.v2.get_enrolled_factors(JUDY)]
    email = client.v2.enroll_factor(JUDY, EMAIL, "Mine", verified=True)
    equal((email.status, email.active), ("accepted", True))
    again = client.v2.enroll_factor(JUDY, EMAIL, "Mine")
    failed(client.v2, again, 422, "is not available")
    started = client.v2.enroll_factor(JUDY, SMS, "Mine")
    simulator.expire()
    equal(client.v2.verify_enroll_factor_otp(JUDY, started.id, "1").status, "rejected")


@case(*ALL)
def a_device_is_deleted_once(_, client):
    equal(client.v2.remove_factor(BOB, 503), True)
    gone = client.v2.remove_factor(BOB, 503)
    failed(client.v2, gone, 404, "The resource can't be found")
    # v1 answers a deletion with {}, which this client takes for a failure.
    equal((client.v1.remove_factor(BOB, 504), client.v1.error), (False, None))
    equal(names(client.v1.get_enrolled_factors(BOB)), ["OneLogin Protect"])
    failed(client.v1, client.v1.remove_factor(BOB, 504), 400, "Factor could not be found")


# --- v1 ---


@case(*ALL)
def v1_lists_factors_and_devices(_, client):
    equal([factor.id for factor in client.v1.get_factors(JUDY)][:3], [101, 102, 103])
    devices = client.v1.get_enrolled_factors(BOB)
    equal([device.id for device in devices], ["502", "503", "504"])
    equal(names(devices), ["OneLogin Protect", "OneLogin SMS", "Google Authenticator"])
    equal([device.needs_trigger for device in devices], [False, True, False])
    equal([device.active for device in devices], [True, True, True])
    failed(client.v1, client.v1.get_factors(9), 404, "User for id 9 was not found")


@case("docs", "live")
def v1_takes_codes_with_and_without_a_state_token(simulator, client):
    for user, device, otp in ((ALICE, 501, "123456"), (DAVE, 506, "444444"), (GRACE, 510, YUBIKEY)):
        equal(client.v1.verify_factor(user, device, otp), True)
        wrong = client.v1.verify_factor(user, device, "0")
        failed(client.v1, wrong, 401, "Failed authentication with this factor")
    sms = client.v1.activate_factor(CAROL, 505)
    equal((sms.user_id, sms.device_id, sms.active), (CAROL, "505", True))
    code = simulator.message("carol")
    assert not code.isdigit(), code
    stale = "State token is invalid or expired"
    failed(client.v1, client.v1.verify_factor(CAROL, 505, code), 400, stale)
    equal(client.v1.verify_factor(CAROL, 505, code, sms.state_token), True)
    failed(client.v1, client.v1.verify_factor(CAROL, 505, code, sms.state_token), 400, stale)
    failed(client.v1, client.v1.verify_factor(9, 505, code), 400, "User does not exist")
    late = client.v1.activate_factor(CAROL, 505)
    code = simulator.message("carol")
    simulator.expire()
    failed(client.v1, client.v1.verify_factor(CAROL, 505, code, late.state_token), 400, stale)


@case("docs", "live")
def v1_polls_a_push_by_its_state_token(simulator, client):
    pending = "Authentication pending on OL Protect"
    push = client.v1.activate_factor(DAVE, 506)
    verify = client.v1.verify_factor
    failed(client.v1, verify(DAVE, 506, state_token=push.state_token), 401, pending)
    equal(simulator.approve(), push.state_token)
    equal(verify(DAVE, 506, state_token=push.state_token), True)
    push = client.v1.activate_factor(DAVE, 506)
    simulator.deny()
    denied = "Failed authentication with this factor"
    failed(client.v1, verify(DAVE, 506, state_token=push.state_token), 401, denied)


@case("docs", "live")
def v1_enrols_a_number_that_is_active_after_its_code(simulator, client):
    device = client.v1.enroll_factor(JUDY, SMS, "Mine", number="+15555550123")
    equal((device.active, device.phone_number), (False, "+15555550123"))
    equal(client.v2.get_enrolled_factors(JUDY), [])
    code = simulator.message("judy")
    equal(client.v1.verify_factor(JUDY, device.id, code, device.state_token), True)
    equal([d.id for d in client.v2.get_enrolled_factors(JUDY)], [device.id])
    call = client.v1.enroll_factor(JUDY, VOICE, "Mine", number="+15555550123", verified=True)
    equal(call.active, True)
    number = client.v1.enroll_factor(JUDY, SMS, "Mine", number="0123")
    assert number is None and client.v1.error == "400", client.v1.error_description


@case("docs", "live")
def a_temporary_token_is_given_and_checked(_, client):
    for reusable in (True, False):
        token = client.v1.generate_mfa_token(NOFACTOR, 300, reusable)
        equal((len(token.value), token.reusable), (8, reusable))
        equal(client.v1.verify_factor(NOFACTOR, 0, token.value), True)
        equal(client.v1.verify_factor(NOFACTOR, 0, token.value), reusable)
    assert client.v1.generate_mfa_token(NOFACTOR, 119) is None
    equal(client.v1.error, "400")


@case("py4")
def the_flat_success_of_the_later_package_is_not_believed(_, client):
    equal((client.v1.verify_factor(ALICE, 501, "123456"), client.v1.error), (False, None))


# --- scopes ---


@case(*ALL)
def a_missing_scope_is_403_in_v2_and_401_in_v1(simulator, client):
    simulator.scope("authentication-only")
    forbidden = "You are not authorised to perform this action or access the resource"
    failed(client.v2, client.v2.get_enrolled_factors(ALICE), 403, forbidden)
    missing = "Insufficient Permission"
    failed(client.v1, client.v1.verify_factor(ALICE, 501, "123456"), 401, missing)
    failed(client.v1, client.v1.remove_factor(ALICE, 501), 401, missing)
    failed(client.v1, client.v1.get_users(), 401, missing)
    simulator.scope("manage-users")
    assert len(client.v1.get_users()) == 12
    assert client.v1.verify_factor(ALICE, 501, "123456") == (simulator.dialect != "py4")


if __name__ == "__main__":
    main("onelogin 2.0.4", Client)
