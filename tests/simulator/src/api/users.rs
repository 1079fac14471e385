//! `/api/2/users`: the search, with its wildcards, and single users.

use serde_json::{Map, Value};

use super::{bad_request, not_found};
use crate::http::{Reply, pairs};
use crate::state::State;
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
    let users: Vec<&User> = state
        .accounts
        .values()
        .map(|account| &account.user)
        .collect();
    search.run(
        &users,
        state.settings.case_sensitive,
        &state.settings.omitted,
    )
}

/// `GET /api/2/users/:id`.
pub(super) fn one(state: &State, id: &str) -> Reply {
    let user = id
        .parse::<u64>()
        .ok()
        .and_then(|id| state.accounts.get(&id));
    user.map_or_else(not_found, |account| Reply::new(200, &account.user.json()))
}

struct Search {
    filters: Vec<(String, String)>,
    fields: Option<Vec<String>>,
    limit: usize,
    page: usize,
}

impl Search {
    fn run(&self, users: &[&User], case_sensitive: bool, omitted: &[String]) -> Reply {
        let hits: Vec<Value> = users
            .iter()
            .map(|user| user.json())
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
        let Value::Object(user) = user else {
            return user;
        };
        let is_shown = |name: &String| {
            name == "id"
                || !omitted.contains(name)
                    && self
                        .fields
                        .as_ref()
                        .map_or(!HEAVY.contains(&name.as_str()), |fields| {
                            fields.contains(name)
                        })
        };
        Value::Object(
            user.into_iter()
                .filter(|(name, _)| is_shown(name))
                .collect::<Map<_, _>>(),
        )
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
