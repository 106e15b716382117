use super::*;

fn setting() -> Setting {
    // Nobody lives here, so nothing is started.
    Setting {
        program: PathBuf::from("/nonexistent"),
        guest: GuestKind::Soft,
        timeout: Duration::from_secs(30),
        servers: Servers::Others,
        changed: Changed::default(),
    }
}

#[test]
fn no_lives_are_no_accidents_and_leave_nothing() {
    let until = Until { time: None, lives: Some(0) };
    let summary = soak(&setting(), 1, until, |_| {}).unwrap();
    assert_eq!(summary.to_string(), "0 lives, 0 accidents\nleft over: nothing");
}

#[test]
fn what_is_left_is_told_by_kind_and_nothing_is_nothing() {
    let left = Left { files: 1, mappings: 2, threads: 0, processes: 3 };
    assert_eq!(left.to_string(), "1 files, 2 mappings, 0 threads, 3 processes");
    assert!(!left.is_nothing());
    let nothing = Left::default();
    assert_eq!((nothing.to_string().as_str(), nothing.is_nothing()), ("nothing", true));
}
