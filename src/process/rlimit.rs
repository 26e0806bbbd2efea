//! The limit of open file descriptors (`RLIMIT_NOFILE`, getrlimit(2)).

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Returns how many descriptors this process may have open; `u64::MAX` if there is no limit.
pub fn descriptor_limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Raises the limit to the most that the system allows without privileges.
///
/// # Errors
/// Those of the system.
pub fn raise_descriptors() -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    Ok(setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            ..limit
        },
    )?)
}

/// Raises the limit to `wanted`, or, if that requires privileges that this process lacks, as far
/// as the system allows. Child processes inherit the limit. It is never lowered.
///
/// # Errors
/// Those of the system, when the limit cannot be raised at all.
pub fn raise_descriptors_to(wanted: u64) -> io::Result<()> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    let raised = Rlimit {
        current: Some(wanted),
        maximum: maximum.map(|maximum| maximum.max(wanted)),
    };
    if setrlimit(Resource::Nofile, raised).is_ok() {
        return Ok(());
    }
    // Only a privileged process may raise the hard limit.
    let allowed = Rlimit {
        current: Some(maximum.map_or(wanted, |maximum| maximum.min(wanted))),
        maximum,
    };
    Ok(setrlimit(Resource::Nofile, allowed)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limit_is_never_lowered() {
        let before = descriptor_limit();
        raise_descriptors_to(1).unwrap();
        assert_eq!(descriptor_limit(), before);
        raise_descriptors().unwrap();
        assert!(descriptor_limit() >= before);
    }
}
