//! The raw calls: libpam, and what the standard library has no safe word for. The only file of this package with `unsafe`.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::ptr;

use crate::wire::{Call, Code, MASK, Style};

const PAM_SILENT: c_int = 0x8000;
const PAM_ESTABLISH_CRED: c_int = 0x0002;
const PAM_FAIL_DELAY: c_int = 10;

/// An item that an application may set.
#[derive(Clone, Copy, Debug)]
pub enum Item {
    /// `PAM_USER`
    User = 2,
    /// `PAM_TTY`
    Tty = 3,
    /// `PAM_RHOST`
    Rhost = 4,
}

#[repr(C)]
struct RawMessage {
    style: c_int,
    text: *const c_char,
}

#[repr(C)]
struct RawResponse {
    text: *mut c_char,
    code: c_int,
}

type RawConversation =
    extern "C" fn(c_int, *mut *const RawMessage, *mut *mut RawResponse, *mut c_void) -> c_int;

#[repr(C)]
struct RawConv {
    conversation: Option<RawConversation>,
    data: *mut c_void,
}

#[repr(C)]
struct RawHandle {
    private: [u8; 0],
}

#[link(name = "pam")]
unsafe extern "C" {
    fn pam_start_confdir(
        service: *const c_char,
        user: *const c_char,
        conversation: *const RawConv,
        confdir: *const c_char,
        handle: *mut *mut RawHandle,
    ) -> c_int;
    fn pam_end(handle: *mut RawHandle, status: c_int) -> c_int;
    fn pam_authenticate(handle: *mut RawHandle, flags: c_int) -> c_int;
    fn pam_setcred(handle: *mut RawHandle, flags: c_int) -> c_int;
    fn pam_acct_mgmt(handle: *mut RawHandle, flags: c_int) -> c_int;
    fn pam_open_session(handle: *mut RawHandle, flags: c_int) -> c_int;
    fn pam_close_session(handle: *mut RawHandle, flags: c_int) -> c_int;
    fn pam_chauthtok(handle: *mut RawHandle, flags: c_int) -> c_int;
    fn pam_set_item(handle: *mut RawHandle, item: c_int, value: *const c_void) -> c_int;
    fn pam_putenv(handle: *mut RawHandle, pair: *const c_char) -> c_int;
    fn pam_strerror(handle: *mut RawHandle, code: c_int) -> *const c_char;
}

/// What a conversation gives back for one message.
#[derive(Debug)]
pub enum Reply {
    /// A response with this text (the first NUL ends it).
    Text(Vec<u8>),
    /// A response with this text under [`crate::wire::MASK`], which is taken off in the response's own memory only.
    Masked(Vec<u8>),
    /// A response without a text.
    NoText,
    /// No response at all.
    Nothing,
    /// The conversation fails.
    Fail,
    /// `PAM_USER` becomes this name, as any program may do; then a response with this text.
    Renamed(CString, Vec<u8>),
}

/// A conversation: called once a message.
pub type Conversation<'a> = Box<dyn FnMut(Style, &[u8]) -> Reply + 'a>;

/// What the callbacks reach through `appdata_ptr`.
struct Callbacks<'a> {
    conversation: Option<Conversation<'a>>,
    delays: Vec<u32>,
    handle: *mut RawHandle,
}

/// A PAM transaction.
pub struct Transaction<'a> {
    handle: *mut RawHandle,
    callbacks: *mut Callbacks<'a>,
}

impl<'a> Transaction<'a> {
    /// `pam_start_confdir`. Without a conversation the function pointer is null.
    ///
    /// # Errors
    /// The code of `pam_start_confdir`.
    pub fn start(
        confdir: &CStr,
        service: &CStr,
        user: Option<&CStr>,
        conversation: Option<Conversation<'a>>,
    ) -> Result<Self, Code> {
        let function: Option<RawConversation> = conversation.is_some().then_some(converse);
        let callbacks = Box::into_raw(Box::new(Callbacks {
            conversation,
            delays: Vec::new(),
            handle: ptr::null_mut(),
        }));
        let conv = RawConv {
            conversation: function,
            data: callbacks.cast(),
        };
        let mut handle = ptr::null_mut();
        let user = user.map_or(ptr::null(), CStr::as_ptr);
        // SAFETY: the strings and `conv` (which libpam copies) live through the call, `handle` is written by it.
        let code = unsafe {
            pam_start_confdir(
                service.as_ptr(),
                user,
                &raw const conv,
                confdir.as_ptr(),
                &raw mut handle,
            )
        };
        if code != Code::SUCCESS.0 {
            // SAFETY: made by Box::into_raw above; libpam kept nothing of it.
            drop(unsafe { Box::from_raw(callbacks) });
            return Err(Code(code));
        }
        // SAFETY: made by Box::into_raw above, and nobody else has it now.
        unsafe { (*callbacks).handle = handle };
        let delay: extern "C" fn(c_int, c_uint, *mut c_void) = note_delay;
        // SAFETY: the handle is open; for this item libpam takes the function pointer itself as the value.
        unsafe { pam_set_item(handle, PAM_FAIL_DELAY, delay as *const c_void) };
        Ok(Self { handle, callbacks })
    }

    /// `pam_set_item`.
    pub fn set(&mut self, item: Item, value: &CStr) -> Code {
        // SAFETY: the handle is open; libpam copies the string.
        Code(unsafe { pam_set_item(self.handle, item as c_int, value.as_ptr().cast()) })
    }

    /// `pam_putenv` with `NAME=value`.
    pub fn put_env(&mut self, pair: &CStr) -> Code {
        // SAFETY: the handle is open; libpam copies the string.
        Code(unsafe { pam_putenv(self.handle, pair.as_ptr()) })
    }

    /// Makes a call.
    pub fn call(&mut self, call: Call, silent: bool) -> Code {
        let flags = if silent { PAM_SILENT } else { 0 };
        let handle = self.handle;
        // SAFETY: the handle is open, and the callbacks that libpam may call live until `end`.
        Code(unsafe {
            match call {
                Call::Authenticate => pam_authenticate(handle, flags),
                Call::Setcred => pam_setcred(handle, flags | PAM_ESTABLISH_CRED),
                Call::Account => pam_acct_mgmt(handle, flags),
                Call::OpenSession => pam_open_session(handle, flags),
                Call::CloseSession => pam_close_session(handle, flags),
                Call::Password => pam_chauthtok(handle, flags),
                Call::NextUser => return Code::SYSTEM_ERR,
                Call::TimePasses => return pass_time(),
            }
        })
    }

    /// `pam_end`; gives the delays, in microseconds, that failures asked for.
    pub fn end(self, status: Code) -> Vec<u32> {
        // SAFETY: the handle is open and not used after this: `self` is consumed.
        unsafe { pam_end(self.handle, status.0) };
        // SAFETY: made by Box::into_raw in `start`; libpam calls nothing after pam_end.
        let callbacks = unsafe { Box::from_raw(self.callbacks) };
        callbacks.delays
    }
}

extern "C" fn note_delay(_status: c_int, microseconds: c_uint, data: *mut c_void) {
    if let Some(callbacks) = ptr::NonNull::new(data.cast::<Callbacks<'_>>()) {
        // SAFETY: libpam hands back the pointer of `start`, alive until `end`; no other borrow is active here.
        let delays = unsafe { &mut (*callbacks.as_ptr()).delays };
        delays.push(microseconds);
    }
}

extern "C" fn converse(
    count: c_int,
    messages: *mut *const RawMessage,
    responses: *mut *mut RawResponse,
    data: *mut c_void,
) -> c_int {
    let count = usize::try_from(count).unwrap_or(0);
    if count == 0 || messages.is_null() || responses.is_null() || data.is_null() {
        return Code::CONV_ERR.0;
    }
    // SAFETY: libpam hands back the pointer of `start`, alive until `end`; the conversation is not entered twice.
    let callbacks = unsafe { &mut *data.cast::<Callbacks<'_>>() };
    let Some(conversation) = callbacks.conversation.as_mut() else {
        return Code::CONV_ERR.0;
    };
    let mut replies = Vec::with_capacity(count);
    for index in 0..count {
        // SAFETY: PAM's contract: `messages` has `count` pointers to messages with a terminated text or null.
        let (style, text) = unsafe {
            let message = &**messages.add(index);
            let text = if message.text.is_null() {
                &[][..]
            } else {
                CStr::from_ptr(message.text).to_bytes()
            };
            (Style::from(message.style), text)
        };
        match conversation(style, text) {
            Reply::Fail => return Code::CONV_ERR.0,
            Reply::Nothing => {
                // SAFETY: checked for null above.
                unsafe { *responses = ptr::null_mut() };
                return Code::SUCCESS.0;
            }
            Reply::Renamed(name, text) => {
                // SAFETY: the handle is open while a conversation goes on; libpam copies the string.
                unsafe {
                    pam_set_item(callbacks.handle, Item::User as c_int, name.as_ptr().cast())
                };
                replies.push(Reply::Text(text));
            }
            reply => replies.push(reply),
        }
    }
    // SAFETY: the module frees the array and the texts with free(3), so they come from calloc(3); each is checked for null,
    // has room for what is written, and a text keeps its last byte, the NUL, from calloc.
    unsafe {
        let array = libc::calloc(count, size_of::<RawResponse>()).cast::<RawResponse>();
        if array.is_null() {
            return Code::BUF_ERR.0;
        }
        for (index, reply) in replies.iter().enumerate() {
            let text = match reply {
                Reply::Text(bytes) => Some((bytes, 0)),
                Reply::Masked(bytes) => Some((bytes, MASK)),
                _ => None,
            };
            if let Some((bytes, mask)) = text {
                let text = libc::calloc(bytes.len() + 1, 1).cast::<u8>();
                if !text.is_null() {
                    for (place, byte) in bytes.iter().enumerate() {
                        text.add(place).write(byte ^ mask);
                    }
                }
                (*array.add(index)).text = text.cast();
            }
        }
        *responses = array;
    }
    Code::SUCCESS.0
}

/// `pam_strerror`: the sentence for a code.
pub fn meaning(code: Code) -> String {
    // SAFETY: Linux-PAM does not use the handle here; the answer is a static string or null.
    unsafe {
        let text = pam_strerror(ptr::null_mut(), code.0);
        if text.is_null() {
            return String::new();
        }
        CStr::from_ptr(text).to_string_lossy().into_owned()
    }
}

/// What the shim wrote down and how many calls it counted; `None` when it is not loaded.
pub fn shim_notes() -> Option<(String, u64)> {
    type Notes = unsafe extern "C" fn() -> *const c_char;
    type Calls = unsafe extern "C" fn() -> libc::c_ulong;
    // SAFETY: both symbols exist only in our shim, with these types; its notes are a static, terminated buffer.
    unsafe {
        let notes = libc::dlsym(libc::RTLD_DEFAULT, c"pam_host_notes".as_ptr());
        let calls = libc::dlsym(libc::RTLD_DEFAULT, c"pam_host_calls".as_ptr());
        if notes.is_null() || calls.is_null() {
            return None;
        }
        let notes: Notes = std::mem::transmute(notes);
        let calls: Calls = std::mem::transmute(calls);
        let text = CStr::from_ptr(notes()).to_string_lossy().into_owned();
        Some((text, calls()))
    }
}

/// Has the shim set the clocks that nobody can set later, by the time of [`crate::Case::time_passes`].
fn pass_time() -> Code {
    type Pass = unsafe extern "C" fn();
    // SAFETY: the symbol exists only in our shim, with this type.
    unsafe {
        let pass = libc::dlsym(libc::RTLD_DEFAULT, c"pam_host_pass".as_ptr());
        if pass.is_null() {
            return Code::SYSTEM_ERR;
        }
        std::mem::transmute::<*mut libc::c_void, Pass>(pass)();
    }
    Code::SUCCESS
}

/// Name of the locale for all categories.
pub fn locale() -> String {
    // SAFETY: with a null name setlocale only asks; its answer stands until the next call.
    unsafe {
        let name = libc::setlocale(libc::LC_ALL, ptr::null());
        if name.is_null() {
            return String::new();
        }
        CStr::from_ptr(name).to_string_lossy().into_owned()
    }
}

/// The interval timers that run, as text.
pub fn interval_timers() -> Vec<String> {
    let kinds = [
        ("real", libc::ITIMER_REAL),
        ("virtual", libc::ITIMER_VIRTUAL),
        ("prof", libc::ITIMER_PROF),
    ];
    let mut found = Vec::new();
    for (name, kind) in kinds {
        // SAFETY: an all-zero itimerval is valid, and getitimer only writes it.
        let value = unsafe {
            let mut value: libc::itimerval = std::mem::zeroed();
            libc::getitimer(kind, &raw mut value);
            value
        };
        if value.it_value.tv_sec != 0 || value.it_value.tv_usec != 0 {
            found.push(format!("interval timer {name}"));
        }
    }
    found
}

/// Per signal: handler and flags, as text.
pub fn signal_handlers() -> Vec<(i32, String)> {
    (1..=libc::SIGRTMAX())
        .filter_map(|signal| {
            // SAFETY: an all-zero sigaction is valid; with a null new action the call only asks.
            let action = unsafe {
                let mut action: libc::sigaction = std::mem::zeroed();
                let result = libc::sigaction(signal, ptr::null(), &raw mut action);
                (result == 0).then_some(action)
            }?;
            Some((
                signal,
                format!("{:#x} flags {:#x}", action.sa_sigaction, action.sa_flags),
            ))
        })
        .collect()
}

/// Undoes what Rust's runtime did to the signals, so that the process is like a host written in C.
pub fn default_signals() {
    for signal in [libc::SIGPIPE, libc::SIGSEGV, libc::SIGBUS] {
        // SAFETY: the default action runs no code of ours.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// Ignores SIGXFSZ, as a program that starts this one may have done.
pub fn ignore_file_size() {
    // SAFETY: to ignore a signal runs no code.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

/// From now on, `socket(2)` fails with `EAFNOSUPPORT` for these address families: the filter of `RestrictAddressFamilies=` in
/// systemd.
///
/// # Errors
/// Those of prctl(2).
pub fn refuse_families(families: &[i32]) -> io::Result<()> {
    // The low half of the first argument in `struct seccomp_data`.
    const FAMILY: u32 = if cfg!(target_endian = "little") {
        16
    } else {
        20
    };
    const NUMBER: u32 = 0;
    let step = |code: u32, jt, jf, k| libc::sock_filter {
        code: u16::try_from(code).unwrap_or_default(),
        jt,
        jf,
        k,
    };
    let load = |offset| step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, offset);
    let is_equal = |to: u32, jt, jf| step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, jt, jf, to);
    let answer = |action| step(libc::BPF_RET | libc::BPF_K, 0, 0, action);
    let refused = answer(libc::SECCOMP_RET_ERRNO | libc::EAFNOSUPPORT.unsigned_abs());
    let allowed = answer(libc::SECCOMP_RET_ALLOW);
    let socket = u32::try_from(libc::SYS_socket).map_err(io::Error::other)?;
    let mut filter = vec![load(NUMBER), is_equal(socket, 1, 0), allowed, load(FAMILY)];
    for family in families {
        filter.extend([is_equal(family.unsigned_abs(), 0, 1), refused]);
    }
    filter.push(allowed);
    let program = libc::sock_fprog {
        len: u16::try_from(filter.len()).map_err(io::Error::other)?,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: prctl reads the program, which lives until it returns.
    let failed = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
            || libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program) != 0
    };
    if failed {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Bytes of the heap that are in use.
pub fn heap_in_use() -> u64 {
    // SAFETY: it takes nothing and gives a value.
    let info = unsafe { libc::mallinfo2() };
    (info.uordblks + info.hblkhd) as u64
}

/// Closes a descriptor by number.
pub fn close(descriptor: RawFd) {
    // SAFETY: the caller names 0, 1 or 2, which no Rust value owns.
    unsafe { libc::close(descriptor) };
}

/// Lets the command start in a session of its own, with its standard input as the controlling terminal, and with Ctrl-C as a
/// person has it: a shell ignores it for what it runs in the background, and the tests may be just that.
pub fn with_terminal(command: &mut Command) {
    // SAFETY: between fork and exec only signal, setsid and ioctl are called, all async-signal-safe.
    unsafe {
        command.pre_exec(|| {
            for signal in [libc::SIGINT, libc::SIGQUIT] {
                libc::signal(signal, libc::SIG_DFL);
            }
            if libc::setsid() == -1 || libc::ioctl(0, libc::TIOCSCTTY, 0) == -1 {
                return Err(io::Error::last_os_error());
            }
            Ok(())
        });
    }
}

/// Lets the command be killed when the thread that starts it ends, whatever ends it.
pub fn with_its_starter(command: &mut Command) {
    // SAFETY: between fork and exec only prctl is called, which is async-signal-safe.
    unsafe {
        command.pre_exec(|| {
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) == -1 {
                return Err(io::Error::last_os_error());
            }
            Ok(())
        });
    }
}

/// A duplicate of the descriptor, at 100 or above and closed on exec, out of the way of the module.
///
/// # Errors
/// Those of fcntl(2).
pub fn out_of_the_way(descriptor: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    use std::os::fd::FromRawFd;
    // SAFETY: the descriptor is open while it is borrowed.
    let copy = unsafe { libc::fcntl(descriptor.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 100) };
    if copy == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: fcntl has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// A path or name as C wants it.
///
/// # Errors
/// A NUL inside.
pub fn c_string(bytes: &[u8]) -> Result<CString, String> {
    CString::new(bytes)
        .map_err(|_| format!("{:?} has a NUL inside", String::from_utf8_lossy(bytes)))
}

/// A path as C wants it.
///
/// # Errors
/// A NUL inside.
pub fn c_path(path: &Path) -> Result<CString, String> {
    use std::os::unix::ffi::OsStrExt;
    c_string(path.as_os_str().as_bytes())
}
