//! What the office's thread is asked to do, one at a time.

use std::{collections::BTreeSet, sync::Arc};

use rules::{Action, Actor, Fact, JstDay, Proved, Reconciled, Register, Statement, TrailReading};
use tokio::sync::oneshot;

use super::{
    Comparison, DisposeDone, DisposeRequest, FindWish, KeysDone, KeysRequest, Reader, RevealWish,
    Revealed, Search, TrailDone, TrailRequest, search, together::Together,
};
use crate::{
    copies::{CopyAsk, CopyTold},
    duty::Answer,
    export::AudioStep,
    hand_over::{HandOverAsk, HandOverTold, PackageWish, Packed, Packing},
    people::{Ask, Told},
    proof::{Asker, Proof},
};

pub(super) enum Job {
    Together(Together),
    BeginSearch {
        wish: FindWish,
        asker: Asker,
        answer: oneshot::Sender<Answer<Box<Search>>>,
    },
    SearchPage {
        search: Box<Search>,
        answer: oneshot::Sender<(Box<Search>, search::Page)>,
    },
    DaysToReconcile {
        answer: oneshot::Sender<Answer<BTreeSet<JstDay>>>,
    },
    ReconcileDay {
        day: JstDay,
        answer: oneshot::Sender<Answer<Reconciled>>,
    },
    /// Everything was compared.
    Compared {
        comparison: Comparison,
        answer: oneshot::Sender<()>,
    },
    Reveal {
        wish: RevealWish,
        asker: Asker,
        answer: oneshot::Sender<Answer<Revealed>>,
    },
    People {
        ask: Ask,
        proof: Proof,
        asker: Asker,
        answer: oneshot::Sender<Answer<Told>>,
    },
    HandOver {
        ask: HandOverAsk,
        proof: Proof,
        asker: Asker,
        answer: oneshot::Sender<Answer<HandOverTold>>,
    },
    BeginPackage {
        wish: PackageWish,
        asker: Asker,
        answer: oneshot::Sender<Answer<Box<Packing>>>,
    },
    EndPackage {
        packed: Box<Packed>,
        asker: Asker,
        answer: oneshot::Sender<Answer<()>>,
    },
    Copies {
        ask: CopyAsk,
        proof: Proof,
        asker: Asker,
        answer: oneshot::Sender<Answer<CopyTold>>,
    },
    /// Sign a text in the installation's name.
    Sign {
        text: String,
        answer: oneshot::Sender<Option<String>>,
    },
    /// Record what the service saw by itself.
    Track {
        fact: Box<Fact>,
        answer: oneshot::Sender<bool>,
    },
    /// Whether somebody may do what opens no content.
    Prove {
        action: Action,
        proof: Proof,
        asker: Asker,
        answer: oneshot::Sender<Answer<Option<Proved>>>,
    },
    /// Record a fact that stands alone, for somebody who was proved before.
    Record {
        proved: Option<Box<Proved>>,
        asker: Asker,
        fact: Box<Fact>,
        answer: oneshot::Sender<Answer<Told>>,
    },
    RestoreAudio {
        step: AudioStep,
        proof: Proof,
        asker: Asker,
        answer: oneshot::Sender<Answer<()>>,
    },
    BackUp {
        proof: Proof,
        asker: Asker,
        answer: oneshot::Sender<Answer<()>>,
    },
    /// The register as it stands, to judge anew what goes on.
    Register {
        answer: oneshot::Sender<Option<Arc<Register>>>,
    },
    Dispose {
        request: DisposeRequest,
        asker: Asker,
        answer: oneshot::Sender<Answer<DisposeDone>>,
    },
    Keys {
        request: KeysRequest,
        proof: Proof,
        asker: Asker,
        answer: oneshot::Sender<Answer<KeysDone>>,
    },
    /// Whether somebody may read of the trail; the entry that it is read comes with it.
    LetRead {
        reading: TrailReading,
        proof: Proof,
        asker: Asker,
        answer: oneshot::Sender<Answer<Reader>>,
    },
    SignStatement {
        statement: Box<Statement>,
        actor: Actor,
        answer: oneshot::Sender<Answer<String>>,
    },
    Trail {
        request: TrailRequest,
        proof: Proof,
        asker: Asker,
        answer: oneshot::Sender<Answer<TrailDone>>,
    },
    Stop,
}
