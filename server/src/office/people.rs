//! People at the office: judged, written down, recorded (K-10 to K-13). Start at [`Owner::attend_people`]; go on at `proving`.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use rules::{
    Action, AlarmCode, AttestedKind, AuditDraft, AuditEvent, Fact, Heard, Label, Missing, Number,
    Petitioner, Proved, Purpose, Refusal, Register, RegisterFault, RegisterGrant, RegisterPermit,
    StaffId, Subject, Tenure, Terms,
};
use storage::{Attachments, AuditFault, Catalogue, CatalogueFault, SealedText, TextKind};

use super::owner::Owner;
use crate::{
    duty::{Answer, Ending, Message},
    people::{self, AccountAsk, Ask, PasswordView, PersonView, RegisterAsk, Told, WishedContract},
    proof::{Asker, Proof},
    said::Said,
    wording::Wording,
};

/// How often the register is compared with the trail.
const EACH: Duration = Duration::from_secs(3600);

/// Somebody who asks: proved or not, from where.
pub(super) struct Caller<'a> {
    pub(super) proved: Option<&'a Proved>,
    pub(super) asker: &'a Asker,
}

impl Caller<'_> {
    pub(super) fn petitioner(&self) -> Petitioner<'_> {
        Petitioner {
            proved: self.proved,
            unix_user: &self.asker.unix_user,
            host: self.asker.host(),
        }
    }

    /// The person, where only a person can ask.
    pub(super) fn person(&self) -> Result<&StaffId, Ending> {
        self.proved().map(Proved::person)
    }

    /// That it is that person.
    pub(super) fn proved(&self) -> Result<&Proved, Ending> {
        let nobody = || Answer::Refused(people::message(&Refusal::nobody()));
        self.proved.ok_or_else(nobody)
    }
}

impl Owner {
    pub(super) async fn attend_people(
        &mut self,
        ask: Ask,
        proof: &Proof,
        asker: &Asker,
    ) -> Answer<Told> {
        let now = Timestamp::now();
        let told = match ask {
            Ask::Account(AccountAsk::Login) => self.log_in(proof, asker, now).await,
            Ask::Account(AccountAsk::Logout) => self.log_out(proof, asker, now).await,
            Ask::Account(AccountAsk::Renew { new }) => self.renew(proof, asker, &new, now).await,
            Ask::Register(ask) => self.ask_register(ask, proof, asker, now).await,
        };
        Answer::of(told)
    }

    async fn ask_register(
        &mut self,
        ask: RegisterAsk,
        proof: &Proof,
        asker: &Asker,
        now: Timestamp,
    ) -> Result<Told, Ending> {
        let proved = self.prove(proof, asker, now).await?;
        let caller = Caller {
            proved: proved.as_ref(),
            asker,
        };
        match ask {
            RegisterAsk::Bootstrap {
                manager,
                manager_password,
                administrator,
                administrator_password,
            } => {
                let manager = (manager, manager_password);
                let first = [manager, (administrator, administrator_password)];
                self.bootstrap(&caller, first, now).await
            }
            RegisterAsk::Add {
                person,
                role,
                unit,
                vendor,
                name,
            } => {
                let fact = Fact::PersonAdded {
                    person: person.clone(),
                    role,
                    unit,
                    vendor,
                };
                let (action, missing) = (Action::AddPerson, Missing::Particulars);
                let name = self
                    .permit_said(&caller, action, missing, name, now)
                    .await?;
                self.take_in_person(&caller, person, fact, name, now).await
            }
            RegisterAsk::Recover { person } => {
                let fact = Fact::Recovered {
                    person: person.clone(),
                    unit: self.config.people.unit.clone(),
                };
                self.take_in_person(&caller, person, fact, None, now).await
            }
            RegisterAsk::Deputise {
                person,
                period,
                basis,
            } => {
                let action = Action::Deputise;
                let basis = self
                    .demand(&caller, action, Missing::Basis, basis, now)
                    .await?;
                let about = Subject::Person(person.clone());
                let (text, basis) = self.seal_text(about, TextKind::Basis, basis.text(), now)?;
                let fact = Fact::Deputised {
                    person,
                    period,
                    basis,
                };
                self.record(&caller, fact, with(vec![text]), now).await
            }
            RegisterAsk::Train { person, course, on } => {
                let (action, missing) = (Action::Train, Missing::Particulars);
                let course = self.demand(&caller, action, missing, course, now).await?;
                let about = Subject::Person(person.clone());
                let (text, course) =
                    self.seal_text(about, TextKind::Course, course.as_str(), now)?;
                let course = course.into();
                let fact = Fact::Trained { person, course, on };
                self.record(&caller, fact, with(vec![text]), now).await
            }
            RegisterAsk::Attest {
                vendor,
                kind,
                until,
            } => {
                let (action, missing) = (Action::AttestVendor, Missing::Particulars);
                let kind = self.demand(&caller, action, missing, kind, now).await?;
                let fact = Fact::VendorAttested {
                    vendor,
                    kind: AttestedKind::Listed(kind),
                    until,
                };
                self.record(&caller, fact, nothing, now).await
            }
            RegisterAsk::Acknowledge => {
                self.someone(&caller, Action::Acknowledge)?;
                let version = self.register().await?.policy().version();
                let fact = Fact::Acknowledged { version };
                self.record(&caller, fact, nothing, now).await
            }
            RegisterAsk::AddContract(wish) => self.add_contract(&caller, wish, now).await,
            RegisterAsk::Record(fact) if fact.stands_alone() => {
                self.record(&caller, fact, nothing, now).await
            }
            RegisterAsk::Record(_) => Err(Answer::Usage(Message::new(
                "この記録は単独では受け付けません。専用の命令を使ってください。",
                "this fact is not recorded by itself; use the command that makes what belongs to it",
            ))),
            RegisterAsk::Issue { person } => self.issue(&caller, person, now).await,
            RegisterAsk::List => self.list_people(&caller, now).await,
            RegisterAsk::ApplyPolicy { text } => self.apply_policy(&caller, &text, now).await,
            RegisterAsk::DecideMeasure { basis, measure } => {
                self.decide_measure(&caller, basis, measure, now).await
            }
            RegisterAsk::ShowPolicy { version } => self.show_policy(&caller, version, now).await,
            RegisterAsk::EnrolTotp => self.enrol_totp(&caller, now).await,
            RegisterAsk::ConfirmTotp { code } => self.confirm_totp(&caller, &code, now).await,
            RegisterAsk::Request(ask) => self.ask_request(&caller, ask, now).await,
            RegisterAsk::Hold(ask) => self.ask_hold(&caller, ask, now).await,
            RegisterAsk::Number(ask) => self.ask_number(&caller, ask, now).await,
            RegisterAsk::Forget(ask) => self.forget_months(&caller, ask, now).await,
        }
    }

    async fn add_contract(
        &mut self,
        caller: &Caller<'_>,
        wish: WishedContract,
        now: Timestamp,
    ) -> Result<Told, Ending> {
        let action = Action::AddContract;
        let purposes = match wish.purposes.is_empty() {
            true => Said::default(),
            false => Said::of(wish.purposes),
        };
        let purposes = self
            .demand(caller, action, Missing::Purpose, purposes, now)
            .await?;
        let purposes: Result<BTreeSet<Purpose>, Refusal> =
            purposes.iter().map(|text| text.parse()).collect();
        let terms = Terms {
            vendor: wish.vendor,
            unit: self.unit_of(caller, action).await?,
            numbers: self.own_numbers(&wish.numbers)?,
            period: wish.period,
            purposes: purposes.map_err(|refusal| self.refuse(caller, action, &refusal.into()))?,
        };
        let contract = wish.contract;
        let fact = Fact::ContractAdded { contract, terms };
        self.record(caller, fact, nothing, now).await
    }

    /// Whoever asks, where only a person can; that nobody was proved is written down.
    pub(super) fn someone<'a>(
        &mut self,
        caller: &Caller<'a>,
        action: Action,
    ) -> Result<&'a StaffId, Ending> {
        let nobody = || self.refuse(caller, action, &Refusal::nobody().into());
        caller.proved.map(Proved::person).ok_or_else(nobody)
    }

    /// The unit of whoever asks, whom the rules judge later.
    pub(super) async fn unit_of(
        &mut self,
        caller: &Caller<'_>,
        action: Action,
    ) -> Result<Label, Ending> {
        let person = self.someone(caller, action)?;
        let register = self.register().await?;
        let unit = register.person(person).map(|person| person.unit().clone());
        Ok(unit.unwrap_or_else(|| self.config.people.unit.clone()))
    }

    /// The register as it stands; without the database nobody is anybody, and nobody is what the trail does not say.
    pub(super) async fn register(&mut self) -> Result<Arc<Register>, Ending> {
        let (disk, layout) = (Arc::clone(&self.disk), self.layout.clone());
        let mut catalogue = self.open_catalogue().await.ok_or_else(no_database)?;
        let read = catalogue.register(&*disk, &layout).await;
        let register = self.judge_register(read, catalogue)?;
        self.policy = register.policy().version();
        Ok(register)
    }

    /// Looks what the trail says when an hour has gone by, so that a start has little to read.
    pub(super) async fn look_after_register(&mut self) {
        if Instant::now() < self.register_again {
            return;
        }
        self.register_again = Instant::now() + EACH;
        let (disk, layout) = (Arc::clone(&self.disk), self.layout.clone());
        if let Some(mut catalogue) = self.open_catalogue().await {
            let compared = catalogue.compare(&*disk, &layout).await;
            // What is wrong was told; whoever needs the register is refused.
            let _ = self.judge_register(compared, catalogue);
        }
    }

    fn judge_register<T>(
        &mut self,
        read: Result<T, CatalogueFault>,
        catalogue: Catalogue,
    ) -> Result<T, Ending> {
        let code = match &read {
            Ok(_) | Err(CatalogueFault::Register(_)) => AlarmCode::RegisterDiffers,
            Err(CatalogueFault::Audit(AuditFault::Broken(_))) => AlarmCode::AuditAltered,
            Err(CatalogueFault::Audit(_)) => AlarmCode::AuditUnavailable,
            Err(_) => AlarmCode::DatabaseUnavailable,
        };
        let ending = match &read {
            Err(fault @ CatalogueFault::Register(_)) => not_the_trails(code, fault),
            Err(fault @ CatalogueFault::Audit(_)) => no_trail(fault),
            Ok(_) | Err(_) => no_database(),
        };
        let is_news = read.is_err() && !self.is_told(code);
        let read = self.note(code, read);
        if is_news && code == AlarmCode::RegisterDiffers {
            let event = AuditEvent::alarm(code);
            self.audit(AuditDraft::system(event));
        }
        // A database that fails is opened anew next time.
        self.catalogue =
            (read.is_some() || code != AlarmCode::DatabaseUnavailable).then_some(catalogue);
        read.ok_or(ending)
    }

    /// Does something to the rows. A catalogue that fails is closed, and opened anew next time.
    pub(super) async fn rows<T>(
        &mut self,
        act: impl AsyncFnOnce(&mut Catalogue) -> Result<T, CatalogueFault>,
    ) -> Result<T, Ending> {
        let mut catalogue = self.open_catalogue().await.ok_or_else(no_database)?;
        let done = act(&mut catalogue).await;
        let value = self
            .note(AlarmCode::DatabaseUnavailable, done)
            .ok_or_else(no_database)?;
        self.catalogue = Some(catalogue);
        Ok(value)
    }

    /// Judges, keeps what belongs to the fact, writes the entry, and only then records.
    ///
    /// `attach` makes what belongs to the fact, which may cost a password's hash, and is asked once the fact is allowed.
    pub(super) async fn record(
        &mut self,
        caller: &Caller<'_>,
        fact: Fact,
        attach: impl FnOnce(&Owner) -> Result<Attachments, Ending>,
        now: Timestamp,
    ) -> Result<Told, Ending> {
        let register = self.register().await?;
        let heard = self.heard_of(register.concerns(&fact)).await?;
        self.record_about(caller, fact, &heard, attach, now).await
    }

    /// The same for a fact about recordings.
    pub(super) async fn record_about(
        &mut self,
        caller: &Caller<'_>,
        fact: Fact,
        heard: &[Heard],
        attach: impl FnOnce(&Owner) -> Result<Attachments, Ending>,
        now: Timestamp,
    ) -> Result<Told, Ending> {
        let petitioner = caller.petitioner();
        self.record_as(&petitioner, fact, heard, attach, now).await
    }

    /// The same for whoever asks, the service itself included.
    pub(super) async fn record_as(
        &mut self,
        petitioner: &Petitioner<'_>,
        fact: Fact,
        heard: &[Heard],
        attach: impl FnOnce(&Owner) -> Result<Attachments, Ending>,
        now: Timestamp,
    ) -> Result<Told, Ending> {
        let register = self.register().await?;
        let action = fact.action();
        let grant = match register.request_with(petitioner, fact, heard, now) {
            Ok(Some(grant)) => grant,
            Ok(None) => return Ok(Told::AlreadySo),
            Err(fault) => return Err(self.refuse_as(petitioner, action, &fault)),
        };
        let attachments = attach(self)?;
        let before = self.asked_before(&register, &grant, &attachments.texts);
        if let Some(about) = before.await? {
            return Ok(Told::AskedBefore(about));
        }
        let after = self.last_entry()?;
        let ahead = self
            .rows(async |catalogue| catalogue.keep_ahead(&grant, attachments, after).await)
            .await?;
        let receipt = self
            .audit(grant.entry().clone())
            .ok_or_else(|| Answer::Unavailable(people::message(&Refusal::audit_unavailable())))?;
        let permit = RegisterPermit::issue(grant, receipt)
            .map_err(|refusal| Answer::Unavailable(people::message(&refusal)))?;
        self.rows(async |catalogue| catalogue.record(permit, ahead).await)
            .await?;
        self.settle_passwords().await?;
        Ok(Told::Done)
    }

    /// What is granted anew and was asked for before in the same words: a lost answer makes no second one.
    async fn asked_before(
        &mut self,
        register: &Register,
        grant: &RegisterGrant,
        texts: &[SealedText],
    ) -> Result<Option<Subject>, Ending> {
        let Some(by) = grant.entry().actor.person() else {
            return Ok(None);
        };
        for about in register.asked_before(by, grant.fact()) {
            if self.says_the_same(&about, texts).await? {
                return Ok(Some(about));
            }
        }
        Ok(None)
    }

    /// Whether these texts are kept about something else too, word by word; one that does not open is another.
    async fn says_the_same(
        &mut self,
        about: &Subject,
        texts: &[SealedText],
    ) -> Result<bool, Ending> {
        for text in texts {
            let said = self.opener.open_text(text).ok();
            let known = self.text_of(about.clone(), text.kind).await?;
            if said.is_none() || said.as_deref() != known.as_ref().map(Wording::as_str) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A refusal stands whether or not it can be written down.
    pub(super) fn refuse(
        &mut self,
        caller: &Caller<'_>,
        action: Action,
        fault: &RegisterFault,
    ) -> Ending {
        self.refuse_as(&caller.petitioner(), action, fault)
    }

    fn refuse_as(
        &mut self,
        petitioner: &Petitioner<'_>,
        action: Action,
        fault: &RegisterFault,
    ) -> Ending {
        if let RegisterFault::Refused(refusal) = fault {
            self.audit(people::refused(
                petitioner.actor(),
                action,
                refusal,
                self.policy,
            ));
        }
        people::not_recorded(fault)
    }

    pub(super) fn write_down(
        &mut self,
        caller: &Caller<'_>,
        event: AuditEvent,
    ) -> Result<(), Ending> {
        let actor = caller.petitioner().actor();
        // What was written down is done next; nothing else is allowed by it.
        self.audit(AuditDraft { actor, event })
            .map(drop)
            .ok_or_else(|| Answer::Unavailable(people::message(&Refusal::audit_unavailable())))
    }

    async fn list_people(&mut self, caller: &Caller<'_>, now: Timestamp) -> Result<Told, Ending> {
        let register = self.register().await?;
        self.show(caller, &register, Action::ListPeople, now)?;
        let mut views = Vec::new();
        for person in register.people() {
            let id = person.id();
            let about = Subject::Person(id.clone());
            let name = self.text_of(about.clone(), TextKind::Name).await?;
            let password = self.password_of(id).await?;
            let mut view = PersonView::of(person, name, password, now);
            if let Some(training) = person.training(now) {
                let course = self.particular(&training.course, &about, TextKind::Course);
                view.trained_in = course.await?;
            }
            if !person.deputyships().is_empty() {
                let basis = self.decision_text(&register, caller, about, TextKind::Basis, now);
                view.deputy_basis = basis.await?;
            }
            views.push(view);
        }
        Ok(Told::People(views))
    }

    /// Numbers of the city, as the configuration lists them; a contract is about no others.
    fn own_numbers(&self, texts: &[String]) -> Result<BTreeSet<Number>, Ending> {
        let numbers = texts.iter().map(|text| self.config.own_number(text));
        let numbers: Option<BTreeSet<Number>> = numbers.collect();
        numbers.ok_or_else(|| {
            Answer::Usage(Message::new(
                "--number は設定ファイルにある市の番号を指定してください。",
                "a number of --number is no [[number]] of the configuration; name the city's own",
            ))
        })
    }
}

/// Most facts have nothing beside them.
pub(super) fn nothing(_: &Owner) -> Result<Attachments, Ending> {
    Ok(Attachments::default())
}

/// What goes with a fact whose texts are sealed already.
pub(super) fn with(texts: Vec<SealedText>) -> impl FnOnce(&Owner) -> Result<Attachments, Ending> {
    move |_: &Owner| {
        Ok(Attachments {
            texts,
            ..Attachments::default()
        })
    }
}

impl PersonView {
    fn of(
        person: &rules::Person,
        name: Option<Wording>,
        password: PasswordView,
        now: Timestamp,
    ) -> PersonView {
        let designation = person.designation(now);
        let deputy = person
            .deputyships()
            .iter()
            .filter(|period| period.contains(now));
        PersonView {
            id: person.id().clone(),
            name,
            role: person.role(),
            withdrawn: person.tenure() == Tenure::Withdrawn,
            unit: person.unit().clone(),
            vendor: person.vendor().cloned(),
            password,
            designated_until: designation.map(|held| held.period.until()),
            designated_by: designation.and_then(|held| held.by.clone()),
            trained_on: person.training(now).map(|training| training.on),
            trained_in: None,
            acknowledged: person.acknowledged(),
            deputy_until: deputy.map(|period| period.until()).max(),
            deputy_basis: None,
            recovered: matches!(person.recovery(), Some(rules::Recovery::Open { .. })),
        }
    }
}

fn no_database() -> Ending {
    Answer::Unavailable(Message::new(
        "データベースを使えません。",
        "the catalogue cannot be used; see the log and `denwaban check`",
    ))
}

fn no_trail(fault: &CatalogueFault) -> Ending {
    Answer::Unavailable(Message::new(
        "職員の登録を証跡と照合できません。",
        fault.to_string(),
    ))
}

fn not_the_trails(code: AlarmCode, fault: &CatalogueFault) -> Ending {
    Answer::Unverified(Message::coded(
        code.code(),
        "職員の登録が証跡と一致しません。一致するまで、誰も録音を開けません。check と audit verify で箇所を確かめ、データベースを証拠として保全し、復元（restore）してください。管理責任者と監査に知らせてください。",
        fault.to_string(),
    ))
}

pub(super) fn no_key(fault: &storage::SealFault) -> Ending {
    Answer::Unavailable(Message::new("今月の鍵を使えません。", fault.to_string()))
}

pub(super) fn no_randomness(fault: &dyn std::fmt::Display) -> Ending {
    Answer::Failed(Message::new("乱数を得られません。", fault.to_string()))
}
