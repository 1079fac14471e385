//! sshd's configuration, with the files that it includes: the first value counts, and within a `Match` block
//! the value of the block counts before the value for all.

use crate::host::target_system::TargetSystem;
use crate::sshd::keyword::Keyword;
use crate::sshd::methods::{METHODS, hides_prompts, is_key_first, switch};
use crate::ui::finding::Place;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Values by keyword, each with its place.
type Values = BTreeMap<Keyword, (String, Place)>;

/// The configuration of sshd.
#[derive(Default)]
pub(crate) struct Sshd {
    /// Its file, if there is one.
    pub(crate) path: Option<PathBuf>,
    values: Values,
    pub(crate) blocks: Vec<Block>,
    /// The files that were read, each as often as it is included.
    pub(crate) files: Vec<PathBuf>,
    /// The files that were read, and the folders in which others were looked for.
    pub(crate) read: BTreeSet<PathBuf>,
    /// Whether a file of it cannot be read.
    pub(crate) is_in_part: bool,
}

/// The settings of a `Match` block.
pub(crate) struct Block {
    /// The text after `Match`.
    pub(crate) condition: String,
    pub(crate) place: Place,
    /// Whether a comment in it says that its logins need no second factor on purpose.
    pub(crate) is_exempt: bool,
    /// The block whose `Include` names the file that it is in.
    parent: Option<usize>,
    values: Values,
}

/// A value and its place.
#[derive(Clone, Copy)]
pub(crate) struct Said<'a> {
    pub(crate) value: &'a str,
    pub(crate) place: &'a Place,
}

/// The settings that apply to all users or to some: the first value counts.
pub(crate) struct View<'a> {
    values: Vec<&'a Values>,
    block: Option<Within<'a>>,
}

/// The `Match` block of a view.
struct Within<'a> {
    place: &'a Place,
    /// What this block and those that contain it say.
    values: Vec<&'a Values>,
}

impl Sshd {
    /// Reads it.
    pub(crate) fn read(machine: &TargetSystem) -> Self {
        let mut sshd = Self::default();
        for path in PATHS.map(Path::new) {
            if sshd.path.is_none() && machine.has(path) {
                sshd.path = Some(path.to_owned());
                sshd.file(machine, path, None);
            }
        }
        sshd
    }

    /// The `Match` blocks that are for some only.
    pub(crate) fn for_some(&self) -> impl Iterator<Item = (usize, &Block)> {
        let blocks = self.blocks.iter().enumerate();
        blocks.filter(|(_, block)| !block.is_for_all())
    }

    /// The line of the first `Match` in a file: below it, a line is for some users only.
    pub(crate) fn first_match(&self, path: &Path) -> Option<String> {
        let mut blocks = self.blocks.iter();
        let first = blocks.find(|block| block.place.path == path)?;
        let line = first.place.line?;
        Some(format!("line {line}"))
    }

    /// The value in this block, or in a block that contains it.
    pub(crate) fn own(&self, block: usize, keyword: Keyword) -> Option<Said<'_>> {
        let mut index = Some(block);
        while let Some(block) = index.and_then(|index| self.blocks.get(index)) {
            if let Some((value, place)) = block.values.get(&keyword) {
                return Some(Said { value, place });
            }
            index = block.parent;
        }
        None
    }

    /// The line that sets this value, which sshd uses: for all users, or else in a `Match` block.
    pub(crate) fn setting(&self, keyword: Keyword, value: &str) -> Option<Said<'_>> {
        let is_it = |said: &Said<'_>| {
            said.value.eq_ignore_ascii_case(value) || (said.is_on() && is_yes(value))
        };
        let global = self.global().get(keyword);
        let global = global.map(|(value, place)| Said { value, place });
        let mut blocks = (0..self.blocks.len()).filter_map(|block| self.own(block, keyword));
        global.filter(is_it).or_else(|| blocks.find(is_it))
    }

    /// The service whose stack sshd uses.
    pub(crate) fn service(&self) -> &str {
        self.global().value(Keyword::Service)
    }

    /// Each service that sshd uses: for all, or behind a `Match`.
    pub(crate) fn services(&self) -> impl Iterator<Item = &str> {
        self.views().map(|view| view.value(Keyword::Service))
    }

    /// Whether each login that no `Match` block changes needs a key, or a similar method, before sshd uses
    /// its stack.
    pub(crate) fn key_comes_first(&self) -> bool {
        let methods = self.global().methods();
        self.path.is_some() && methods.iter().all(|list| is_key_first(list))
    }

    /// Whether every login needs one: `AuthenticationMethods` demands it for all, and in each `Match` block.
    pub(crate) fn key_always_comes_first(&self) -> bool {
        let says_so = |view: View<'_>| {
            !view.any_method_is_enough() && view.methods().iter().all(|list| is_key_first(list))
        };
        self.path.is_some() && !self.cannot_be_told() && self.views().all(says_so)
    }

    /// The settings for all, and those of each `Match` block.
    fn views(&self) -> impl Iterator<Item = View<'_>> {
        let blocks = (0..self.blocks.len()).map(|index| self.within(index));
        [self.global()].into_iter().chain(blocks)
    }

    /// How to make sshd use these lines: for all users, or else in the first `Match` block that says otherwise.
    pub(crate) fn closing(&self, lines: &[&str]) -> String {
        let mut advices = self.views().map(|view| view.advice(lines));
        advices
            .find(|advice| !advice.is_empty())
            .unwrap_or_default()
    }

    /// Whether a file cannot be read, or the includes are endless.
    pub(crate) fn cannot_be_told(&self) -> bool {
        self.is_in_part || self.is_endless()
    }

    /// The settings for logins that match no block except `Match all`.
    pub(crate) fn global(&self) -> View<'_> {
        self.view(None)
    }

    /// The settings for logins that match this block and no other.
    pub(crate) fn within(&self, block: usize) -> View<'_> {
        self.view(Some(block))
    }

    fn view(&self, at: Option<usize>) -> View<'_> {
        let mut meant = Vec::new();
        let mut block = at;
        while let Some(index) = block {
            meant.push(index);
            block = self.blocks.get(index).and_then(|block| block.parent);
        }
        let blocks = self.blocks.iter().enumerate();
        let values = blocks
            .filter(|(index, block)| block.is_for_all() || meant.contains(index))
            .map(|(_, block)| &block.values);
        let own = |index: &usize| self.blocks.get(*index).map(|block| &block.values);
        View {
            values: values.chain([&self.values]).collect(),
            block: at.and_then(|at| self.blocks.get(at)).map(|block| Within {
                place: &block.place,
                values: meant.iter().filter_map(own).collect(),
            }),
        }
    }

    /// Whether the files include each other, or are unreasonably many.
    pub(crate) fn is_endless(&self) -> bool {
        self.files.len() > MAX_FILES
    }

    /// Adds a file; `parent` is the index of the block that includes it.
    fn file(&mut self, machine: &TargetSystem, path: &Path, parent: Option<usize>) {
        self.files.push(path.to_owned());
        if self.is_endless() {
            return;
        }
        let mut block = parent;
        self.read.insert(path.to_owned());
        let Ok(text) = machine.text(path) else {
            self.is_in_part = true;
            return;
        };
        let text = text.unwrap_or_default();
        for (index, line) in text.lines().enumerate() {
            let place = Place::of(path, Some(index + 1));
            let Some((word, rest)) = words(line) else {
                let block = block.and_then(|index| self.blocks.get_mut(index));
                if let Some(block) = block.filter(|_| line.trim() == EXEMPT) {
                    block.is_exempt = true;
                }
                continue;
            };
            if word.eq_ignore_ascii_case("match") {
                block = self.begin(&rest.join(" "), place, parent);
            } else if word.eq_ignore_ascii_case("include") {
                for pattern in rest {
                    let pattern = Path::new(FOLDER).join(pattern);
                    self.read.extend(pattern.parent().map(Path::to_owned));
                    for path in machine.matching(&pattern) {
                        self.file(machine, &path, block);
                    }
                }
            } else if let Some(keyword) = Keyword::of(&word) {
                let values = match block {
                    Some(index) => self.blocks.get_mut(index).map(|block| &mut block.values),
                    None => Some(&mut self.values),
                };
                if let Some(values) = values {
                    let value = rest.join(" ");
                    values.entry(keyword).or_insert((value, place));
                }
            }
        }
    }

    /// A `Match` line.
    fn begin(&mut self, condition: &str, place: Place, parent: Option<usize>) -> Option<usize> {
        self.blocks.push(Block {
            condition: condition.to_owned(),
            place,
            is_exempt: false,
            parent,
            values: Values::new(),
        });
        self.blocks.len().checked_sub(1)
    }
}

impl Said<'_> {
    pub(crate) fn is_on(&self) -> bool {
        is_yes(self.value)
    }

    /// Its line, in words.
    pub(crate) fn line(&self) -> String {
        let path = self.place.path.display();
        let line = self.place.line.unwrap_or_default();
        format!("line {line} of {path}")
    }

    /// What to write in place of its line.
    pub(crate) fn replace(&self, line: &str) -> String {
        format!("replace {} by \"{line}\"", self.line())
    }
}

impl Block {
    pub(crate) fn is_for_all(&self) -> bool {
        let everybody = ["all", "user *", "group *", "host *", "address *"];
        let condition = self.condition.to_ascii_lowercase();
        self.parent.is_none() && everybody.contains(&condition.as_str())
    }
}

/// The value that counts, and its place.
fn first<'a>(values: &[&'a Values], keyword: Keyword) -> Option<&'a (String, Place)> {
    values.iter().find_map(|values| values.get(&keyword))
}

impl<'a> View<'a> {
    fn get(&self, keyword: Keyword) -> Option<&'a (String, Place)> {
        first(&self.values, keyword)
    }

    /// The effective value.
    pub(crate) fn value(&self, keyword: Keyword) -> &'a str {
        self.get(keyword)
            .map_or(keyword.default(), |(value, _)| value)
    }

    /// The place of the effective value.
    pub(crate) fn place(&self, keyword: Keyword) -> Option<Place> {
        self.get(keyword).map(|(_, place)| place.clone())
    }

    pub(crate) fn is_on(&self, keyword: Keyword) -> bool {
        is_yes(self.value(keyword))
    }

    /// How to make sshd use these lines: the first value counts, so a line that sets another one is replaced. What a
    /// `Match` block takes from the settings for all users is written into the block, and stays for the others.
    pub(crate) fn advice(&self, lines: &[&str]) -> String {
        let mut replaced = Vec::new();
        let mut added = Vec::new();
        for line in lines {
            let (name, wanted) = line.split_once(' ').unwrap_or((line, ""));
            let said = Keyword::of(name).and_then(|keyword| self.get(keyword));
            let default = Keyword::of(name).map_or("", Keyword::default);
            let value = said.map_or(default, |(value, _)| value);
            let said = match &self.block {
                Some(block) => Keyword::of(name).and_then(|keyword| first(&block.values, keyword)),
                None => said,
            };
            match said {
                _ if value.eq_ignore_ascii_case(wanted) => {}
                Some((value, place)) => replaced.push(Said { value, place }.replace(line)),
                None => added.push(format!("\"{line}\"")),
            }
        }
        if !added.is_empty() {
            let mut advice = format!("write {}", added.join(" and "));
            if let Some(line) = self.block.as_ref().and_then(|block| block.place.line) {
                let _ = write!(advice, " into the block that begins in line {line}");
            }
            replaced.push(advice);
        }
        replaced.join("; ")
    }

    /// The lists of methods of which one must be passed, each as it is written.
    pub(crate) fn methods(&self) -> Vec<Vec<&'a str>> {
        let value = self.value(Keyword::Methods);
        if self.any_method_is_enough() {
            let mut all = METHODS.map(|(method, _)| vec![method]).to_vec();
            all.retain(|list| list.iter().all(|method| self.is_enabled(method)));
            return all;
        }
        let lists = value.split_whitespace();
        lists.map(|list| list.split(',').collect()).collect()
    }

    /// Whether `AuthenticationMethods` leaves the choice to the client.
    pub(crate) fn any_method_is_enough(&self) -> bool {
        is_any(self.value(Keyword::Methods))
    }

    /// The lists of methods that are all enabled: sshd skips the other lists.
    pub(crate) fn usable_methods(&self) -> Vec<Vec<&'a str>> {
        let mut lists = self.methods();
        lists.retain(|list| list.iter().all(|method| self.is_enabled(method)));
        lists
    }

    /// Whether a list of methods that are all enabled contains no key.
    pub(crate) fn lets_in_without_key(&self) -> bool {
        let lists = self.usable_methods();
        lists.iter().any(|list| !list.contains(&"publickey"))
    }

    /// Whether a login can go by the method `password`.
    pub(crate) fn accepts_passwords(&self) -> bool {
        self.usable_methods().iter().any(|list| hides_prompts(list))
    }

    /// Whether a method is switched on.
    pub(crate) fn is_enabled(&self, method: &str) -> bool {
        switch(method).is_some_and(|keyword| self.is_on(keyword))
    }
}

/// Whether `AuthenticationMethods` leaves the methods to their switches.
fn is_any(methods: &str) -> bool {
    methods.is_empty() || methods.eq_ignore_ascii_case("any")
}

fn is_yes(value: &str) -> bool {
    ["yes", "true"].contains(&value.to_ascii_lowercase().as_str())
}

/// The first word and the others; `None` for an empty line or a comment.
fn words(line: &str) -> Option<(String, Vec<String>)> {
    let mut words = Vec::new();
    let mut rest = line.trim();
    while !rest.is_empty() && !rest.starts_with('#') {
        let quote = if rest.starts_with('\'') { '\'' } else { '"' };
        let (word, after) = if let Some(quoted) = rest.strip_prefix(quote) {
            quoted.split_once(quote).unwrap_or((quoted, ""))
        } else {
            let is_first = words.is_empty();
            let ends = move |c: char| c.is_whitespace() || (is_first && c == '=');
            let word = rest.split(ends).next().unwrap_or_default();
            (word, rest.strip_prefix(word).unwrap_or_default())
        };
        words.push(word.to_owned());
        rest = after.trim_start();
        if words.len() == 1 {
            rest = rest.strip_prefix('=').unwrap_or(rest).trim_start();
        }
    }
    let mut words = words.into_iter();
    Some((words.next()?, words.collect()))
}

/// The comment in a `Match` block whose logins need no second factor on purpose.
pub(crate) const EXEMPT: &str = "# pam-onelogin: exempt";

/// The file, the second is that of SUSE.
const PATHS: [&str; 2] = ["/etc/ssh/sshd_config", "/usr/etc/ssh/sshd_config"];

/// Where included names are looked for.
const FOLDER: &str = "/etc/ssh";

/// More included files than this mean that a file includes itself.
const MAX_FILES: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    /// What sshd 9.2 says of the same files, asked by `sshd -T -C user=NAME,…`.
    #[test]
    fn included_files_and_blocks_count_as_in_sshd() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("etc/ssh");
        std::fs::create_dir_all(folder.join("d")).unwrap();
        let files = [
            (
                "sshd_config",
                "Include /etc/ssh/d/*.conf\n\"LoginGraceTime\" \"1h30m5\" # x\n\
                 challengeresponseauthentication no\nPasswordAuthentication yes\nMatch user ann\n\
                 AuthenticationMethods \"publickey\"\nInclude d/ann\nMatch all\nMaxAuthTries 2\n\
                 AuthenticationMethods publickey,keyboard-interactive password\n",
            ),
            (
                "d/a.conf",
                "KbdInteractiveAuthentication yes\nMatch user bob\nPasswordAuthentication no\n",
            ),
            (
                "d/b.conf",
                "MaxAuthTries 3\nkbdinteractiveauthentication no\n",
            ),
            (
                "d/ann",
                "PermitRootLogin no\nMatch address 1.2.3.4\nPasswordAuthentication no\n",
            ),
        ];
        for (name, text) in files {
            std::fs::write(folder.join(name), text).unwrap();
        }
        let sshd = Sshd::read(&TargetSystem::below(root.path()));
        let conditions: Vec<_> = sshd.blocks.iter().map(|block| &block.condition).collect();
        assert_eq!(
            conditions,
            ["user bob", "user ann", "address 1.2.3.4", "all"]
        );
        let both = "publickey,keyboard-interactive password";
        for (view, methods, password, root) in [
            (sshd.global(), both, "yes", "prohibit-password"),
            (sshd.within(0), both, "no", "prohibit-password"),
            (sshd.within(1), "publickey", "yes", "no"),
            (sshd.within(2), "publickey", "no", "no"),
        ] {
            assert_eq!(view.value(Keyword::Methods), methods);
            assert_eq!(view.value(Keyword::Password), password);
            assert_eq!(view.value(Keyword::RootLogin), root);
            assert_eq!(view.value(Keyword::KbdInteractive), "yes");
            assert_eq!(view.value(Keyword::MaxTries), "2");
            assert_eq!(view.value(Keyword::GraceTime), "1h30m5");
        }
    }

    #[test]
    fn a_line_is_a_keyword_and_its_words() {
        let read = |line| words(line).map(|(word, rest)| format!("{word}|{}", rest.join("|")));
        assert_eq!(read("  UsePAM yes # x").as_deref(), Some("UsePAM|yes"));
        assert_eq!(read("UsePAM=yes").as_deref(), Some("UsePAM|yes"));
        assert_eq!(read("UsePAM = \"a b\" c").as_deref(), Some("UsePAM|a b|c"));
        assert_eq!(read("UsePAM 'a b'").as_deref(), Some("UsePAM|a b"));
        assert_eq!(read("# UsePAM yes"), None);
        assert_eq!(read(""), None);
    }
}
