//! Showing who we are: the answer to a 401 or 407, once for each nonce, and to nobody but whom the settings name (T-09).
//!
//! Follows RFC 3261 section 22 and RFC 8760; the arithmetic is in [`crate::digest`]. Start at [`Endpoint::prove`].

use std::time::Instant;

use super::{
    Endpoint,
    event::DialogId,
    session::Change,
    table::{ClientEntry, ClientKey, ClientMachine, ClientTarget, Stage, Task},
};
use crate::{
    digest::{Asker, Challenge, Freshness},
    draft::Draft,
    header::{HeaderName, Method},
    hop::Hop,
    message::Message,
    peer::{Credentials, PeerId},
    session_timer::Lines,
    timer::Timer,
    token::Token,
};

/// How often one request may be sent again for its credentials.
const MAX_TRIES: u8 = 4; // Law 5: a proxy and the callee, each once after a stale nonce.

/// The nonce a peer gave last, and how often it has been answered (RFC 7616 section 3.4: `nc`).
pub(super) struct Nonce {
    challenge: Challenge,
    uses: u32,
}

/// What a request has shown of our credentials.
#[derive(Default)]
pub(super) struct Proof {
    shown: Vec<Shown>,
    tries: u8,
}

/// One answer to a challenge.
struct Shown {
    challenge: Challenge,
    prompt: Prompt,
}

/// Why it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Prompt {
    /// This request was asked for it.
    Asked,
    /// An earlier one was: the nonce may be good still.
    Remembered,
}

impl Proof {
    /// A nonce is answered once; after it only one that is told to have come too late, or that we had only remembered.
    fn may_show(&self, challenge: &Challenge) -> bool {
        let mut shown = self.shown.iter();
        let before = shown.find(|shown| shown.challenge.asker == challenge.asker);
        let is_new = before.is_none_or(|before| {
            !before.challenge.has_nonce_of(challenge)
                && (before.prompt == Prompt::Remembered || challenge.freshness == Freshness::Stale)
        });
        is_new && self.tries < MAX_TRIES
    }

    fn show(&mut self, challenge: Challenge, prompt: Prompt) {
        self.shown
            .retain(|shown| shown.challenge.asker != challenge.asker);
        self.shown.push(Shown { challenge, prompt });
    }
}

impl Endpoint {
    /// Sends a request once more with the answer to its challenge; whether it did.
    ///
    /// `request`: what was sent under `key`; `answer`: its 401 or 407.
    pub(super) fn prove(
        &mut self,
        now: Instant,
        key: ClientKey,
        request: &Message,
        answer: &Message,
    ) -> bool {
        let Some(asker) = answer.status().and_then(Asker::of) else {
            return false;
        };
        let Some(entry) = self.clients.get_mut(&key) else {
            return false;
        };
        let (peer, task, usage) = (entry.peer, entry.task, entry.usage);
        let (hop, alternate, label) = (entry.hop, entry.alternate, entry.label);
        let settings = self.peers.get(&peer).unwrap_or(&self.any_peer);
        let Some(credentials) = settings.credentials.clone() else {
            return false;
        };
        let challenge = Challenge::choose(answer, &credentials.realm)
            .filter(|challenge| entry.proof.may_show(challenge));
        let Some(challenge) = challenge.filter(|_| task != Task::Cancel) else {
            self.nonces.remove(&(peer, asker));
            return false;
        };
        let mut proof = std::mem::take(&mut entry.proof);
        proof.show(challenge, Prompt::Asked);
        proof.tries += 1;
        let Some(method) = request.method() else {
            return false;
        };
        let new_key = ClientKey {
            branch: Token::random(&mut self.generator),
            target: ClientTarget::Request,
        };
        if !self.goes_on(now, usage, task, key, new_key) {
            return false;
        }
        let cseq = self.next_cseq(peer, usage, task, request);
        let lines = self.proof_lines(peer, &credentials, &proof, request);
        let entry = ClientEntry {
            machine: ClientMachine::start(now, &self.intervals, &method, hop.transport),
            request: again(request, hop, new_key.branch, cseq, &lines),
            usage,
            task,
            peer,
            hop,
            alternate,
            proof,
            label,
            due: None,
        };
        self.open_client(now, new_key, entry);
        true
    }

    /// Shows a request's credentials unasked, where its peer has asked an earlier one (RFC 3261 section 22.2, RFC 7616 section 3.6).
    pub(super) fn prove_unasked(&mut self, key: ClientKey, entry: &mut ClientEntry) {
        let settings = self.peers.get(&entry.peer).unwrap_or(&self.any_peer);
        let is_shown = !entry.proof.shown.is_empty() || entry.task == Task::Cancel;
        let Some(credentials) = settings.credentials.clone().filter(|_| !is_shown) else {
            return;
        };
        for asker in [Asker::Callee, Asker::Proxy] {
            if let Some(nonce) = self.nonces.get(&(entry.peer, asker)) {
                let challenge = nonce.challenge.clone();
                entry.proof.show(challenge, Prompt::Remembered);
            }
        }
        if entry.proof.shown.is_empty() {
            return;
        }
        let Ok(request) = Message::parse(entry.request.clone()) else {
            return;
        };
        let lines = self.proof_lines(entry.peer, &credentials, &entry.proof, &request);
        let cseq = request.cseq().map_or(1, |cseq| cseq.number);
        entry.request = again(&request, entry.hop, key.branch, cseq, &lines);
    }

    /// The headers that answer what was asked, each use of a nonce counted.
    fn proof_lines(
        &mut self,
        peer: PeerId,
        credentials: &Credentials,
        proof: &Proof,
        request: &Message,
    ) -> Lines {
        let method = name_of(request);
        let uri = request.request_uri().map_or("", |uri| uri.as_str());
        let mut lines = Lines::new();
        for Shown { challenge, .. } in &proof.shown {
            let nonce = self
                .nonces
                .entry((peer, challenge.asker))
                .or_insert_with(|| Nonce {
                    challenge: challenge.clone(),
                    uses: 0,
                });
            if !nonce.challenge.has_nonce_of(challenge) {
                *nonce = Nonce {
                    challenge: challenge.clone(),
                    uses: 0,
                };
            }
            nonce.uses = nonce.uses.saturating_add(1);
            let cnonce = format!(
                "{}{}",
                Token::random(&mut self.generator),
                Token::random(&mut self.generator)
            );
            let value = challenge.answer(credentials, &method, uri, &cnonce, nonce.uses);
            lines.push((challenge.asker.header(), value));
        }
        lines
    }

    /// Lets who waits for the answer to `old` wait for that to `new`; `false` where nobody waits any more.
    fn goes_on(
        &mut self,
        now: Instant,
        usage: Option<DialogId>,
        task: Task,
        old: ClientKey,
        new: ClientKey,
    ) -> bool {
        let Some(id) = usage else {
            return task != Task::Call;
        };
        let Some(usage) = self.usages.get_mut(&id) else {
            return false;
        };
        let is_ending = matches!(usage.stage, Stage::Closing { .. });
        match task {
            // Nobody waits for what was given up, and in a dialog that ends for nothing but its end.
            Task::Call | Task::Change if !usage.wants(old) => false,
            Task::Change | Task::Acknowledge | Task::Inside(_) if is_ending => false,
            Task::Call => {
                let Stage::Calling { client, .. } = &mut usage.stage else {
                    return false;
                };
                *client = new;
                // Something has come back.
                usage.timers.stop(Timer::Patience);
                self.leave_forks(id, |_| false);
                self.arm_usage(id);
                true
            }
            Task::Change => {
                let mut sessions = usage.sessions().iter_mut();
                let session = sessions.find(|session| session.change.is_of(old));
                let Some(Change::Sent { client, .. }) = session.map(|session| &mut session.change)
                else {
                    return false;
                };
                *client = new;
                usage
                    .timers
                    .set(Timer::ChangeWait, now + self.intervals.long());
                self.arm_usage(id);
                true
            }
            Task::End | Task::Acknowledge | Task::Inside(_) | Task::Outside { .. } => true,
            Task::Cancel => false,
        }
    }

    /// The number of a request that is sent again: above all others of its dialog or series (RFC 3261 section 22.2).
    fn next_cseq(
        &mut self,
        peer: PeerId,
        usage: Option<DialogId>,
        task: Task,
        request: &Message,
    ) -> u32 {
        let next = request.cseq().map_or(1, |cseq| cseq.number) + 1;
        if let Task::Outside { series, .. } = task {
            return self
                .series
                .get_mut(&(peer, series))
                .map_or(next, |series| series.next_cseq());
        }
        let callee = request.to().ok().and_then(|to| to.tag());
        let usage = usage.and_then(|usage| self.usages.get_mut(&usage));
        let session = usage.and_then(|usage| usage.session_with(callee?));
        let Some(session) = session.filter(|_| task != Task::Call) else {
            return next;
        };
        let next = next.max(session.dialog.local_cseq() + 1);
        session.dialog.skip_to(next);
        next
    }
}

fn again(
    request: &Message,
    hop: Hop,
    branch: Token,
    cseq: u32,
    lines: &[(&'static str, String)],
) -> bytes::Bytes {
    Draft::again(request, &name_of(request), hop, branch, cseq, lines)
}

fn name_of(request: &Message) -> String {
    let method = request.method();
    let octets = method.as_ref().map_or(&b""[..], Method::as_bytes);
    String::from_utf8_lossy(octets).into_owned()
}

/// Lets the ACK of a 2xx carry what its INVITE has shown (RFC 3261 section 13.2.2.4).
pub(super) fn with_proof_of(invite: &Message, mut ack: Draft) -> Draft {
    for name in [HeaderName::Authorization, HeaderName::ProxyAuthorization] {
        ack = ack.same(invite, name);
    }
    ack
}
