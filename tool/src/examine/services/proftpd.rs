//! `ProFTPD` asks each of its own modules for the password until one accepts. Its `AuthOrder` ends that.

use crate::examine::subject::Subject;
use crate::host::target_system::TargetSystem;
use crate::ui::finding::Finding;
use std::path::{Path, PathBuf};

/// The service, by the name that `ProFTPD` gives it.
pub(super) const NAME: &str = "proftpd";

/// A finding for each server of the configuration that accepts a password which PAM has refused.
pub(super) fn goes_past(subject: &Subject<'_>) -> Vec<Finding> {
    let mut files = MAIN.iter().map(Path::new);
    let Some(main) = files.find(|path| subject.machine.has(path)) else {
        return Vec::new();
    };
    let mut reader = Reader::new(subject.machine, main);
    reader.read(main);
    let global = reader.global.clone();
    let servers = reader.servers.into_iter().filter(|server| !server.is_off);
    let orders = servers.map(|mut server| {
        server.order = server.order.or_else(|| global.clone());
        server
    });
    let open = orders.filter(|server| !server.order.as_ref().is_some_and(|order| order.is_final));
    open.map(finding).collect()
}

fn finding(server: Server) -> Finding {
    let of = server.name.map(|name| format!(", <VirtualHost {name}>"));
    let what = format!(
        "proftpd{}: the right password alone is enough: a denial by PAM is not final",
        of.as_deref().unwrap_or_default()
    );
    let finding = Finding::fault("goes-past-pam", what)
        .opens_to("users of FTP")
        .why("after PAM has denied a login, ProFTPD compares the password itself");
    match (server.order, of) {
        (Some(order), _) => finding.at(order.file, order.line).advice(format!(
            "replace the line with, without the quotes: \"{LINE}\""
        )),
        (None, None) => finding
            .advice(format!(
                "in {}, write this line: {LINE}",
                server.file.display()
            ))
            .in_file(server.file),
        (None, Some(_)) => finding.at(server.file, server.line).advice(format!(
            "add after the line, without the quotes: \"{LINE}\""
        )),
    }
}

/// The main server, or one that `<VirtualHost>` adds.
struct Server {
    /// The addresses of `<VirtualHost>`; `None` for the main server.
    name: Option<String>,
    file: PathBuf,
    line: usize,
    order: Option<Order>,
    /// Whether `Port 0` switches it off.
    is_off: bool,
}

/// A line `AuthOrder`.
#[derive(Clone)]
struct Order {
    file: PathBuf,
    line: usize,
    /// Whether PAM is asked first, and no other module after it has denied.
    is_final: bool,
}

/// A block that is open.
enum Block {
    /// By its index in the list of servers.
    Server(usize),
    Global,
    /// Its lines may count or not, such as those of `<IfDefine>`.
    Doubtful,
    Other,
}

/// What the files say so far. <http://www.proftpd.org/docs/howto/ConfigFile.html>
struct Reader<'a> {
    machine: &'a TargetSystem,
    servers: Vec<Server>,
    global: Option<Order>,
    open: Vec<Block>,
    /// How many files were read.
    files: usize,
}

impl<'a> Reader<'a> {
    fn new(machine: &'a TargetSystem, main: &Path) -> Self {
        let server = Server {
            name: None,
            file: main.to_owned(),
            line: 1,
            order: None,
            is_off: false,
        };
        Self {
            machine,
            servers: vec![server],
            global: None,
            open: Vec::new(),
            files: 0,
        }
    }

    fn read(&mut self, path: &Path) {
        self.files += 1;
        if self.files > MAX_FILES {
            self.machine
                .cannot_use(path, "too many files include one another");
            return;
        }
        let text = self.machine.text_or_empty(path);
        let mut whole = String::new();
        for (line, part) in (1..).zip(text.lines()) {
            // A line that ends so goes on in the next one.
            if let Some(part) = part.strip_suffix('\\') {
                whole.push_str(part);
                continue;
            }
            whole.push_str(part);
            let text = std::mem::take(&mut whole);
            self.directive(path, line, text.trim());
        }
    }

    fn directive(&mut self, path: &Path, line: usize, text: &str) {
        if text.starts_with("</") {
            self.open.pop();
            return;
        }
        if let Some(block) = text.strip_prefix('<') {
            self.block(path, line, block.trim_end_matches('>').trim());
            return;
        }
        let mut words = text
            .split_ascii_whitespace()
            .map(|word| word.trim_matches('"'));
        let (Some(keyword), Some(value)) = (words.next(), words.next()) else {
            return;
        };
        match keyword.to_ascii_lowercase().as_str() {
            "include" => {
                for file in self.included(Path::new(value)) {
                    self.read(&file);
                }
            }
            "authorder" => {
                let order = Order {
                    file: path.to_owned(),
                    line,
                    is_final: value == FINAL,
                };
                if let Some(place) = self.order() {
                    place.get_or_insert(order);
                }
            }
            "port" if value == "0" => {
                let index = self.server();
                if let Some(server) = index.and_then(|index| self.servers.get_mut(index)) {
                    server.is_off = true;
                }
            }
            _ => {}
        }
    }

    fn block(&mut self, path: &Path, line: usize, text: &str) {
        let (keyword, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let rest = rest.trim();
        let block = match keyword.to_ascii_lowercase().as_str() {
            "virtualhost" => {
                self.servers.push(Server {
                    name: Some(rest.to_owned()),
                    file: path.to_owned(),
                    line,
                    order: None,
                    is_off: false,
                });
                Block::Server(self.servers.len() - 1)
            }
            "global" => Block::Global,
            "ifmodule" if ALWAYS_THERE.contains(&rest) => Block::Other,
            "ifmodule" | "ifdefine" | "ifversion" => Block::Doubtful,
            _ => Block::Other,
        };
        self.open.push(block);
    }

    /// Where a line `AuthOrder` counts; `None` if it may not count.
    fn order(&mut self) -> Option<&mut Option<Order>> {
        if self.open.iter().any(|block| matches!(block, Block::Global)) {
            let is_doubtful = self
                .open
                .iter()
                .any(|block| matches!(block, Block::Doubtful));
            return (!is_doubtful).then_some(&mut self.global);
        }
        let index = self.server()?;
        self.servers.get_mut(index).map(|server| &mut server.order)
    }

    /// The server to which a line belongs; `None` if it may not count there.
    fn server(&self) -> Option<usize> {
        for block in self.open.iter().rev() {
            match block {
                Block::Server(index) => return Some(*index),
                Block::Global | Block::Doubtful => return None,
                Block::Other => {}
            }
        }
        Some(0)
    }

    /// The files that a line `Include` names: by a pattern, or all of a folder.
    fn included(&self, pattern: &Path) -> Vec<PathBuf> {
        let found = self.machine.matching(pattern).into_iter();
        let files = found.flat_map(|path| {
            if self.machine.is_folder(&path) {
                self.machine.matching(&path.join("*"))
            } else {
                vec![path]
            }
        });
        files.collect()
    }
}

/// Where distributions have the main file; each has one of them.
const MAIN: [&str; 2] = ["/etc/proftpd/proftpd.conf", "/etc/proftpd.conf"];

const LINE: &str = "AuthOrder mod_auth_pam.c* mod_auth_unix.c";

/// With the star, what this module says is final.
const FINAL: &str = "mod_auth_pam.c*";

/// Where the stack is asked, these modules exist.
const ALWAYS_THERE: [&str; 2] = ["mod_auth_pam.c", "mod_auth_unix.c"];

/// More files than this mean that a file includes itself.
const MAX_FILES: usize = 1000;
