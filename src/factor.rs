//! Devices, the menu, and reading an answer. Pure: it neither asks nor sends.

mod kind;

pub use kind::{Code, Factor, FactorRow};

use crate::id::DeviceId;
use crate::secret::Secret;
use crate::text::{PROMPT_CHARS, clean};
use kind::Course;
use std::fmt::Write as _;

/// The prompt that reveals nothing about the user (rule R13). A user with one authenticator gets the same.
pub const CODE_PROMPT: &str = "Verification code (OneLogin): ";

/// An answer that starts the push.
const PUSH: &str = "push";

/// The most options a menu shows; an option is one digit.
const MAX_OPTIONS: usize = 9;

/// The longest answer that is looked at, in bytes. A YubiKey's code has 44.
const MAX_MENU_ANSWER: usize = 64;

listed! {
    /// How a device takes codes that nothing has sent.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Codes {
        /// Not at all.
        Never,
        /// Without an activation: the user has them at hand.
        AtHand,
        /// Only together with a push, which must be sent first: a code of OneLogin Protect, where API v1 lists it with a
        /// trigger alone.
        WithPush,
    }
}

impl Codes {
    /// The word in the cache.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::AtHand => "at-hand",
            Self::WithPush => "with-push",
        }
    }
}

/// A user's enrolled device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// OneLogin's name for it.
    pub id: DeviceId,
    /// What it is.
    pub factor: Factor,
    /// The user's name for it, as OneLogin sent it.
    pub name: String,
    /// Whether the user made it the default.
    pub default: bool,
    /// How it takes codes.
    pub codes: Codes,
}

impl Device {
    /// A device of API v2, where a Protect takes pushes and codes.
    #[must_use]
    pub fn new(id: DeviceId, factor: Factor, name: String, default: bool) -> Self {
        let codes = match factor.course() {
            Course::CodeAtHand => Codes::AtHand,
            Course::Approval { .. } if factor == Factor::Push => Codes::AtHand,
            Course::Approval { .. } | Course::CodeSent { .. } => Codes::Never,
        };
        Self {
            id,
            factor,
            name,
            default,
            codes,
        }
    }

    /// What stands for a temporary token, which is no device.
    #[must_use]
    pub fn temporary() -> Self {
        Self::new(DeviceId::none(), Factor::Temporary, String::new(), false)
    }

    /// The name, fit for a prompt.
    #[must_use]
    pub fn label(&self) -> String {
        let name = clean(&self.name, PROMPT_CHARS);
        if name.is_empty() {
            "your device".to_owned()
        } else {
            name
        }
    }

    /// The answer as a code of this device, if it takes one without an activation.
    #[must_use]
    pub fn code(&self, answer: &Secret) -> Option<Code> {
        match self.codes {
            Codes::AtHand => self.factor.code(answer),
            Codes::WithPush | Codes::Never => None,
        }
    }

    /// The answer as a code of this device, if it takes any.
    fn any_code(&self, answer: &Secret) -> Option<Code> {
        match self.codes {
            Codes::AtHand | Codes::WithPush => self.factor.code(answer),
            Codes::Never => None,
        }
    }

    /// The order in which devices get a typed code, where several make codes of its shape: those whose codes are at hand,
    /// then those that need a push. A temporary token comes last: it says that the user cannot use the devices.
    fn turn(&self) -> (bool, bool) {
        let is_last_resort = self.factor == Factor::Temporary;
        (is_last_resort, self.codes == Codes::WithPush)
    }
}

/// Why there is nothing to choose from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoChoice {
    /// The user has no device at all.
    NoDevice,
    /// There are devices, but none that `factors.allow` and this version allow.
    NoneAllowed,
    /// Each device would need an activation, and activations are off.
    NoneWithoutActivation,
}

/// Whether factors that send something to the user may be offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activations {
    /// They may.
    Offered,
    /// They may, but for pushes.
    NoPush,
    /// Codes only.
    Off,
}

impl Activations {
    fn allow(self, factor: Factor) -> bool {
        match self {
            Self::Offered => true,
            Self::NoPush => factor != Factor::Push,
            Self::Off => false,
        }
    }
}

/// What one login may choose from: the default device first, then the order of `factors.allow`.
#[derive(Debug)]
pub struct Menu {
    devices: Vec<Device>,
    options: Vec<Choice>,
}

/// What the user can start by its number, or by Enter if it is the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Send something to this device that is answered there: a push, a call, a link.
    Approval(Device),
    /// Send a code to this device.
    CodeTo(Device),
    /// Ask for a code of this device.
    CodeOf(Device),
}

/// What an answer to the menu means.
pub enum Pick {
    /// Start this.
    Start(Choice),
    /// Check this code with this device.
    Check(Device, Code),
    /// Neither an option nor a code that any device here could have made.
    Nothing,
}

impl Menu {
    /// Sorts a user's devices into a menu. `enrolled` counts all devices, also those of factors
    /// that this version does not know.
    ///
    /// # Errors
    /// [`NoChoice`] when nothing is left to choose.
    pub fn new(
        mut devices: Vec<Device>,
        enrolled: usize,
        allow: &[Factor],
        activations: Activations,
    ) -> Result<Self, NoChoice> {
        devices.retain(|device| allow.contains(&device.factor));
        if allow.contains(&Factor::Temporary) {
            devices.push(Device::temporary());
        }
        if devices.is_empty() {
            return Err(match enrolled {
                0 => NoChoice::NoDevice,
                _ => NoChoice::NoneAllowed,
            });
        }
        devices.retain(|device| device.codes == Codes::AtHand || activations.allow(device.factor));
        if devices.is_empty() {
            return Err(NoChoice::NoneWithoutActivation);
        }
        let rank = |device: &Device| {
            let place = allow.iter().position(|&factor| factor == device.factor);
            (device.factor == Factor::Temporary, !device.default, place)
        };
        // A handful is put in order one by one: a sort of its own is six kilobytes of code.
        let devices = devices.into_iter().fold(Vec::new(), |mut ordered, device| {
            let place = ordered.partition_point(|other| rank(other) <= rank(&device));
            ordered.insert(place, device);
            ordered
        });
        let options = options(&devices, activations);
        Ok(Self { devices, options })
    }

    /// The devices that can be used in this login.
    #[must_use]
    pub fn devices(&self) -> &[Device] {
        &self.devices
    }

    /// The device that `autopush` may use: the first one, if it can get a push.
    #[must_use]
    pub fn autopush(&self) -> Option<&Device> {
        match self.options.first()? {
            Choice::Approval(device)
                if device.factor == Factor::Push && self.devices.first() == Some(device) =>
            {
                Some(device)
            }
            Choice::Approval(_) | Choice::CodeTo(_) | Choice::CodeOf(_) => None,
        }
    }

    /// The first device that may receive a push.
    #[must_use]
    pub fn pushed(&self) -> Option<&Device> {
        self.options.iter().find_map(|choice| match choice {
            Choice::Approval(device) if device.factor == Factor::Push => Some(device),
            Choice::Approval(_) | Choice::CodeTo(_) | Choice::CodeOf(_) => None,
        })
    }

    /// Whether only a code can be typed.
    #[must_use]
    pub fn is_for_codes(&self) -> bool {
        self.options.is_empty()
    }

    /// The whole prompt, for the user with this Unix name.
    #[must_use]
    pub fn prompt(&self, user: &str) -> String {
        match (self.devices.as_slice(), self.options.as_slice()) {
            ([device], []) if device.factor == Factor::YubiKey => {
                "Verification code (touch your YubiKey): ".to_owned()
            }
            (_, []) => CODE_PROMPT.to_owned(),
            ([_], [Choice::Approval(device)]) if device.codes != Codes::Never => {
                format!(
                    "Verification code, or Enter for a push to {}: ",
                    device.label()
                )
            }
            ([_], [Choice::Approval(device) | Choice::CodeTo(device)]) => {
                let what = device.factor.enter();
                format!("Press Enter to get {what} ({}): ", device.label())
            }
            _ => self.list(user),
        }
    }

    /// What an answer to [`Menu::prompt`] means. A typed code goes to one device: the first that
    /// makes codes of this shape, of those that need no activation if there is one.
    #[must_use]
    pub fn pick(&self, answer: &Secret) -> Pick {
        if answer.len() > MAX_MENU_ANSWER {
            return Pick::Nothing;
        }
        let option = if answer.all(char::is_whitespace) {
            self.options.first()
        } else {
            answer
                .small_number()
                .and_then(|number| self.options.get(number - 1))
        };
        if let Some(choice) = option {
            return Pick::Start(choice.clone());
        }
        // As users of other modules know it.
        if let Some(device) = self.pushed().filter(|_| answer.is_word(PUSH)) {
            return Pick::Start(Choice::Approval(device.clone()));
        }
        let devices = self.devices.iter();
        let codes = devices.filter_map(|device| Some((device, device.any_code(answer)?)));
        match codes.min_by_key(|(device, _)| device.turn()) {
            Some((device, code)) => Pick::Check(device.clone(), code),
            None => Pick::Nothing,
        }
    }

    /// The answer as a code that needs no activation, and the device that it is for.
    #[must_use]
    pub fn device_for_code(&self, answer: &Secret) -> Option<(&Device, Code)> {
        let mut devices = self.devices.iter();
        devices.find_map(|device| Some((device, device.code(answer)?)))
    }

    /// What may be typed at a menu of several lines, for an answer that is nothing of that.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let lines = self.options.len();
        let or_code = if self.takes_codes() {
            ", or a code"
        } else {
            ""
        };
        (lines > 1).then(|| format!("Type 1 to {lines}{or_code}. "))
    }

    /// Whether a code may be typed at the menu.
    fn takes_codes(&self) -> bool {
        let mut devices = self.devices.iter();
        devices.any(|device| device.codes != Codes::Never)
    }

    fn list(&self, user: &str) -> String {
        let mut text = format!(
            "OneLogin verification for {}\n\n",
            clean(user, PROMPT_CHARS)
        );
        for (number, choice) in (1..).zip(&self.options) {
            let _ = writeln!(text, " {number}. {}", self.line(choice));
        }
        let last = match self.options.len() {
            1 => "1".to_owned(),
            count => format!("1-{count}"),
        };
        let what = if self.takes_codes() {
            "Verification code or option"
        } else {
            "Option"
        };
        let _ = write!(text, "\n{what} ({last}): ");
        text
    }

    fn line(&self, choice: &Choice) -> String {
        match choice {
            Choice::Approval(device) | Choice::CodeTo(device) => match device.factor {
                Factor::Push => format!("{} ({})", device.factor.option(), device.label()),
                factor => self.named(factor.option(), device),
            },
            Choice::CodeOf(device) => match device.factor {
                Factor::Push | Factor::ProtectCode => {
                    format!(
                        "Verification code from OneLogin Protect ({})",
                        device.label()
                    )
                }
                Factor::Temporary => "Temporary passcode from your administrator".to_owned(),
                _ => format!("Verification code from {}", device.label()),
            },
        }
    }

    /// The device's name stands there where there are several of its kind.
    fn named(&self, what: &str, device: &Device) -> String {
        let is_alike = |other: &&Device| other.factor == device.factor;
        if self.devices.iter().filter(is_alike).count() > 1 {
            format!("{what} ({})", device.label())
        } else {
            what.to_owned()
        }
    }
}

/// The numbered lines. A code is typed without choosing, so a device gets a line for its codes
/// only where a typed code would go to another one. A temporary token always has one: it says that
/// the user cannot use the devices.
fn options(devices: &[Device], activations: Activations) -> Vec<Choice> {
    let mut options = Vec::new();
    let with_codes = devices.iter().enumerate();
    let with_codes = with_codes.filter(|(_, device)| device.codes != Codes::Never);
    let home = with_codes.min_by_key(|(_, device)| device.turn());
    let home = home.map(|(place, _)| place);
    for (place, device) in devices.iter().enumerate() {
        if activations.allow(device.factor) {
            match device.factor.course() {
                Course::Approval { .. } => options.push(Choice::Approval(device.clone())),
                Course::CodeSent { .. } => options.push(Choice::CodeTo(device.clone())),
                Course::CodeAtHand => {}
            }
        }
        let is_last_resort = device.factor == Factor::Temporary && devices.len() > 1;
        if device.codes != Codes::Never && (home != Some(place) || is_last_resort) {
            options.push(Choice::CodeOf(device.clone()));
        }
    }
    options.truncate(MAX_OPTIONS);
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(id: &str, factor: Factor, name: &str) -> Device {
        Device::new(DeviceId::parse(id).unwrap(), factor, name.to_owned(), false)
    }

    fn menu(devices: Vec<Device>) -> Menu {
        let count = devices.len();
        Menu::new(devices, count, &Factor::enrollable(), Activations::Offered).unwrap()
    }

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    fn picked(menu: &Menu, answer: &str) -> String {
        match menu.pick(&secret(answer)) {
            Pick::Start(Choice::Approval(d)) => format!("push {}", d.id.as_str()),
            Pick::Start(Choice::CodeTo(d)) => format!("text {}", d.id.as_str()),
            Pick::Start(Choice::CodeOf(d)) => format!("code of {}", d.id.as_str()),
            Pick::Check(d, code) => format!("check {} {}", d.id.as_str(), code.secret().len()),
            Pick::Nothing => "nothing".to_owned(),
        }
    }

    #[test]
    fn one_factor_is_one_prompt() {
        let totp = menu(vec![device("1", Factor::Totp, "App")]);
        assert_eq!(totp.prompt("bob"), "Verification code (OneLogin): ");
        let push = menu(vec![device("1", Factor::Push, "Bob phone")]);
        assert_eq!(
            push.prompt("bob"),
            "Verification code, or Enter for a push to Bob phone: "
        );
        let sms = menu(vec![device("1", Factor::Sms, "Mobile")]);
        assert_eq!(
            sms.prompt("bob"),
            "Press Enter to get a verification code by text message (Mobile): "
        );
    }

    #[test]
    fn several_factors_are_one_menu() {
        let menu = menu(vec![
            device("3", Factor::Sms, "Mobile"),
            device("2", Factor::Totp, "App"),
            device("1", Factor::Push, "Bob phone"),
        ]);
        assert_eq!(
            menu.prompt("bob"),
            "OneLogin verification for bob\n\n 1. Push to OneLogin Protect (Bob phone)\n 2. Verification code from App\n 3. Text message\n\nVerification code or option (1-3): "
        );
        assert_eq!(picked(&menu, ""), "push 1");
        assert_eq!(picked(&menu, "1"), "push 1");
        assert_eq!(picked(&menu, "2"), "code of 2");
        assert_eq!(picked(&menu, "3"), "text 3");
        assert_eq!(picked(&menu, "123 456"), "check 1 6");
        for answer in [
            "0",
            "4",
            "9",
            "12345",
            "123456789",
            "abcdef",
            "yes",
            "１２３４５６",
        ] {
            assert_eq!(picked(&menu, answer), "nothing", "{answer}");
        }
    }

    #[test]
    fn the_default_device_comes_first_and_gets_the_typed_code() {
        let mut totp = device("2", Factor::Totp, "App");
        totp.default = true;
        let menu = menu(vec![device("1", Factor::Push, "Phone"), totp]);
        assert_eq!(picked(&menu, "123456"), "check 2 6");
        assert_eq!(picked(&menu, ""), "push 1");
        assert!(menu.autopush().is_none());
        assert!(
            menu.prompt("bob")
                .contains("2. Verification code from OneLogin Protect (Phone)\n")
        );
    }

    #[test]
    fn the_order_of_allow_decides_and_filters() {
        let devices = vec![
            device("1", Factor::Push, "Phone"),
            device("2", Factor::Totp, "App"),
            device("3", Factor::Sms, "Mobile"),
        ];
        let allow = [Factor::Sms, Factor::Totp];
        let menu = Menu::new(devices.clone(), 3, &allow, Activations::Offered).unwrap();
        assert_eq!(picked(&menu, ""), "text 3");
        assert_eq!(picked(&menu, "123456"), "check 2 6");
        let none = Menu::new(vec![devices[0].clone()], 1, &allow, Activations::Offered);
        assert_eq!(none.unwrap_err(), NoChoice::NoneAllowed);
    }

    #[test]
    fn without_activations_only_codes_are_left() {
        let devices = vec![
            device("1", Factor::Push, "Phone"),
            device("3", Factor::Sms, "Mobile"),
        ];
        let menu = Menu::new(devices.clone(), 2, &Factor::enrollable(), Activations::Off).unwrap();
        assert_eq!(menu.prompt("bob"), "Verification code (OneLogin): ");
        assert_eq!(picked(&menu, ""), "nothing");
        assert_eq!(picked(&menu, "123456"), "check 1 6");
        assert!(menu.autopush().is_none());
        let sms = vec![devices[1].clone()];
        assert_eq!(
            Menu::new(sms, 1, &Factor::enrollable(), Activations::Off).unwrap_err(),
            NoChoice::NoneWithoutActivation
        );
    }

    #[test]
    fn no_device_and_no_known_device_are_told_apart() {
        let new = |enrolled| {
            Menu::new(
                Vec::new(),
                enrolled,
                &Factor::enrollable(),
                Activations::Offered,
            )
        };
        assert_eq!(new(0).unwrap_err(), NoChoice::NoDevice);
        assert_eq!(new(2).unwrap_err(), NoChoice::NoneAllowed);
    }

    #[test]
    fn a_menu_has_nine_options_at_most() {
        let devices = (0..20)
            .map(|n| device(&n.to_string(), Factor::Push, "Phone"))
            .collect();
        let menu = menu(devices);
        assert!(
            menu.prompt("bob")
                .contains("Verification code or option (1-9): ")
        );
        assert!(!menu.prompt("bob").contains(" 10. "));
    }

    #[test]
    fn r12_a_code_has_the_shape_of_its_factor() {
        let fits = |factor: Factor, text: &str| factor.code(&secret(text)).is_some();
        for code in ["123456", "0012 34", "12345678", " 123456 "] {
            assert!(fits(Factor::Totp, code), "{code}");
            assert!(fits(Factor::Push, code), "{code}");
        }
        for code in [
            "",
            "12345",
            "123456789",
            "B41832",
            "12345\u{7f}",
            "hunter2!",
            "\u{8}\n\r\u{7f}INCORRECT",
        ] {
            assert!(!fits(Factor::Totp, code), "{code}");
        }
        for code in ["B41832", "0042", "1234567890"] {
            assert!(fits(Factor::Sms, code), "{code}");
        }
        for code in [
            "",
            "123",
            "12345678901",
            "pass word!",
            "\u{8}\n\r\u{7f}INCORRECT",
        ] {
            assert!(!fits(Factor::Sms, code), "{code}");
        }
        assert_eq!(
            picked(
                &menu(vec![device("1", Factor::Totp, "App")]),
                &"1".repeat(65)
            ),
            "nothing"
        );
    }

    /// The word of a factor, its line in a menu, and its prompt where it is the only one.
    const KINDS: &str = "
push | Push to OneLogin Protect (Thing) | Verification code, or Enter for a push to Thing:
protect-code | | Verification code (OneLogin):
totp | | Verification code (OneLogin):
sms | Text message | Press Enter to get a verification code by text message (Thing):
email | E-mail | Press Enter to get a verification code by e-mail (Thing):
magic-link | Link by e-mail | Press Enter to get a link by e-mail (Thing):
voice | Phone call | Press Enter to get a phone call (Thing):
yubikey | | Verification code (touch your YubiKey):
duo | | Verification code (OneLogin):
";

    #[test]
    fn each_kind_has_its_line_and_its_prompt() {
        // A temporary token is no device.
        for factor in Factor::all().filter(|&factor| factor != Factor::Temporary) {
            let mut rows = KINDS.lines().map(|row| row.split(" |").map(str::trim));
            let row = rows.find(|row| row.clone().next() == Some(factor.word()));
            let row: Vec<_> = row.unwrap_or_else(|| panic!("{factor:?}")).collect();
            let [_, line, prompt] = row[..] else {
                panic!("{row:?}");
            };
            let sole = menu(vec![device("1", factor, "Thing")]);
            assert_eq!(sole.prompt("bob"), format!("{prompt} "), "{factor:?}");
            let several = menu(vec![
                device("1", factor, "Thing"),
                device("2", Factor::Totp, "App"),
            ]);
            assert!(several.prompt("bob").contains(line), "{factor:?}");
        }
        let two = menu(vec![
            device("1", Factor::Voice, "Home"),
            device("2", Factor::Voice, "Work"),
        ]);
        assert!(
            two.prompt("bob")
                .contains(" 1. Phone call (Home)\n 2. Phone call (Work)\n\nOption (1-2): ")
        );
    }

    #[test]
    fn a_code_goes_to_the_device_that_makes_codes_of_its_shape() {
        let menu = menu(vec![
            device("1", Factor::Totp, "App"),
            device("2", Factor::YubiKey, "Key"),
            device("3", Factor::Duo, "Duo"),
        ]);
        assert_eq!(picked(&menu, "123456"), "check 1 6");
        assert_eq!(picked(&menu, &"c".repeat(44)), "check 2 44");
        assert_eq!(picked(&menu, "1234567890"), "check 3 10");
        assert_eq!(
            picked(&menu, &"a".repeat(44)),
            "nothing",
            "a is no letter of a YubiKey"
        );
        assert_eq!(picked(&menu, &"c".repeat(43)), "nothing");
    }

    #[test]
    fn a_temporary_token_is_offered_only_where_it_is_named() {
        let devices = || vec![device("1", Factor::Totp, "App")];
        let mut allow = Factor::enrollable();
        assert!(!allow.contains(&Factor::Temporary));
        allow.push(Factor::Temporary);
        let menu = Menu::new(devices(), 1, &allow, Activations::Offered).unwrap();
        assert_eq!(
            menu.prompt("bob"),
            "OneLogin verification for bob\n\n 1. Temporary passcode from your administrator\n\nVerification code or option (1): "
        );
        assert_eq!(picked(&menu, "1"), "code of 0");
        assert_eq!(picked(&menu, "123456"), "check 1 6");
        let sms = vec![device("1", Factor::Sms, "Mobile")];
        let beside = Menu::new(
            sms,
            1,
            &[Factor::Temporary, Factor::Sms],
            Activations::Offered,
        )
        .unwrap();
        assert_eq!(picked(&beside, "1"), "text 1");
        assert_eq!(picked(&beside, "2"), "code of 0");
        let alone = Menu::new(Vec::new(), 0, &allow, Activations::Off).unwrap();
        assert_eq!(alone.prompt("bob"), "Verification code (OneLogin): ");
        assert_eq!(picked(&alone, "25992782"), "check 0 8");
    }

    #[test]
    fn where_a_push_and_its_codes_are_two_devices_each_does_its_part() {
        let mut push = device("1", Factor::Push, "Phone");
        push.codes = Codes::Never;
        let sole = menu(vec![push.clone()]);
        assert_eq!(sole.prompt("bob"), "Press Enter to get a push (Phone): ");
        assert_eq!(picked(&sole, "123456"), "nothing");
        let both = menu(vec![push, device("2", Factor::ProtectCode, "Phone")]);
        assert_eq!(picked(&both, "123456"), "check 2 6");
        assert_eq!(picked(&both, ""), "push 1");
    }

    fn triggered(id: &str) -> Device {
        let codes = Codes::WithPush;
        Device {
            codes,
            ..device(id, Factor::Push, "Phone")
        }
    }

    #[test]
    fn a_code_that_needs_a_push_comes_after_those_at_hand_and_before_a_temporary_token() {
        let sole = menu(vec![triggered("1")]);
        assert_eq!(
            sole.prompt("bob"),
            "Verification code, or Enter for a push to Phone: "
        );
        assert_eq!(picked(&sole, "123456"), "check 1 6");
        assert_eq!(picked(&sole, ""), "push 1");
        assert!(
            sole.device_for_code(&secret("123456")).is_none(),
            "not at hand"
        );

        let mut first = triggered("1");
        first.default = true;
        let key = device("2", Factor::YubiKey, "Key");
        let app = device("3", Factor::Totp, "App");
        let beside_a_key = menu(vec![first.clone(), key.clone()]);
        assert_eq!(picked(&beside_a_key, "123456"), "check 1 6");
        let beside_both = menu(vec![first, key, app]);
        assert_eq!(picked(&beside_both, "123456"), "check 3 6");
        assert_eq!(picked(&beside_both, "2"), "code of 1");

        let mut allow = Factor::enrollable();
        allow.push(Factor::Temporary);
        let menu = Menu::new(vec![triggered("1")], 1, &allow, Activations::Offered).unwrap();
        assert_eq!(
            menu.prompt("bob"),
            "OneLogin verification for bob\n\n 1. Push to OneLogin Protect (Phone)\n 2. Temporary passcode from your administrator\n\nVerification code or option (1-2): "
        );
        assert_eq!(picked(&menu, "12345678"), "check 1 8");
        assert_eq!(picked(&menu, "1234567890"), "check 0 10");
    }

    #[test]
    fn r22_where_no_push_may_be_sent_no_code_that_needs_one_is_taken() {
        let devices = || vec![triggered("1"), device("2", Factor::Totp, "App")];
        for activations in [Activations::NoPush, Activations::Off] {
            let allow = Factor::enrollable();
            let sole = Menu::new(vec![triggered("1")], 1, &allow, activations);
            assert_eq!(sole.unwrap_err(), NoChoice::NoneWithoutActivation);
            let menu = Menu::new(devices(), 2, &allow, activations).unwrap();
            assert_eq!(menu.prompt("bob"), "Verification code (OneLogin): ");
            assert_eq!(picked(&menu, "123456"), "check 2 6");
            assert_eq!(menu.devices().len(), 1);
        }
    }

    #[test]
    fn r10_names_in_a_menu_are_cleaned() {
        let menu = menu(vec![device(
            "1",
            Factor::Push,
            "\x1b[2JEvil\u{202e}\nphone",
        )]);
        assert_eq!(
            menu.prompt("b"),
            "Verification code, or Enter for a push to [2JEvil phone: "
        );
    }
}
