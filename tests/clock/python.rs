//! Python: every clock that it reads, every wait that it knows.

use std::path::PathBuf;
use std::process::Command;

use dj_regress::clock::START;
use dj_regress_protocol::clock::Pace;
use rstest::rstest;
use serde_json::{Map, Value};

use crate::stage::{HOUR, Stage, Talk, is_real};
use crate::support::{interpreter, skip};

/// None, loudly, where there is no Python of this version.
fn python(version: &str) -> Option<PathBuf> {
    let found = interpreter(version);
    if found.is_none() {
        skip(&format!("there is no Python {version} here"));
    }
    found
}

fn script(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/clock").join(name)
}

/// Of every process, what it read.
fn processes(said: &Value) -> impl Iterator<Item = (&String, &Map<String, Value>)> {
    said.as_object().unwrap().iter().map(|(process, readings)| (process, readings.as_object().unwrap()))
}

#[rstest]
fn what_moves_moves_for_every_clock_of_a_process_and_its_children(
    #[values("3.10", "3.11", "3.12", "3.13")] version: &str,
    #[values(Pace::Stands, Pace::Goes)] pace: Pace,
) {
    let Some(python) = python(version) else { return };
    let stage = Stage::new();
    let clock = stage.clock(pace);
    let mut talk = Talk::with(stage.command(python, &clock).arg(script("readings.py")));
    let before = talk.json();
    clock.advance(HOUR);
    talk.tell();
    let after = talk.json();
    let (start, hour) = (START.as_secs_f64(), HOUR.as_secs_f64());
    for (process, readings) in processes(&before) {
        for (name, value) in readings {
            let (value, later) = (value.as_f64().unwrap(), after[process][name].as_f64().unwrap());
            let what = format!("{process}, {name}: {value}, then {later}");
            if name == "processor" {
                assert!(later - value < 60.0, "{what}");
                continue;
            }
            // Coarse clocks lag by a few milliseconds.
            assert!((hour - 1.0..hour + 60.0).contains(&(later - value)), "{what}");
            let is_wall = name.starts_with("wall");
            assert!(!is_wall || (start - 1.0..start + 120.0).contains(&value), "{what}");
            assert!(
                !is_wall || pace == Pace::Goes || later - value < hour + 1.0,
                "a clock that stands has gone: {what}"
            );
        }
        assert!(readings.len() >= 11, "{process}: {readings:?}");
    }
    assert_eq!(processes(&before).count(), 3);
}

#[rstest]
fn waits_take_their_real_time_after_a_jump_and_across_one(
    #[values("3.10", "3.11", "3.12", "3.13")] version: &str,
    #[values(Pace::Stands, Pace::Goes)] pace: Pace,
) {
    let Some(python) = python(version) else { return };
    let stage = Stage::new();
    let clock = stage.clock(pace);
    let mut talk = Talk::with(stage.command(python, &clock).arg(script("waits.py")));
    assert_eq!(talk.line(), "waiting\n");
    clock.advance(HOUR);
    talk.tell();
    let said = talk.json();
    for (process, waits) in processes(&said["took"]) {
        for (name, took) in waits {
            assert!(is_real(took.as_f64().unwrap(), 0.4), "{process}, {name}: {took} s");
        }
        assert!(waits.len() >= 15, "{process}: {waits:?}");
    }
    let wall = said["wall"].as_f64().unwrap();
    match pace {
        Pace::Stands => assert!(wall < 0.2, "the clock of an arm that stands has gone by {wall} s"),
        Pace::Goes => assert!(is_real(wall, 0.4), "{wall}"),
    }
}

#[test]
fn a_process_that_is_forked_for_an_arm_takes_its_clock_and_the_one_it_comes_from_keeps_its_own() {
    let Some(python) = python("3.11") else { return };
    let stage = Stage::new();
    let (warm, arm) = (stage.clock(Pace::Stands), stage.clock(Pace::Stands));
    arm.advance(HOUR);
    let code = "
import ctypes, os, sys, time
attach = ctypes.CDLL(None).dj_regress_clock_attach
print(attach(b'/nowhere/clock'), attach(b'/dev/null'), flush=True)
if os.fork() == 0:
    error = attach(sys.argv[1].encode())
    if os.fork() == 0:
        print(error, int(time.time()), flush=True)
        os._exit(0)
    os.wait()
    os._exit(0)
os.wait()
print(int(time.time()))
";
    let output = stage.command(python, &warm).args(["-c", code]).arg(arm.path()).output().unwrap();
    let start = START.as_secs();
    // ENOENT, and EINVAL for what is no clock.
    let expected = format!("2 22\n0 {}\n{start}\n", start + HOUR.as_secs());
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{output:?}");
}

#[test]
fn who_measures_for_the_harness_gets_the_machines_time_whatever_the_clock() {
    let Some(python) = python("3.11") else { return };
    let stage = Stage::new();
    let clock = stage.clock(Pace::Goes);
    let code = "
import ctypes, sys, time
machine = ctypes.CDLL(None).dj_regress_clock_machine
machine.restype = ctypes.c_int64
while True:
    print(machine() / 1e9 - time.monotonic(), flush=True)
    if not sys.stdin.readline():
        break
";
    let mut talk = Talk::with(stage.command(python, &clock).args(["-c", code]));
    let apart = |talk: &mut Talk| talk.line().trim().parse::<f64>().unwrap();
    let before = apart(&mut talk);
    clock.advance(HOUR);
    talk.tell();
    let after = apart(&mut talk) + HOUR.as_secs_f64();
    for apart in [before, after] {
        assert!(apart.abs() < 1.0, "the machine's clock is {apart} s apart from where it should be");
    }
}

#[test]
fn all_readings_of_an_arm_whose_clock_stands_come_one_after_the_other() {
    let Some(python) = python("3.11") else { return };
    let stage = Stage::new();
    let clock = stage.clock(Pace::Stands);
    let code = "
import multiprocessing, time
def read(_):
    return [time.time_ns() for _ in range(2000)]
with multiprocessing.get_context('fork').Pool(3) as pool:
    for readings in pool.map(read, range(3), 1):
        print(*readings)
";
    let output = stage.command(python, &clock).args(["-c", code]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut readings: Vec<u64> = text.split_ascii_whitespace().map(|word| word.parse().unwrap()).collect();
    assert_eq!(readings.len(), 6000);
    readings.sort_unstable();
    assert!(readings.windows(2).all(|pair| pair[1] - pair[0] >= 1000), "two are the same");
    // Whoever looks moves nothing; Python itself has read it a few times when it started.
    assert_eq!(clock.now(), clock.now());
    assert!(readings[5999] - readings[0] < 100_000_000);
}

#[test]
fn without_a_file_and_with_one_that_is_none_a_process_has_the_machines_time() {
    let stage = Stage::new();
    let clock = stage.clock(Pace::Stands);
    let variables = stage.clocks.of(&clock).variables;
    let date = |file: Option<&str>| {
        let mut command = Command::new("date");
        command.arg("+%s").env(variables[0].0, &variables[0].1);
        command.envs(file.map(|file| (variables[1].0, file)));
        let output = command.output().unwrap();
        let shown: u64 = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        assert!(now - shown < 60, "{shown}");
        String::from_utf8(output.stderr).unwrap()
    };
    assert_eq!(date(None), "");
    assert_eq!(date(Some("")), "");
    let complaint = "dj-regress: the clock /nowhere cannot be used (errno 2): this process has the machine's time\n";
    assert_eq!(date(Some("/nowhere")), complaint);
    assert!(date(Some("/dev/null")).contains("/dev/null cannot be used (errno 22)"));
}
