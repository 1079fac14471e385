//! What a credential may do.

/// The scopes that `OneLogin` offers for a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// `Authentication Only`.
    AuthenticationOnly,
    /// `Read Users`.
    ReadUsers,
    /// `Read All`.
    ReadAll,
    /// `Manage Users`.
    ManageUsers,
    /// `Manage All`.
    ManageAll,
}

/// Which calls a scope is good for: what the documentation says differs from what clients do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScopeRules {
    /// The documentation's: all of MFA v2 wants `Manage All`.
    #[default]
    Documented,
    /// Besides these, what others tell: `Read All` (a client in use) or `Manage Users` (another vendor's guide) lists
    /// devices, and `Authentication Only` (that client again) activates, checks codes and polls. The client sends no code
    /// by PUT; that a PUT goes with the other calls to `verifications` is an assumption.
    Observed,
}

impl ScopeRules {
    /// Whether a credential of this scope may make the call. Paths that do not exist are open to all.
    pub(crate) fn allow(self, scope: Scope, method: &str, path: &[&str]) -> bool {
        use Scope::{AuthenticationOnly, ManageAll, ManageUsers, ReadAll, ReadUsers};
        let read = [ReadUsers, ReadAll, ManageUsers].as_slice();
        let observed: &[Scope] = match path {
            ["api", "2", "mfa", "users", _, "devices"] => &[ReadAll, ManageUsers],
            ["api", "2", "mfa", "users", _, "verifications", ..] => &[AuthenticationOnly],
            _ => &[],
        };
        let documented: &[Scope] = match (method, path) {
            ("GET", ["api", "2", "roles"]) => &[ReadUsers, ReadAll],
            ("GET", ["api", "2", "apps"]) => &[ReadAll],
            (_, ["auth", "rate_limit"]) | ("GET", ["api", "1" | "2", "users", ..]) => read,
            (_, ["api", "2", "mfa", "users", _, "mfa_token"] | ["api", "1", "users", ..]) => {
                &[ManageUsers]
            }
            (_, ["api", "2", "mfa", "users", ..]) => &[],
            _ => return true,
        };
        scope == ManageAll
            || documented.contains(&scope)
            || self == ScopeRules::Observed && observed.contains(&scope)
    }
}
