//! The system calls of a login, counted in what strace(1) has written.
//!
//! `pam-host` looks at the path `PAM_HOST_MARK/in` whenever it calls libpam or returns to it from a conversation, and at
//! `PAM_HOST_MARK/out` whenever libpam returns or calls the conversation. Calls between `in` and `out` are those of libpam, its
//! modules and the dynamic linker.

use std::env;
use std::path::{Path, PathBuf};

/// The folder of the marks. It does not exist: what counts is that a path below it is looked at.
pub(crate) const MARKS: &str = "/trace";

const ENTER: &str = "in";
const LEAVE: &str = "out";

/// How many system calls a login has made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// All of them.
    pub all: usize,
    /// Those that name the folder or something below it: by a path, or by a descriptor that is open there.
    pub in_folder: usize,
}

impl Calls {
    /// Counts the calls in a file of `strace -f -y -s 0`.
    pub fn of(trace: &str, folder: &Path) -> Self {
        let folder = folder.to_string_lossy();
        let mark = |name: &str| format!("\"{MARKS}/{name}\"");
        let (enter, leave) = (mark(ENTER), mark(LEAVE));
        let mut calls = Self::default();
        let mut is_inside = false;
        for line in trace.lines().filter(|line| is_call(line)) {
            if line.contains(&enter) || line.contains(&leave) {
                is_inside = line.contains(&enter);
            } else if is_inside {
                calls.all += 1;
                let is_there = names(line, &folder) && !is_check_of_debug_build(line);
                calls.in_folder += usize::from(is_there);
            }
        }
        calls
    }
}

/// Whether a line, which begins with the id of the process, is a call: not a signal, an exit, or the end of a call that another
/// line has begun.
fn is_call(line: &str) -> bool {
    let call = line.trim_start_matches(|letter: char| letter.is_ascii_digit());
    let name = call.trim_start().split_once('(').map(|(name, _)| name);
    name.is_some_and(|name| {
        name.bytes()
            .all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
    })
}

/// In a debug build, Rust's standard library asks for the flags of a descriptor before it closes it. The module as it is
/// installed does not.
fn is_check_of_debug_build(line: &str) -> bool {
    line.contains(", F_GETFD)")
}

/// Whether a call has the folder, or a path below it, as a string (`"/folder/file"`) or as a descriptor (`5</folder>`).
fn names(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + folder.len()..].chars().next();
        matches!(before, Some('"' | '<')) && matches!(after, Some('"' | '>' | '/'))
    })
}

/// The marks that this process makes when a tracer wants to see them.
#[derive(Debug)]
pub(crate) struct Border {
    marks: Option<Marks>,
}

#[derive(Debug)]
struct Marks {
    enter: PathBuf,
    leave: PathBuf,
}

impl Border {
    pub(crate) fn new() -> Self {
        let folder = env::var_os("PAM_HOST_MARK").map(PathBuf::from);
        let marks = folder.map(|folder| Marks {
            enter: folder.join(ENTER),
            leave: folder.join(LEAVE),
        });
        Self { marks }
    }

    /// Does something that is libpam's.
    pub(crate) fn inside<T>(&self, work: impl FnOnce() -> T) -> T {
        self.look_at(|marks| &marks.enter);
        let result = work();
        self.look_at(|marks| &marks.leave);
        result
    }

    /// Does something that is this process's own when libpam calls it.
    pub(crate) fn outside<T>(&self, work: impl FnOnce() -> T) -> T {
        self.look_at(|marks| &marks.leave);
        let result = work();
        self.look_at(|marks| &marks.enter);
        result
    }

    fn look_at(&self, mark: impl Fn(&Marks) -> &PathBuf) {
        if let Some(marks) = &self.marks {
            let _ = mark(marks).exists();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_inside_libpam_only_and_those_in_the_folder_by_path_and_descriptor() {
        let inside = r#"
7 openat(AT_FDCWD</>, "/run/state", O_RDONLY) = 5</run/state>
7 symlinkat("1", 5</run/state>, "f-1-0") = 0
7 read(6</run/state/token>, ""..., 99) = 99
7 fcntl(6</run/state/token>, F_GETFD) = 0x1 (flags FD_CLOEXEC)
7 newfstatat(AT_FDCWD</>, "/run/state/token", 0x7f, 0) = 0
7 close(6</run/state/token>) = 0
7 close(5</run/state>)              = 0"#;
        let elsewhere = r#"
7 openat(AT_FDCWD</>, "/run/state-2", O_RDONLY) = 5</run/state-2>
7 close(5</run/state-2>) = 0
7 openat(AT_FDCWD</>, "/chroot/run/state", O_RDONLY) = -1 ENOENT (No such file or directory)
7 write(4<socket:[99]>, ""..., 12 <unfinished ...>
7 <... write resumed>) = 12
7 --- SIGCHLD {si_signo=SIGCHLD} ---
7 brk(NULL) = 0x55"#;
        let enter = r#"
7 statx(AT_FDCWD</>, "/trace/in", 0, 0, NULL) = -1 ENOENT (No such file or directory)"#;
        let leave = r#"
7 statx(AT_FDCWD</>, "/trace/out", 0, 0, NULL) = -1 ENOENT (No such file or directory)"#;
        let trace = [
            inside, enter, inside, leave, inside, enter, elsewhere, leave, inside,
        ];
        let calls = Calls::of(&trace.concat(), Path::new("/run/state"));
        assert_eq!(
            calls,
            Calls {
                all: 12,
                in_folder: 6
            }
        );
    }
}
