//! Exit codes: each another decision for whoever runs this in CI.

use std::process::ExitCode;

use crate::error::{Error, ErrorKind};
use crate::runner::RunReport;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: all as declared.
    AsDeclared,
    /// 1: a case is not as declared.
    Otherwise,
    /// 2: could not run.
    CannotRun,
    /// 3: a usage or case-file error.
    Usage,
    /// 4: nothing was selected, or nothing that was selected could run here.
    NothingSelected,
    /// 5: some cases are not as declared, all of these only flaky or inconclusive.
    Undecided,
    /// 70: a bug in dj-regress (`EX_SOFTWARE` of sysexits.h).
    Bug,
    /// 130: interrupted, as a shell says it.
    Interrupted,
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::AsDeclared => 0,
            Self::Otherwise => 1,
            Self::CannotRun => 2,
            Self::Usage => 3,
            Self::NothingSelected => 4,
            Self::Undecided => 5,
            Self::Bug => 70,
            Self::Interrupted => 130,
        }
    }

    /// What a finished run says.
    pub fn of_run(run: &RunReport) -> Self {
        match run {
            RunReport { otherwise: 0, as_declared: 0, .. } => Self::NothingSelected,
            RunReport { otherwise: 0, .. } => Self::AsDeclared,
            RunReport { otherwise, undecided, .. } if otherwise == undecided => Self::Undecided,
            _ => Self::Otherwise,
        }
    }
}

impl From<&Error> for Exit {
    fn from(error: &Error) -> Self {
        match error.kind {
            ErrorKind::Usage => Self::Usage,
            ErrorKind::NothingSelected => Self::NothingSelected,
            ErrorKind::CannotRun => Self::CannotRun,
            ErrorKind::Interrupted => Self::Interrupted,
            ErrorKind::Bug => Self::Bug,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(3, 0, 0, 0)]
    #[case(3, 0, 0, 1)]
    #[case(3, 1, 0, 0)]
    #[case(0, 2, 1, 0)]
    #[case(3, 2, 2, 0)]
    #[case(0, 0, 0, 2)]
    fn a_run_exits_by_its_worst_kind_of_case(
        #[case] as_declared: usize,
        #[case] otherwise: usize,
        #[case] undecided: usize,
        #[case] skipped: usize,
    ) {
        let run = RunReport { as_declared, otherwise, undecided, skipped, ..RunReport::default() };
        let expected = match (as_declared, otherwise, undecided) {
            (0, 0, _) => 4,
            (_, 0, _) => 0,
            (_, otherwise, undecided) if otherwise == undecided => 5,
            _ => 1,
        };
        assert_eq!(Exit::of_run(&run).code(), expected);
    }
}
