//! A service's four chains from its files, as `_pam_init_handlers` makes them.

use crate::pam_stack::syntax::{Control, Kind, Words, lines};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Where the service files are, the first wins; the last is that of SUSE.
pub const FOLDERS: [&str; 3] = ["/etc/pam.d", "/usr/lib/pam.d", "/usr/etc/pam.d"];

/// How files are read: the text, or nothing if it cannot be read.
pub type Files<'a> = &'a dyn Fn(&Path) -> Option<String>;

/// As many levels of files within files as libpam takes.
const MAX_LEVEL: usize = 16;

/// How many files a service may read, again and again; one that names itself twice would read for
/// hours, and libpam does.
const MAX_FILES: usize = 5000;

const NAMELESS: &str = "the module has no name";

/// The stack of services without a stack of their own.
const OTHER: &str = "other";

/// A line in a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it calls.
    pub body: Body,
    /// The actions for its return codes.
    pub control: Control,
    /// As it is written.
    pub control_text: String,
    /// Behind how many `substack` it is.
    pub level: usize,
    /// Whether it begins with `-`: a module that is missing is not logged.
    pub is_quiet: bool,
    /// The file.
    pub path: PathBuf,
    /// The line in it, counted from 1.
    pub line: usize,
}

/// What a line calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// A module with its arguments.
    Module {
        /// As it is written: a name or an absolute path.
        name: String,
        /// The words after it.
        arguments: Vec<String>,
    },
    /// The beginning of a `substack`; does nothing, and counts as a line together with it.
    Substack,
    /// A line that libpam cannot use: it denies.
    Broken(String),
}

/// What libpam makes of a service's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stack {
    /// Its file; `None` where it has none and `other` stands in.
    pub path: Option<PathBuf>,
    chains: Chains,
    other: Chains,
    /// Why libpam denies everything: it reads nothing of a service with such a fault.
    pub unreadable: Option<Unreadable>,
    /// Each file that was read, in their order, with the line and file that includes it.
    pub files: Vec<PathBuf>,
}

/// Why a service cannot be read at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// A sentence without a full stop.
    pub what: String,
    /// The file.
    pub path: PathBuf,
    /// The line in it.
    pub line: usize,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Chains([Vec<Entry>; 4]);

impl Chains {
    fn of(&self, kind: Kind) -> &[Entry] {
        let [auth, account, session, password] = &self.0;
        match kind {
            Kind::Auth => auth,
            Kind::Account => account,
            Kind::Session => session,
            Kind::Password => password,
        }
    }

    fn push(&mut self, kind: Kind, entry: Entry) {
        let [auth, account, session, password] = &mut self.0;
        match kind {
            Kind::Auth => auth.push(entry),
            Kind::Account => account.push(entry),
            Kind::Session => session.push(entry),
            Kind::Password => password.push(entry),
        }
    }
}

impl Stack {
    /// The chain that is walked: of the service, or where it has none of this kind of `other`.
    #[must_use]
    pub fn chain(&self, kind: Kind) -> &[Entry] {
        match self.chains.of(kind) {
            [] => self.other.of(kind),
            own => own,
        }
    }

    /// Whether this chain is that of `other`.
    #[must_use]
    pub fn falls_back(&self, kind: Kind) -> bool {
        self.chains.of(kind).is_empty()
    }
}

impl Entry {
    /// The file name of the module, as it was meant: without a carriage return.
    #[must_use]
    pub fn module(&self) -> Option<&str> {
        match &self.body {
            Body::Module { name, .. } => name.trim_end_matches('\r').rsplit('/').next(),
            Body::Substack | Body::Broken(_) => None,
        }
    }

    /// The words after the module.
    #[must_use]
    pub fn arguments(&self) -> &[String] {
        match &self.body {
            Body::Module { arguments, .. } => arguments,
            Body::Substack | Body::Broken(_) => &[],
        }
    }

    /// Whether it is this module, wherever it is.
    #[must_use]
    pub fn is(&self, module: &str) -> bool {
        // `$ISA` and a missing ".so" do not matter for what it is.
        self.module()
            .is_some_and(|name| name.strip_suffix(".so").unwrap_or(name) == module)
    }
}

/// Reads a service.
#[must_use]
pub fn read(service: &str, files: Files<'_>) -> Stack {
    let service = service.to_ascii_lowercase();
    let mut reader = Reader {
        files,
        chains: Chains::default(),
        seen: Vec::new(),
        count: 0,
    };
    let mut unreadable = None;
    let mut path = None;
    let has_folder = FOLDERS
        .iter()
        .any(|folder| files(&Path::new(folder).join(OTHER)).is_some())
        || open(&service, files).is_some();
    if let Some((found, text)) = open(&service, files) {
        unreadable = reader.file(&found, &text, None, 0, 0).err();
        path = Some(found);
    } else if !has_folder {
        if let Some(text) = files(Path::new(CONF)) {
            unreadable = reader.conf(&text, &service).err();
            path = Some(CONF.into());
        }
    }
    let chains = std::mem::take(&mut reader.chains);
    let mut read = reader.seen.clone();
    if unreadable.is_none() {
        if let Some((found, text)) = open(OTHER, files) {
            unreadable = reader.file(&found, &text, None, 0, 0).err();
        } else if !has_folder {
            if let Some(text) = files(Path::new(CONF)) {
                unreadable = reader.conf(&text, OTHER).err();
            }
        }
    }
    if Kind::ALL.iter().any(|&kind| chains.of(kind).is_empty()) {
        read.clone_from(&reader.seen);
    }
    if reader.count > MAX_FILES {
        unreadable = Some(Unreadable {
            what: "it includes files in an endless loop; look for a file that includes itself"
                .to_owned(),
            path: reader.seen.into_iter().next().unwrap_or_default(),
            line: 1,
        });
    }
    Stack {
        path,
        chains,
        other: reader.chains,
        unreadable,
        files: read,
    }
}

/// The services in the one file of old.
#[must_use]
pub fn services(conf: &str) -> BTreeSet<String> {
    let lines = lines(conf).0.into_iter();
    lines
        .filter_map(|line| Words::of(&line.text).next())
        .map(|word| word.to_ascii_lowercase())
        .collect()
}

/// The one file of old, which counts only where there is no folder.
pub const CONF: &str = "/etc/pam.conf";

/// Finds a file as libpam does: by an absolute path, or by a name in one of [`FOLDERS`].
#[must_use]
pub fn open(name: &str, files: Files<'_>) -> Option<(PathBuf, String)> {
    if name.starts_with('/') {
        let path = PathBuf::from(name);
        return files(&path).map(|text| (path, text));
    }
    FOLDERS.iter().find_map(|folder| {
        let path = Path::new(folder).join(name);
        files(&path).map(|text| (path, text))
    })
}

struct Reader<'a> {
    files: Files<'a>,
    chains: Chains,
    seen: Vec<PathBuf>,
    /// How many files were read.
    count: usize,
}

/// The place of a line.
#[derive(Clone, Copy)]
struct Spot<'a> {
    path: &'a Path,
    line: usize,
    /// Which lines are wanted; `None`: all.
    wanted: Option<Kind>,
    /// How many files are open.
    depth: usize,
    /// How many `substack`s are open.
    level: usize,
}

impl Spot<'_> {
    /// A line there; each code fails.
    fn entry(&self, body: Body, control: &str) -> Entry {
        Entry {
            body,
            control: Control::failing(),
            control_text: control.to_owned(),
            level: self.level,
            is_quiet: false,
            path: self.path.to_owned(),
            line: self.line,
        }
    }

    fn unreadable(&self, what: impl Into<String>) -> Unreadable {
        Unreadable {
            what: what.into(),
            path: self.path.to_owned(),
            line: self.line,
        }
    }
}

impl Reader<'_> {
    /// Adds the lines of a file.
    fn file(
        &mut self,
        path: &Path,
        text: &str,
        wanted: Option<Kind>,
        depth: usize,
        level: usize,
    ) -> Result<(), Unreadable> {
        if !self.seen.iter().any(|seen| seen == path) {
            self.seen.push(path.to_owned());
        }
        let (lines, end) = lines(text);
        for line in lines {
            let spot = Spot {
                path,
                line: line.number,
                wanted,
                depth,
                level,
            };
            self.line(&spot, Words::of(&line.text))?;
        }
        end.map_err(|line| Unreadable {
            what: "the last line of the file ends with \"\\\"".to_owned(),
            path: path.to_owned(),
            line,
        })
    }

    /// Adds the lines of a service in pam.conf.
    fn conf(&mut self, text: &str, service: &str) -> Result<(), Unreadable> {
        let path = Path::new(CONF);
        self.seen.push(path.to_owned());
        for line in lines(text).0 {
            let mut words = Words::of(&line.text);
            if words
                .next()
                .is_some_and(|word| word.eq_ignore_ascii_case(service))
            {
                let spot = Spot {
                    path,
                    line: line.number,
                    wanted: None,
                    depth: 0,
                    level: 0,
                };
                self.line(&spot, words)?;
            }
        }
        Ok(())
    }

    /// Adds a line.
    fn line(&mut self, spot: &Spot<'_>, mut words: Words<'_>) -> Result<(), Unreadable> {
        let mut broken = None;
        let word = words.next();
        let is_quiet = word.as_ref().is_some_and(|word| word.starts_with('-'));
        let plain = word
            .as_deref()
            .map(|word| word.strip_prefix('-').unwrap_or(word));
        if plain.is_some_and(|word| word.eq_ignore_ascii_case("@include")) {
            return self.at_include(spot, words.next().as_deref());
        }
        let kind = plain.and_then(Kind::of).unwrap_or_else(|| {
            broken = Some(match plain {
                Some(word) => format!("\"{word}\" is not a valid type"),
                None => "the type is missing".to_owned(),
            });
            // The most sensitive one.
            spot.wanted.unwrap_or(Kind::Auth)
        });
        if spot.wanted.is_some_and(|wanted| wanted != kind) {
            return Ok(());
        }
        let control = words.next();
        let mut entry = spot.entry(Body::Substack, control.as_deref().unwrap_or_default());
        entry.is_quiet = is_quiet;
        let target = words.next();
        match control.map(|word| word.to_ascii_lowercase()).as_deref() {
            None => broken = broken.or(Some("the control is missing".to_owned())),
            Some(control @ ("include" | "substack")) => {
                let inner = usize::from(control == "substack");
                if inner == 1 {
                    if target.as_deref().is_some_and(is_nameless) {
                        return Err(spot.unreadable(NAMELESS));
                    }
                    self.chains.push(kind, entry.clone());
                }
                match self.include(spot, target.as_deref(), Some(kind), inner) {
                    Ok(()) => return Ok(()),
                    Err(what) => broken = Some(what),
                }
            }
            Some(_) => {
                // libpam denies with what such a control says, which is to fail.
                entry.control = Control::parse(&entry.control_text).0;
                match &target {
                    None => {
                        let control = &entry.control_text;
                        broken = broken.or(Some(match control.strip_suffix(".so") {
                            // The second word of the line is the module then.
                            Some(_) => format!("the control is missing before {control}"),
                            None => format!("the module is missing after {control}"),
                        }));
                    }
                    Some(name) if is_nameless(name) => return Err(spot.unreadable(NAMELESS)),
                    Some(_) => {}
                }
            }
        }
        entry.body = match (broken, target) {
            (Some(what), _) => Body::Broken(what),
            (None, name) => Body::Module {
                name: name.unwrap_or_default(),
                arguments: words.collect(),
            },
        };
        self.chains.push(kind, entry);
        Ok(())
    }

    /// Debian's `@include`: all lines of a file, of any type where nothing else is wanted.
    fn at_include(&mut self, spot: &Spot<'_>, name: Option<&str>) -> Result<(), Unreadable> {
        let Err(what) = self.include(spot, name, spot.wanted, 0) else {
            return Ok(());
        };
        match spot.wanted {
            // There is no chain to put a denial into.
            None => Err(spot.unreadable(what)),
            Some(kind) => {
                let entry = spot.entry(Body::Broken(what), "@include");
                self.chains.push(kind, entry);
                Ok(())
            }
        }
    }

    /// Adds the lines of another file.
    fn include(
        &mut self,
        spot: &Spot<'_>,
        name: Option<&str>,
        wanted: Option<Kind>,
        inner: usize,
    ) -> Result<(), String> {
        let name = name.ok_or("the name of the file is missing")?;
        self.count += 1;
        if self.count > MAX_FILES {
            return Err("it includes too many files".to_owned());
        }
        if spot.depth + 1 >= MAX_LEVEL || spot.level + inner >= MAX_LEVEL {
            return Err(format!("included files are nested too deeply, at {name}"));
        }
        let (path, text) =
            open(name, self.files).ok_or_else(|| format!("the file {name} does not exist"))?;
        self.file(&path, &text, wanted, spot.depth + 1, spot.level + inner)
            .map_err(|unreadable| unreadable.what)
    }
}

/// Whether libpam finds no name in this path of a module.
fn is_nameless(path: &str) -> bool {
    let file = path.rsplit('/').next().unwrap_or_default();
    let name = file.rsplit_once('.').map_or(file, |(name, _)| name);
    name.is_empty() || name == "?"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_included_stack_is_found_in_every_folder_where_libpam_looks() {
        for folder in FOLDERS {
            let path = Path::new(folder).join("common-auth");
            let found = open("common-auth", &|file| (file == path).then(String::new));
            assert_eq!(found, Some((path.clone(), String::new())));
        }
        assert_eq!(open("common-auth", &|_| None), None);
    }

    #[test]
    fn a_stack_of_the_admin_hides_the_one_of_the_distribution() {
        let (found, _) = open("common-auth", &|_| Some(String::new())).unwrap();
        assert_eq!(found, Path::new("/etc/pam.d/common-auth"));
    }
}
