//! A hand-over as it is asked for: for what, on what, to whom, of which recordings.

use std::collections::BTreeSet;

use jiff::Timestamp;
use rules::{
    Action, Destination, Fact, HandOverFact, HandOverId, Missing, Purpose, RecordingId,
    RegisterFault, Subject, Wished,
};
use storage::{Attachments, TextKind};

use crate::{
    duty::Ending,
    hand_over::{HandOverTold, HandOverWish, WishedDestination},
    office::{owner::Owner, people::Caller},
    people::Told,
};

impl Owner {
    pub(super) async fn request(
        &mut self,
        caller: &Caller<'_>,
        wish: HandOverWish,
        now: Timestamp,
    ) -> Result<HandOverTold, Ending> {
        let purpose = Purpose::given(wish.purpose.as_deref()).map_err(|refusal| {
            let fault = RegisterFault::Refused(refusal);
            self.refuse(caller, Action::RequestHandOver, &fault)
        })?;
        let (action, missing) = (Action::RequestHandOver, Missing::Particulars);
        let medium = self
            .demand(caller, action, missing, wish.medium, now)
            .await?;
        self.judge_first(caller, action, now).await?;
        let hand_over = HandOverId::new(now, self.dice()?);
        let to = self.destination(caller, hand_over, wish.to, now).await;
        let (to, mut attachments) = to?;
        let about = Subject::HandOver(hand_over);
        let (text, medium) = self.seal_text(about, TextKind::Medium, medium.as_str(), now)?;
        attachments.texts.push(text);
        // A recording that is named twice is handed over once.
        let items: BTreeSet<RecordingId> = wish.recordings.into_iter().collect();
        let heard = self.look_up(&items).await?;
        let fact = HandOverFact::Requested {
            hand_over,
            wish: Wished {
                to,
                purpose,
                medium: medium.into(),
                items,
            },
        };
        let attach = |_: &Owner| Ok(attachments);
        let told = self.record_about(caller, Fact::HandOver(fact), &heard, attach, now);
        Ok(HandOverTold::Requested(match told.await? {
            Told::AskedBefore(Subject::HandOver(before)) => before,
            _ => hand_over,
        }))
    }

    /// To whom, and the sealed name where it is no contractor.
    async fn destination(
        &mut self,
        caller: &Caller<'_>,
        hand_over: HandOverId,
        to: WishedDestination,
        now: Timestamp,
    ) -> Result<(Destination, Attachments), Ending> {
        let (case, addressee, recipient) = match to {
            WishedDestination::Contract { vendor, contract } => {
                let to = Destination::Contract { vendor, contract };
                return Ok((to, Attachments::default()));
            }
            WishedDestination::Request {
                case,
                addressee,
                recipient,
            } => (case, addressee, recipient),
        };
        let (action, missing) = (Action::RequestHandOver, Missing::Particulars);
        let addressee = self.demand(caller, action, missing, addressee, now).await?;
        let about = Subject::HandOver(hand_over);
        let (text, receiver) = self.seal_text(about, TextKind::Addressee, addressee.text(), now)?;
        let to = Destination::Request {
            case,
            receiver,
            recipient,
        };
        Ok((to, Attachments::of(text)))
    }
}
