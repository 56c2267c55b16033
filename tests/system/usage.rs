//! What the kernel says of a process: its memory and its open files.

use crate::whole::process::Process;

/// Bytes of memory in use, or the most there ever were, by the name in `/proc/<id>/status`.
fn memory(process: &Process, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect(name);
    let kibibytes: u64 = line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap();
    kibibytes << 10
}

/// Resident memory now.
pub(crate) fn resident(process: &Process) -> u64 {
    memory(process, "VmRSS")
}

/// The most resident memory since the start, or since [`forget_peak`].
pub(crate) fn peak(process: &Process) -> u64 {
    memory(process, "VmHWM")
}

/// Lets the peak begin anew (proc(5), `clear_refs`).
pub(crate) fn forget_peak(process: &Process) {
    std::fs::write(format!("/proc/{}/clear_refs", process.id()), "5").unwrap();
}

/// Open file descriptors.
pub(crate) fn files(process: &Process) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", process.id())).unwrap().count()
}
