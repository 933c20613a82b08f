//! How a person is proved at the office: password and code, login session, and what of them the person changes (K-14).
//!
//! Passwords are looked at here, on the office's one thread, so that two never take memory at once. Start at [`Owner::prove`].

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use rules::{
    Attempts, AuditDraft, AuditEvent, CodeFound, CodeOffer, LoginSession, NewPassword,
    PasswordFound, Proved, Refusal, RefusalCode, SecondFactor, StaffId, Trial, totp_steps,
};
use storage::{
    AttemptKey, KeptAccount, OpenFault, PasswordHash, PasswordSet, Sealer, TokenHash, TotpSecret,
};

use super::{
    owner::Owner,
    passwords::{judge_new, make_hash},
    people::{Caller, no_key, no_randomness},
};
use crate::{
    duty::{Answer, Ending, Message},
    people::{self, Told},
    proof::{Asker, Proof, Secret, Typed, random_text},
};

/// The waits of which the trail knows that somebody did not keep them.
#[derive(Debug, Default)]
pub(super) struct Throttled(BTreeSet<(AttemptKey, Option<Timestamp>)>);

impl Throttled {
    /// Whether nobody was told of this wait yet.
    fn is_news(&mut self, key: &AttemptKey, attempts: Attempts) -> bool {
        const MOST: usize = 10_000; // As many as there are attempts on record.
        if self.0.len() >= MOST {
            self.0.clear();
        }
        self.0.insert((key.clone(), attempts.last_at))
    }
}

/// How often it is looked whether a month has begun, or an offer is over.
const EACH: Duration = Duration::from_secs(900);

impl Owner {
    /// Proves whoever shows something.
    ///
    /// # Errors
    /// What was shown proves nobody; it is written down, once for each wait where it came too early to be looked at.
    pub(super) async fn prove(
        &mut self,
        proof: &Proof,
        asker: &Asker,
        now: Timestamp,
    ) -> Result<Option<Proved>, Ending> {
        match proof {
            Proof::Nobody => Ok(None),
            Proof::Named(_) => {
                let refusal = Refusal::nobody();
                self.note_login(None, &refusal, asker);
                Err(Answer::Refused(people::message(&refusal)))
            }
            Proof::Password(typed) => {
                let proved = self
                    .try_password(typed, asker, now, |trial, now| trial.judge(now))
                    .await;
                proved.map(Some)
            }
            Proof::Session(token) => {
                let token = TokenHash::of(token.text());
                let session = self
                    .rows(async |catalogue| catalogue.session(&token).await)
                    .await?;
                self.prove_session(&token, session, asker, now)
                    .await
                    .map(Some)
            }
        }
    }

    /// Proves whoever shows the token of a session.
    ///
    /// # Errors
    /// There is no such session any more; it is written down.
    pub(super) async fn prove_session(
        &mut self,
        token: &TokenHash,
        session: Option<LoginSession>,
        asker: &Asker,
        now: Timestamp,
    ) -> Result<Proved, Ending> {
        let whose = session.as_ref().map(|session| session.person.clone());
        let is_use_due = session
            .as_ref()
            .is_some_and(|session| session.is_use_due(now));
        let proved = session
            .ok_or_else(LoginSession::over)
            .and_then(|session| session.judge(now))
            .map_err(|refusal| {
                self.note_login(whose, &refusal, asker);
                Answer::Refused(people::message(&refusal))
            })?;
        if is_use_due {
            self.rows(async |catalogue| catalogue.use_session(token, now).await)
                .await?;
        }
        Ok(proved)
    }

    /// Looks at id, password and code, unless wrong ones came just before.
    async fn try_password<T>(
        &mut self,
        typed: &Typed,
        asker: &Asker,
        now: Timestamp,
        judge: impl FnOnce(&Trial<'_>, Timestamp) -> Result<T, Refusal>,
    ) -> Result<T, Ending> {
        let refused = |refusal: Refusal| Answer::Refused(people::message(&refusal));
        let sources = asker.sources();
        let keys: Vec<AttemptKey> = sources
            .map(|source| AttemptKey::of(&typed.person, source))
            .collect();
        let (attempts, kept) = self
            .rows(async |catalogue| {
                let mut attempts = Vec::with_capacity(keys.len());
                for key in &keys {
                    attempts.push((key, catalogue.attempts(key).await?));
                }
                Ok((attempts, catalogue.account(&typed.person).await?))
            })
            .await?;
        for (key, attempts) in &attempts {
            attempts.judge(now).map_err(|refusal| {
                // Once for each wait, however often somebody asks in it.
                if self.throttled.is_news(key, *attempts) {
                    let tried = kept.is_some().then(|| typed.person.clone());
                    self.note_login(tried, &refusal, asker);
                }
                refused(refusal)
            })?;
        }
        let trial = Trial {
            person: &typed.person,
            account: kept.as_ref().map(|kept| kept.account),
            password: self.find_password(typed, kept.as_ref())?,
            code: self.find_code(typed, kept.as_ref(), now)?,
            age: self.config.people.password_age,
        };
        let judged = judge(&trial, now);
        let is_wrong =
            matches!(&judged, Err(refusal) if refusal.code() == RefusalCode::LoginFailed);
        self.rows(async |catalogue| {
            if let (false, CodeFound::Step(step)) = (is_wrong, trial.code) {
                catalogue.use_totp_step(&typed.person, step).await?;
            }
            for (key, attempts) in attempts {
                let attempts = match is_wrong {
                    true => attempts.failed(now),
                    false => Attempts::default(),
                };
                catalogue.keep_attempts(key, attempts, now).await?;
            }
            Ok(())
        })
        .await?;
        if !is_wrong && trial.password == PasswordFound::Right {
            self.hash_anew(typed, kept.as_ref()).await;
        }
        judged.map_err(|refusal| {
            let tried = kept.is_some().then(|| typed.person.clone());
            self.note_login(tried, &refusal, asker);
            refused(refusal)
        })
    }

    /// `tried`: whose id it was, where somebody has it. What nobody has may be a password in the wrong place.
    fn note_login(&mut self, tried: Option<StaffId>, refusal: &Refusal, asker: &Asker) {
        let event = AuditEvent::LoginRefused {
            tried,
            code: refusal.code(),
        };
        let caller = Caller {
            proved: None,
            asker,
        };
        let actor = caller.petitioner().actor();
        self.audit(AuditDraft { actor, event });
    }

    /// Hashes a password anew that was hashed as none is today. Where that fails the old hash stands, until it is typed in again.
    async fn hash_anew(&mut self, typed: &Typed, kept: Option<&KeptAccount>) {
        let renewed = kept.map(|kept| kept.hash.renewed(typed.password.text()));
        if let Some(Ok(Some(hash))) = renewed {
            let kept = self.rows(async |catalogue| catalogue.rehash(&typed.person, &hash).await);
            // What cannot be written was told.
            let _ = kept.await;
        }
    }

    /// An id that nobody has costs what a wrong password costs.
    fn find_password(
        &mut self,
        typed: &Typed,
        kept: Option<&KeptAccount>,
    ) -> Result<PasswordFound, Ending> {
        let hash = kept.map_or_else(PasswordHash::decoy, |kept| kept.hash.clone());
        hash.find(typed.password.text()).map_err(|fault| {
            Answer::Unavailable(Message::new(
                "パスワードを確かめられません。",
                fault.to_string(),
            ))
        })
    }

    fn find_code(
        &self,
        typed: &Typed,
        kept: Option<&KeptAccount>,
        now: Timestamp,
    ) -> Result<CodeFound, Ending> {
        let sealed = kept.and_then(|kept| kept.totp.as_ref());
        let (Some(code), Some(sealed)) = (&typed.code, sealed) else {
            return Ok(CodeFound::None);
        };
        let secret = self.opener.open_totp(&typed.person, sealed);
        let secret = secret.map_err(|fault| no_codes(&fault))?;
        Ok(secret.find(code.text(), totp_steps(now)))
    }

    pub(super) async fn log_in(
        &mut self,
        proof: &Proof,
        asker: &Asker,
        now: Timestamp,
    ) -> Result<Told, Ending> {
        let proved = self.prove(proof, asker, now).await?;
        let caller = Caller {
            proved: proved.as_ref(),
            asker,
        };
        let person = caller.person()?.clone();
        let token = random_text().map_err(|fault| no_randomness(&fault))?;
        self.write_down(&caller, AuditEvent::LoggedIn)?;
        let session = LoginSession {
            person: person.clone(),
            began_at: now,
            seen_at: now,
        };
        let hash = TokenHash::of(token.text());
        self.rows(async |catalogue| catalogue.begin_session(&hash, &session).await)
            .await?;
        Ok(Told::Session { person, token })
    }

    pub(super) async fn log_out(
        &mut self,
        proof: &Proof,
        asker: &Asker,
        now: Timestamp,
    ) -> Result<Told, Ending> {
        let Proof::Session(token) = proof else {
            return Ok(Told::AlreadySo);
        };
        let proved = self.prove(proof, asker, now).await;
        let hash = TokenHash::of(token.text());
        self.rows(async |catalogue| catalogue.end_session(&hash).await)
            .await?;
        let Ok(Some(proved)) = proved else {
            return Ok(Told::AlreadySo);
        };
        let caller = Caller {
            proved: Some(&proved),
            asker,
        };
        self.write_down(&caller, AuditEvent::LoggedOut)?;
        Ok(Told::Done)
    }

    /// Changes the own password; the old one is asked for again, however somebody logged in.
    pub(super) async fn renew(
        &mut self,
        proof: &Proof,
        asker: &Asker,
        new: &Secret,
        now: Timestamp,
    ) -> Result<Told, Ending> {
        let Proof::Password(typed) = proof else {
            return Err(Answer::Refused(people::message(&Refusal::nobody())));
        };
        let renewal = self
            .try_password(typed, asker, now, |trial, _| trial.renew())
            .await?;
        let person = typed.person.clone();
        // One that is not taken for its form needs no look at ten old ones.
        let password = judge_new(&person, new.text())?;
        let last = self
            .rows(async |catalogue| catalogue.last_passwords(&person).await)
            .await?;
        for old in last {
            if old
                .find(new.text())
                .is_ok_and(|found| found == PasswordFound::Right)
            {
                return Err(Answer::Refused(people::message(&NewPassword::reused())));
            }
        }
        let set = PasswordSet::renewed(renewal, make_hash(&password)?);
        let caller = Caller {
            proved: None,
            asker,
        };
        self.set_password(&caller, &person, &set).await?;
        Ok(Told::Done)
    }

    /// Offers the person codes. Until one of them confirms it, whatever proved the person before goes on doing so.
    pub(super) async fn enrol_totp(
        &mut self,
        caller: &Caller<'_>,
        now: Timestamp,
    ) -> Result<Told, Ending> {
        let person = caller.person()?.clone();
        let kept = self
            .rows(async |catalogue| catalogue.account(&person).await)
            .await?;
        let second = kept.map_or(SecondFactor::None, |kept| kept.account.second);
        let offer = CodeOffer::judge(caller.proved()?, second, now).map_err(|refusal| {
            self.note_login(Some(person.clone()), &refusal, caller.asker);
            Answer::Refused(people::message(&refusal))
        })?;
        let secret = TotpSecret::random().map_err(|fault| no_randomness(&fault))?;
        let sealed = Sealer::new(Arc::clone(&self.disk), &self.layout)
            .seal_totp(&person, now, &secret)
            .map_err(|fault| no_key(&fault))?;
        self.write_down(caller, AuditEvent::TotpOffered)?;
        self.rows(async |catalogue| catalogue.offer_totp(&person, &sealed, offer).await)
            .await?;
        let secret = Secret::new(secret.text().as_str());
        Ok(Told::Totp { person, secret })
    }

    /// Puts the codes that were offered in force, by one of them.
    pub(super) async fn confirm_totp(
        &mut self,
        caller: &Caller<'_>,
        code: &Secret,
        now: Timestamp,
    ) -> Result<Told, Ending> {
        let person = caller.person()?.clone();
        let offered = self
            .rows(async |catalogue| catalogue.offered_totp(&person).await)
            .await?;
        let Some(offered) = offered.filter(|offered| offered.offer.is_open(now)) else {
            return Err(Answer::Failed(Message::new(
                "確認を待つ登録がありません（15分以内）。totp enrol からやり直してください。",
                "no enrolment waits to be confirmed (15 minutes); begin with totp enrol",
            )));
        };
        let secret = self.opener.open_totp(&person, &offered.secret);
        let secret = secret.map_err(|fault| no_codes(&fault))?;
        let found = secret.find(code.text(), totp_steps(now));
        let confirmed = offered.offer.confirm(&person, found, now);
        let confirmation = confirmed.map_err(|refusal| {
            self.note_login(Some(person.clone()), &refusal, caller.asker);
            Answer::Refused(people::message(&refusal))
        })?;
        let after = self.last_entry()?;
        self.rows(async |catalogue| catalogue.keep_confirmation(confirmation, after).await)
            .await?;
        self.write_down(caller, AuditEvent::TotpEnrolled)?;
        self.settle_codes().await?;
        Ok(Told::Done)
    }

    /// Puts in force what was confirmed and the trail says; so does the next look where this one was cut off.
    async fn settle_codes(&mut self) -> Result<(), Ending> {
        let (disk, layout) = (Arc::clone(&self.disk), self.layout.clone());
        self.rows(async |catalogue| catalogue.settle_codes(&*disk, &layout).await)
            .await
    }

    /// Ends what a crash has cut off, takes away offers that are over, and seals the secrets of codes to each new month, so that none goes with a month whose key is forgotten.
    pub(super) async fn look_after_accounts(&mut self) {
        if Instant::now() < self.accounts_again {
            return;
        }
        self.accounts_again = Instant::now() + EACH;
        let sealer = Sealer::new(Arc::clone(&self.disk), &self.layout);
        let opener = self.opener.clone();
        let now = Timestamp::now();
        // A database that cannot be used was told of.
        if self.settle_passwords().await.is_err() || self.settle_codes().await.is_err() {
            return;
        }
        let left = self
            .rows(async |catalogue| {
                catalogue.forget_stale_codes(now).await?;
                catalogue.reseal_totp(&opener, &sealer, now).await
            })
            .await;
        for person in left.into_iter().flatten() {
            tracing::warn!(%person, "the secret of this person's codes could not be sealed to this month; it lies under a former one");
        }
    }
}

fn no_codes(fault: &OpenFault) -> Ending {
    Answer::Unavailable(Message::new(
        "鍵を使えないため、確認コードを確かめられません。",
        fault.to_string(),
    ))
}
