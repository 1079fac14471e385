//! The pages of docs/, the manual pages that show them, and how a text refers to them.

use crate::roff::{Heading, for_manuals, headings};
use std::collections::BTreeMap;

/// The documents: path and text.
pub(crate) type Texts = BTreeMap<String, String>;

/// A heading of a page, as a manual page shows it.
struct Shown {
    manual: String,
    page: String,
    /// What a link to the heading has behind its `#`; nothing for the title of the page.
    anchor: String,
    name: String,
}

/// The headings of the documents.
pub(crate) struct Pages {
    /// Path and headings of each document in Markdown.
    documents: Vec<(String, Vec<Heading>)>,
    shown: Vec<Shown>,
}

impl Pages {
    /// Reads them.
    pub(crate) fn of(texts: &Texts) -> Result<Self, String> {
        let mut pages = Self {
            documents: Vec::new(),
            shown: Vec::new(),
        };
        for (path, text) in texts {
            if !path.starts_with("man/") {
                pages.documents.push((path.clone(), headings(text)));
                continue;
            }
            let marks = text.lines().filter_map(crate::start_of_region);
            for region in marks.filter(|name| name.starts_with("docs/")) {
                let shown = headings(&part(region, texts)?);
                for (index, heading) in shown.iter().enumerate() {
                    let is_title = index == 0 && !region.contains('#');
                    pages.shown.push(Shown {
                        manual: path.clone(),
                        page: stem(region).to_owned(),
                        anchor: if is_title {
                            String::new()
                        } else {
                            anchor(&heading.text)
                        },
                        name: if index == 0 {
                            heading.text.to_uppercase()
                        } else {
                            heading.text.clone()
                        },
                    });
                }
            }
        }
        Ok(pages)
    }

    /// The name of a heading in this manual page, or in another one.
    fn name(&self, page: &str, anchor: &str, manual: &str) -> Option<String> {
        let is_it = |shown: &&Shown| shown.page == page && shown.anchor == anchor;
        let mut all = self.shown.iter().filter(is_it);
        match all.clone().find(|shown| shown.manual == manual) {
            Some(here) => Some(format!("\"{}\"", here.name)),
            None => all
                .next()
                .map(|there| format!("\"{}\" in {}", there.name, title(&there.manual))),
        }
    }

    /// The name that a manual page uses for the target of a link on a page of docs/, if a manual page shows it.
    pub(crate) fn link(
        &self,
        target: &str,
        page: &str,
        manual: &str,
    ) -> Result<Option<String>, String> {
        let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
        let page = match file.strip_suffix(".md") {
            Some(page) if !page.contains('/') => page,
            None if file.is_empty() => page,
            _ => return Ok(None),
        };
        self.heading(page, anchor)?;
        Ok(self.name(page, anchor, manual))
    }

    /// How a document refers to a page of docs/, `limits`, or to a section of one, `configuration#Keys`. A comment has
    /// no path: it names the manual page.
    pub(crate) fn reference(&self, target: &str, document: &str) -> Result<String, String> {
        let (page, section) = target.split_once('#').unwrap_or((target, ""));
        let anchor = anchor(section);
        let heading = self.heading(page, &anchor)?;
        if document.is_empty() {
            let name = self.name(page, &anchor, document);
            return Ok(name.unwrap_or_else(|| format!("\"{heading}\" in docs/{page}.md")));
        }
        let folder = if document == "README.md" { "docs/" } else { "" };
        let mut link = format!("{folder}{page}.md");
        if !anchor.is_empty() {
            let is_here = document.strip_prefix("docs/").map(stem) == Some(page);
            link = format!("{}#{anchor}", if is_here { "" } else { &link });
        }
        Ok(format!("[{heading}]({link})"))
    }

    /// The text of the heading that a link to a page names.
    fn heading(&self, page: &str, anchor_: &str) -> Result<&str, String> {
        let path = format!("docs/{page}.md");
        let mut documents = self.documents.iter();
        let (_, headings) = documents
            .find(|(document, _)| *document == path)
            .ok_or_else(|| format!("there is no page {path}"))?;
        let mut headings = headings.iter();
        let heading =
            headings.find(|heading| anchor_.is_empty() || anchor(&heading.text) == anchor_);
        let heading = heading.ok_or_else(|| format!("{path} has no section {anchor_}"))?;
        Ok(&heading.text)
    }
}

/// What manual pages show of `docs/limits.md`, or of the section `docs/configuration.md#Keys` alone.
pub(crate) fn part(region: &str, texts: &Texts) -> Result<String, String> {
    let (path, section) = region.split_once('#').unwrap_or((region, ""));
    let text = texts
        .get(path)
        .ok_or_else(|| format!("there is no page {path}"))?;
    let text = for_manuals(text).map_err(|error| format!("{path}: {error}"))?;
    if section.is_empty() {
        return Ok(text);
    }
    let mut headings = headings(&text).into_iter();
    let heading = headings
        .find(|heading| anchor(&heading.text) == anchor(section))
        .ok_or_else(|| format!("{path} has no section {section}"))?;
    let end = headings.find(|next| next.level <= heading.level);
    let end = end.map_or(text.len(), |next| next.start);
    Ok(text.get(heading.start..end).unwrap_or_default().to_owned())
}

/// What links to the headings of a page in Markdown have after their `#`, as forges and mdBook make it.
#[must_use]
pub fn anchors(text: &str) -> Vec<String> {
    let headings = headings(text).into_iter();
    headings.map(|heading| anchor(&heading.text)).collect()
}

/// What a link to a heading has after its `#`.
fn anchor(heading: &str) -> String {
    let kept = heading
        .chars()
        .filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

/// `docs/limits.md#What` is `limits`.
pub(crate) fn stem(path: &str) -> &str {
    let name = path.split('#').next().unwrap_or_default();
    let name = name.rsplit('/').next().unwrap_or_default();
    name.strip_suffix(".md").unwrap_or(name)
}

/// `man/pam_onelogin.8` is `pam_onelogin(8)`.
fn title(manual: &str) -> String {
    let name = manual.rsplit('/').next().unwrap_or_default();
    let (name, section) = name.rsplit_once('.').unwrap_or((name, ""));
    format!("{name}({section})")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn texts() -> Texts {
        let texts = [
            ("README.md", "# x\n"),
            (
                "docs/limits.md",
                "# Limits\n\nText.\n\n## Known origins\n\nText.\n",
            ),
            (
                "docs/configuration.md",
                "# Configuration\n\n## Keys\n\nAll.\n\n### More\n\n## Groups\n",
            ),
            ("docs/outage.md", "# Outage\n"),
            (
                "man/pam_onelogin.8",
                ".\\\" generated by make docs: docs/limits.md\n.\\\" end of docs/limits.md\n",
            ),
            (
                "man/pam_onelogin.conf.5",
                ".\\\" generated by make docs: docs/configuration.md#Keys\n",
            ),
        ];
        texts
            .map(|(path, text)| (path.to_owned(), text.to_owned()))
            .into()
    }

    pub(crate) fn pages() -> Pages {
        Pages::of(&texts()).unwrap()
    }

    #[test]
    fn a_link_becomes_the_name_that_the_manual_page_uses() {
        let link =
            |target: &str, manual: &str| pages().link(target, "configuration", manual).unwrap();
        let (module, file) = ("man/pam_onelogin.8", "man/pam_onelogin.conf.5");
        for (target, manual, name) in [
            ("limits.md", module, Some("\"LIMITS\"")),
            ("limits.md", file, Some("\"LIMITS\" in pam_onelogin(8)")),
            ("limits.md#known-origins", module, Some("\"Known origins\"")),
            (
                "configuration.md#keys",
                module,
                Some("\"KEYS\" in pam_onelogin.conf(5)"),
            ),
            ("#keys", file, Some("\"KEYS\"")),
            ("#more", file, Some("\"More\"")),
            ("#groups", file, None),
            ("configuration.md", file, None),
            ("outage.md", module, None),
            ("../SECURITY.md", module, None),
            ("https://example.com/", module, None),
        ] {
            assert_eq!(link(target, manual).as_deref(), name, "{target}");
        }
        for wrong in ["nowhere.md", "limits.md#nowhere"] {
            assert!(
                pages().link(wrong, "configuration", module).is_err(),
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_section_of_a_page_ends_at_the_next_heading_of_its_level() {
        let part = |region: &str| part(region, &texts());
        assert_eq!(
            part("docs/configuration.md#Keys").unwrap(),
            "## Keys\n\nAll.\n\n### More\n\n"
        );
        assert_eq!(part("docs/configuration.md#Groups").unwrap(), "## Groups\n");
        assert!(part("docs/configuration.md#Nowhere").is_err());
        assert!(part("docs/nowhere.md").is_err());
    }
}
