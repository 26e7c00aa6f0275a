//! Bugs to be planted, to see whether tests find them. Only with the feature `planted`, which no product has.

use core::sync::atomic::{AtomicU8, Ordering};

/// A bug that can be planted. What each does stands where `planted!` names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Bug {
    /// `OK` at `synced` and above is said once it is appended.
    AnswerBeforeSync = 1,
    /// `majority` and `all` count hosts that have it appended.
    LevelsCountJournaled,
    /// Others are told that all that is appended is on the disk.
    WatermarkTooHigh,
    /// Segments are released once all have told that they have their records appended.
    ReleaseOnJournaled,
    /// Segments are released although hosts lack their records.
    ReleaseTooEarly,
    /// A first record is taken only if exactly what it names is here.
    ExactPredecessor,
    /// A first record is taken whatever is here.
    NoPredecessor,
    /// A host does not fetch what its former lives have said.
    OwnPastSkipped,
    /// A repeat within a session is logged.
    RepeatLogged,
    /// Sessions are not recovered from the journal.
    SessionsForgotten,
    /// A bad record in the tail is skipped; what follows is taken.
    TailKept,
    /// The check of a record is not looked at.
    CheckIgnored,
    /// Own messages leave before they are on the disk.
    SentBeforeSync,
    /// A message beyond the next one is taken.
    GapTaken,
    /// A message that came before is taken again.
    DoubleTaken,
    /// A mark claims what was appended after it was begun.
    MarkTooFar,
    /// A new access.log is not marked.
    RotationUnmarked,
    /// Nobody asks for what is lacking.
    NoRepair,
    /// What hosts told to lack is passed over, however long ago they told it.
    PassedOverUnheard,
    /// `majority` and `all` count hosts that have passed a message over.
    PassedOverCounted,
    /// A host does not tell what it has passed over.
    PassedOverUntold,
    /// Refused lines are not reported.
    RefusalUnreported,
    /// The time of a client's message is the host's.
    OwnTime,
    /// A wrapped line goes one host too far.
    WrongHop,
    /// A repeat is not counted.
    Miscounted,
    /// A slow connection is written to as any other.
    NeverBlocked,
    /// The client's next number is not heeded.
    NextIgnored,
    /// The journal is appended to, and its sync is only said to have ended.
    NoSync,
    /// At the start the journal is not brought to the disk (the simulator's driver does this one).
    NoSyncAtStart,
    /// At the start access.log is completed and not cut before (the simulator's driver does this one).
    LogNotCut,
    /// After a start it is not known any more that the journal is young.
    YouthForgotten,
    /// Sums are told to hosts that do not know them.
    NewLineToOld,
    /// What others say is taken from whoever says it.
    TakenFromAnybody,
    /// Sums are told and not compared.
    SumsNotCompared,
    /// Own messages leave before they are in the journal.
    SentBeforeJournal,
}

impl Bug {
    /// All of them.
    pub const ALL: [Bug; 35] = [
        Bug::AnswerBeforeSync,
        Bug::LevelsCountJournaled,
        Bug::WatermarkTooHigh,
        Bug::ReleaseOnJournaled,
        Bug::ReleaseTooEarly,
        Bug::ExactPredecessor,
        Bug::NoPredecessor,
        Bug::OwnPastSkipped,
        Bug::RepeatLogged,
        Bug::SessionsForgotten,
        Bug::TailKept,
        Bug::CheckIgnored,
        Bug::SentBeforeSync,
        Bug::GapTaken,
        Bug::DoubleTaken,
        Bug::MarkTooFar,
        Bug::RotationUnmarked,
        Bug::NoRepair,
        Bug::PassedOverUnheard,
        Bug::PassedOverCounted,
        Bug::PassedOverUntold,
        Bug::RefusalUnreported,
        Bug::OwnTime,
        Bug::WrongHop,
        Bug::Miscounted,
        Bug::NeverBlocked,
        Bug::NextIgnored,
        Bug::NoSync,
        Bug::NoSyncAtStart,
        Bug::LogNotCut,
        Bug::YouthForgotten,
        Bug::NewLineToOld,
        Bug::TakenFromAnybody,
        Bug::SumsNotCompared,
        Bug::SentBeforeJournal,
    ];
}

static PLANTED: AtomicU8 = AtomicU8::new(0);

/// Plants a bug in all nodes of this process, in place of the one before.
pub fn plant(bug: Option<Bug>) {
    PLANTED.store(bug.map_or(0, |bug| bug as u8), Ordering::Relaxed);
}

/// Whether this bug is planted.
#[must_use]
pub fn is_planted(bug: Bug) -> bool {
    PLANTED.load(Ordering::Relaxed) == bug as u8
}
