use super::*;

fn setting() -> Setting {
    // No process is started in these lives' first accidents that could not be: the program is the test itself.
    Setting {
        program: PathBuf::from("/nonexistent"),
        guest: GuestKind::Soft,
        timeout: Duration::from_secs(30),
    }
}

#[test]
fn no_lives_are_no_accidents_and_leave_nothing() {
    let until = Until { time: None, lives: Some(0) };
    let summary = soak(&setting(), 1, until, |_| {}).unwrap();
    assert_eq!(summary.to_string(), "0 lives, 0 accidents\nleft over: nothing");
}

#[test]
fn what_is_held_is_counted_until_it_is_let_go() {
    let before = Left::now();
    let held = std::fs::File::open("/proc/self/stat").unwrap();
    assert!(Left::now().files > before.files);
    drop(held);
    let told = Left { files: 1, mappings: 2, threads: 0, processes: 3 }.to_string();
    assert_eq!(told, "1 files, 2 mappings, 0 threads, 3 processes");
}
