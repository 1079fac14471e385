//! What modules return, by number and name.

/// What a module returns, by its number.
pub type Code = u8;

/// `PAM_SUCCESS`
pub const SUCCESS: Code = 0;
/// `PAM_PERM_DENIED`, also of a line that libpam cannot use and of a stack that no line decided.
pub const PERM_DENIED: Code = 6;
/// `PAM_AUTH_ERR`
pub const AUTH_ERR: Code = 7;
/// `PAM_AUTHINFO_UNAVAIL`
pub const AUTHINFO_UNAVAIL: Code = 9;
/// `PAM_USER_UNKNOWN`
pub const USER_UNKNOWN: Code = 10;
/// `PAM_IGNORE`
pub const IGNORE: Code = 25;
/// `PAM_ABORT`, also of a stack that libpam cannot read.
pub const ABORT: Code = 26;
/// `PAM_MODULE_UNKNOWN`: the module could not be loaded.
pub const MODULE_UNKNOWN: Code = 28;
/// `PAM_INCOMPLETE`: ends the walk at once.
pub const INCOMPLETE: Code = 31;

/// How the codes are written in a control, by number.
pub const NAMES: [&str; 32] = [
    "success",
    "open_err",
    "symbol_err",
    "service_err",
    "system_err",
    "buf_err",
    "perm_denied",
    "auth_err",
    "cred_insufficient",
    "authinfo_unavail",
    "user_unknown",
    "maxtries",
    "new_authtok_reqd",
    "acct_expired",
    "session_err",
    "cred_unavail",
    "cred_expired",
    "cred_err",
    "no_module_data",
    "conv_err",
    "authtok_err",
    "authtok_recover_err",
    "authtok_lock_busy",
    "authtok_disable_aging",
    "try_again",
    "ignore",
    "abort",
    "authtok_expired",
    "module_unknown",
    "bad_item",
    "conv_again",
    "incomplete",
];

/// `PAM_AUTH_ERR` for 7.
#[must_use]
pub fn name(code: Code) -> String {
    NAMES.get(usize::from(code)).map_or_else(
        || code.to_string(),
        |name| format!("PAM_{}", name.to_uppercase()),
    )
}
