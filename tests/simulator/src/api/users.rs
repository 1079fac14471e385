//! `/api/2/users` and `/api/1/users`: the search, with its wildcards, and single users.

use serde_json::{Map, Value, json};

use super::{bad_request, not_found, success, v1};
use crate::http::{Incoming, Reply, pairs};
use crate::state::{State, Usernames};
use crate::user::User;

/// `GET /api/2/users`. Several filters must all fit. Documented but not here: dates, `app_id`, `sort`, `cursor`;
/// they are refused like unknown ones rather than ignored.
pub(super) fn list(state: &State, query: &str) -> Reply {
    let mut search = Search {
        filters: Vec::new(),
        fields: None,
        limit: MAX_PAGE,
        page: 1,
    };
    for (name, value) in pairs(query) {
        match name.as_str() {
            "fields" => {
                search.fields = Some(
                    value
                        .split(',')
                        .map(|field| field.trim().to_owned())
                        .collect(),
                );
            }
            "limit" | "page" => {
                let Some(number) = value.parse().ok().filter(|number| *number > 0) else {
                    return bad_request(&format!("{name} must be a positive number"));
                };
                if name == "page" {
                    search.page = number;
                } else {
                    search.limit = number.min(MAX_PAGE);
                }
            }
            _ if FILTERS.contains(&name.as_str()) || name.starts_with(CUSTOM) => {
                search.filters.push((name, value));
            }
            _ => return bad_request(&format!("unknown attribute: {name}")),
        }
    }
    let accounts = state.accounts.values();
    let users = accounts.map(|account| json_of(state, &account.user));
    search.run(
        users.collect(),
        state.settings.case_sensitive,
        &state.settings.omitted,
    )
}

/// A user as the account has it, which may be without any user name.
fn json_of(state: &State, user: &User) -> Value {
    let mut user = user.json();
    if state.settings.usernames == Usernames::Empty {
        user["username"] = "".into();
        for name in ["samaccountname", "userprincipalname"] {
            user[name] = Value::Null;
        }
    }
    user
}

/// `GET /api/2/users/:id`.
pub(super) fn one(state: &State, id: &str) -> Reply {
    let user = id
        .parse::<u64>()
        .ok()
        .and_then(|id| state.accounts.get(&id));
    user.map_or_else(not_found, |account| {
        Reply::new(200, &json_of(state, &account.user))
    })
}

/// `GET /api/1/users`. Documented but not here: dates, `directory_id`, `manager_ad_id`, `sort`; refused like unknown ones.
pub(super) fn list_v1(state: &State, request: &Incoming) -> Reply {
    let mut filters = Vec::new();
    let (mut fields, mut limit, mut page) = (None, MAX_PAGE, 1);
    for (name, value) in pairs(&request.query) {
        let number = value.rsplit('-').next().and_then(|n| n.parse().ok());
        let number: Option<usize> = number.filter(|number| *number > 0);
        match (name.as_str(), number) {
            ("fields", _) => {
                let names = value.split(',').map(|field| field.trim().to_owned());
                fields = Some(names.collect::<Vec<_>>());
            }
            ("limit", Some(number)) => limit = number.min(MAX_PAGE),
            ("after_cursor" | "before_cursor", Some(number)) => page = number,
            (known, _) if V1_FILTERS.contains(&known) => filters.push((name, value)),
            _ => {
                let message = json!({
                    "description": format!("{name} is not a valid attribute for user model"),
                    "attribute": name,
                });
                let status =
                    json!({"error": true, "code": 400, "type": "bad request", "message": message});
                return Reply::new(400, &json!({"status": status}));
            }
        }
    }
    let case_sensitive = state.settings.case_sensitive;
    let users = state
        .accounts
        .values()
        .map(|account| v1_user(state, &account.user));
    let hits: Vec<Value> = users
        .filter(|user| {
            let mut filters = filters.iter();
            filters.all(|(name, pattern)| fits_v1(user, name, pattern, case_sensitive))
        })
        .collect();
    let skip = page.saturating_sub(1).saturating_mul(limit);
    let has_next = hits.len() > skip.saturating_add(limit);
    let shown: Vec<Value> = hits
        .into_iter()
        .skip(skip)
        .take(limit)
        .map(|user| {
            with_fields(user, |name| {
                name == "id"
                    || fields.as_ref().is_none_or(|fields| fields.contains(name))
                        && !state.settings.omitted.contains(name)
            })
        })
        .collect();
    let cursor = |page: usize| format!("page-{page}");
    let host = request.header("host").unwrap_or_default();
    let link = |name: &str, cursor: &str| format!("https://{host}/api/1/users?{name}={cursor}");
    let before = (page > 1).then(|| cursor(page.saturating_sub(1)));
    let after = has_next.then(|| cursor(page.saturating_add(1)));
    let mut body = success();
    body["pagination"] = json!({
        "before_cursor": before,
        "after_cursor": after,
        "previous_link": before.as_deref().map(|cursor| link("before_cursor", cursor)),
        "next_link": after.as_deref().map(|cursor| link("after_cursor", cursor)),
    });
    body["data"] = shown.into();
    Reply::new(200, &body)
}

/// `GET /api/1/users/:id`: an array of one.
pub(super) fn one_v1(state: &State, id: &str) -> Reply {
    let account = id.parse().ok().and_then(|id: u64| state.accounts.get(&id));
    let user = account.map(|account| v1_user(state, &account.user));
    user.map_or_else(|| v1::no_user(id), |user| v1::data(json!([user])))
}

/// A user as v1 shows it: the roles are called `role_id`.
fn v1_user(state: &State, user: &User) -> Value {
    let mut user = json_of(state, user);
    let roles = user["role_ids"].take();
    user["role_id"] = roles;
    with_fields(user, |name| name != "role_ids")
}

/// Whether a v1 filter fits; `!` in front negates.
fn fits_v1(user: &Value, filter: &str, pattern: &str, case_sensitive: bool) -> bool {
    let (pattern, is_negated) = match pattern.strip_prefix('!') {
        Some(pattern) => (pattern, true),
        None => (pattern, false),
    };
    let number: Option<u64> = pattern.parse().ok();
    let fits = match filter {
        "id" => number.is_some() && user["id"].as_u64() == number,
        "role_id" => {
            let mut roles = user["role_id"].as_array().into_iter().flatten();
            number.is_some() && roles.any(|role| role.as_u64() == number)
        }
        _ => fits(user, filter, pattern, case_sensitive),
    };
    fits != is_negated
}

fn with_fields(user: Value, is_shown: impl Fn(&String) -> bool) -> Value {
    let Value::Object(user) = user else {
        return user;
    };
    let shown = user.into_iter().filter(|(name, _)| is_shown(name));
    Value::Object(shown.collect::<Map<_, _>>())
}

struct Search {
    filters: Vec<(String, String)>,
    fields: Option<Vec<String>>,
    limit: usize,
    page: usize,
}

impl Search {
    fn run(&self, users: Vec<Value>, case_sensitive: bool, omitted: &[String]) -> Reply {
        let hits: Vec<Value> = users
            .into_iter()
            .filter(|user| {
                self.filters
                    .iter()
                    .all(|(name, pattern)| fits(user, name, pattern, case_sensitive))
            })
            .collect();
        let total = hits.len();
        let skip = self.page.saturating_sub(1).saturating_mul(self.limit);
        let page: Vec<Value> = hits
            .into_iter()
            .skip(skip)
            .take(self.limit)
            .map(|user| self.shown(user, omitted))
            .collect();
        Reply::new(200, &Value::from(page.clone()))
            .header("Total-Count", &total)
            .header("Total-Pages", &total.div_ceil(self.limit))
            .header("Current-Page", &self.page)
            .header("Page-Items", &page.len())
    }

    /// The fields that were asked for and the id; by default all but the heavy ones.
    fn shown(&self, user: Value, omitted: &[String]) -> Value {
        with_fields(user, |name| {
            name == "id"
                || !omitted.contains(name)
                    && self
                        .fields
                        .as_ref()
                        .map_or(!HEAVY.contains(&name.as_str()), |fields| {
                            fields.contains(name)
                        })
        })
    }
}

fn fits(user: &Value, filter: &str, pattern: &str, case_sensitive: bool) -> bool {
    let value = match filter.strip_prefix(CUSTOM) {
        Some(attribute) => user
            .get("custom_attributes")
            .and_then(|attributes| attributes.get(attribute)),
        None if filter == "user_ids" => {
            let id = user.get("id").map(Value::to_string);
            return pattern
                .split(',')
                .any(|wanted| Some(wanted.trim()) == id.as_deref());
        }
        None => user.get(filter),
    };
    // An empty filter is taken literally: it finds what is empty or null.
    let value = value.and_then(Value::as_str).unwrap_or_default();
    if case_sensitive {
        matches(pattern, value)
    } else {
        matches(&pattern.to_ascii_lowercase(), &value.to_ascii_lowercase())
    }
}

/// Whether `value` fits `pattern`, in which each `*` stands for any text.
fn matches(pattern: &str, value: &str) -> bool {
    let Some((start, pattern)) = pattern.split_once('*') else {
        return pattern == value;
    };
    let Some(mut rest) = value.strip_prefix(start) else {
        return false;
    };
    let (middle, end) = pattern.rsplit_once('*').unwrap_or(("", pattern));
    for part in middle.split('*') {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    rest.ends_with(end)
}

const FILTERS: [&str; 7] = [
    "username",
    "email",
    "samaccountname",
    "external_id",
    "firstname",
    "lastname",
    "user_ids",
];
const V1_FILTERS: [&str; 8] = [
    "email",
    "external_id",
    "firstname",
    "id",
    "role_id",
    "samaccountname",
    "username",
    "userprincipalname",
];
const CUSTOM: &str = "custom_attributes.";
const HEAVY: [&str; 2] = ["custom_attributes", "role_ids"];
const MAX_PAGE: usize = 50;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, value) in [
            ("*", ""),
            ("a*", "alice"),
            ("*e", "alice"),
            ("a*e", "alice"),
            ("a*i*e", "alice"),
            ("a**e", "ae"),
        ] {
            assert!(matches(pattern, value), "{pattern} {value}");
        }
        for (pattern, value) in [
            ("a", "alice"),
            ("b*", "alice"),
            ("al*lice", "alice"),
            ("a*x*e", "alice"),
            ("", "a"),
        ] {
            assert!(!matches(pattern, value), "{pattern} {value}");
        }
    }
}
