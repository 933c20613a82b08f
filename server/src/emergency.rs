//! The emergency as people order it: through the calls' socket, or under the calls' lock when no server runs, by the same code.
//!
//! Who may is asked of `rules`, what it does of the exchange. Neither a key nor a disk can stop it (law 1).

use std::{sync::Arc, thread, time::Duration};

use exchange::{Output, Wiring};
use jiff::Timestamp;
use rules::{
    Action, Actor, AlarmCode, Declaration, Digest, Emergency, EmergencyFault, EmergencyId,
    EmergencyState, Refusal, RefusalCode, Scope, StaffId,
};
use serde::{Deserialize, Serialize};
use storage::{Duty, Lock, OsDisk, Sealer, Spool, SpoolEntry};
use tokio::sync::mpsc;

use crate::{
    calls::Desk,
    clock::Clock,
    config::Config,
    duty::{Answer, Ending, Message},
    emergency_slot::Save,
    export::Alone as OfficeAlone,
    neighbour::Neighbour,
    people,
    proof::Proof,
    signalling::{self, Order},
};

/// How long a person waits for the signalling thread.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a person waits to hear whether the state is on disk; it holds before that.
const SAVE_PATIENCE: Duration = Duration::from_secs(2);

/// What is asked on the calls' socket.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Request {
    /// Declare an emergency.
    Declare {
        scope: Scope,
        reason: String,
        for_s: Option<u64>,
        proof: Proof,
    },
    /// Lift the one of a scope, or every one.
    Lift { scope: Option<Scope>, proof: Proof },
}

impl Request {
    fn proof(&self) -> &Proof {
        match self {
            Request::Declare { proof, .. } | Request::Lift { proof, .. } => proof,
        }
    }
}

/// An emergency as the socket tells of it, without its reason.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Declared {
    pub id: EmergencyId,
    pub scope: Scope,
    pub started: Timestamp,
    pub expires: Timestamp,
    /// Whether it would outlive a restart.
    pub is_saved: bool,
}

impl Declared {
    /// What may be told of an emergency. `is_saved`: whether the state that holds it is on disk.
    pub(crate) fn of(emergency: &Emergency, is_saved: bool) -> Declared {
        Declared {
            id: emergency.id(),
            scope: emergency.scope().clone(),
            started: emergency.started(),
            expires: emergency.expires(),
            is_saved,
        }
    }
}

/// Whoever carries out an emergency order: the signalling thread, or a wiring that lives as long as the command.
pub(crate) trait Officer {
    fn declare(
        &mut self,
        declaration: Declaration,
        reason: Digest,
    ) -> Option<Result<Emergency, EmergencyFault>>;
    fn lift(
        &mut self,
        scope: Option<Scope>,
        unix_user: &str,
        person: Option<StaffId>,
    ) -> Option<Result<Vec<Emergency>, EmergencyFault>>;
}

/// The running server's.
pub(crate) struct Signalled {
    pub(crate) orders: mpsc::Sender<Order>,
}

impl Officer for Signalled {
    fn declare(
        &mut self,
        declaration: Declaration,
        reason: Digest,
    ) -> Option<Result<Emergency, EmergencyFault>> {
        signalling::ask(&self.orders, PATIENCE, |answer| Order::Declare {
            declaration,
            reason,
            answer,
        })
    }

    fn lift(
        &mut self,
        scope: Option<Scope>,
        unix_user: &str,
        person: Option<StaffId>,
    ) -> Option<Result<Vec<Emergency>, EmergencyFault>> {
        let unix_user = unix_user.to_owned();
        signalling::ask(&self.orders, PATIENCE, |answer| Order::Lift {
            scope,
            unix_user,
            person,
            answer,
        })
    }
}

/// A wiring without sockets, for when no server runs.
struct Alone {
    wiring: Wiring,
    clock: Clock,
    desk: Desk,
}

impl Alone {
    fn drain(&mut self) {
        while let Some(output) = self.wiring.poll_output() {
            match output {
                Output::Audit(draft) => self.desk.audit(draft),
                Output::SaveEmergency(state) => self.desk.save_emergency(state),
                // Without calls there is nothing to send, to look up, to play, to record or to trace.
                Output::Sip(_)
                | Output::Media { .. }
                | Output::Record(_)
                | Output::Trace(_)
                | Output::Peer(_)
                | Output::Resolve(_)
                | Output::Alarm(_) => {}
            }
        }
    }
}

impl Officer for Alone {
    fn declare(
        &mut self,
        declaration: Declaration,
        reason: Digest,
    ) -> Option<Result<Emergency, EmergencyFault>> {
        let declared = self.wiring.declare(self.clock.now(), declaration, reason);
        self.drain();
        Some(declared)
    }

    fn lift(
        &mut self,
        scope: Option<Scope>,
        unix_user: &str,
        person: Option<StaffId>,
    ) -> Option<Result<Vec<Emergency>, EmergencyFault>> {
        let lifted = self
            .wiring
            .lift(self.clock.now(), scope.as_ref(), unix_user, person.as_ref());
        self.drain();
        Some(lifted)
    }
}

/// Where emergency orders are taken, by whoever carries them out.
pub(crate) struct Counter {
    pub(crate) config: Arc<Config>,
    pub(crate) sealer: Arc<Sealer>,
    pub(crate) desk: Desk,
    /// Where a person is proved who orders an emergency.
    pub(crate) office: Neighbour,
}

impl Counter {
    /// Judges an order and carries it out. `keep` takes the sealed reason on its way to the office.
    pub(crate) fn carry_out(
        &self,
        officer: &mut impl Officer,
        keep: impl FnOnce(SpoolEntry),
        request: Request,
        unix_user: &str,
    ) -> Answer<Vec<Declared>> {
        let (proof, action) = match &request {
            Request::Declare { proof, .. } => (proof, Action::DeclareEmergency),
            Request::Lift { proof, .. } => (proof, Action::LiftEmergency),
        };
        let person = match self.person(proof, action, unix_user) {
            Ok(person) => person,
            Err(refused) => return refused.without(),
        };
        let answered = match request {
            Request::Declare {
                scope: Scope::Number(number),
                ..
            } if !self.config.is_ours(&number) => return not_ours(),
            Request::Declare {
                scope,
                reason,
                for_s,
                ..
            } => {
                let declaration = Declaration {
                    id: new_id(),
                    scope,
                    reason,
                    duration: for_s.map(Duration::from_secs),
                    declared_by: person.clone(),
                    unix_user: unix_user.to_owned(),
                };
                self.declare(officer, keep, declaration)
            }
            Request::Lift { scope, .. } => officer.lift(scope, unix_user, person.clone()),
        };
        match answered {
            Some(Ok(emergencies)) => {
                let is_saved = self.desk.emergency_tried(SAVE_PATIENCE) == Save::Done;
                let told = emergencies
                    .iter()
                    .map(|emergency| Declared::of(emergency, is_saved));
                Answer::Done(told.collect())
            }
            Some(Err(fault)) => {
                if let Some(refusal) = fault.refusal() {
                    self.note_refusal(unix_user, person, action, &refusal);
                }
                refused(&fault)
            }
            None => Answer::Failed(Message::new(
                "通話の係が応答しません。",
                "the signalling thread does not answer; it is ending",
            )),
        }
    }

    /// Declares, and keeps the sealed reason unless the declaration was refused.
    fn declare(
        &self,
        officer: &mut impl Officer,
        keep: impl FnOnce(SpoolEntry),
        declaration: Declaration,
    ) -> Option<Result<Vec<Emergency>, EmergencyFault>> {
        let (digest, entry) = self.seal(declaration.id, &declaration.reason);
        let declared = officer.declare(declaration, digest);
        // Where nobody answered it may be declared all the same; its reason is kept then too.
        if let (Some(entry), None | Some(Ok(_))) = (entry, &declared) {
            keep(entry);
        }
        declared.map(|declared| declared.map(|emergency| vec![emergency]))
    }

    /// Who orders it, where somebody shows who they are and it can be looked at; the role is judged with it.
    ///
    /// `None`: the right is that of the socket's mode and group, and the entry names no person. So it is for whoever shows nothing, and where neither office
    /// nor database answers: nothing that fails there may stop an emergency (law 1).
    ///
    /// # Errors
    /// What was shown is wrong, or the role is another's; the office has written it down.
    fn person(
        &self,
        proof: &Proof,
        action: Action,
        unix_user: &str,
    ) -> Result<Option<StaffId>, Ending> {
        if matches!(proof, Proof::Nobody) {
            return Ok(None);
        }
        let (office, proof) = (self.office.clone(), proof.clone());
        let asker = unix_user.to_owned();
        let (answer, answered) = std::sync::mpsc::channel();
        let asking = thread::Builder::new().name("emergency-proof".to_owned());
        // A thread of its own, so that an office that hangs in its disk is not waited for longer than patience lasts.
        let asked = asking.spawn(move || {
            let _ = answer.send(office.judge(action, proof, &asker));
        });
        let judged = asked
            .ok()
            .and_then(|_| answered.recv_timeout(PATIENCE).ok())
            .flatten();
        match judged {
            Some(Answer::Done(person)) => Ok(person),
            Some(Answer::Refused(message)) => match RefusalCode::of(&message.code) {
                Some(code) if action.goes_on_unnamed(code) => Ok(None),
                Some(_) | None => Err(Answer::Refused(message)),
            },
            Some(_) | None => {
                tracing::warn!(
                    "who orders the emergency cannot be looked at; the socket's right holds"
                );
                Ok(None)
            }
        }
    }

    fn note_refusal(
        &self,
        unix_user: &str,
        person: Option<StaffId>,
        action: Action,
        refusal: &Refusal,
    ) {
        let unix_user = unix_user.to_owned();
        let actor = Actor::Person { unix_user, person };
        self.desk.audit(people::refused(
            actor,
            action,
            refusal,
            rules::POLICY_VERSION,
        ));
    }

    /// Seals the reason for the register; returns the digest that the audit entry holds, and the register's entry.
    ///
    /// Where the month's key is missing the reason stays in the state's file alone and the audit entry says so by a digest of zeros.
    fn seal(&self, id: EmergencyId, reason: &str) -> (Digest, Option<SpoolEntry>) {
        let at = Timestamp::now();
        match self.sealer.seal_reason(id, at, reason.trim()) {
            Ok((sealed, digest)) => {
                let entry = SpoolEntry::Reason {
                    emergency: id,
                    at,
                    sealed,
                };
                (digest, Some(entry))
            }
            Err(fault) => {
                tracing::error!(%fault, code = AlarmCode::KeyUnavailable.code(), "the reason of an emergency is not sealed");
                (Digest([0; 32]), None)
            }
        }
    }
}

/// Carries out an order when no server runs, under the calls' lock.
pub(crate) fn do_alone(
    config: &Arc<Config>,
    request: Request,
    unix_user: &str,
) -> Answer<Vec<Declared>> {
    let layout = config.layout();
    let _held = match Lock::acquire(&layout, Duty::Calls) {
        Ok(held) => held,
        Err(fault) => {
            let ja = "通話の係の錠を取れません。動いている denwaban に接続できるか、フォルダの権限を確認してください。";
            return Answer::Failed(Message::new(ja, fault.to_string()));
        }
    };
    // A damaged file must not keep the duty officer from declaring.
    let mut state = storage::load_emergency(&OsDisk, &layout).unwrap_or_else(|fault| {
        tracing::error!(%fault, "the emergency's state is begun anew");
        EmergencyState::default()
    });
    let Ok((desk, thread)) = Desk::begin(&layout) else {
        return Answer::Failed(Message::new(
            "スレッドを作れません。",
            "the system gives no thread",
        ));
    };
    let clock = Clock::begin();
    state.handle_restart(clock.now().wall);
    let mut officer = Alone {
        wiring: Wiring::new(config.settings(), state, [0; 32]),
        clock,
        desk: desk.clone(),
    };
    let sealer = Arc::new(Sealer::new(Arc::new(OsDisk), &layout));
    // Nobody else proves a person where nothing runs; an office that runs alone has its lock, and is asked.
    let office = match request.proof() {
        Proof::Nobody => None,
        Proof::Named(_) | Proof::Password(_) | Proof::Session(_) => OfficeAlone::begin(config).ok(),
    };
    let neighbour = Neighbour::away(&layout);
    if let Some(office) = &office {
        neighbour.moves_in(office.desk());
    }
    let counter = Counter {
        config: Arc::clone(config),
        sealer,
        desk: desk.clone(),
        office: neighbour,
    };
    let mut spool = Spool::new(Arc::new(OsDisk), &layout);
    let keep = |entry: SpoolEntry| {
        if let Err(fault) = spool
            .put(&entry)
            .and_then(|()| spool.flush(Timestamp::now()))
        {
            tracing::error!(%fault, "the reason of an emergency is not kept for the register");
        }
    };
    let answer = counter.carry_out(&mut officer, keep, request, unix_user);
    if let Some(office) = office {
        office.end();
    }
    desk.stop();
    // A desk that panicked has logged it.
    let _ = thread.join();
    answer
}

fn new_id() -> EmergencyId {
    let mut random = [0; 16];
    if let Err(fault) = getrandom::fill(&mut random) {
        tracing::warn!(%fault, "an emergency gets an id without randomness");
    }
    EmergencyId::new(Timestamp::now(), u128::from_le_bytes(random))
}

/// A slip of the finger must not look like an emergency in force.
fn not_ours() -> Answer<Vec<Declared>> {
    Answer::Usage(Message::new(
        "--scope の番号は設定ファイルにありません。番号を確かめるか、--scope all を指定してください。",
        "the number of --scope is no [[number]] of the configuration; correct it, or declare --scope all",
    ))
}

fn refused(fault: &EmergencyFault) -> Answer<Vec<Declared>> {
    match fault.refusal() {
        Some(refusal) => Answer::Refused(people::message(&refusal)),
        None => Answer::Failed(Message::new(
            "緊急時モードを変更できません。",
            fault.to_string(),
        )),
    }
}
